/** How the open film is shown: window, orientation, tool, and what was measured on it. */

import { signal } from "@preact/signals";

import type { GreyWindow, Viewing } from "../api/types";
import type { Point } from "../film/geometry";
import type { Stage } from "../film/stage";

export type Tool = "window" | "pan" | "zoom" | "length" | "brush" | "eraser";

export type Pane = "list" | "film" | "finding";

/** A measured line, in pixels of the film. */
export type Line = readonly [from: Point, to: Point];

/** The one part of the page that narrow screens show. */
export const pane = signal<Pane>("list");
export const stage = signal<Stage | null>(null);
export const tool = signal<Tool>("window");
export const grey = signal<GreyWindow>({ name: "", center: 0.5, width: 1 });
export const inverted = signal(false);
export const rotation = signal(0);
export const flipped = signal(false);
export const scale = signal(1);
export const lines = signal<readonly Line[]>([]);
/** The crosshair that arrow keys move, in pixels of the film; null while the pointer is used. */
export const crosshair = signal<Point | null>(null);
/** The pixel threshold that is tried out, 0 to 1; null for the model's own. */
export const tried = signal<number | null>(null);
export const overlaysHidden = signal(false);

const DIM = 0.5; // of the whole range

/**
 * The window that a film is opened with: its own, or, of a film that brings none and fills little of the
 * whole range, that of nearly all its pixels.
 */
export function opening({ windows, maximum }: Viewing): GreyWindow {
  const [first, filled] = windows;
  const bringsNone = windows.length === 2 && first?.width === maximum;
  return (bringsNone && filled && filled.width < DIM * maximum ? filled : first) as GreyWindow;
}

/** The windows to choose from: the film's, and some that are drawn from the one it is opened with. */
export function presets(viewing: Viewing): GreyWindow[] {
  const own = opening(viewing);
  const drawn = (name: string, shift: number, share: number) => ({
    name,
    center: own.center + shift * own.width,
    width: own.width * share,
  });
  return [
    ...viewing.windows.slice(0, 4),
    drawn("Lungs", -0.2, 0.5),
    drawn("Soft tissue and bone", 0.2, 0.55),
    drawn("High contrast", 0, 0.5),
  ];
}

/** A film is opened with its own window, whatever was done to the one before. */
export function reset(viewing: Viewing): void {
  grey.value = opening(viewing);
  inverted.value = false;
  rotation.value = 0;
  flipped.value = false;
  lines.value = [];
  crosshair.value = null;
  tried.value = null;
  overlaysHidden.value = false;
  if (tool.value === "brush" || tool.value === "eraser") tool.value = "window";
}

/**
 * Windows by a drag: to the right for a wider window, down for a brighter film.
 *
 * @param dx, dy in shares of the window that the film is opened with.
 */
export function dragWindow(viewing: Viewing, dx: number, dy: number): void {
  const own = opening(viewing);
  const least = viewing.maximum / 256;
  grey.value = {
    name: "By hand",
    center: Math.min(viewing.maximum, Math.max(0, grey.value.center - dy * own.width)),
    width: Math.min(2 * viewing.maximum, Math.max(least, grey.value.width + dx * own.width)),
  };
}

export function turn(degrees: number): void {
  rotation.value = (rotation.value + degrees + 360) % 360;
}
