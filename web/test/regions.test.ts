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
const ANY = {
  min_area_fraction: 0,
  keep_largest: false,
  top_threshold: null,
  min_top_area_fraction: 0,
};

function least(min_area_fraction: number) {
  return { ...ANY, min_area_fraction };
}

describe("regions", () => {
  it("joins what touches at a corner", () => {
    const found = regions(FIELD, 100, ANY);
    expect(found.count).toBe(1);
    expect(found.areaFraction).toBeCloseTo(4 / 20);
  });

  it("finds more at a lower level", () => {
    expect(regions(FIELD, 90, ANY)).toMatchObject({ count: 2, areaFraction: 5 / 20 });
  });

  it("drops regions below the smallest area, and clears them from the map", () => {
    const found = regions(FIELD, 90, least(0.1)); // two pixels
    expect(found.count).toBe(1);
    expect(found.kept.values[15]).toBe(0);
    expect(found.kept.values[6]).toBe(200);
    expect(FIELD.values[15]).toBe(90); // the map itself stays
  });

  it("keeps a region of exactly the smallest area", () => {
    expect(regions(FIELD, 100, least(4 / 20)).count).toBe(1);
    expect(regions(FIELD, 100, least(5 / 20)).count).toBe(0);
  });

  it("keeps the largest region where none is large enough, if it is asked to", () => {
    const kept = regions(FIELD, 90, { ...least(0.5), keep_largest: true });
    expect(kept).toMatchObject({ count: 1, areaFraction: 4 / 20 });
    expect([kept.kept.values[6], kept.kept.values[14], kept.kept.values[15]]).toEqual([
      200, 130, 0,
    ]);
    expect(regions(FIELD, 90, { ...least(0.1), keep_largest: true }).count).toBe(1);
    expect(regions(FIELD, 201, { ...least(0.5), keep_largest: true }).count).toBe(0);
  });

  it("finds nothing where too little reaches the top threshold", () => {
    // 0.75 x 255 = 191.25: the bar's three pixels of 20 reach it
    const top = { ...ANY, top_threshold: 0.75, min_top_area_fraction: 3 / 20 };
    expect(regions(FIELD, 90, top)).toMatchObject({ count: 2, faint: false });
    const more = regions(FIELD, 90, { ...top, min_top_area_fraction: 3.01 / 20 });
    expect(more).toMatchObject({ count: 0, areaFraction: 0, faint: true });
    expect(more.kept.values.some((value) => value > 0)).toBe(false);
  });

  it("counts what is exactly at the top threshold", () => {
    const top = { ...ANY, min_top_area_fraction: 3 / 20 };
    expect(regions(FIELD, 90, { ...top, top_threshold: 200 / 255 }).faint).toBe(false);
    expect(regions(FIELD, 90, { ...top, top_threshold: 201 / 255 }).faint).toBe(true);
  });
});
