import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import type { Film, ModelCard, Service } from "../src/api/types";
import { answering, browser, FINDING, film, reading, refusal } from "./a_page";

beforeAll(browser);

const CARD = {
  name: "bright",
  version: "1",
  sha256: "aaaa",
  operating_point: { presence_probability: 0.41 },
  calibration: { prevalence: 0.2 },
} as ModelCard;

const OTHER = { ...FINDING, model: "dim", model_version: "7", model_sha256: "bbbb" };

beforeEach(async () => {
  const { card } = await import("../src/state/service");
  card.value = CARD;
});

describe("the card", () => {
  it("gives the prevalence of its own model only", async () => {
    const { meaning } = await import("../src/panel/Probability");
    const had = "Of 100 films that score so, about 62 had one in the calibration set";
    expect(meaning(FINDING, 0.62)).toBe(`${had}, where 20 % of all films had one.`);
    expect(meaning(OTHER, 0.62)).toBe(`${had} of dim 7, which judged this film.`);
    expect(meaning({ ...OTHER, calibrated: false }, 0.62)).toMatch(/^Not calibrated/);
  });

  it("gives its own threshold, and the film that of the model which judged it", async () => {
    const { ownOf } = await import("../src/list/Trial");
    const point = { presence_probability: 0.3 } as Film["operating_point"];
    const own = "bright 1 suspects from 41 %.";
    expect(ownOf(CARD, null)).toBe(own);
    expect(ownOf(CARD, film("a", { operating_point: point }))).toBe(own);
    expect(ownOf(CARD, film("a", { finding: OTHER, operating_point: point }))).toBe(
      `${own} The open film was judged by dim 7, from 30 %.`,
    );
  });

  it("knows films that another model has judged", async () => {
    const { judgedByAnother } = await import("../src/state/service");
    expect(judgedByAnother(film("a", { model_sha256: "bbbb" }))).toBe(true);
    expect(judgedByAnother(film("a", { model_sha256: "aaaa" }))).toBe(false);
    expect(judgedByAnother(film("a", { model_sha256: null, state: "failed" }))).toBe(false);
    expect(judgedByAnother(film("a", { model_sha256: "bbbb", state: "waiting" }))).toBe(false);
  });

  it("has readers agree with the model that they saw", async () => {
    const { isOfAnother } = await import("../src/panel/CorrectionBox");
    const agreed = reading(1, { model_sha256: "aaaa" });
    expect(isOfAnother(agreed, FINDING)).toBe(false);
    expect(isOfAnother(agreed, OTHER)).toBe(true);
    expect(isOfAnother({ ...agreed, verdict: "corrected" }, OTHER)).toBe(false); // a mask is one
    expect(isOfAnother(agreed, null)).toBe(false);
  });

  it("is kept where a newer one cannot be had", async () => {
    const { card, fetchCard } = await import("../src/state/service");
    answering({});
    await fetchCard();
    expect(card.value).toBe(CARD);
    answering({ "/v1/model": { ...CARD, sha256: "bbbb" } });
    await fetchCard();
    expect(card.value?.sha256).toBe("bbbb");
  });
});

describe("signing out", () => {
  it("is for those who signed in with the token", async () => {
    const { service, signedIn } = await import("../src/state/service");
    for (const [identity, can] of [
      ["token", true],
      ["user A. Reader", false],
      ["local", false],
    ]) {
      service.value = { identity, needs_token: true } as Service;
      expect(signedIn.value, String(identity)).toBe(can);
    }
  });

  it("loads the page anew, and asks first where something is not saved", async () => {
    const reload = vi.fn();
    const confirm = vi.fn(() => false);
    vi.stubGlobal("location", { reload });
    vi.stubGlobal("window", { confirm });
    vi.stubGlobal("fetch", async () => new Response(null, { status: 204 }));
    const { signOut } = await import("../src/state/service");
    const { comment, unsavedFilms } = await import("../src/state/correction");
    const { opened } = await import("../src/state/film");
    opened.value = "a";
    comment.value = "not done";
    await signOut();
    expect(reload).not.toHaveBeenCalled();
    confirm.mockReturnValue(true);
    await signOut();
    expect(reload).toHaveBeenCalledOnce();
    expect(unsavedFilms.value.size).toBe(0); // or the browser would ask once more
    comment.value = "";
    opened.value = null;
  });

  it("forgets who reads, here and in other tabs, once it is done", async () => {
    const reload = vi.fn();
    const sentTo: string[] = [];
    const tabs: { onmessage?: () => void }[] = [];
    class Tabs {
      onmessage?: () => void;
      constructor(readonly name: string) {
        tabs.push(this);
      }
      postMessage = () => void sentTo.push(this.name);
      close = () => undefined;
    }
    vi.stubGlobal("location", { reload });
    vi.stubGlobal("BroadcastChannel", Tabs);
    const { signOut } = await import("../src/state/service");
    const { forgetReaderWithOthers, set, settings } = await import("../src/state/settings");
    set({ reader: "A. Reader", heat: true });
    vi.stubGlobal("fetch", async () => refusal(503, "Busy."));
    await signOut();
    expect(settings.value.reader).toBe("A. Reader"); // still signed in
    vi.stubGlobal("fetch", async () => new Response(null, { status: 204 }));
    await signOut();
    expect(settings.value).toMatchObject({ reader: "", heat: true });
    expect(sentTo).toEqual(["pleura.signed-out"]);

    set({ reader: "A. Reader" });
    forgetReaderWithOthers();
    expect(tabs.at(-1)).toMatchObject({ name: "pleura.signed-out" });
    tabs.at(-1)?.onmessage?.();
    expect(settings.value.reader).toBe("");
  });
});
