import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });

import type { Summary } from "../src/api/types";
import { told } from "../src/list/Trial";
import { wouldBe } from "../src/state/trial";

const film = (state: string, probability: number | null, has_regions: boolean | null) =>
  ({ state, probability, has_regions }) as Summary;

describe("wouldBe", () => {
  it("says what changes sides", () => {
    expect(wouldBe(film("positive", 0.6, true), 0.7)).toBe("negative");
    expect(wouldBe(film("negative", 0.6, true), 0.5)).toBe("positive");
    expect(wouldBe(film("negative", 0.5, true), 0.5)).toBe("positive");
  });

  it("says nothing of what stays", () => {
    expect(wouldBe(film("positive", 0.6, true), 0.5)).toBeNull();
    expect(wouldBe(film("negative", 0.6, false), 0.5)).toBeNull(); // nothing to draw
    expect(wouldBe(film("negative", 0.6, null), 0.5)).toBeNull(); // not known
    expect(wouldBe(film("declined", null, null), 0.1)).toBeNull();
    expect(wouldBe(film("positive", 0.6, true), null)).toBeNull();
  });
});

it("is told in words", () => {
  const found = {
    presence: 0.3,
    judged: 120,
    positive: 34,
    would: 40,
    gained: 8,
    lost: 2,
    unknown: 0,
  };
  expect(told(found)).toBe("40 of 120 films would be suspected, now 34 (8 more, 2 fewer).");
  const none = { ...found, judged: 1, positive: 0, would: 0, gained: 0, lost: 0, unknown: 1 };
  expect(told(none)).toBe(
    "0 of 1 film would be suspected, now 0. Not known of 1: no map was made.",
  );
});
