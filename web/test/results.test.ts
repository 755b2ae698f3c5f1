import { expect, test } from "vitest";

import { told } from "../src/panel/Results";

const PACS = "PACS@10.0.0.5:104";

test("what became of results is said with the peer's own words", () => {
  const at = { destination: PACS, tries: 1 };
  expect(told({ ...at, state: "sent", said: "" })).toBe(`Sent to ${PACS}`);
  expect(told({ ...at, state: "sent", said: "it takes no SEG" })).toBe(
    `Sent to ${PACS}: it takes no SEG`,
  );
  expect(told({ ...at, state: "waiting", said: "it does not answer" })).toBe(
    `Waits for ${PACS}: it does not answer`,
  );
  expect(told({ ...at, state: "dropped", said: "it could not be judged" })).toBe(
    `Not for ${PACS}: it could not be judged`,
  );
});
