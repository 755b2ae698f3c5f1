import type { ModelCard } from "../api/types";
import { percent } from "../film/measure";
import { score } from "../list/words";
import { Dialog } from "./Dialog";

const moved = (prevalence: number | null) =>
  prevalence === null ? "" : `; moved to where ${percent(prevalence)} are`;

/** What the model is, and is not. */
export function ModelDialog({ card, onClose }: { card: ModelCard; onClose: () => void }) {
  const { operating_point: point, calibration } = card;
  const facts: [string, string][] = [
    ["Looks for", `${card.target.name} (${card.target.scheme} ${card.target.code})`],
    ["Intended use", card.intended_use],
    ["Licence", card.licence],
    ["Made", new Date(card.created).toLocaleDateString(undefined, { dateStyle: "long" })],
    [
      "Operating point",
      `suspected from ${score(point.presence_probability, calibration !== null)}, pixels from ${point.pixel_threshold.toFixed(2)}${point.relative ? " of the film's score" : ""}; aim: ${point.aim}; chosen on ${point.fitted_on} films`,
    ],
    [
      "Calibration",
      calibration
        ? `${calibration.kind}, on ${calibration.films} ${calibration.fitted_on} films, ${percent(calibration.positives / calibration.films)} of them positive${moved(calibration.prevalence)}`
        : "none: scores rank films and are not chances of disease",
    ],
    ["Runs on", card.runtime],
    ["SHA-256", card.sha256],
  ];
  return (
    <Dialog title={`${card.name} ${card.version}`} onClose={onClose}>
      <dl class="card">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
