/** From film to screen. */

/** A point of the film, in its pixels from the top left corner: column, then row. */
export type Point = readonly [x: number, y: number];

/** From film to screen: x' = a x + c y + e, y' = b x + d y + f, in CSS pixels of the stage. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** Where a point of the film lies on the screen. */
export function apply([a, b, c, d, e, f]: Affine, [x, y]: Point): Point {
  return [a * x + c * y + e, b * x + d * y + f];
}

/** Half of a label's height, and what is left free between it and a line, in CSS pixels. */
export const LABEL = { half: 11, padding: 6, gap: 12 };

/**
 * Where a line's label begins, and its middle's height: right of the line; left of it where the stage ends before the
 * label would; above its right end where there is no room on either side. A line that ends beyond the stage keeps its there.
 *
 * @param wide how long its words are.
 * @param stage its width and height.
 */
export function labelAt(from: Point, to: Point, wide: number, stage: Point): Point {
  const { half, padding, gap } = LABEL;
  const [left, right] = to[0] > from[0] ? [from, to] : [to, from];
  const last = stage[0] - wide - padding;
  if (right[0] + gap <= last || right[0] > stage[0])
    return [right[0] + gap, within(right[1], stage[1], half)];
  const before = left[0] - gap - wide;
  if (before >= padding) return [before, within(left[1], stage[1], half)];
  return [last, within(right[1] - 2 * half, stage[1], half)];
}

/** A height moved so that a label there is seen whole, if any of it lies on the stage. */
function within(y: number, height: number, half: number): number {
  return y < 0 || y > height ? y : Math.min(height - half, Math.max(half, y));
}
