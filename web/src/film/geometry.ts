/** From film to screen. */

/** A point of the film, in its pixels from the top left corner: column, then row. */
export type Point = readonly [x: number, y: number];

/** From film to screen: x' = a x + c y + e, y' = b x + d y + f, in CSS pixels of the stage. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** Where a point of the film lies on the screen. */
export function apply([a, b, c, d, e, f]: Affine, [x, y]: Point): Point {
  return [a * x + c * y + e, b * x + d * y + f];
}
