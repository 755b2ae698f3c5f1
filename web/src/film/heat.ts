/** The probability map as a tint: clear where little is suspected, then orange, then pale yellow. */

import type { Field } from "./contour";

type Stop = readonly [at: number, red: number, green: number, blue: number, alpha: number];

// Lightness and cover rise together, so it also reads without colour.
const STOPS: readonly Stop[] = [
  [0.05, 120, 28, 109, 0],
  [0.25, 187, 55, 84, 0.45],
  [0.5, 237, 105, 37, 0.7],
  [0.75, 251, 180, 26, 0.85],
  [1, 252, 255, 164, 0.95],
];

/** The colour of a probability: red, green, blue and cover, each 0 to 255. */
export function tint(probability: number): [number, number, number, number] {
  const next = STOPS.findIndex(([at]) => at >= probability);
  if (next <= 0) return next === 0 ? [120, 28, 109, 0] : [252, 255, 164, 242];
  const [low, ...from] = STOPS[next - 1] as Stop;
  const [high, ...to] = STOPS[next] as Stop;
  const share = (probability - low) / (high - low);
  const mix = (i: number) =>
    (from[i] as number) + share * ((to[i] as number) - (from[i] as number));
  return [Math.round(mix(0)), Math.round(mix(1)), Math.round(mix(2)), Math.round(255 * mix(3))];
}

/** The map, tinted, to be stretched over the film. */
export function heatCanvas({ values, width, height }: Field): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no 2D canvas");
  const colours = Array.from({ length: 256 }, (_, value) => tint(value / 255));
  const picture = context.createImageData(width, height);
  for (let i = 0; i < values.length; i++) {
    picture.data.set(colours[values[i] as number] as number[], 4 * i);
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}
