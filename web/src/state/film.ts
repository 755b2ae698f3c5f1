/** The open film: its facts, pixels, map and masks, fetched together and forgotten together. */

import { batch, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Correction, Film, Viewing } from "../api/types";
import type { Field } from "../film/contour";
import { decodeGrey } from "../film/png";
import type { Picture } from "../film/stage";
import { attempt } from "./messages";
import { neighbour } from "./query";
import { set, settings } from "./settings";
import * as view from "./view";
import { onChange, put, rows } from "./worklist";

const READ_AFTER_MS = 1500;
const KEPT = 4; // films whose pixels are kept, so that going back and forth waits for nothing

export const opened = signal<string | null>(null);
export const film = signal<Film | null>(null);
export const picture = signal<Picture | null>(null);
export const heat = signal<Field | null>(null);
export const modelMask = signal<Field | null>(null);
/** The mask of the latest correction that has one. */
export const readersMask = signal<Field | null>(null);
/** Where the lungs are: fetched once they are to be shown. */
export const lungs = signal<Field | null>(null);
export const history = signal<Correction[]>([]);
export const loading = signal(false);

let leaving = new AbortController();
let since = performance.now();
let reading: ReturnType<typeof setTimeout> | undefined;
const cache = new Map<string, Promise<ArrayBuffer>>();

/** Seconds since the film was opened. */
export function secondsOpen(): number {
  return Math.round((performance.now() - since) / 100) / 10;
}

export async function open(id: string | null): Promise<void> {
  if (id === opened.value) return;
  leaving.abort();
  leaving = new AbortController();
  clearTimeout(reading);
  since = performance.now();
  batch(() => {
    opened.value = id;
    film.value = null;
    picture.value = null;
    heat.value = null;
    modelMask.value = null;
    readersMask.value = null;
    lungs.value = null;
    history.value = [];
  });
  if (id) await load(id, leaving.signal);
}

async function load(id: string, signal: AbortSignal): Promise<void> {
  loading.value = true;
  await attempt("The film cannot be opened", async () => {
    const [facts, said] = await Promise.all([api.film(id, signal), api.corrections(id, signal)]);
    const newer = film.value && film.value.revision > facts.revision;
    if (signal.aborted || newer) return;
    film.value = facts;
    history.value = said;
    if (facts.state === "failed") readSoon(facts);
    if (!facts.viewing) return;
    const { viewing } = facts;
    const drawn = said.filter((one) => one.has_mask).at(-1);
    const [values, map, mask, corrected] = await Promise.all([
      pixels(id, viewing),
      grey(facts, "heat", signal),
      grey(facts, "mask", signal),
      drawn ? api.correctionMask(id, drawn.number, signal).then(decodeGrey) : null,
    ]);
    if (signal.aborted) return;
    batch(() => {
      heat.value = map;
      modelMask.value = mask;
      readersMask.value = corrected;
      view.reset(viewing);
      picture.value = { id, viewing, values, aspect: aspect(facts) };
    });
    readSoon(facts);
    prefetch();
    await fetchLungs();
  });
  if (!signal.aborted) loading.value = false;
}

/** Shows the lungs, or takes them away. */
export async function toggleLungs(): Promise<void> {
  set({ lungs: !settings.value.lungs });
  await attempt("The lungs cannot be shown", fetchLungs);
}

async function fetchLungs(): Promise<void> {
  const facts = film.value;
  if (!facts || !settings.value.lungs || lungs.value) return;
  const { signal } = leaving;
  const found = await grey(facts, "lungs", signal);
  if (!signal.aborted) lungs.value = found;
}

async function grey(facts: Film, kind: "heat" | "mask" | "lungs", signal: AbortSignal) {
  if (!facts.pictures.includes(kind)) return null;
  return decodeGrey(await api.picture(facts.id, kind, signal));
}

async function pixels(id: string, viewing: Viewing): Promise<Uint8Array | Uint16Array> {
  const bytes = await fetched(id);
  if (viewing.format === "u8") return new Uint8Array(bytes);
  return new Uint16Array(bytes); // browsers' machines are little-endian, all of them
}

function fetched(id: string): Promise<ArrayBuffer> {
  const known = cache.get(id);
  const bytes = known ?? api.pixels(id);
  cache.delete(id); // to the end: the latest is kept longest
  cache.set(id, bytes);
  bytes.catch(() => cache.delete(id));
  for (const old of [...cache.keys()].slice(0, -KEPT)) cache.delete(old);
  return bytes;
}

function prefetch(): void {
  const next = neighbour(rows.value, opened.value, 1);
  if (!next || next.id === opened.value || next.state === "waiting" || next.state === "failed")
    return;
  fetched(next.id).catch(() => undefined);
}

function readSoon(facts: Film): void {
  if (facts.read) return;
  reading = setTimeout(() => void markRead(facts.id, true), READ_AFTER_MS);
}

export async function markRead(id: string, read: boolean): Promise<void> {
  clearTimeout(reading);
  await attempt("The film cannot be marked", async () => {
    await api.setRead(id, read);
    const row = rows.value.find((one) => one.id === id);
    if (row) put({ ...row, read });
    if (film.value?.id === id) film.value = { ...film.value, read };
  });
}

/** Deletes a film, with all that belongs to it. */
export async function discard(id: string): Promise<void> {
  await attempt("The film is not deleted", async () => {
    await api.remove(id);
    cache.delete(id);
    const next = neighbour(rows.value, id, 1);
    rows.value = rows.value.filter((row) => row.id !== id);
    await open(next && next.id !== id ? next.id : null);
  });
}

/** Takes in what a reader has just said of the open film. */
export function said(correction: Correction, mask: Field | null): void {
  batch(() => {
    history.value = [...history.value, correction];
    if (mask) readersMask.value = mask;
    if (film.value) film.value = { ...film.value, correction, verdict: correction.verdict };
    const row = rows.value.find((one) => one.id === correction.film);
    if (row) put({ ...row, verdict: correction.verdict });
  });
}

/** Height of a pixel over its width, where the film's spacing is believable. */
function aspect({ spacing_mm, spacing_basis }: Film): number {
  const trusted = spacing_basis === "calibrated" || spacing_basis === "detector";
  return trusted && spacing_mm ? spacing_mm[0] / spacing_mm[1] : 1;
}

onChange((id) => {
  // A film that was opened while it waited has been judged, perhaps before what is known of it has come.
  if (id === opened.value && !picture.value) void load(id, leaving.signal);
});
