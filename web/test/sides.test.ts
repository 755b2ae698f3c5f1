import { expect, it } from "vitest";

import type { Side } from "../src/api/types";
import { sides } from "../src/film/SideMarkers";

// the patient's side at the image's left edge, turned, mirrored: where R stands, where L
const TABLE: [Side, number, boolean, string, string][] = [
  ["right", 0, false, "left", "right"],
  ["right", 90, false, "top", "bottom"],
  ["right", 180, false, "right", "left"],
  ["right", 270, false, "bottom", "top"],
  ["right", 0, true, "right", "left"],
  ["right", 90, true, "bottom", "top"],
  ["right", 180, true, "left", "right"],
  ["right", 270, true, "top", "bottom"],
  ["left", 0, false, "right", "left"],
  ["left", 90, false, "bottom", "top"],
  ["left", 180, false, "left", "right"],
  ["left", 270, false, "top", "bottom"],
  ["left", 0, true, "left", "right"],
  ["left", 90, true, "top", "bottom"],
  ["left", 180, true, "right", "left"],
  ["left", 270, true, "bottom", "top"],
];

it.each(TABLE)("has the %s side at its left, turned by %i°, mirrored %s: R %s, L %s", (...row) => {
  const [imageLeft, rotation, mirrored, right, left] = row;
  expect(Object.fromEntries(sides(imageLeft, rotation, mirrored))).toEqual({ R: right, L: left });
});
