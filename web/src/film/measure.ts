/** Lengths and areas, with their units said; never in mm where the spacing is not believable. */

import type { Film } from "../api/types";
import type { Line } from "../state/view";

type Spaced = Pick<Film, "spacing_mm" | "spacing_basis">;

/** What a length on this film rests on, in a few words. */
export function unitOf({ spacing_mm, spacing_basis }: Spaced): string {
  if (spacing_mm && spacing_basis === "calibrated") return "mm, calibrated to the patient";
  if (spacing_mm && spacing_basis === "detector") return "mm at the detector, not the patient";
  if (spacing_basis === "implausible") return "px: its spacing is not believable";
  return "px: it states no spacing";
}

/** A line's length, as a label. */
export function length([from, to]: Line, film: Spaced): string {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  const spacing = trusted(film);
  if (!spacing) return `${Math.hypot(dx, dy).toFixed(0)} px`;
  const mm = Math.hypot(dx * spacing[1], dy * spacing[0]);
  return `${mm.toFixed(1)} mm${film.spacing_basis === "detector" ? " at detector" : ""}`;
}

export function area(mm2: number | null, fraction: number | null): string {
  const share = fraction === null ? "" : percent(fraction, 1);
  if (mm2 === null) return `${share} of the film`;
  return `${(mm2 / 100).toFixed(1)} cm² · ${share} of the film`;
}

/** A share as per cent; what rounds to nothing, but is something, is said to be less than the smallest step. */
export function percent(share: number, digits = 0): string {
  const step = 10 ** -digits;
  if (share > 0 && share * 100 < step / 2) return `< ${step.toFixed(digits)} %`;
  return `${(share * 100).toFixed(digits)} %`;
}

function trusted({ spacing_mm, spacing_basis }: Spaced): [number, number] | null {
  return spacing_basis === "calibrated" || spacing_basis === "detector" ? spacing_mm : null;
}
