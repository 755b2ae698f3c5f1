/** What the service says of itself. */

import { signal } from "@preact/signals";

import * as api from "../api/client";
import type { ModelCard, Service } from "../api/types";
import { attempt, mustSignIn } from "./messages";

export const service = signal<Service | null>(null);
export const card = signal<ModelCard | null>(null);

/** Asks; answers whether the service speaks with this browser. */
export async function introduce(): Promise<boolean> {
  service.value = (await attempt("The service does not answer", api.service)) ?? null;
  if (!service.value) return false;
  card.value = (await attempt("The model card cannot be fetched", api.model)) ?? null;
  return true;
}

export async function signOut(): Promise<void> {
  await attempt("You are still signed in", async () => {
    await api.signOut();
    mustSignIn.value = true;
  });
}
