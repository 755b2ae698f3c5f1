import { describe, expect, it } from "vitest";

import type { Summary } from "../src/api/types";
import { reveal, slice } from "../src/list/virtual";
import { facts, parted, score, verdict } from "../src/list/words";
import {
  EVERYTHING,
  isFiltered,
  lasting,
  neighbour,
  nextUnread,
  parameters,
  patched,
  type Query,
  restored,
} from "../src/state/query";

function film(id: string, change: Partial<Summary> = {}): Summary {
  return {
    id,
    revision: 1,
    name: `${id}.dcm`,
    received: "2026-11-21T20:40:00Z",
    study: null,
    job: null,
    state: "negative",
    reason: null,
    probability: 0.123,
    calibrated: true,
    has_regions: false,
    side: null,
    area_fraction: 0,
    area_mm2: null,
    model_sha256: null,
    view: "AP",
    age_years: 62.9,
    sex: "F",
    patient_id: null,
    modality: "CR",
    study_date: null,
    rows: 10,
    columns: 10,
    read: true,
    verdict: null,
    ...change,
  };
}

const ROWS = [film("a"), film("b", { read: false }), film("c")];

describe("slice", () => {
  it("draws what is in sight, and some more", () => {
    expect(slice(0, 760, 76, 1000)).toEqual({ first: 0, end: 16 });
    expect(slice(7600, 760, 76, 1000)).toEqual({ first: 94, end: 116 });
  });

  it("stays within the list", () => {
    expect(slice(0, 760, 76, 3)).toEqual({ first: 0, end: 3 });
    expect(slice(99999, 760, 76, 3)).toEqual({ first: 3, end: 3 });
  });
});

describe("reveal", () => {
  it("scrolls no further than is needed", () => {
    expect(reveal(5, 100, 760, 76)).toBeNull();
    expect(reveal(0, 100, 760, 76)).toBe(0);
    expect(reveal(20, 0, 760, 76)).toBe(21 * 76 - 760);
  });
});

describe("the query", () => {
  it("asks for what is chosen, and no more", () => {
    expect(parameters(EVERYTHING, 200).toString()).toBe("sort=suspicion&limit=200");
    const some = {
      ...EVERYTHING,
      states: ["positive", "declined"] as Summary["state"][],
      words: " P-1 ",
    };
    expect(parameters(some, 100, "next").toString()).toBe(
      "state=positive&state=declined&q=P-1&sort=suspicion&limit=100&cursor=next",
    );
  });

  it("asks for films that would change sides", () => {
    const query = parameters({ ...EVERYTHING, changesAt: 0 }, 200);
    expect(query.get("changes_at")).toBe("0");
    expect(isFiltered({ ...EVERYTHING, changesAt: 0 })).toBe(true);
  });

  it("is a filter only where something is left out", () => {
    expect(isFiltered({ ...EVERYTHING, sort: "name", words: " " })).toBe(false);
    expect(isFiltered({ ...EVERYTHING, unread: true })).toBe(true);
  });

  it("outlives the page, but for a patient's name and a threshold on trial", () => {
    const query: Query = {
      sort: "name",
      reversed: true,
      states: ["positive"],
      views: ["AP"],
      unread: true,
      corrected: true,
      words: "Doe",
      changesAt: 0.3,
    };
    const kept = JSON.stringify(lasting(query));
    expect(kept).not.toContain("Doe");
    expect(restored(JSON.parse(kept))).toEqual({ ...query, words: "", changesAt: null });
  });

  it("is the usual one where what was kept makes no sense", () => {
    expect(restored({})).toEqual(EVERYTHING);
    const odd = { sort: "magic", states: ["positive", 3, "lost"], views: "AP", unread: "yes" };
    expect(restored(odd)).toEqual({ ...EVERYTHING, states: ["positive"] });
  });
});

describe("rows", () => {
  it("take a changed film in at its old place", () => {
    const next = patched(ROWS, film("b", { revision: 2, read: true }));
    expect(next.map((row) => [row.id, row.read])).toEqual([
      ["a", true],
      ["b", true],
      ["c", true],
    ]);
  });

  it("keep the newer of two states, and ignore films that are not listed", () => {
    const rows = [film("a", { revision: 5 })];
    expect(patched(rows, film("a", { revision: 4 }))).toBe(rows);
    expect(patched(rows, film("z"))).toBe(rows);
  });

  it("have neighbours, which end at the ends", () => {
    expect(neighbour(ROWS, "a", 1)?.id).toBe("b");
    expect(neighbour(ROWS, "a", -1)?.id).toBe("a");
    expect(neighbour(ROWS, "b", Infinity)?.id).toBe("c");
    expect(neighbour(ROWS, null, 1)?.id).toBe("a");
    expect(neighbour([], null, 1)).toBeUndefined();
  });

  it("know the next unread film, from the top again at the end", () => {
    expect(nextUnread(ROWS, "a")?.id).toBe("b");
    expect(nextUnread(ROWS, "c")?.id).toBe("b");
    expect(nextUnread(ROWS, "b")).toBeUndefined();
  });
});

describe("words", () => {
  it("give what is known of a film", () => {
    expect(facts(film("a"))).toBe("F 62 y · AP · CR");
    expect(facts(film("a", { sex: null, age_years: null, view: null, modality: null }))).toBe("");
  });

  it("never call an uncalibrated score a percentage", () => {
    expect(score(0.871, true)).toBe("87 %");
    expect(score(0.871, false)).toBe("0.87");
    expect(score(0.004, true)).toBe("< 1 %");
    expect(score(null, null)).toBe("");
  });

  it("keep both ends of a long name", () => {
    expect(parted("short.dcm")).toEqual(["short.dcm", ""]);
    expect(parted("1.2.840.10008.878026.dcm")).toEqual(["1.2.840.10008.87", "8026.dcm"]);
  });

  it("call a verdict by its name", () => {
    expect(verdict(film("a", { verdict: "accepted" }))).toBe("Agreed");
    expect(verdict(film("a"))).toBe("");
  });
});
