import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import {
  answering,
  browser,
  Channel,
  FINDING,
  film,
  reading,
  refusal,
  settled,
  VIEWING,
} from "./a_page";

beforeAll(browser);

// A mask's PNG is its one value here; the browser's own decoder is not at hand.
vi.mock("../src/film/png", () => ({
  decodeGrey: async (blob: Blob) => ({
    values: new Uint8Array(await blob.arrayBuffer()),
    width: 1,
    height: 1,
  }),
}));

const PAGE = { films: [], next: null, total: 0, counts: null, revision: 1 };
const ANSWERS: Record<string, unknown> = {};
let asked: string[] = [];

function answer(readings: ReturnType<typeof reading>[]): void {
  for (const path of Object.keys(ANSWERS)) delete ANSWERS[path];
  Object.assign(ANSWERS, {
    "/v1/films": PAGE,
    "/v1/films/a": film("a"),
    "/v1/films/a/pixels": new Blob([new Uint8Array(VIEWING.bytes)]),
    "/v1/films/a/corrections": { corrections: readings },
  });
  for (const { number } of readings.filter((one) => one.has_mask)) {
    ANSWERS[`/v1/films/a/corrections/${number}/mask`] = new Blob([Uint8Array.of(number)]);
  }
  asked = answering(ANSWERS);
}

async function modules() {
  const current = await import("../src/state/film");
  const correction = await import("../src/state/correction");
  return { current, correction };
}

async function shown(): Promise<number | undefined> {
  return (await modules()).current.readersMask.value?.values[0];
}

beforeEach(async () => {
  const { current, correction } = await modules();
  const { refresh } = await import("../src/state/worklist");
  answer([]);
  await refresh();
  correction.forgetAll();
  await current.open(null);
  (await import("../src/state/messages")).messages.value = [];
});

async function told(): Promise<string[]> {
  return (await import("../src/state/messages")).messages.value.map((one) => one.text);
}

it("shows what another reader says of the open film, and leaves the own draft alone", async () => {
  const { current, correction } = await modules();
  answer([reading(1, { has_mask: true })]);
  await current.open("a");
  expect(await shown()).toBe(1);
  correction.edit();
  correction.changed(null);
  correction.comment.value = "mine";
  const draft = correction.draft.value;
  answer([reading(1, { has_mask: true }), reading(2, { has_mask: true, verdict: "corrected" })]);
  Channel.latest.tell("film", film("a", { revision: 2, verdict: "corrected" }));
  await settled();
  expect(current.history.value.map((one) => one.number)).toEqual([1, 2]);
  expect(current.film.value?.correction?.number).toBe(2);
  expect(current.film.value?.verdict).toBe("corrected");
  expect(await shown()).toBe(2);
  expect(correction.draft.value).toBe(draft);
  expect(correction.comment.value).toBe("mine");
});

it("asks for nothing where the film is as new as what is told", async () => {
  const { current } = await modules();
  await current.open("a");
  asked.length = 0;
  Channel.latest.tell("film", film("a", { revision: 1 }));
  await settled();
  expect(asked).toEqual([]);
});

it("shows what another model finds in the open film, and leaves the own draft alone", async () => {
  const { current, correction } = await modules();
  await current.open("a");
  correction.edit();
  correction.changed(null);
  const [draft, picture] = [correction.draft.value, current.picture.value];
  const facts = film("a", { revision: 3, state: "negative", pictures: ["mask"] });
  const finding = { ...FINDING, model_sha256: "bbbb" };
  ANSWERS["/v1/films/a"] = { ...facts, finding };
  ANSWERS["/v1/films/a/mask"] = new Blob([Uint8Array.of(9)]);
  Channel.latest.tell("film", facts);
  await settled();
  expect(current.film.value?.state).toBe("negative");
  expect(current.film.value?.finding?.model_sha256).toBe("bbbb");
  expect(current.modelMask.value?.values[0]).toBe(9);
  expect(current.picture.value).toBe(picture);
  expect(correction.draft.value).toBe(draft);
});

it("shows what another model finds although its score and words are the same", async () => {
  const { current } = await modules();
  ANSWERS["/v1/films/a"] = film("a", { model_sha256: "aaaa" });
  await current.open("a");
  const facts = film("a", { revision: 2, model_sha256: "bbbb", pictures: ["mask"] });
  ANSWERS["/v1/films/a"] = { ...facts, finding: { ...FINDING, model_sha256: "bbbb" } };
  ANSWERS["/v1/films/a/mask"] = new Blob([Uint8Array.of(9)]);
  Channel.latest.tell("film", facts);
  await settled();
  expect(current.film.value?.finding?.model_sha256).toBe("bbbb");
  expect(current.modelMask.value?.values[0]).toBe(9);
});

describe("a film that could not be opened", () => {
  const none = new Error("no network");

  it.each(["/v1/films/a", "/v1/films/a/mask"])(
    "for %s is opened when asked again",
    async (path) => {
      const { current } = await modules();
      ANSWERS["/v1/films/a"] = film("a", { pictures: ["mask"] });
      ANSWERS["/v1/films/a/mask"] = new Blob([Uint8Array.of(9)]);
      const answer = ANSWERS[path];
      ANSWERS[path] = () => Promise.reject(none);
      await current.open("a");
      expect(current.unopened.value).toBe(true);
      ANSWERS[path] = answer;
      await current.open("a");
      expect(current.unopened.value).toBe(false);
      expect(current.picture.value?.id).toBe("a");
    },
  );

  it("is asked for no more once it is open, or another is", async () => {
    const { current } = await modules();
    await current.open("a");
    asked.length = 0;
    await current.open("a");
    expect(asked).toEqual([]);
    await current.open(null);
    expect(current.unopened.value).toBe(false);
  });
});

describe("a film that is judged again", () => {
  const failed = film("a", { revision: 9, state: "failed", finding: null, viewing: null });
  const listed = { ...failed, pictures: ["heat", "mask", "lungs"] };

  beforeEach(async () => {
    const { current } = await modules();
    ANSWERS["/v1/films/a"] = film("a", { pictures: ["mask"] });
    ANSWERS["/v1/films/a/mask"] = new Blob([Uint8Array.of(9)]);
    await current.open("a");
    expect(current.modelMask.value?.values[0]).toBe(9);
    ANSWERS["/v1/films/a"] = listed;
    ANSWERS["/v1/films/a/heat"] = new Blob([Uint8Array.of(7)]);
    ANSWERS["/v1/films/a/mask"] = () => refusal(409, "the film is failed");
    ANSWERS["/v1/films/a/lungs"] = () => refusal(409, "the film is failed");
  });

  it("loses its old finding, although pictures are listed that are not there", async () => {
    const { current } = await modules();
    Channel.latest.tell("film", failed);
    await settled();
    expect(current.film.value?.state).toBe("failed");
    expect(current.film.value?.finding).toBeNull();
    expect(current.modelMask.value).toBeNull();
    expect(current.heat.value?.values[0]).toBe(7);
    expect(await told()).toEqual([]);
  });

  it("loses its old finding although a picture cannot be fetched, and that is told", async () => {
    const { current } = await modules();
    ANSWERS["/v1/films/a/mask"] = () => refusal(503, "busy");
    Channel.latest.tell("film", failed);
    await settled();
    expect(current.film.value?.state).toBe("failed");
    expect(current.modelMask.value).toBeNull();
    expect(await told()).toEqual(["What is new of this film cannot be fetched. busy"]);
  });
});

it("lists the own reading once, whether it is told before or after it is saved", async () => {
  const { current } = await modules();
  await current.open("a");
  answer([reading(1)]);
  Channel.latest.tell("film", film("a", { revision: 2 }));
  await settled();
  current.said(reading(1), null);
  expect(current.history.value.length).toBe(1);
});

it("shows an older mask, and the latest again", async () => {
  const { current } = await modules();
  const readings = [reading(1, { has_mask: true }), reading(2, { has_mask: true }), reading(3)];
  answer(readings);
  await current.open("a");
  expect([await shown(), current.shownNumber.value]).toEqual([2, 2]);
  await current.showMaskOf(readings[0] as (typeof readings)[0]);
  expect([await shown(), current.shownNumber.value]).toEqual([1, 1]);
  await current.showMaskOf(readings[1] as (typeof readings)[0]);
  expect([await shown(), current.shownNumber.value]).toEqual([2, 2]);
});

describe("a film that is deleted", () => {
  it("by somebody else is closed, and the reader told, also of what is lost", async () => {
    const { current, correction } = await modules();
    await current.open("a");
    correction.comment.value = "mine";
    Channel.latest.tell("deleted", { id: "a" });
    expect(current.opened.value).toBeNull();
    expect(correction.unsavedFilms.value.size).toBe(0);
    expect(await told()).toEqual([
      "a was deleted meanwhile.",
      "What you had not saved of a film is lost: the film was deleted.",
    ]);
  });

  it("while another is open takes with it what was not saved, and the reader is told", async () => {
    const { current, correction } = await modules();
    await current.open("a");
    correction.comment.value = "mine";
    await current.open(null);
    Channel.latest.tell("deleted", { id: "a" });
    expect(correction.unsavedFilms.value.size).toBe(0);
    expect((await told()).length).toBe(1);
  });

  it("here is followed by the next, whether the service tells before or after it answers", async () => {
    const { current } = await modules();
    const { rows } = await import("../src/state/worklist");
    for (const early of [true, false]) {
      rows.value = [film("z"), film("a"), film("b")];
      ANSWERS["/v1/films/a"] = film("a");
      await current.open("a");
      const remove = () => {
        if (early) Channel.latest.tell("deleted", { id: "a" });
        return new Response(null, { status: 204 });
      };
      ANSWERS["/v1/films/a"] = remove;
      ANSWERS["/v1/films/b"] = film("b", { viewing: null });
      ANSWERS["/v1/films/b/corrections"] = { corrections: [] };
      await current.discard("a");
      if (!early) Channel.latest.tell("deleted", { id: "a" });
      expect(current.opened.value).toBe("b");
    }
    expect(await told()).toEqual([]);
  });
});
