import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import { answering, browser, film, settled, VIEWING } from "./a_page";

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
async function draw(): Promise<void> {
  const { correction } = await modules();
  correction.edit();
  correction.draft.value?.begin();
  correction.changed(correction.draft.value?.line(5, 5, 5, 5, 2, true) ?? null);
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
