import { beforeAll, expect, it } from "vitest";

import { browser } from "./a_page";

beforeAll(browser);

it("tells a pixel threshold by two digits, and never as none where there is one", async () => {
  const { level } = await import("../src/panel/Threshold");
  expect([0.4, 0.026, 0.005, 0.0049, 0.0008, 0].map(level)).toEqual([
    "0.40",
    "0.03",
    "0.01",
    "< 0.01",
    "< 0.01",
    "0.00",
  ]);
});
