/** What the reader is told in passing, and whether the service asks who they are. */

import { signal } from "@preact/signals";

import { ApiError } from "../api/client";

export interface Message {
  id: number;
  text: string;
  kind: "done" | "problem";
}

const SHOWN_MS = { done: 4000, problem: 10000 };
const MOST = 5; // as many as one upload may say
let last = 0;

export const messages = signal<Message[]>([]);
export const mustSignIn = signal(false);

export function tell(text: string, kind: Message["kind"] = "done"): void {
  const id = ++last;
  messages.value = [...messages.value, { id, text, kind }].slice(-MOST);
  setTimeout(() => dismiss(id), SHOWN_MS[kind]);
}

export function dismiss(id: number): void {
  messages.value = messages.value.filter((message) => message.id !== id);
}

/** Resolves once the reader has signed in. */
export function untilSignedIn(): Promise<void> {
  mustSignIn.value = true;
  return new Promise((done) => {
    const end = mustSignIn.subscribe((must) => {
      if (must) return;
      end();
      done();
    });
  });
}

/** Does something that may fail; says so, with what was tried, and answers undefined then. */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return undefined;
    if (error instanceof ApiError && error.status === 401) mustSignIn.value = true;
    else tell(`${what}. ${error instanceof Error ? error.message : String(error)}`, "problem");
    return undefined;
  }
}
