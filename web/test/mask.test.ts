import { describe, expect, it } from "vitest";

import { Mask } from "../src/film/mask";

function inside(mask: Mask): number[] {
  return [...mask.values.entries()].filter(([, value]) => value === 255).map(([i]) => i);
}

function stroke(mask: Mask, x0: number, y0: number, x1: number, y1: number, r: number, ink = true) {
  mask.begin();
  const box = mask.line(x0, y0, x1, y1, r, ink);
  mask.end();
  return box;
}

describe("a mask under correction", () => {
  it("takes in the pixels whose centres the brush covers", () => {
    const mask = new Mask(4, 4);
    stroke(mask, 1.5, 1.5, 1.5, 1.5, 1); // the centre of (1, 1) and its four neighbours
    expect(inside(mask)).toEqual([1, 4, 5, 6, 9]);
    expect(mask.areaFraction).toBe(5 / 16);
  });

  it("draws a line without gaps", () => {
    const mask = new Mask(10, 3);
    stroke(mask, 0.5, 1.5, 9.5, 1.5, 0.5);
    expect(inside(mask)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it("erases", () => {
    const mask = new Mask(3, 1, Uint8Array.from([255, 255, 255]));
    stroke(mask, 1.5, 0.5, 1.5, 0.5, 0.4, false);
    expect(inside(mask)).toEqual([0, 2]);
  });

  it("does not change the mask it began with", () => {
    const model = Uint8Array.from([0, 0]);
    stroke(new Mask(2, 1, model), 0.5, 0.5, 0.5, 0.5, 1);
    expect([...model]).toEqual([0, 0]);
  });

  it("touches nothing beyond the film", () => {
    const mask = new Mask(3, 3);
    expect(stroke(mask, -9, -9, -9, -9, 2)).toBeNull();
    expect(mask.canUndo).toBe(false);
  });

  it("undoes and redoes stroke by stroke", () => {
    const mask = new Mask(6, 1);
    stroke(mask, 0.5, 0.5, 0.5, 0.5, 0.4);
    stroke(mask, 4.5, 0.5, 4.5, 0.5, 0.4);
    mask.undo();
    expect(inside(mask)).toEqual([0]);
    mask.undo();
    expect(inside(mask)).toEqual([]);
    expect(mask.undo()).toBeNull();
    mask.redo();
    mask.redo();
    expect(inside(mask)).toEqual([0, 4]);
    expect(mask.canRedo).toBe(false);
  });

  it("forgets what was undone once something else is drawn", () => {
    const mask = new Mask(6, 1);
    stroke(mask, 0.5, 0.5, 0.5, 0.5, 0.4);
    mask.undo();
    stroke(mask, 2.5, 0.5, 2.5, 0.5, 0.4);
    expect(mask.canRedo).toBe(false);
  });

  it("undoes a stroke that has not ended, and what follows it by itself", () => {
    const mask = new Mask(6, 1);
    mask.begin();
    mask.line(0.5, 0.5, 0.5, 0.5, 0.4, true);
    mask.undo();
    expect(inside(mask)).toEqual([]);
    mask.line(2.5, 0.5, 2.5, 0.5, 0.4, true); // the brush is still down
    mask.end();
    mask.undo();
    expect(inside(mask)).toEqual([]);
  });

  it("does not count a stroke that changed nothing", () => {
    const mask = new Mask(2, 1);
    stroke(mask, 0.5, 0.5, 0.5, 0.5, 0.4, false);
    expect(mask.canUndo).toBe(false);
  });

  it("takes back a stroke that is not meant, and nothing before it", () => {
    const mask = new Mask(6, 1);
    stroke(mask, 0.5, 0.5, 0.5, 0.5, 0.4);
    mask.begin();
    mask.line(2.5, 0.5, 4.5, 0.5, 0.4, true);
    expect(mask.cancel()).toEqual({ left: 2, top: 0, right: 5, bottom: 1 });
    expect(inside(mask)).toEqual([0]);
    mask.undo();
    expect(inside(mask)).toEqual([]);
    expect(mask.cancel()).toBeNull();
  });

  it("replaces everything as one step", () => {
    const mask = new Mask(2, 1, Uint8Array.from([255, 255]));
    mask.replace(new Uint8Array(2));
    expect(mask.areaFraction).toBe(0);
    mask.undo();
    expect(mask.areaFraction).toBe(1);
  });
});
