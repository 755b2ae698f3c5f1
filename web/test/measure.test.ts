import { describe, expect, it } from "vitest";

import { area, length, percent, unitOf } from "../src/film/measure";

const LINE = [
  [0, 0],
  [300, 400],
] as const;

describe("length", () => {
  it("is in mm only where the spacing is believable, rows and columns each with their own", () => {
    // rows 0.5 mm apart, columns 0.2: hypot(300 * 0.2, 400 * 0.5) = hypot(60, 200)
    const spaced = { spacing_mm: [0.5, 0.2] as [number, number] };
    expect(length(LINE, { ...spaced, spacing_basis: "calibrated" })).toBe("208.8 mm");
    expect(length(LINE, { ...spaced, spacing_basis: "detector" })).toBe("208.8 mm at detector");
    expect(length(LINE, { ...spaced, spacing_basis: "implausible" })).toBe("500 px");
    expect(length(LINE, { spacing_mm: null, spacing_basis: "unknown" })).toBe("500 px");
  });

  it("says what it rests on", () => {
    expect(unitOf({ spacing_mm: [0.1, 0.1], spacing_basis: "implausible" })).toContain(
      "not believable",
    );
    expect(unitOf({ spacing_mm: [0.1, 0.1], spacing_basis: "detector" })).toContain("detector");
  });
});

describe("area and percent", () => {
  it("gives cm² only where there are mm²", () => {
    expect(area(3850, 0.022)).toBe("38.5 cm² · 2.2 % of the film");
    expect(area(null, 0.022)).toBe("2.2 % of the film");
  });

  it("never says 0 % of something", () => {
    expect(percent(0.0004, 1)).toBe("< 0.1 %");
    expect(percent(0, 1)).toBe("0.0 %");
    expect(percent(1)).toBe("100 %");
  });
});
