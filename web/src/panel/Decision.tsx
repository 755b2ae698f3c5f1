import type { Film } from "../api/types";
import { area } from "../film/measure";

const BASIS = {
  orientation: "side as the file's header says",
  convention: "side assumed from the display convention",
};

/** The answer, in a few words, and why. */
export function Decision({ film }: { film: Film }) {
  const { finding } = film;
  return (
    <section class={`decision ${film.state}`} aria-live="polite">
      <h2>{headline(film)}</h2>
      {finding?.side && finding.side_basis && (
        <p class="where">
          <strong>
            {finding.side === "bilateral" ? "Both sides" : `Patient's ${finding.side}`}
          </strong>
          {area(finding.area_mm2, finding.area_fraction)}
          <small>{BASIS[finding.side_basis]}</small>
        </p>
      )}
      <p class="reason">{because(film)}</p>
    </section>
  );
}

function because({ state, reason }: Film): string | null {
  if (state === "declined") return `Declined, because: ${reason ?? ""}`;
  return state === "failed" ? `Unreadable, because ${reason ?? "it is damaged"}` : reason;
}

function headline(film: Film): string {
  const target = film.finding?.target ?? "Pneumothorax";
  if (film.state === "positive") return `${target} suspected`;
  if (film.state === "negative") return `No ${target.toLowerCase()} found`;
  if (film.state === "declined") return "Not judged";
  return film.state === "failed" ? "File cannot be used" : "Waiting";
}
