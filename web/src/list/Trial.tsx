import type { AtThreshold, Film, ModelCard } from "../api/types";
import { film } from "../state/film";
import { card, isOfCard } from "../state/service";
import { change, endTrial, presence, trying, tryPresence } from "../state/trial";
import { ask, query } from "../state/worklist";
import { focus } from "../ui/focus";
import { score } from "./words";

/** Tries another presence threshold on the list, and says what would change. */
export function Trial() {
  const model = card.value;
  if (!trying.value || !model) return null;
  const own = model.operating_point.presence_probability;
  const calibrated = model.calibration !== null;
  const only = query.value.changesAt !== null;
  return (
    <div class="trial">
      <div class="asked">
        <label for="presence">What if suspected began at</label>
        <output for="presence">{score(presence.value ?? own, calibrated)}</output>
      </div>
      <input
        id="presence"
        type="range"
        min={0.01}
        max={0.99}
        step={0.01}
        value={presence.value ?? own}
        onInput={(event) => tryPresence(event.currentTarget.valueAsNumber)}
      />
      <p class="meaning" role="status">
        {presence.value === null
          ? `${ownOf(model, film.value)} Nothing tried here is kept.`
          : change.value && told(change.value)}
      </p>
      <div class="ends">
        <button
          type="button"
          class="chip"
          aria-pressed={only}
          disabled={presence.value === null}
          onClick={() => ask({ changesAt: only ? null : presence.value })}
        >
          Only those that change
        </button>
        <button
          type="button"
          class="plain"
          onClick={() => {
            focus("rows");
            endTrial();
          }}
        >
          End the trial
        </button>
      </div>
    </div>
  );
}

/** From where the model suspects, and from where another did that judged the open film. */
export function ownOf(model: ModelCard, open: Film | null): string {
  const { name, version, operating_point, calibration } = model;
  const point = score(operating_point.presence_probability, calibration !== null);
  const own = `${name} ${version} suspects from ${point}.`;
  const [finding, its] = [open?.finding, open?.operating_point];
  if (!finding || !its || isOfCard(finding)) return own;
  const theirs = score(its.presence_probability, finding.calibrated);
  return `${own} The open film was judged by ${finding.model} ${finding.model_version}, from ${theirs}.`;
}

/** What would change, in words. */
export function told({ judged, positive, would, gained, lost, unknown }: AtThreshold): string {
  const films = `${would} of ${judged} ${judged === 1 ? "film" : "films"} would be suspected`;
  const moved = [gained && `${gained} more`, lost && `${lost} fewer`].filter(Boolean).join(", ");
  const now = `now ${positive}${moved && ` (${moved})`}.`;
  return `${films}, ${now}${unknown ? ` Not known of ${unknown}: no map was made.` : ""}`;
}
