import { expect, it } from "vitest";

import { tint } from "../src/film/heat";

it("is clear where nothing is suspected", () => {
  expect(tint(0)[3]).toBe(0);
  expect(tint(0.05)[3]).toBe(0);
});

it("covers more, and is lighter, the likelier it is", () => {
  const cover = [0.1, 0.25, 0.5, 0.75, 1].map((p) => tint(p)[3]);
  expect(cover).toEqual([...cover].sort((a, b) => a - b));
  expect(tint(0.5)).toEqual([237, 105, 37, Math.round(0.7 * 255)]);
  expect(tint(1)).toEqual([252, 255, 164, 242]);
});
