/** A mask under correction: brush, eraser, undo and redo, on the film's own pixels. */

import type { Field } from "./contour";

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Patch {
  box: Box;
  values: Uint8Array;
}

const MOST_UNDONE = 200;

export class Mask implements Field {
  /** 0 outside, 255 inside. */
  readonly values: Uint8Array;
  private undone: Patch[] = [];
  private done: Patch[] = [];
  private before: Uint8Array | null = null;
  private touched: Box | null = null;

  constructor(
    readonly width: number,
    readonly height: number,
    values?: Uint8Array,
  ) {
    this.values = values ? values.slice() : new Uint8Array(width * height);
  }

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  get areaFraction(): number {
    let inside = 0;
    for (const value of this.values) if (value) inside++;
    return inside / this.values.length;
  }

  /** Begins a stroke: what follows until `end` is undone at once. */
  begin(): void {
    this.before = this.values.slice();
    this.touched = null;
  }

  /**
   * Paints a round line, from pixel coordinates to pixel coordinates.
   *
   * @param inside true for the brush, false for the eraser.
   * @returns what was touched, or null where it lies beyond the film.
   */
  line(
    x0: number,
    y0: number,
    x1: number,
    y1: number,
    radius: number,
    inside: boolean,
  ): Box | null {
    const box = this.clip({
      left: Math.floor(Math.min(x0, x1) - radius),
      top: Math.floor(Math.min(y0, y1) - radius),
      right: Math.ceil(Math.max(x0, x1) + radius),
      bottom: Math.ceil(Math.max(y0, y1) + radius),
    });
    if (!box) return null;
    if (!this.before) this.begin();
    const dx = x1 - x0;
    const dy = y1 - y0;
    const length2 = dx * dx + dy * dy;
    const value = inside ? 255 : 0;
    for (let y = box.top; y < box.bottom; y++) {
      for (let x = box.left; x < box.right; x++) {
        const px = x + 0.5 - x0; // a pixel is judged by its centre
        const py = y + 0.5 - y0;
        const along = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
        const ox = px - along * dx;
        const oy = py - along * dy;
        if (ox * ox + oy * oy <= radius * radius) this.values[y * this.width + x] = value;
      }
    }
    this.touched = this.touched ? union(this.touched, box) : box;
    return box;
  }

  /** Ends a stroke. */
  end(): void {
    if (this.before && this.touched) this.remember(this.before, this.touched);
    this.before = null;
    this.touched = null;
  }

  /** Takes back the stroke that has begun; returns what changed. */
  cancel(): Box | null {
    const { before, touched } = this;
    this.before = null;
    this.touched = null;
    if (!before || !touched) return null;
    const values = cut(before, this.width, touched);
    paste(this.values, this.width, { box: touched, values });
    return touched;
  }

  /** Replaces everything, as one step that can be undone. */
  replace(values: Uint8Array): void {
    this.end();
    const before = this.values.slice();
    this.values.set(values);
    this.remember(before, { left: 0, top: 0, right: this.width, bottom: this.height });
  }

  /** Takes the last step back; returns what changed. */
  undo(): Box | null {
    this.end();
    return this.swap(this.done, this.undone);
  }

  redo(): Box | null {
    this.end();
    return this.swap(this.undone, this.done);
  }

  private remember(before: Uint8Array, box: Box): void {
    const old = cut(before, this.width, box);
    if (same(old, cut(this.values, this.width, box))) return;
    this.done.push({ box, values: old });
    if (this.done.length > MOST_UNDONE) this.done.shift();
    this.undone = [];
  }

  private swap(from: Patch[], to: Patch[]): Box | null {
    const patch = from.pop();
    if (!patch) return null;
    to.push({ box: patch.box, values: cut(this.values, this.width, patch.box) });
    paste(this.values, this.width, patch);
    return patch.box;
  }

  private clip(box: Box): Box | null {
    const clipped = {
      left: Math.max(0, box.left),
      top: Math.max(0, box.top),
      right: Math.min(this.width, box.right),
      bottom: Math.min(this.height, box.bottom),
    };
    return clipped.left < clipped.right && clipped.top < clipped.bottom ? clipped : null;
  }
}

function union(a: Box, b: Box): Box {
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}

function cut(values: Uint8Array, width: number, box: Box): Uint8Array {
  const columns = box.right - box.left;
  const patch = new Uint8Array(columns * (box.bottom - box.top));
  for (let y = box.top; y < box.bottom; y++) {
    const row = values.subarray(y * width + box.left, y * width + box.right);
    patch.set(row, (y - box.top) * columns);
  }
  return patch;
}

function paste(values: Uint8Array, width: number, { box, values: patch }: Patch): void {
  const columns = box.right - box.left;
  for (let y = box.top; y < box.bottom; y++) {
    const row = (y - box.top) * columns;
    values.set(patch.subarray(row, row + columns), y * width + box.left);
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((value, i) => value === b[i]);
}
