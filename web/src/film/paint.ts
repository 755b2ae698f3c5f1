/** What lies above the film: heat map, contours, the draft, measurements and the crosshair. */

import type { Line } from "../state/view";
import { contour, type Field } from "./contour";
import { type Affine, apply, LABEL, labelAt, type Point } from "./geometry";
import type { Mask } from "./mask";

export const MODEL = "rgb(255 176 32)"; // as in pleura's other pictures
export const READER = "rgb(64 208 255)";
export const MEASURED = "rgb(186 230 120)";
export const LUNGS = "rgb(190 160 255)";
const TRIED = "rgb(255 255 255)";
const RIM = "rgb(8 10 12 / 0.75)"; // keeps a line readable on bone and on air alike
const DRAFT_COVER = 0.28;

export interface Outline {
  path: Path2D;
  colour: string;
  wide: boolean;
}

interface Labelled {
  line: Line;
  label: string;
  colour: string;
}

export interface Scene {
  affine: Affine;
  /** Of the stage, in CSS pixels. */
  size: Point;
  /** Columns and rows of the film. */
  film: Point;
  heat: { canvas: OffscreenCanvas; opacity: number } | null;
  draft: OffscreenCanvas | null;
  outlines: Outline[];
  lines: Labelled[];
  crosshair: Point | null;
  /** The brush, where one is held: its place and radius in film pixels. */
  brush: { at: Point; radius: number } | null;
}

/** Boxes, given as top, left, bottom, right, as a path in the film's pixels. */
export function boxes(all: readonly (readonly [number, number, number, number])[]): Path2D {
  const path = new Path2D();
  for (const [top, left, bottom, right] of all) path.rect(left, top, right - left, bottom - top);
  return path;
}

/** The outline of a field at a level, as a path in the film's pixels. */
export function outline(field: Field, level: number, columns: number, rows: number): Path2D {
  const path = new Path2D();
  const points = contour(field, level);
  const sx = columns / field.width;
  const sy = rows / field.height;
  for (let i = 0; i < points.length; i += 4) {
    path.moveTo((points[i] as number) * sx, (points[i + 1] as number) * sy);
    path.lineTo((points[i + 2] as number) * sx, (points[i + 3] as number) * sy);
  }
  return path;
}

export const outlineOf = {
  model: (path: Path2D, faint: boolean): Outline => ({ path, colour: MODEL, wide: !faint }),
  reader: (path: Path2D): Outline => ({ path, colour: READER, wide: true }),
  lungs: (path: Path2D): Outline => ({ path, colour: LUNGS, wide: false }),
  tried: (path: Path2D): Outline => ({ path, colour: TRIED, wide: false }),
};

/** The draft as a translucent picture of the film's size, kept up to date where it changes. */
export function fillDraft(
  canvas: OffscreenCanvas,
  mask: Mask,
  box: { left: number; top: number; right: number; bottom: number } | null,
): void {
  const { left, top, right, bottom } = box ?? {
    left: 0,
    top: 0,
    right: mask.width,
    bottom: mask.height,
  };
  const context = canvas.getContext("2d");
  if (!context || right <= left || bottom <= top) return;
  const part = context.createImageData(right - left, bottom - top);
  const words = new Uint32Array(part.data.buffer);
  let i = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      words[i++] = mask.values[y * mask.width + x] ? 0xffffd040 : 0; // READER, as bytes A B G R
    }
  }
  context.putImageData(part, left, top);
}

export function paint(canvas: HTMLCanvasElement, scene: Scene): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = devicePixelRatio;
  const [width, height] = scene.size;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  stretched(context, scene);
  for (const one of scene.outlines) stroke(context, scene.affine, one);
  for (const line of scene.lines) measure(context, scene, line);
  if (scene.brush) ring(context, scene.affine, scene.brush.at, scene.brush.radius);
  if (scene.crosshair) cross(context, apply(scene.affine, scene.crosshair));
}

function stretched(context: CanvasRenderingContext2D, scene: Scene): void {
  const { affine, film, heat, draft } = scene;
  context.save();
  context.transform(...affine);
  if (heat) {
    context.globalAlpha = heat.opacity;
    context.imageSmoothingQuality = "high";
    context.drawImage(heat.canvas, 0, 0, film[0], film[1]);
  }
  if (draft) {
    context.globalAlpha = DRAFT_COVER;
    context.drawImage(draft, 0, 0);
  }
  context.restore();
}

function stroke(context: CanvasRenderingContext2D, affine: Affine, one: Outline): void {
  const path = new Path2D();
  path.addPath(one.path, new DOMMatrix([...affine]));
  context.lineCap = "round";
  const line = one.wide ? 2 : 1.25;
  for (const [colour, width] of [
    [RIM, line + 1.75],
    [one.colour, line],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke(path);
  }
}

function measure(
  context: CanvasRenderingContext2D,
  { affine, size }: Scene,
  { line, label, colour }: Labelled,
): void {
  const [from, to] = [apply(affine, line[0]), apply(affine, line[1])];
  for (const [ink, width] of [
    [RIM, 4],
    [colour, 1.75],
  ] as const) {
    context.strokeStyle = ink;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    for (const [x, y] of [from, to]) {
      context.moveTo(x + 4, y);
      context.arc(x, y, 4, 0, 2 * Math.PI);
    }
    context.stroke();
  }
  context.font = "600 12.5px system-ui, sans-serif";
  context.textBaseline = "middle";
  const wide = context.measureText(label).width;
  const [x, y] = labelAt(from, to, wide, size);
  const { half, padding } = LABEL;
  context.fillStyle = "rgb(8 10 12 / 0.8)";
  context.beginPath();
  context.roundRect(x - padding, y - half, wide + 2 * padding, 2 * half, 5);
  context.fill();
  context.fillStyle = colour;
  context.fillText(label, x, y + 0.5);
}

function ring(context: CanvasRenderingContext2D, affine: Affine, at: Point, radius: number): void {
  const circle = new Path2D();
  circle.ellipse(at[0], at[1], radius, radius, 0, 0, 2 * Math.PI);
  stroke(context, affine, { path: circle, colour: "rgb(255 255 255)", wide: false });
}

function cross(context: CanvasRenderingContext2D, [x, y]: Point): void {
  for (const [colour, width] of [
    [RIM, 4],
    ["rgb(255 255 255)", 1.5],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ] as const) {
      context.moveTo(x + 5 * dx, y + 5 * dy);
      context.lineTo(x + 16 * dx, y + 16 * dy);
    }
    context.stroke();
  }
}
