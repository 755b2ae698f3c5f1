/**
 * The live channel: what the service says has changed, while the page is shown.
 *
 * A browser opens six connections to a service at most, and each channel holds one: were those of hidden tabs kept, the
 * seventh tab would wait forever. A tab that is shown again goes on where it was.
 */

import { signal } from "@preact/signals";

import * as api from "../api/client";
import type { Summary } from "../api/types";

export interface Hearer {
  film: (film: Summary) => void;
  deleted: (id: string) => void;
  /** Too much has changed to be told. */
  reset: () => void;
  /** The service does not let this browser listen. */
  refused: () => void;
}

export const live = signal(false);

let hearer: Hearer | null = null;
let told = 0; // the revision up to which all was told
let source: EventSource | null = null;

/** Listens from a revision on; who listened already goes on from what was told last. */
export function listen(revision: number, to: Hearer): void {
  if (!hearer) told = revision;
  hearer = to;
  connect();
}

/** Has the channel closed while the page is hidden. */
export function listenOnlyWhileShown(): void {
  document.addEventListener("visibilitychange", () => (hidden() ? close() : connect()));
}

function hidden(): boolean {
  return document.visibilityState === "hidden";
}

function close(): void {
  source?.close();
  source = null;
  live.value = false;
}

function connect(): void {
  if (!hearer || hidden() || (source && source.readyState !== EventSource.CLOSED)) return;
  const { film, deleted, reset, refused } = hearer;
  const opened = new EventSource(api.address.events(told));
  source = opened;
  opened.onopen = () => {
    live.value = true;
  };
  opened.onerror = () => {
    live.value = false; // the browser tries again by itself, unless it was refused
    if (opened.readyState === EventSource.CLOSED) refused();
  };
  const on = (name: string, hear: (data: string) => void) =>
    opened.addEventListener(name, ({ data, lastEventId }: MessageEvent<string>) => {
      told = Number(lastEventId);
      hear(data);
    });
  on("film", (data) => film(JSON.parse(data) as Summary));
  on("deleted", (data) => deleted((JSON.parse(data) as { id: string }).id));
  on("reset", reset);
}
