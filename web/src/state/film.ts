/** The open film: its facts, pixels, map and masks, fetched together and forgotten together. */

import { batch, computed, signal } from "@preact/signals";

import * as api from "../api/client";
import { ApiError } from "../api/client";
import type { Correction, Film, Summary, Viewing } from "../api/types";
import type { Field } from "../film/contour";
import { decodeGrey } from "../film/png";
import type { Picture } from "../film/stage";
import { attempt, tell } from "./messages";
import { neighbour } from "./query";
import { set, settings } from "./settings";
import * as view from "./view";
import { onChange, onDeleted, onReset, put, rows } from "./worklist";

const READ_AFTER_MS = 1500;
const KEPT = 4; // films whose pixels are kept, so that going back and forth waits for nothing

export const opened = signal<string | null>(null);
export const film = signal<Film | null>(null);
export const picture = signal<Picture | null>(null);
export const heat = signal<Field | null>(null);
export const modelMask = signal<Field | null>(null);
/** The mask of the latest correction that has one. */
const latestMask = signal<Field | null>(null);
/** The mask of an older correction, while that is looked at. */
const olderMask = signal<{ number: number; mask: Field } | null>(null);
/** The reader's mask that is shown. */
export const readersMask = computed(() => olderMask.value?.mask ?? latestMask.value);
/** The number of the correction whose mask that is. */
export const shownNumber = computed(
  () => olderMask.value?.number ?? withMask(history.value)?.number ?? null,
);
/** Where the lungs are: fetched once they are to be shown. */
export const lungs = signal<Field | null>(null);
export const history = signal<Correction[]>([]);
export const loading = signal(false);
/** Whether the film could not be opened: the service was not reached, or asked who is there. */
export const unopened = computed(() => {
  if (opened.value === null || loading.value || picture.value) return false;
  return !film.value || film.value.viewing !== null;
});

let leaving = new AbortController();
let since = performance.now();
let discarding: string | null = null;
let reading: ReturnType<typeof setTimeout> | undefined;
const cache = new Map<string, Promise<ArrayBuffer>>();

/** Seconds since the film was opened. */
export function secondsOpen(): number {
  return Math.round((performance.now() - since) / 100) / 10;
}

export async function open(id: string | null): Promise<void> {
  if (id === opened.value) return openAgain();
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
    latestMask.value = null;
    olderMask.value = null;
    lungs.value = null;
    history.value = [];
  });
  if (id) await load(id, leaving.signal);
}

/** Opens the film that could not be opened. */
export async function openAgain(): Promise<void> {
  if (opened.value && unopened.value) await load(opened.value, leaving.signal);
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
    const drawn = withMask(said);
    const [values, map, mask, corrected] = await Promise.all([
      pixels(id, viewing),
      grey(facts, "heat", signal),
      grey(facts, "mask", signal),
      drawn ? maskOf(drawn, signal) : null,
    ]);
    if (signal.aborted) return;
    batch(() => {
      heat.value = map;
      modelMask.value = mask;
      latestMask.value = corrected;
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
  const found = await greyIfThere(facts, "lungs", signal);
  if (!signal.aborted) lungs.value = found;
}

type Grey = "heat" | "mask" | "lungs";

async function grey(facts: Film, kind: Grey, signal: AbortSignal): Promise<Field | null> {
  if (!facts.pictures.includes(kind)) return null;
  return decodeGrey(await api.picture(facts.id, kind, signal));
}

/** A picture, or null also where one is listed that the service does not show, as of a film that failed. */
async function greyIfThere(facts: Film, kind: Grey, signal: AbortSignal): Promise<Field | null> {
  try {
    return await grey(facts, kind, signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 409) return null;
    throw error;
  }
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
  const next = neighbour(rows.value, id, 1);
  discarding = id;
  await attempt("The film is not deleted", async () => {
    await api.remove(id);
    cache.delete(id);
    rows.value = rows.value.filter((row) => row.id !== id);
    await open(next && next.id !== id ? next.id : null);
  });
  discarding = null;
}

onDeleted((id) => {
  cache.delete(id);
  if (id !== opened.value) return;
  if (id !== discarding)
    tell(`${film.value?.name ?? "The film"} was deleted meanwhile.`, "problem");
  void open(null);
});

/** Shows the mask of a correction, whether the latest or not. */
export async function showMaskOf(correction: Correction): Promise<void> {
  const { signal } = leaving;
  await attempt("The mask cannot be shown", async () => {
    const isLatest = correction.number === withMask(history.value)?.number;
    const mask = isLatest ? null : await maskOf(correction, signal);
    if (!signal.aborted) olderMask.value = mask && { number: correction.number, mask };
  });
}

function withMask(said: Correction[]): Correction | undefined {
  return said.filter((one) => one.has_mask).at(-1);
}

async function maskOf({ film, number }: Correction, signal: AbortSignal): Promise<Field> {
  return decodeGrey(await api.correctionMask(film, number, signal));
}

/** Takes in what a reader has just said of the open film. */
export function said(correction: Correction, mask: Field | null): void {
  batch(() => {
    const others = history.value.filter((one) => one.number !== correction.number);
    history.value = [...others, correction];
    if (mask) {
      latestMask.value = mask;
      olderMask.value = null;
    }
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

/** Takes in what was said or found of the open film meanwhile; how it is looked at stays, and so does a draft. */
async function takeIn(changed: Summary, known: Film): Promise<void> {
  const { signal } = leaving;
  const same = (["state", "reason", "probability", "model_sha256"] as const).every(
    (fact) => changed[fact] === known[fact],
  );
  await attempt("What is new of this film cannot be fetched", async () => {
    if (!same) await takeFinding(changed.id, signal);
    await takeReadings(changed, signal);
  });
}

/** Fetches anew what was found and said of the open film, as `takeIn` does. */
export async function renew(): Promise<void> {
  const id = opened.value;
  const { signal } = leaving;
  await attempt("The film cannot be fetched again", async () => {
    if (id) await takeFinding(id, signal);
    if (film.value && !signal.aborted) await takeReadings(film.value, signal);
  });
}

async function takeFinding(id: string, signal: AbortSignal): Promise<void> {
  const facts = await api.film(id, signal);
  const waits = facts.state === "waiting"; // to be judged again: what is known stays until then
  const found = await Promise.allSettled([
    waits ? heat.value : greyIfThere(facts, "heat", signal),
    waits ? modelMask.value : greyIfThere(facts, "mask", signal),
  ]);
  if (signal.aborted || (film.value && film.value.revision > facts.revision)) return;
  const [map, mask] = found.map((one) => (one.status === "fulfilled" ? one.value : null));
  batch(() => {
    film.value = facts; // in any case: nobody is to go on reading what no longer holds
    heat.value = map ?? null;
    modelMask.value = mask ?? null;
    if (!waits) lungs.value = null;
  });
  for (const one of found) if (one.status === "rejected") throw one.reason;
  await fetchLungs();
}

async function takeReadings(changed: Summary, signal: AbortSignal): Promise<void> {
  const said = await api.corrections(changed.id, signal);
  const latest = withMask(said);
  const isNew = latest && latest.number !== withMask(history.value)?.number;
  const mask = isNew ? await maskOf(latest, signal) : null;
  if (signal.aborted || said.length < history.value.length) return;
  const { read, verdict, revision } = changed;
  const correction = said.at(-1) ?? null;
  batch(() => {
    history.value = said;
    if (mask) latestMask.value = mask;
    if (film.value && film.value.revision <= revision)
      film.value = { ...film.value, read, verdict, revision, correction };
  });
}

onChange((changed) => {
  if (changed.id !== opened.value) return;
  // A film that was opened while it waited has been judged, perhaps before what is known of it has come.
  if (!picture.value) void load(changed.id, leaving.signal);
  else if (film.value && changed.revision > film.value.revision) void takeIn(changed, film.value);
});

onReset(() => {
  const id = opened.value;
  if (id) void (picture.value ? renew() : load(id, leaving.signal));
});
