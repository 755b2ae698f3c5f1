/** The worklist: rows from the service, kept up to date by its live channel. */

import { effect, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Counts, Summary } from "../api/types";
import { type Hearer, listen } from "./channel";
import { attempt } from "./messages";
import { lasting, parameters, patched, type Query, restored } from "./query";
import { keep, kept } from "./storage";

const PAGE = 200;
const QUIET_MS = 400;
const QUIET_MS_A_ROW = 1; // a long list is fetched again less often
const REFUSED_MS = 5000;

const KEY = "pleura.worklist";
const tab = () => sessionStorage;

export const query = signal<Query>(restored(kept(tab, KEY)));
export const rows = signal<Summary[]>([]);
export const total = signal(0);
export const counts = signal<Counts | null>(null);
export const loaded = signal(false);

effect(() => keep(tab, KEY, lasting(query.value)));

let cursor: string | null = null;
let asked = 0; // numbers the questions, so that a late answer is not taken for the latest
let paging = false;
let pending: ReturnType<typeof setTimeout> | undefined;

/** Shows what another query finds. */
export function ask(change: Partial<Query>): void {
  query.value = { ...query.value, ...change };
  void refresh(true);
}

/**
 * Fetches the first rows again.
 *
 * @param anew whether they are another query's, of which a page will do; else as many as are there.
 */
export async function refresh(anew = false): Promise<void> {
  const mine = ++asked;
  const least = () => (anew ? PAGE : Math.max(PAGE, rows.value.length));
  await attempt("The worklist cannot be fetched", async () => {
    let found: Summary[] = [];
    let next: string | null = null;
    let revision = 0;
    do {
      const limit = Math.min(500, Math.max(PAGE, least() - found.length));
      const page = await api.films(parameters(query.value, limit, next ?? undefined));
      if (mine !== asked) return;
      found = found.concat(page.films);
      next = page.next;
      total.value = page.total;
      counts.value = page.counts;
      revision = page.revision;
    } while (next && found.length < least());
    rows.value = found;
    cursor = next;
    loaded.value = true;
    listen(revision, hearer);
  });
}

/** Fetches the rows that follow, where there are more. */
export async function more(): Promise<void> {
  if (!cursor || paging) return;
  paging = true;
  const mine = asked;
  await attempt("The worklist cannot be fetched", async () => {
    const page = await api.films(parameters(query.value, PAGE, cursor ?? undefined));
    if (mine !== asked) return;
    const known = new Set(rows.value.map((row) => row.id));
    rows.value = rows.value.concat(page.films.filter((film) => !known.has(film.id)));
    cursor = page.next;
  });
  paging = false;
  if (mine !== asked) void more(); // the list was fetched again meanwhile, and this was not taken in
}

/** Takes a film's new state in, without asking. */
export function put(film: Summary): void {
  rows.value = patched(rows.value, film);
}

const watchers = new Set<(film: Summary) => void>();

/** Calls back with every film that the service says has changed. */
export function onChange(watcher: (film: Summary) => void): void {
  watchers.add(watcher);
}

const mourners = new Set<(id: string) => void>();

/** Calls back with the id of every film that the service says was deleted. */
export function onDeleted(mourner: (id: string) => void): void {
  mourners.add(mourner);
}

const renewers = new Set<() => void>();

/** Calls back where too much has changed for the service to say what. */
export function onReset(renewer: () => void): void {
  renewers.add(renewer);
}

const hearer: Hearer = {
  film: (film) => {
    put(film);
    for (const watcher of watchers) watcher(film);
    soon();
  },
  deleted: (id) => {
    rows.value = rows.value.filter((row) => row.id !== id);
    for (const mourner of mourners) mourner(id);
    soon();
  },
  reset: () => {
    for (const renewer of renewers) renewer();
    soon();
  },
  refused: () => soon(REFUSED_MS),
};

/** Order and counts are the service's to know: asks it once things are quiet, or now and then. */
function soon(wait = QUIET_MS + QUIET_MS_A_ROW * rows.value.length): void {
  if (pending) return;
  pending = setTimeout(() => {
    pending = undefined;
    void refresh();
  }, wait);
}
