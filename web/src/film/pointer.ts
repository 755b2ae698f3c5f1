/** What pointers do on the stage: window, move, zoom, measure, draw; two fingers move and zoom. */

import { cancelStroke, changed, draft, endStroke } from "../state/correction";
import { picture } from "../state/film";
import { settings } from "../state/settings";
import * as view from "../state/view";
import type { Point } from "./geometry";
import type { Mask } from "./mask";
import { type Pair, pinch } from "./pinch";
import type { Stage } from "./stage";

const WINDOW_PER_PX = 1 / 350; // a drag across most of the stage doubles the window
const ZOOM_PER_PX = 1.006;
const ZOOM_PER_WHEEL = 1.0015;
const SHORTEST_LINE = 3;

type Act = "window" | "pan" | "zoom" | "length" | "draw" | "pinch";

/** Listens on the stage's element; returns what ends it. */
export function listen(
  element: HTMLElement,
  stage: Stage,
  hovered: (at: Point | null) => void,
): () => void {
  let act: Act | null = null;
  let last: Point = [0, 0];
  let drawnTo: Point = [0, 0];
  let drawnOn: Mask | null = null;
  const fingers = new Map<number, Point>();

  const place = (event: MouseEvent): Point => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  const dropStroke = () => {
    if (act !== "draw" || drawnOn === draft.value) return;
    drawnOn?.end(); // another film was opened, or the draft saved, meanwhile
    act = null;
  };

  const down = (event: PointerEvent) => {
    dropStroke();
    if (!picture.value) return;
    if (event.pointerType === "touch") fingers.set(event.pointerId, place(event));
    if (fingers.size > 1) {
      element.setPointerCapture(event.pointerId);
      takeBack(act);
      act = "pinch";
    }
    if (act) return;
    act = actOf(event);
    if (!act) return;
    event.preventDefault();
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    last = place(event);
    view.crosshair.value = null;
    const at = stage.toFilm(last);
    if (act === "length") view.lines.value = [...view.lines.value, [at, at]];
    if (act === "draw") {
      drawnOn = draft.value;
      drawnOn?.begin();
      drawnTo = at;
      dab(at, at);
    }
  };

  const move = (event: PointerEvent) => {
    const here = place(event);
    const at = stage.toFilm(here);
    hovered(at);
    dropStroke();
    if (!act || !picture.value) return;
    if (act === "pinch") return moveFinger(event.pointerId, here);
    const [dx, dy] = [here[0] - last[0], here[1] - last[1]];
    if (act === "window") {
      view.dragWindow(picture.value.viewing, dx * WINDOW_PER_PX, dy * WINDOW_PER_PX);
    } else if (act === "pan") stage.pan(dx, dy);
    else if (act === "zoom") stage.zoom(ZOOM_PER_PX ** -dy);
    else if (act === "length") stretch(at);
    else {
      dab(drawnTo, at);
      drawnTo = at;
    }
    last = here;
  };

  const moveFinger = (id: number, here: Point) => {
    if (!fingers.has(id)) return;
    const before = pairOf(fingers);
    fingers.set(id, here);
    const after = pairOf(fingers);
    if (!before || !after) return;
    const { factor, from, to } = pinch(before, after);
    stage.zoom(factor, from, to);
  };

  const up = (event: PointerEvent) => {
    fingers.delete(event.pointerId);
    dropStroke();
    if (act === "pinch" && fingers.size > 1) return;
    if (act === "draw") endStroke();
    if (act === "length") dropShort();
    act = null;
  };

  const wheel = (event: WheelEvent) => {
    if (!picture.value) return;
    event.preventDefault();
    stage.zoom(ZOOM_PER_WHEEL ** -event.deltaY, place(event));
  };

  const leave = () => hovered(null);
  const menu = (event: Event) => event.preventDefault(); // the right button zooms
  const ending = new AbortController();
  const { signal } = ending;
  element.addEventListener("pointerdown", down, { signal });
  element.addEventListener("pointermove", move, { signal });
  element.addEventListener("pointerup", up, { signal });
  element.addEventListener("pointercancel", up, { signal });
  element.addEventListener("pointerleave", leave, { signal });
  element.addEventListener("wheel", wheel, { signal, passive: false });
  element.addEventListener("contextmenu", menu, { signal });
  return () => ending.abort();
}

/** The first two fingers, or null where there are fewer. */
function pairOf(fingers: ReadonlyMap<number, Point>): Pair | null {
  const [first, second] = fingers.values();
  return first && second ? [first, second] : null;
}

/** What one finger began is not meant where a second one follows. */
function takeBack(act: Act | null): void {
  if (act === "draw") cancelStroke();
  if (act === "length") view.lines.value = view.lines.value.slice(0, -1);
}

/** Left does what the tool says; middle, or left with Ctrl, moves; right zooms. */
function actOf(event: PointerEvent): Act | null {
  if (event.button === 1 || (event.button === 0 && event.ctrlKey)) return "pan";
  if (event.button === 2) return "zoom";
  if (event.button !== 0) return null;
  const tool = view.tool.value;
  if (tool === "brush" || tool === "eraser") return draft.value ? "draw" : "window";
  return tool;
}

/** Radius of the brush in pixels of the open film. */
export function brushRadius(): number {
  const viewing = picture.value?.viewing;
  return viewing ? (settings.value.brush * Math.max(viewing.rows, viewing.columns)) / 1000 : 1;
}

/** Draws or erases from place to place, as a part of a stroke. */
export function dab(from: Point, to: Point): void {
  const inside = view.tool.value === "brush";
  const box = draft.value?.line(from[0], from[1], to[0], to[1], brushRadius(), inside);
  if (box) changed(box);
}

/** Moves the end of the latest line. */
export function stretch(to: Point): void {
  const lines = view.lines.value;
  const latest = lines.at(-1);
  if (latest) view.lines.value = [...lines.slice(0, -1), [latest[0], to]];
}

function dropShort(): void {
  const latest = view.lines.value.at(-1);
  if (!latest) return;
  const [[x0, y0], [x1, y1]] = latest;
  if (Math.hypot(x1 - x0, y1 - y0) < SHORTEST_LINE)
    view.lines.value = view.lines.value.slice(0, -1);
}
