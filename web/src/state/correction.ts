/** A correction in the making: a draft mask, a comment, and what becomes of them. */

import { computed, effect, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Verdict } from "../api/types";
import { type Box, Mask } from "../film/mask";
import { encodeGrey } from "../film/png";
import * as current from "./film";
import { attempt, tell } from "./messages";
import { settings } from "./settings";
import * as view from "./view";

export const draft = signal<Mask | null>(null);
/** Counts the draft's changes, since the mask itself is changed in place. */
export const drawn = signal(0);
/** What the last change touched, or null for everything. */
export const touched = signal<Box | null>(null);
export const comment = signal("");
export const saving = signal(false);

export const editing = computed(() => draft.value !== null);
export const unsaved = computed(() => drawn.value > 0 || comment.value.trim() !== "");

effect(() => {
  current.opened.value; // another film: begin anew
  draft.value = null;
  drawn.value = 0;
  comment.value = "";
});

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

/** Drops the draft. */
export function abandon(): void {
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

/** Saves what the reader says of the open film; the model's own result stays what it was. */
export async function save(verdict: Verdict): Promise<void> {
  const id = current.opened.value;
  const mask = verdict === "corrected" ? draft.value : null;
  if (!id || saving.value || (verdict === "corrected" && !mask)) return;
  saving.value = true;
  await attempt("The correction is not saved", async () => {
    const form = new FormData();
    form.set("verdict", verdict);
    form.set("comment", comment.value.trim());
    form.set("reader", settings.value.reader.trim());
    form.set("seconds", String(current.secondsOpen()));
    if (mask) form.set("mask", await encodeGrey(mask), "mask.png");
    const correction = await api.correct(id, form);
    tell(DONE[verdict]);
    if (current.opened.value !== id) return;
    current.said(correction, mask);
    comment.value = "";
    abandon();
  });
  saving.value = false;
}
