/** What the service says of itself. */

import { computed, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Finding, ModelCard, Service, Summary } from "../api/types";
import { forgetAll, unsavedFilms } from "./correction";
import { attempt } from "./messages";
import { forgetReader } from "./settings";

export const service = signal<Service | null>(null);
export const card = signal<ModelCard | null>(null);

/** Asks; answers whether the service speaks with this browser. */
export async function introduce(): Promise<boolean> {
  service.value = (await attempt("The service does not answer", api.service)) ?? null;
  if (!service.value) return false;
  await fetchCard();
  return true;
}

/** Asks for the model card: after a restart the service may have another model. */
export async function fetchCard(): Promise<void> {
  card.value = (await attempt("The model card cannot be fetched", api.model)) ?? card.value;
}

/** Whether the model of the card judged, and no other. */
export function isOfCard(finding: Finding): boolean {
  return finding.model_sha256 === card.value?.sha256;
}

/** Whether another model judged than the service has now. */
export function judgedByAnother({ state, model_sha256 }: Summary): boolean {
  return (
    state !== "waiting" && !!model_sha256 && !!card.value && model_sha256 !== card.value.sha256
  );
}

/** Whether the reader signed in here: with the token, and not at a proxy before the service. */
export const signedIn = computed(() => service.value?.identity === "token");

/** Signs out, and leaves nothing of any film on the page, nor the reader's name. */
export async function signOut(): Promise<void> {
  if (unsavedFilms.value.size && !window.confirm("Sign out? What is not saved is lost.")) return;
  await attempt("You are still signed in", async () => {
    await api.signOut();
    forgetAll();
    forgetReader();
    location.reload();
  });
}
