import type { Film, Finding } from "../api/types";
import { percent } from "../film/measure";
import { score } from "../list/words";
import { card, isOfCard } from "../state/service";

/** The score on a scale, with the point from which a film is called, and what it means. */
export function Probability({ film }: { film: Film }) {
  const { finding, operating_point: point } = film;
  if (!finding || finding.probability === null || !point) return null;
  const called = point.presence_probability;
  const value = finding.probability;
  return (
    <section class="probability">
      <div class="figures">
        <h3>{finding.calibrated ? "Probability" : "Score"}</h3>
        <output class="value">{score(value, finding.calibrated)}</output>
      </div>
      <div
        class="scale"
        role="img"
        aria-label={`${score(value, finding.calibrated)}; suspected from ${score(called, finding.calibrated)}`}
      >
        <span class="filled" style={{ width: `${100 * value}%` }} />
        <span class="called" style={{ left: `${100 * called}%` }} />
      </div>
      <p class="meaning">
        Suspected from {score(called, finding.calibrated)}. {meaning(finding, value)}
      </p>
    </section>
  );
}

/** What a probability means, in words; the card speaks for its own model alone. */
export function meaning(finding: Finding, value: number): string {
  if (!finding.calibrated) return "Not calibrated: it ranks films and is not a chance of disease.";
  const had = `Of 100 films that score so, about ${Math.round(100 * value)} had one in the calibration set`;
  if (!isOfCard(finding))
    return `${had} of ${finding.model} ${finding.model_version}, which judged this film.`;
  const calibration = card.value?.calibration;
  if (!calibration) return `${had}.`;
  const share = calibration.prevalence ?? calibration.positives / calibration.films;
  return `${had}, where ${percent(share)} of all films had one.`;
}
