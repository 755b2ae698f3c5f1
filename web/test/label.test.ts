import { expect, test } from "vitest";
import { labelAt } from "../src/film/geometry";

const STAGE = [400, 300] as const;

test("a label stands right of its line, and left of it where the stage ends", () => {
  expect(labelAt([20, 50], [100, 60], 80, STAGE)).toEqual([112, 60]);
  expect(labelAt([100, 60], [20, 50], 80, STAGE)).toEqual([112, 60]);
  expect(labelAt([200, 50], [390, 60], 80, STAGE)).toEqual([108, 50]);
});

test("a label with no room on either side lies above the line's right end", () => {
  expect(labelAt([5, 50], [390, 60], 80, STAGE)).toEqual([314, 38]);
});

test("a label is whole at the upper and the lower edge", () => {
  expect(labelAt([20, 50], [100, 2], 80, STAGE)).toEqual([112, 11]);
  expect(labelAt([20, 50], [100, 299], 80, STAGE)).toEqual([112, 289]);
});

test("a line that ends beyond the stage has no label on it", () => {
  expect(labelAt([20, 50], [500, 60], 80, STAGE)).toEqual([512, 60]);
  expect(labelAt([20, 50], [100, 400], 80, STAGE)).toEqual([112, 400]);
});
