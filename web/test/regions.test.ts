import { describe, expect, it } from "vitest";

import { regions } from "../src/film/regions";

const W = 5;
// a bar of three, a single pixel that touches it at a corner, and one alone
const VALUES = [
  [0, 0, 0, 0, 0],
  [0, 200, 200, 200, 0],
  [0, 0, 0, 0, 130],
  [90, 0, 0, 0, 0],
].flat();
const FIELD = { values: Uint8Array.from(VALUES), width: W, height: 4 };

describe("regions", () => {
  it("joins what touches at a corner", () => {
    const found = regions(FIELD, 100, 0);
    expect(found.count).toBe(1);
    expect(found.areaFraction).toBeCloseTo(4 / 20);
  });

  it("finds more at a lower level", () => {
    expect(regions(FIELD, 90, 0)).toMatchObject({ count: 2, areaFraction: 5 / 20 });
  });

  it("drops regions below the smallest area, and clears them from the map", () => {
    const found = regions(FIELD, 90, 0.1); // two pixels
    expect(found.count).toBe(1);
    expect(found.kept.values[15]).toBe(0);
    expect(found.kept.values[6]).toBe(200);
    expect(FIELD.values[15]).toBe(90); // the map itself stays
  });

  it("keeps a region of exactly the smallest area", () => {
    expect(regions(FIELD, 100, 4 / 20).count).toBe(1);
    expect(regions(FIELD, 100, 5 / 20).count).toBe(0);
  });
});
