/** The keys that depend on what is done on the stage: arrows, and the space bar. */

import { computed, effect, untracked } from "@preact/signals";

import { draft, endStroke } from "../state/correction";
import { picture } from "../state/film";
import * as view from "../state/view";
import { apply, type Point } from "./geometry";
import type { Mask } from "./mask";
import { dab, stretch } from "./pointer";

const STEP_PX = 8; // on the screen
const PAN_PX = 40;
const WINDOW_STEP = 0.03; // of the film's own window

const ARROWS: Record<string, Point> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

let placing = false; // a line's end follows the crosshair
let painted: Mask | null = null; // on which the brush is down

export function stageKey(event: KeyboardEvent): void {
  if (!picture.value || event.ctrlKey || event.metaKey) return;
  const arrow = ARROWS[event.key];
  if (arrow) move(arrow, event);
  else if (event.key === " " && isPlacing()) {
    if (!event.repeat) act();
  } else if (event.key === "Escape" && view.crosshair.value) letGo();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Whether the space bar draws or measures, and arrow keys move the crosshair. */
function isPlacing(): boolean {
  const tool = view.tool.value;
  return tool === "length" || ((tool === "brush" || tool === "eraser") && draft.value !== null);
}

function move([dx, dy]: Point, event: KeyboardEvent): void {
  const stage = view.stage.value;
  const viewing = picture.value?.viewing;
  if (!stage || !viewing) return;
  if (event.shiftKey) view.dragWindow(viewing, dx * WINDOW_STEP, dy * WINDOW_STEP);
  else if (!isPlacing()) stage.pan(-dx * PAN_PX, -dy * PAN_PX);
  else step(event.altKey ? [dx, dy] : [dx * STEP_PX, dy * STEP_PX]);
}

function step([dx, dy]: Point): void {
  const stage = view.stage.value;
  const viewing = picture.value?.viewing;
  if (!stage || !viewing) return;
  const from = view.crosshair.value ?? start();
  const [x, y] = apply(stage.affine(), from);
  const [u, v] = stage.toFilm([x + dx, y + dy]);
  const to: Point = [within(u, viewing.columns), within(v, viewing.rows)];
  view.crosshair.value = to;
  if (placing) stretch(to);
  if (painted) dab(from, to);
}

/** The crosshair begins in the middle of what was drawn, or of the film. */
function start(): Point {
  const viewing = picture.value?.viewing;
  return viewing ? [viewing.columns / 2, viewing.rows / 2] : [0, 0];
}

function act(): void {
  const at = view.crosshair.value ?? start();
  view.crosshair.value = at;
  if (view.tool.value === "length") {
    if (!placing) view.lines.value = [...view.lines.value, [at, at]];
    placing = !placing;
    return;
  }
  if (painted) liftBrush();
  else {
    painted = draft.value;
    painted?.begin();
    dab(at, at);
  }
}

function liftBrush(): void {
  if (painted && painted === draft.value) endStroke();
  else painted?.end();
  painted = null;
}

/** Lets brush and ruler go. */
function letGo(): void {
  liftBrush();
  placing = false;
  view.crosshair.value = null;
}

const pointing = computed(() => view.crosshair.value === null);

// Nothing is held over to another draft, tool or film, nor while the pointer is used.
effect(() => {
  pointing.value;
  draft.value;
  view.tool.value;
  picture.value;
  untracked(() => {
    const at = isPlacing() ? view.crosshair.value : null;
    letGo();
    view.crosshair.value = at;
  });
});

function within(value: number, size: number): number {
  return Math.min(size, Math.max(0, value));
}
