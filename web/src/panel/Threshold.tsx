import type { Film, OperatingPoint } from "../api/types";
import { triedRegions } from "../film/layers";
import { percent } from "../film/measure";
import * as view from "../state/view";

/** Tries another pixel threshold on this film, and says what would change. */
export function Threshold({ film }: { film: Film }) {
  const own = film.operating_point?.pixel_threshold;
  if (own === undefined) return null;
  const value = view.tried.value ?? own;
  return (
    <div class="threshold">
      <div class="asked">
        <label for="threshold">What if the pixel threshold were</label>
        <output for="threshold">{level(value)}</output>
      </div>
      <input
        id="threshold"
        type="range"
        min={0.02}
        max={0.98}
        step={0.01}
        value={value}
        onInput={(event) => {
          view.tried.value = event.currentTarget.valueAsNumber;
        }}
      />
      <p class="meaning" role="status">
        {view.tried.value === null ? `The model's own is ${level(own)}.` : change(film)}
      </p>
      {view.tried.value !== null && (
        <button
          type="button"
          class="plain"
          onClick={() => {
            view.tried.value = null;
          }}
        >
          Back to {level(own)}
        </button>
      )}
    </div>
  );
}

/** A threshold; a relative one may be tiny on a film of a low score, and is never told as none. */
export function level(threshold: number): string {
  return threshold > 0 && threshold < 0.005 ? "< 0.01" : threshold.toFixed(2);
}

function change(film: Film): string {
  const { finding, operating_point: point } = film;
  const found = triedRegions.value;
  if (!found || !finding || finding.probability === null || !point) return "";
  const regions = found.count === 1 ? "1 region" : `${found.count} regions`;
  const size = `${regions}, ${percent(found.areaFraction, 1)} of the film (now ${percent(finding.area_fraction ?? 0, 1)}).`;
  const suspected = finding.probability >= point.presence_probability;
  if (!suspected) return `${size} The film would stay unsuspected: its score is too low.`;
  const positive = found.count > 0;
  const same = positive === (finding.decision === "positive");
  if (same && found.faint) return `${size} ${faint(point)}`;
  if (same) return `${size} The decision would stay.`;
  return `${size} The film would be ${positive ? "suspected" : "called negative"}.`;
}

function faint({ top_threshold, min_top_area_fraction }: OperatingPoint): string {
  const least = `${(100 * min_top_area_fraction).toPrecision(2)} %`;
  return `The film would stay unsuspected: less than ${least} of it reaches ${top_threshold?.toFixed(2)}.`;
}
