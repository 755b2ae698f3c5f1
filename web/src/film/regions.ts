/** Regions of a map at a threshold: what the model would have called there. */

import type { Field } from "./contour";

export interface Regions {
  /** The map with the regions that are too small set to 0. */
  kept: Field;
  count: number;
  /** Share of the film inside the kept regions, 0 to 1. */
  areaFraction: number;
}

/**
 * The regions (8-neighbourhood) of `field >= level` with at least `minAreaFraction` of the film, as the service
 * draws its mask.
 *
 * @param level from 1 to 255.
 */
export function regions(field: Field, level: number, minAreaFraction: number): Regions {
  const { values, width, height } = field;
  const kept = values.slice();
  const seen = new Uint8Array(values.length);
  const smallest = minAreaFraction * values.length;
  let count = 0;
  let area = 0;
  for (let start = 0; start < values.length; start++) {
    if (seen[start] || (values[start] as number) < level) continue;
    const region = flood(values, seen, width, height, start, level);
    if (region.length >= smallest) {
      count++;
      area += region.length;
    } else {
      for (const pixel of region) kept[pixel] = 0;
    }
  }
  return { kept: { values: kept, width, height }, count, areaFraction: area / values.length };
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
