/** What a reader sets once: kept in this browser only. */

import { effect, signal } from "@preact/signals";

import { keep, kept } from "./storage";

export interface Settings {
  contour: boolean;
  heat: boolean;
  /** The distances of the guidelines, on the film. */
  distances: boolean;
  lungs: boolean;
  /** Cover of the heat map, 0 to 1. */
  opacity: number;
  reader: string;
  singleKeys: boolean;
  /** Radius of the brush, in film pixels of a film 1000 across. */
  brush: number;
}

const KEY = "pleura.settings";
const SIGNED_OUT = "pleura.signed-out";
const USUAL: Settings = {
  contour: true,
  heat: false,
  distances: true,
  lungs: false,
  opacity: 0.6,
  reader: "",
  singleKeys: true,
  brush: 12,
};

const local = () => localStorage;

export const settings = signal<Settings>({
  ...USUAL,
  ...(kept(local, KEY) as Partial<Settings>),
});

effect(() => keep(local, KEY, settings.value));

export function set(change: Partial<Settings>): void {
  settings.value = { ...settings.value, ...change };
}

/** Forgets who reads, in all tabs: what the next one says must not go under that name. */
export function forgetReader(): void {
  set({ reader: "" });
  const others = new BroadcastChannel(SIGNED_OUT);
  others.postMessage(null);
  others.close();
}

/** Forgets who reads where another tab signs out: or this one would write the name back. */
export function forgetReaderWithOthers(): void {
  new BroadcastChannel(SIGNED_OUT).onmessage = () => set({ reader: "" });
}
