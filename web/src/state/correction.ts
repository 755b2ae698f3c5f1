/** A correction in the making: a draft mask, a comment, and what becomes of them; a film that is left keeps its own. */

import { batch, computed, effect, signal, untracked } from "@preact/signals";

import * as api from "../api/client";
import { ApiError } from "../api/client";
import type { Verdict } from "../api/types";
import type { Field } from "../film/contour";
import { type Box, Mask } from "../film/mask";
import { encodeGrey } from "../film/png";
import * as current from "./film";
import { attempt, tell } from "./messages";
import { settings } from "./settings";
import * as view from "./view";
import { onDeleted } from "./worklist";

/** What is put away of a film with what is not saved yet. */
interface Unsaved {
  draft: Mask | null;
  drawn: number;
  comment: string;
}

export const draft = signal<Mask | null>(null);
/** Counts the draft's changes, since the mask itself is changed in place. */
export const drawn = signal(0);
/** What the last change touched, or null for everything. */
export const touched = signal<Box | null>(null);
export const comment = signal("");
export const saving = signal(false);

export const editing = computed(() => draft.value !== null);
export const unsaved = computed(() => drawn.value > 0 || comment.value.trim() !== "");

const kept = signal<ReadonlyMap<string, Unsaved>>(new Map());
let mine: string | null = null; // whose film's the draft and the comment are

/** The films with something that is not saved, the open one too. */
export const unsavedFilms = computed<ReadonlySet<string>>(() => {
  const films = new Set(kept.value.keys());
  const open = current.opened.value;
  if (open && unsaved.value) films.add(open);
  return films;
});

effect(() => {
  const open = current.opened.value;
  untracked(() => {
    if (open !== mine) takeUp(open);
  });
});

/** Puts away what is not saved of the film that was open, and takes up what was put away of the next. */
function takeUp(open: string | null): void {
  const films = new Map(kept.value);
  if (mine && unsaved.value) films.set(mine, whatIsOpen());
  const found = open === null ? undefined : films.get(open);
  if (open) films.delete(open);
  batch(() => {
    kept.value = films;
    mine = open;
    touched.value = null;
    draft.value = found?.draft ?? null;
    drawn.value = found?.drawn ?? 0;
    comment.value = found?.comment ?? "";
  });
}

function whatIsOpen(): Unsaved {
  return { draft: draft.value, drawn: drawn.value, comment: comment.value };
}

/** Drops what is not saved of a film. */
export function forget(film: string): void {
  const films = new Map(kept.value);
  if (films.delete(film)) kept.value = films;
  if (film !== mine) return;
  comment.value = "";
  drop();
}

onDeleted((film) => {
  const lost = unsavedFilms.value.has(film);
  forget(film);
  if (lost) tell("What you had not saved of a film is lost: the film was deleted.", "problem");
});

/** Drops all that is not saved. */
export function forgetAll(): void {
  for (const film of unsavedFilms.value) forget(film);
}

/** Begins to correct the mask: the reader's own where there is one, else the model's. */
export function edit(tool: "brush" | "eraser" = "brush"): void {
  const picture = current.picture.value;
  if (!picture) return;
  if (!draft.value) {
    const { columns, rows } = picture.viewing;
    const start = current.readersMask.value ?? current.modelMask.value;
    drawn.value = 0;
    touched.value = null;
    draft.value = new Mask(columns, rows, start?.values);
  }
  view.tool.value = tool;
}

/** Drops the draft, once the reader has agreed to lose what was drawn. */
export function abandon(): void {
  if (drawn.value === 0 || window.confirm("Drop what you have drawn? It is not saved.")) drop();
}

function drop(): void {
  draft.value = null;
  drawn.value = 0;
  view.tool.value = "window";
}

export function changed(box: Box | null): void {
  touched.value = box;
  drawn.value++;
}

/** Ends a stroke, so that it can be undone. */
export function endStroke(): void {
  draft.value?.end();
  changed(touched.value);
}

/** Takes back the stroke that has begun. */
export function cancelStroke(): void {
  const box = draft.value?.cancel();
  if (box) changed(box);
}

export function undo(): void {
  const box = draft.value?.undo();
  if (box) changed(box);
}

export function redo(): void {
  const box = draft.value?.redo();
  if (box) changed(box);
}

export function clear(): void {
  const mask = draft.value;
  if (!mask) return;
  mask.replace(new Uint8Array(mask.values.length));
  changed(null);
}

const DONE: Record<Verdict, string> = {
  accepted: "Saved: the finding is right.",
  rejected: "Saved: the finding is wrong.",
  corrected: "Saved: the mask as you drew it.",
};

/** Saves what the reader says of the open film as it is shown; the model's own result stays what it was. */
export async function save(verdict: Verdict): Promise<void> {
  const id = current.opened.value;
  const said = whatIsOpen();
  const mask = verdict === "corrected" ? said.draft : null;
  if (!id || !current.picture.value || saving.value) return; // of a film not seen, nothing is said
  if (verdict === "corrected" && !mask) return;
  saving.value = true;
  const form = new FormData();
  form.set("verdict", verdict);
  form.set("comment", said.comment.trim());
  form.set("reader", settings.value.reader.trim());
  form.set("seconds", String(current.secondsOpen()));
  const model = current.film.value?.finding?.model_sha256;
  if (model) form.set("model_sha256", model); // or it might count for a finding not seen
  const drawing = mask && fieldOf(mask);
  await attempt("The correction is not saved", () => send(id, form, drawing, said));
  saving.value = false;
}

/** The mask as it is now, whatever is drawn on it later. */
function fieldOf({ values, width, height }: Mask): Field {
  return { values: values.slice(), width, height };
}

async function send(id: string, form: FormData, mask: Field | null, said: Unsaved): Promise<void> {
  try {
    if (mask) form.set("mask", await encodeGrey(mask), "mask.png");
    const correction = await api.correct(id, form);
    const all = isStill(id, said);
    tell(
      `${DONE[correction.verdict]}${all ? "" : " What you changed meanwhile is not saved yet."}`,
    );
    if (all) forget(id);
    if (current.opened.value === id) current.said(correction, mask);
  } catch (error) {
    const outdated = error instanceof ApiError && error.status === 409;
    if (outdated && current.opened.value === id) void current.renew();
    throw error;
  }
}

/** Whether nothing was drawn or written of a film since. */
function isStill(film: string, said: Unsaved): boolean {
  const now = film === mine ? whatIsOpen() : kept.value.get(film);
  if (!now) return true;
  return now.draft === said.draft && now.drawn === said.drawn && now.comment === said.comment;
}
