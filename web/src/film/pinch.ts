/** Two fingers on the stage: what lies under them stays under them. */

import type { Point } from "./geometry";

/** Two places on the stage. */
export type Pair = readonly [Point, Point];

export interface Pinch {
  factor: number;
  /** Midpoint of the fingers before, and after. */
  from: Point;
  to: Point;
}

const CLOSEST = 16; // CSS px: nearer to each other, fingers say nothing of size

/** How the film moves when two fingers do. */
export function pinch(before: Pair, after: Pair): Pinch {
  const [was, is] = [distance(before), distance(after)];
  return {
    factor: Math.max(is, CLOSEST) / Math.max(was, CLOSEST),
    from: middle(before),
    to: middle(after),
  };
}

function distance([[x0, y0], [x1, y1]]: Pair): number {
  return Math.hypot(x1 - x0, y1 - y0);
}

function middle([[x0, y0], [x1, y1]]: Pair): Point {
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}
