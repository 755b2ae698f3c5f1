/** What the worklist shows, and in which order. */

import type { State, Summary } from "../api/types";

/** As the service names them. */
const VIEWS = ["PA", "AP", "lateral", "other", "unknown"] as const;
const SORTS = ["suspicion", "received", "name", "age", "read"] as const;
const STATES: readonly State[] = ["waiting", "positive", "negative", "declined", "failed"];

export type Sort = (typeof SORTS)[number];
export type View = (typeof VIEWS)[number];

export interface Query {
  sort: Sort;
  reversed: boolean;
  states: State[];
  views: View[];
  unread: boolean;
  corrected: boolean;
  words: string;
  /** A presence threshold: only films that would change sides there. */
  changesAt: number | null;
}

export const EVERYTHING: Query = {
  sort: "suspicion",
  reversed: false,
  states: [],
  views: [],
  unread: false,
  corrected: false,
  words: "",
  changesAt: null,
};

/** What of a query outlives the page in its tab: not the words, which may be a patient's, nor a threshold on trial. */
export function lasting({ sort, reversed, states, views, unread, corrected }: Query) {
  return { sort, reversed, states, views, unread, corrected };
}

/** The query of which that was kept; what cannot be of one is as in `EVERYTHING`. */
export function restored(kept: Record<string, unknown>): Query {
  const sort = SORTS.find((one) => one === kept.sort) ?? EVERYTHING.sort;
  const listed = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  return {
    ...EVERYTHING,
    sort,
    reversed: kept.reversed === true,
    states: STATES.filter((state) => listed(kept.states).includes(state)),
    views: VIEWS.filter((view) => listed(kept.views).includes(view)),
    unread: kept.unread === true,
    corrected: kept.corrected === true,
  };
}

/** A page of what a query finds. */
export function parameters(query: Query, limit: number, cursor?: string): URLSearchParams {
  const asked = filters(query);
  asked.set("sort", query.sort);
  asked.set("limit", String(limit));
  if (query.reversed) asked.set("order", "reversed");
  if (cursor) asked.set("cursor", cursor);
  return asked;
}

/** Which films a query means. */
export function filters(query: Query): URLSearchParams {
  const asked = new URLSearchParams();
  for (const state of query.states) asked.append("state", state);
  for (const view of query.views) asked.append("view", view);
  if (query.unread) asked.set("unread", "true");
  if (query.corrected) asked.set("corrected", "true");
  if (query.words.trim()) asked.set("q", query.words.trim());
  if (query.changesAt !== null) asked.set("changes_at", String(query.changesAt));
  return asked;
}

export function isFiltered(query: Query): boolean {
  return (
    query.states.length > 0 ||
    query.views.length > 0 ||
    query.unread ||
    query.corrected ||
    query.changesAt !== null ||
    query.words.trim() !== ""
  );
}

/** The rows with a changed one put in its old place; the same rows where it is not among them. */
export function patched(rows: Summary[], changed: Summary): Summary[] {
  const place = rows.findIndex((row) => row.id === changed.id);
  if (place < 0 || (rows[place] as Summary).revision > changed.revision) return rows;
  const next = rows.slice();
  next[place] = changed;
  return next;
}

/** The film that lies `step` rows from the open one; the first or last where there is none open or no further. */
export function neighbour(rows: Summary[], open: string | null, step: number): Summary | undefined {
  const place = rows.findIndex((row) => row.id === open);
  if (place < 0) return step > 0 ? rows[0] : rows[rows.length - 1];
  return rows[Math.min(rows.length - 1, Math.max(0, place + step))];
}

/** The next unread film below the open one, or else the first of all. */
export function nextUnread(rows: Summary[], open: string | null): Summary | undefined {
  const place = rows.findIndex((row) => row.id === open);
  const unread = (row: Summary) => !row.read && row.id !== open;
  return rows.slice(place + 1).find(unread) ?? rows.find(unread);
}
