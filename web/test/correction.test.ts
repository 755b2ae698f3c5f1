import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import { answering, browser, FINDING, film, reading, refusal, settled, VIEWING } from "./a_page";

beforeAll(browser);

const confirm = vi.fn(() => true);
vi.stubGlobal("window", { confirm });

async function modules() {
  const correction = await import("../src/state/correction");
  const current = await import("../src/state/film");
  return { correction, current };
}

/** Opens a film as if it had been fetched. */
async function show(id: string | null): Promise<void> {
  const { current } = await modules();
  current.opened.value = id;
  current.film.value = id ? film(id) : null;
  const values = new Uint8Array(VIEWING.bytes);
  current.picture.value = id ? { id, viewing: VIEWING, values, aspect: 1 } : null;
}

/** Draws a stroke on the open film. */
async function draw(x = 5): Promise<void> {
  const { correction } = await modules();
  correction.edit();
  correction.draft.value?.begin();
  correction.changed(correction.draft.value?.line(x, 5, x, 5, 2, true) ?? null);
  correction.endStroke();
}

beforeEach(async () => {
  const { correction } = await modules();
  confirm.mockClear();
  answering({});
  correction.forgetAll();
  await show(null);
});

describe("a draft", () => {
  it("is kept while another film is open, and comes back with its undo", async () => {
    const { correction } = await modules();
    await show("a");
    await draw();
    correction.comment.value = "apex too";
    const mask = correction.draft.value;
    await show("b");
    expect(correction.draft.value).toBeNull();
    expect(correction.comment.value).toBe("");
    expect(correction.unsaved.value).toBe(false);
    expect([...correction.unsavedFilms.value]).toEqual(["a"]);
    await show("a");
    expect(correction.draft.value).toBe(mask);
    expect(correction.comment.value).toBe("apex too");
    expect(correction.unsaved.value).toBe(true);
    correction.undo();
    expect(mask?.areaFraction).toBe(0);
  });

  it("in which nothing was drawn is not kept", async () => {
    const { correction } = await modules();
    await show("a");
    correction.edit();
    await show("b");
    expect(correction.unsavedFilms.value.size).toBe(0);
    await show("a");
    expect(correction.draft.value).toBeNull();
  });

  it("is dropped once the reader agrees", async () => {
    const { correction } = await modules();
    await show("a");
    correction.edit();
    correction.abandon();
    expect(confirm).not.toHaveBeenCalled(); // nothing was drawn
    await draw();
    confirm.mockReturnValueOnce(false);
    correction.abandon();
    expect(correction.draft.value).not.toBeNull();
    correction.abandon();
    expect(correction.draft.value).toBeNull();
    expect(correction.unsavedFilms.value.size).toBe(0);
  });

  it("is gone with its film", async () => {
    const { correction } = await modules();
    await show("a");
    await draw();
    correction.forget("a");
    await show("b");
    expect(correction.unsavedFilms.value.size).toBe(0);
  });

  it("is saved although another film was opened meanwhile", async () => {
    const { correction } = await modules();
    answering({ "/v1/films/a/corrections": { number: 1, film: "a", verdict: "accepted" } });
    await show("a");
    correction.comment.value = "for a";
    const saved = correction.save("accepted");
    await show("b");
    correction.comment.value = "for b";
    await saved;
    expect([...correction.unsavedFilms.value]).toEqual(["b"]);
    expect(correction.comment.value).toBe("for b");
  });
});

describe("a verdict", () => {
  const SAY = "/v1/films/a/corrections";

  async function told(): Promise<string[]> {
    const { messages } = await import("../src/state/messages");
    return messages.value.map((one) => one.text);
  }

  beforeEach(async () => {
    const { messages } = await import("../src/state/messages");
    messages.value = [];
  });

  it("is not given on a film that is not shown yet", async () => {
    const { correction, current } = await modules();
    const asked = answering({ [SAY]: reading(1) });
    current.opened.value = "a"; // Opening ...
    await correction.save("accepted");
    current.film.value = film("a"); // its pixels and masks are still to come
    await correction.save("rejected");
    expect(asked).toEqual([]);
  });

  it("names the model of the finding that is shown, and none where there is no finding", async () => {
    const { correction, current } = await modules();
    const named: unknown[] = [];
    const say = ({ body }: { body: FormData }) => {
      named.push(body.get("model_sha256"));
      return new Response(JSON.stringify(reading(1)));
    };
    answering({ [SAY]: say });
    await show("a");
    const saved = correction.save("accepted");
    current.film.value = film("a", { finding: { ...FINDING, model_sha256: "bbbb" } });
    await saved;
    await draw();
    await correction.save("corrected");
    current.film.value = film("a", { finding: null });
    await correction.save("rejected");
    expect(named).toEqual(["aaaa", "bbbb", null]);
  });

  it("on a finding that is no more shows the one there is now, and keeps the draft", async () => {
    const { correction, current } = await modules();
    const finding = { ...FINDING, model_sha256: "bbbb" };
    answering({
      [SAY]: ({ method }: RequestInit) =>
        method === "POST"
          ? refusal(409, "the film was judged again meanwhile")
          : new Response(JSON.stringify({ corrections: [reading(1)] })),
      "/v1/films/a": film("a", { revision: 2, state: "negative", finding }),
    });
    await show("a");
    await draw();
    correction.comment.value = "apex too";
    const [mask, picture] = [correction.draft.value, current.picture.value];
    await correction.save("corrected");
    await settled();
    expect(await told()).toEqual([
      "The correction is not saved. the film was judged again meanwhile",
    ]);
    expect(current.film.value?.finding?.model_sha256).toBe("bbbb");
    expect(current.history.value.length).toBe(1);
    expect(current.picture.value).toBe(picture);
    expect(correction.draft.value).toBe(mask);
    expect([correction.drawn.value > 0, correction.comment.value]).toEqual([true, "apex too"]);
  });

  it("leaves alone what is drawn and written while it is saved", async () => {
    const { correction, current } = await modules();
    const said = reading(1, { verdict: "corrected", has_mask: true });
    let answer = (_: Response) => {};
    const sent = new Promise<void>((isSent) => {
      answering({
        [SAY]: () =>
          new Promise<Response>((done) => {
            answer = done;
            isSent();
          }),
      });
    });
    await show("a");
    await draw(5);
    const [mask, area] = [correction.draft.value, correction.draft.value?.areaFraction];
    const saved = correction.save("corrected");
    await sent;
    await draw(15);
    correction.comment.value = "and the apex";
    answer(new Response(JSON.stringify(said)));
    await saved;
    expect(correction.draft.value).toBe(mask);
    expect(correction.comment.value).toBe("and the apex");
    expect(correction.unsaved.value).toBe(true);
    const shown = current.readersMask.value?.values ?? new Uint8Array();
    expect(shown.filter((value) => value > 0).length / shown.length).toBe(area);
    expect((await told())[0]).toMatch(/not saved yet/);
    answering({ [SAY]: said });
    await correction.save("corrected");
    expect(correction.draft.value).toBeNull();
    expect(correction.unsaved.value).toBe(false);
  });
});

it("is not left for a film that is uploaded", async () => {
  const { correction, current } = await modules();
  const { upload } = await import("../src/state/uploads");
  const job = { films: { total: 1, repeated: 0 }, film_ids: ["new"], refused: [] };
  class Request {
    status = 202;
    response = job;
    upload = {};
    onload = () => {};
    open() {}
    send() {
      this.onload();
    }
  }
  vi.stubGlobal("XMLHttpRequest", Request);
  await show("a");
  correction.comment.value = "not done";
  await upload([new File(["film"], "new.png")]);
  expect(current.opened.value).toBe("a");
  correction.comment.value = "";
  await upload([new File(["film"], "new.png")]);
  await settled();
  expect(current.opened.value).toBe("new");
});
