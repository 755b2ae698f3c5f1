import * as api from "../api/client";
import type { Film } from "../api/types";
import { area } from "../film/measure";
import { score } from "../list/words";
import { attempt } from "../state/messages";
import { card, judgedByAnother } from "../state/service";

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
      <Again film={film} />
    </section>
  );
}

/** A second look where one may come out otherwise: at a file that failed, or by the model there is now. */
function Again({ film }: { film: Film }) {
  const another = judgedByAnother(film);
  if (!another && film.state !== "failed") return null;
  const judge = () => attempt("It cannot be judged again", () => api.judge(film.id));
  return (
    <p class="again">
      {another && film.finding && `By ${film.finding.model} ${film.finding.model_version}. `}
      <button type="button" onClick={judge}>
        {another && card.value
          ? `Judge again by ${card.value.name} ${card.value.version}`
          : "Try again"}
      </button>
    </p>
  );
}

/** Why, on the scale that the page shows: of a calibrated finding that is not the score, of which the service speaks. */
export function because({ state, reason, finding, operating_point: point }: Film): string | null {
  if (state === "declined") return `Declined, because: ${reason ?? ""}`;
  if (state === "failed") return `Unreadable, because ${reason ?? "it is damaged"}`;
  if (!finding?.calibrated || !point || point.top_threshold !== null) return reason;
  const below = (finding.probability ?? 0) < point.presence_probability;
  if (below || finding.decision === "positive") return null; // the scale shows it
  return `Its probability reaches ${score(point.presence_probability, true)}, but no region is large enough.`;
}

function headline(film: Film): string {
  const target = film.finding?.target ?? "Pneumothorax";
  if (film.state === "positive") return `${target} suspected`;
  if (film.state === "negative") return `No ${target.toLowerCase()} found`;
  if (film.state === "declined") return "Not judged";
  return film.state === "failed" ? "File cannot be used" : "Waiting";
}
