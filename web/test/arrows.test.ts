import { beforeAll, beforeEach, expect, it } from "vitest";

import type { Stage } from "../src/film/stage";
import { browser, VIEWING } from "./a_page";

beforeAll(browser);

async function modules() {
  const { stageKey } = await import("../src/film/arrows");
  const correction = await import("../src/state/correction");
  const current = await import("../src/state/film");
  const view = await import("../src/state/view");
  return { stageKey, correction, current, view };
}

async function press(...keys: string[]): Promise<void> {
  const { stageKey } = await modules();
  const rest = { preventDefault: () => {}, stopPropagation: () => {} };
  for (const key of keys) stageKey({ key, ...rest } as KeyboardEvent);
}

async function show(id: string): Promise<void> {
  const { current, view } = await modules();
  current.opened.value = id;
  const values = new Uint8Array(VIEWING.bytes);
  current.picture.value = { id, viewing: VIEWING, values, aspect: 1 };
  const stage = { affine: () => [1, 0, 0, 1, 0, 0], toFilm: (at: unknown) => at };
  view.stage.value = stage as unknown as Stage;
}

async function area(): Promise<number | undefined> {
  const { correction } = await modules();
  return correction.draft.value?.areaFraction;
}

beforeEach(async () => {
  const { correction } = await modules();
  const { set } = await import("../src/state/settings");
  set({ brush: 60 }); // 1.2 pixels of a film of 20
  await show("a");
  correction.forgetAll();
});

it("puts the brush down and up", async () => {
  const { correction } = await modules();
  correction.edit();
  await press(" ", "ArrowRight", " ");
  const drawn = await area();
  expect(drawn).toBeGreaterThan(0);
  await press("ArrowDown");
  expect(await area()).toBe(drawn);
  correction.undo();
  expect(await area()).toBe(0);
});

it("puts the brush down once while the space bar is held", async () => {
  const { correction } = await modules();
  correction.edit();
  await press(" ");
  const { stageKey } = await modules();
  const rest = { repeat: true, preventDefault: () => {}, stopPropagation: () => {} };
  stageKey({ key: " ", ...rest } as KeyboardEvent);
  const drawn = await area();
  await press("ArrowRight");
  expect(await area()).toBeGreaterThan(drawn ?? 1);
});

it("lifts the brush when the draft is saved", async () => {
  const { correction } = await modules();
  correction.edit();
  await press(" ", "ArrowRight");
  correction.forget("a"); // as saving does
  expect(correction.unsaved.value).toBe(false);
  correction.edit();
  await press("ArrowRight");
  expect(await area()).toBe(0);
});

it("lifts the brush for another tool, and the stroke is undone at once", async () => {
  const { correction } = await modules();
  correction.edit();
  await press(" ", "ArrowRight");
  const drawn = await area();
  expect(drawn).toBeGreaterThan(0);
  correction.edit("eraser");
  await press("ArrowLeft");
  expect(await area()).toBe(drawn);
  correction.undo();
  expect(await area()).toBe(0);
});

it("lifts the brush when another film is opened, and ends the stroke on the first", async () => {
  const { correction, view } = await modules();
  correction.edit();
  await press(" ", "ArrowRight");
  const first = correction.draft.value;
  await show("b");
  expect(correction.unsaved.value).toBe(false);
  correction.edit();
  await press("ArrowRight");
  expect(await area()).toBe(0);
  expect(first?.canUndo).toBe(true);
  view.tool.value = "length";
  await press(" ");
  view.tool.value = "pan";
  view.tool.value = "length";
  const [line] = view.lines.value;
  await press("ArrowRight");
  expect(view.lines.value).toEqual([line]); // the ruler is let go, too
});
