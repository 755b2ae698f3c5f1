import { expect, it } from "vitest";

import { pinch } from "../src/film/pinch";

it("zooms by how far the fingers part, and moves as their middle does", () => {
  const before = [
    [100, 100],
    [200, 100],
  ] as const;
  const after = [
    [90, 120],
    [290, 120],
  ] as const;
  expect(pinch(before, after)).toEqual({ factor: 2, from: [150, 100], to: [190, 120] });
  expect(pinch(after, before).factor).toBe(0.5);
  expect(pinch(before, before)).toEqual({ factor: 1, from: [150, 100], to: [150, 100] });
});

it("makes nothing of fingers that touch each other", () => {
  const at = (x: number) =>
    [
      [0, 0],
      [x, 0],
    ] as const;
  expect(pinch(at(0), at(10)).factor).toBe(1);
  expect(pinch(at(0), at(32)).factor).toBe(2);
});
