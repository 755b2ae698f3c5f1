/** A film's row, in words. */

import type { State, Summary } from "../api/types";
import { percent } from "../film/measure";

export const STATES: Record<State, string> = {
  waiting: "Waiting",
  positive: "Suspected",
  negative: "Not suspected",
  declined: "Declined",
  failed: "Unreadable",
};

/** Sex and age, view and modality: what is known. */
export function facts(film: Summary): string {
  const age = film.age_years === null ? "" : `${Math.floor(film.age_years)} y`;
  const person = [film.sex, age].filter(Boolean).join(" ");
  return [person, film.view, film.modality].filter(Boolean).join(" · ");
}

const END = 8;

/** A name in what may be cut short and what may not: those of files and instances often differ at the end only. */
export function parted(name: string): [start: string, end: string] {
  return name.length > 2 * END ? [name.slice(0, -END), name.slice(-END)] : [name, ""];
}

/** When a film came in, as the reader's clock has it. */
export function received(film: Summary): string {
  return new Date(film.received).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
}

export function verdict(film: Summary): string {
  if (film.verdict === "accepted") return "Agreed";
  if (film.verdict === "rejected") return "Disagreed";
  return film.verdict === "corrected" ? "Corrected" : "";
}

/** The score as the service means it: per cent where it is a probability, else a bare number. */
export function score(probability: number | null, calibrated: boolean | null): string {
  if (probability === null) return "";
  return calibrated ? percent(probability) : probability.toFixed(2);
}
