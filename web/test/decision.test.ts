import { beforeAll, expect, it } from "vitest";

import type { Film, OperatingPoint } from "../src/api/types";
import { browser, FINDING, film } from "./a_page";

beforeAll(browser);

const REASON = "Score 0.380 reaches the threshold, but no region is large enough.";
const POINT = { presence_probability: 0.24, top_threshold: null } as OperatingPoint;

async function why(probability: number, change: Partial<Film>, calibrated = true) {
  const { because } = await import("../src/panel/Decision");
  const decision = change.state === "negative" ? "negative" : "positive";
  const finding = { ...FINDING, probability, calibrated, decision } as typeof FINDING;
  return because(film("a", { reason: REASON, operating_point: POINT, finding, ...change }));
}

it("gives one scale only: a calibrated finding's reason is not told as a score", async () => {
  expect(await why(0.33, { state: "positive" })).toBeNull();
  expect(await why(0.12, { state: "negative" })).toBeNull();
  expect(await why(0.33, { state: "negative" })).toBe(
    "Its probability reaches 24 %, but no region is large enough.",
  );
  expect(await why(0.33, { state: "negative" }, false)).toBe(REASON);
  const top = { ...POINT, top_threshold: 0.7 };
  expect(await why(0.33, { state: "negative", operating_point: top })).toBe(REASON);
});
