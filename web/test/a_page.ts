/** What the state's modules reach for in a browser, and films to open in it. */

import { vi } from "vitest";

import type { Correction, Film, Finding, Viewing } from "../src/api/types";

export const VIEWING: Viewing = {
  rows: 20,
  columns: 20,
  format: "u8",
  maximum: 255,
  stage: "displayed",
  bytes: 400,
  windows: [{ name: "Film's own", center: 128, width: 256 }],
};

export const FINDING = {
  target: "Pneumothorax",
  decision: "positive",
  probability: 0.62,
  calibrated: true,
  model: "bright",
  model_version: "1",
  model_sha256: "aaaa",
} as Finding;

export function film(id: string, change: Partial<Film> = {}): Film {
  const known = { id, revision: 1, name: id, state: "positive", read: true, verdict: null };
  return { ...known, viewing: VIEWING, finding: FINDING, pictures: [], ...change } as Film;
}

export function reading(number: number, change: Partial<Correction> = {}): Correction {
  const said = { number, film: "a", verdict: "accepted", comment: "", reader: "", identity: null };
  return { ...said, has_mask: false, time: "2026-11-21T20:44:00Z", ...change } as Correction;
}

type Heard = (event: { data: string; lastEventId: string }) => void;

/** The live channel, of which a test tells. */
export class Channel {
  static readonly CLOSED = 2;
  static latest: Channel;
  static opened = 0;
  readyState = 1;
  onopen?: () => void;
  onerror?: () => void;
  private readonly heard = new Map<string, Heard>();

  constructor(readonly address: string) {
    Channel.latest = this;
    Channel.opened++;
  }

  addEventListener(name: string, heard: Heard): void {
    this.heard.set(name, heard);
  }

  tell(name: string, data: object, revision = "revision" in data ? data.revision : 1): void {
    this.heard.get(name)?.({ data: JSON.stringify(data), lastEventId: String(revision) });
  }

  close(): void {
    this.readyState = Channel.CLOSED;
  }

  refuse(): void {
    this.close();
    this.onerror?.();
  }
}

const newPage = () => Object.assign(new EventTarget(), { visibilityState: "visible" });
let page = newPage();

/** Shows the page, or hides it behind another tab. */
export function turn(to: "visible" | "hidden"): void {
  page.visibilityState = to;
  page.dispatchEvent(new Event("visibilitychange"));
}

/** Answers requests by their path, the latest answers first; a function is given the request. */
export function answering(answers: Record<string, unknown>): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string, request: RequestInit) => {
    asked.push(path);
    const [, answer] = Object.entries(answers).find(([end]) => path.split("?")[0] === end) ?? [];
    if (answer === undefined) return new Response('{"title": "none"}', { status: 404 });
    if (typeof answer === "function") return answer(request);
    if (answer instanceof Blob) return new Response(answer);
    return new Response(JSON.stringify(answer));
  });
  return asked;
}

export function browser(): void {
  vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
  vi.stubGlobal("EventSource", Channel);
  page = newPage();
  vi.stubGlobal("document", page);
}

/** An answer of the service that says no. */
export function refusal(status: number, detail: string): Response {
  return new Response(JSON.stringify({ title: "No", status, detail }), { status });
}

/** Until what was asked has been answered. */
export function settled(): Promise<void> {
  return new Promise((done) => setTimeout(done, 20));
}
