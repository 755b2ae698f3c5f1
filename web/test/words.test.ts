import { beforeAll, expect, it } from "vitest";

import type { Summary } from "../src/api/types";
import { verdict } from "../src/list/words";
import { browser, reading } from "./a_page";

let who: typeof import("../src/panel/CorrectionBox").who;

beforeAll(async () => {
  browser();
  ({ who } = await import("../src/panel/CorrectionBox"));
});

it("says of a reading in the list what its button said", () => {
  const said = (given: Summary["verdict"]) => verdict({ verdict: given } as Summary);
  expect(
    ["accepted", "rejected", "corrected", null].map((one) => said(one as Summary["verdict"])),
  ).toEqual(["Agreed", "Disagreed", "Corrected", ""]);
});

it("names a reader by what they wrote, else as the proxy knows them, else not at all", () => {
  expect(who(reading(1, { reader: "A. Reader", identity: "local" }))).toBe("A. Reader");
  expect(who(reading(1, { identity: "b.reader" }))).toBe("b.reader");
  for (const identity of ["local", "token", null])
    expect(who(reading(1, { identity }))).toBe("Someone");
});
