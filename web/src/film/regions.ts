/** Regions of a map at a threshold: what the model would have called there. */

import type { OperatingPoint } from "../api/types";
import type { Field } from "./contour";

export interface Regions {
  /** The map with the regions that are not kept set to 0. */
  kept: Field;
  count: number;
  /** Share of the film inside the kept regions, 0 to 1. */
  areaFraction: number;
  /** Whether too little of the map reaches the top threshold, so that there are none at any level. */
  faint: boolean;
}

/** What a map is asked for besides the threshold that is tried. */
export type Asked = Pick<
  OperatingPoint,
  "min_area_fraction" | "keep_largest" | "top_threshold" | "min_top_area_fraction"
>;

/**
 * The regions (8-neighbourhood) of `field >= level` that are large enough, as the service draws its mask, or the
 * largest where it is kept: none where too little of the map reaches the top threshold.
 *
 * @param level from 1 to 255.
 */
export function regions(field: Field, level: number, asked: Asked): Regions {
  const { values, width, height } = field;
  if (isFaint(values, asked)) {
    const kept = { values: new Uint8Array(values.length), width, height };
    return { kept, count: 0, areaFraction: 0, faint: true };
  }
  const kept = values.slice();
  const seen = new Uint8Array(values.length);
  const smallest = asked.min_area_fraction * values.length;
  let count = 0;
  let area = 0;
  let largest: number[] = []; // of those that are too small
  for (let start = 0; start < values.length; start++) {
    if (seen[start] || (values[start] as number) < level) continue;
    const region = flood(values, seen, width, height, start, level);
    if (region.length >= smallest) {
      count++;
      area += region.length;
    } else {
      for (const pixel of region) kept[pixel] = 0;
      if (region.length > largest.length) largest = region;
    }
  }
  if (asked.keep_largest && count === 0 && largest.length > 0) {
    for (const pixel of largest) kept[pixel] = values[pixel] as number;
    count = 1;
    area = largest.length;
  }
  const areaFraction = area / values.length;
  return { kept: { values: kept, width, height }, count, areaFraction, faint: false };
}

function isFaint(values: Uint8Array, asked: Asked): boolean {
  if (asked.top_threshold === null) return false;
  const top = asked.top_threshold * 255;
  let reached = 0;
  for (const value of values) if (value >= top) reached++;
  return reached < asked.min_top_area_fraction * values.length;
}

function flood(
  values: Uint8Array,
  seen: Uint8Array,
  width: number,
  height: number,
  start: number,
  level: number,
): number[] {
  const region = [start];
  seen[start] = 1;
  for (let i = 0; i < region.length; i++) {
    const pixel = region[i] as number;
    const x = pixel % width;
    const y = (pixel - x) / width;
    for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
      for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
        const next = v * width + u;
        if (seen[next] || (values[next] as number) < level) continue;
        seen[next] = 1;
        region.push(next);
      }
    }
  }
  return region;
}
