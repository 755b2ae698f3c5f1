import { expect, it } from "vitest";

import { dragWindow, grey, opening, presets, reset } from "../src/state/view";
import { VIEWING } from "./a_page";

const whole = { name: "Whole range", center: 127.5, width: 255 };
const filled = { name: "1 to 99 % of pixels", center: 60, width: 100 };
const own = { name: "Film's own", center: 127.5, width: 255 };
const of = (...windows: { name: string; center: number; width: number }[]) => ({
  ...VIEWING,
  maximum: 255,
  windows,
});

it("opens a dim film that brings no window with that of nearly all its pixels", () => {
  const dim = of(whole, filled);
  expect(opening(dim)).toBe(filled);
  reset(dim);
  expect(grey.value).toBe(filled);
  expect(presets(dim).find((one) => one.name === "Lungs")?.width).toBe(50);
  dragWindow(dim, 1, 0);
  expect(grey.value.width).toBe(200);
});

it("opens a film with the window that it brings, and one that fills its range whole", () => {
  expect(opening(of(own, whole, filled))).toBe(own);
  expect(opening(of(whole, { ...filled, width: 200 }))).toBe(whole);
  expect(opening(of(whole))).toBe(whole);
});
