import { expect, it } from "vitest";

import type { Film, Side } from "../src/api/types";
import { orientation, SideMarkers, sides } from "../src/film/SideMarkers";

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
  const film = { image_left: imageLeft, finding: null } as Film;
  const shown = sides(orientation(film), rotation, mirrored);
  expect(Object.fromEntries(shown)).toEqual({ R: right, L: left });
});

// to where rows and columns of a film run that was judged turned, turned, mirrored: where R stands, where L
const TURNED: [string, string, number, boolean, string, string][] = [
  ["R", "H", 0, false, "right", "left"],
  ["R", "H", 180, false, "left", "right"],
  ["R", "H", 0, true, "left", "right"],
  ["F", "R", 0, false, "bottom", "top"],
  ["F", "R", 90, false, "left", "right"],
  ["F", "R", 0, true, "bottom", "top"],
  ["F", "R", 90, true, "left", "right"],
  ["H", "L", 0, false, "top", "bottom"],
  ["H", "L", 270, false, "left", "right"],
];

it.each(TURNED)("runs to %s and %s, turned by %i°, mirrored %s: R %s, L %s", (...row) => {
  const [rows, columns, rotation, mirrored, right, left] = row;
  const film = {
    image_left: "left",
    finding: { patient_orientation: [rows, columns] },
  } as unknown as Film;
  const shown = sides(orientation(film), rotation, mirrored);
  expect(Object.fromEntries(shown)).toEqual({ R: right, L: left });
});

const VIEWS: [Film["view"], boolean][] = [
  ["PA", true],
  ["AP", true],
  [null, true],
  ["lateral", false],
  ["other", false],
];

it.each(VIEWS)("of a film whose view is %s stand at its edges: %s", (view, marked) => {
  const film = { view, image_left: "right", side_basis: "convention", finding: null } as Film;
  expect(SideMarkers({ film }) !== null).toBe(marked);
});

it.each([
  ["convention", false],
  ["orientation", true],
])("of a film that may be no chest film stand there where %s says so: %s", (basis, marked) => {
  const finding = { decision: "declined", side_basis: null };
  const film = { view: null, image_left: "right", side_basis: basis, finding } as unknown as Film;
  expect(SideMarkers({ film }) !== null).toBe(marked);
});
