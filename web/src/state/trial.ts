/** Another presence threshold, tried on the whole worklist: what would change; nothing of it is kept. */

import { effect, signal } from "@preact/signals";

import * as api from "../api/client";
import type { AtThreshold, Summary } from "../api/types";
import { attempt } from "./messages";
import { filters } from "./query";
import { ask, query, rows } from "./worklist";

const MOVING_MS = 150;

/** Whether it can be tried, which takes room in the list. */
export const trying = signal(false);
/** The threshold that is tried, 0 to 1 in the units of `probability`; null for the model's own. */
export const presence = signal<number | null>(null);
/** What would change in the films that the list holds; null until the service has counted. */
export const change = signal<AtThreshold | null>(null);

let asked = 0; // numbers the questions, so that a late answer is not taken for the latest

effect(() => {
  const [threshold, wanted] = [presence.value, query.value];
  rows.value; // counted anew when the list is fetched
  const mine = ++asked;
  if (threshold === null) {
    change.value = null;
    return undefined;
  }
  const timer = setTimeout(async () => {
    const these = filters({ ...wanted, changesAt: null });
    const found = await attempt("What would change cannot be counted", () =>
      api.atThreshold(threshold, these),
    );
    if (found && mine === asked) change.value = found;
  }, MOVING_MS);
  return () => clearTimeout(timer);
});

let listing: ReturnType<typeof setTimeout> | undefined;

/** Tries a threshold; where only films that change are listed, they follow. */
export function tryPresence(threshold: number | null): void {
  presence.value = threshold;
  if (query.value.changesAt === null) return;
  clearTimeout(listing);
  listing = setTimeout(() => ask({ changesAt: presence.value }), MOVING_MS);
}

export function toggleTrial(): void {
  if (trying.value) endTrial();
  else trying.value = true;
}

/** Ends the trial. */
export function endTrial(): void {
  trying.value = false;
  tryPresence(null);
}

/** What a film would become at a threshold: null where it stays what it is. */
export function wouldBe(film: Summary, threshold: number | null): "positive" | "negative" | null {
  const judged = film.state === "positive" || film.state === "negative";
  if (threshold === null || !judged || film.probability === null) return null;
  const would = film.has_regions && film.probability >= threshold ? "positive" : "negative";
  return would === film.state ? null : would;
}
