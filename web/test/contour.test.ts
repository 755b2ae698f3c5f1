import { describe, expect, it } from "vitest";

import { contour, type Field } from "../src/film/contour";

function field(rows: number[][]): Field {
  return {
    values: Uint8Array.from(rows.flat()),
    width: rows[0]?.length ?? 0,
    height: rows.length,
  };
}

/** Each end of a segment, rounded, and how many segments end there. */
function ends(points: Float32Array): Map<string, number> {
  const found = new Map<string, number>();
  for (let i = 0; i < points.length; i += 2) {
    const key = `${points[i]?.toFixed(3)},${points[i + 1]?.toFixed(3)}`;
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  return found;
}

describe("contour", () => {
  it("of nothing is nothing", () => {
    expect(
      contour(
        field([
          [0, 0],
          [0, 0],
        ]),
        128,
      ),
    ).toHaveLength(0);
  });

  it("goes around one pixel as a diamond, half-way to its neighbours", () => {
    const points = contour(
      field([
        [0, 0, 0],
        [0, 255, 0],
        [0, 0, 0],
      ]),
      128,
    );
    expect(points).toHaveLength(4 * 4);
    // 127.5 lies at the middle between 0 and 255: half a pixel from the centre (1.5, 1.5)
    expect([...ends(points).keys()].sort()).toEqual([
      "1.000,1.500",
      "1.500,1.000",
      "1.500,2.000",
      "2.000,1.500",
    ]);
  });

  it("lies nearer to the centre of a weaker pixel", () => {
    const points = contour(
      field([
        [0, 0, 0],
        [0, 204, 0],
        [0, 0, 0],
      ]),
      154,
    );
    const columns = [...points].filter((_, i) => i % 2 === 0);
    // 153.5 is reached 153.5 / 204 of the way from 0, so 0.2475 from the centre
    expect(Math.max(...columns)).toBeCloseTo(1.5 + 1 - 153.5 / 204, 5);
  });

  it("is closed, at the film's edge too", () => {
    const points = contour(
      field([
        [255, 255, 0],
        [255, 0, 255],
      ]),
      128,
    );
    expect([...ends(points).values()].every((count) => count === 2)).toBe(true);
  });

  it("keeps pixels that touch at a corner together, as the service does", () => {
    const points = contour(
      field([
        [255, 0],
        [0, 255],
      ]),
      128,
    );
    // one outline of eight segments; two diamonds would meet nowhere and share no more than four ends
    expect(points).toHaveLength(4 * 8);
    expect(points.every((v, i) => i % 2 === 1 || v !== 1 || points[i + 1] !== 1)).toBe(true);
  });
});
