/** Outlines of what lies at or above a level, by marching squares (Lorensen and Cline 1987, in the plane). */

export interface Field {
  /** 8-bit values, row by row from the top left. */
  values: Uint8Array;
  width: number;
  height: number;
}

/**
 * The outline of `field >= level` as line segments.
 *
 * A value stands at the centre of its pixel, so pixel (0, 0) lies around (0.5, 0.5); beyond the edge all is 0,
 * so that an outline is closed there too.
 *
 * @param level from 1 to 255.
 * @returns x0, y0, x1, y1 of one segment after another, in pixels of the field.
 */
export function contour(field: Field, level: number): Float32Array {
  const { values, width, height } = field;
  const edge = level - 0.5; // what is at the level lies inside
  const lines: number[] = [];
  for (let y = -1; y < height; y++) {
    const upper = y >= 0 ? y * width : -1;
    const lower = y + 1 < height ? (y + 1) * width : -1;
    let a = 0; // the square's corners: a b above, d c below
    let d = 0;
    for (let x = 0; x <= width; x++) {
      const b = upper >= 0 && x < width ? (values[upper + x] as number) : 0;
      const c = lower >= 0 && x < width ? (values[lower + x] as number) : 0;
      const inside =
        (a > edge ? 8 : 0) | (b > edge ? 4 : 0) | (c > edge ? 2 : 0) | (d > edge ? 1 : 0);
      if (inside !== 0 && inside !== 15) square(lines, inside, x - 0.5, y + 0.5, a, b, c, d, edge);
      a = b;
      d = c;
    }
  }
  return new Float32Array(lines);
}

type Sides = readonly (0 | 1 | 2 | 3)[]; // top, right, bottom, left

// Which sides of the square each segment joins, by the corners inside; saddles keep diagonal neighbours joined.
const SEGMENTS: readonly Sides[] = [
  [],
  [3, 2],
  [2, 1],
  [3, 1],
  [0, 1],
  [0, 3, 2, 1],
  [0, 2],
  [0, 3],
  [0, 3],
  [0, 2],
  [0, 1, 3, 2],
  [0, 1],
  [3, 1],
  [2, 1],
  [3, 2],
  [],
];

function square(
  lines: number[],
  inside: number,
  left: number,
  top: number,
  a: number,
  b: number,
  c: number,
  d: number,
  edge: number,
): void {
  for (const side of SEGMENTS[inside] as Sides) {
    if (side === 0) lines.push(left + (edge - a) / (b - a), top);
    else if (side === 1) lines.push(left + 1, top + (edge - b) / (c - b));
    else if (side === 2) lines.push(left + (edge - d) / (c - d), top + 1);
    else lines.push(left, top + (edge - a) / (d - a));
  }
}

/** The smallest box that holds all values above 0: top, left, bottom, right (exclusive), or null. */
export function extent(field: Field): [number, number, number, number] | null {
  const { values, width, height } = field;
  let top = height;
  let left = width;
  let bottom = 0;
  let right = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (values[y * width + x] === 0) continue;
      if (y < top) top = y;
      if (x < left) left = x;
      if (y >= bottom) bottom = y + 1;
      if (x >= right) right = x + 1;
    }
  }
  return bottom === 0 ? null : [top, left, bottom, right];
}
