import type { AtThreshold } from "../api/types";
import { card } from "../state/service";
import { change, endTrial, presence, trying, tryPresence } from "../state/trial";
import { ask, query } from "../state/worklist";
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
          ? `The model's own is ${score(own, calibrated)}. Nothing tried here is kept.`
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
        <button type="button" class="plain" onClick={endTrial}>
          Back to {score(own, calibrated)}
        </button>
      </div>
    </div>
  );
}

/** What would change, in words. */
export function told({ judged, positive, would, gained, lost, unknown }: AtThreshold): string {
  const films = `${would} of ${judged} ${judged === 1 ? "film" : "films"} would be suspected`;
  const moved = [gained && `${gained} more`, lost && `${lost} fewer`].filter(Boolean).join(", ");
  const now = `now ${positive}${moved && ` (${moved})`}.`;
  return `${films}, ${now}${unknown ? ` Not known of ${unknown}: no map was made.` : ""}`;
}
