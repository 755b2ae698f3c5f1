import type { Film } from "../api/types";
import { heat, toggleLungs } from "../state/film";
import { set, settings } from "../state/settings";
import { Threshold } from "./Threshold";

/** What is drawn above the film. */
export function Layers({ film }: { film: Film }) {
  const { contour, heat: warm, opacity, distances, lungs } = settings.value;
  const measured = film.finding?.extents.some((extent) => extent.lines.length > 0);
  return (
    <section class="layers">
      <h3>Overlay</h3>
      <div class="switches">
        <label>
          <input type="checkbox" checked={contour} onChange={() => set({ contour: !contour })} />
          Contour
        </label>
        <label class={heat.value ? "" : "off"}>
          <input
            type="checkbox"
            checked={warm}
            disabled={!heat.value}
            onChange={() => set({ heat: !warm })}
          />
          Heat map
        </label>
        <input
          type="range"
          aria-label="Cover of the heat map"
          min={0.1}
          max={1}
          step={0.05}
          value={opacity}
          disabled={!heat.value || !warm}
          onInput={(event) => set({ opacity: event.currentTarget.valueAsNumber })}
        />
        {measured && (
          <label>
            <input
              type="checkbox"
              checked={distances}
              onChange={() => set({ distances: !distances })}
            />
            Distances
          </label>
        )}
        {film.pictures.includes("lungs") && (
          <label>
            <input type="checkbox" checked={lungs} onChange={toggleLungs} />
            Lungs
          </label>
        )}
      </div>
      <ul class="legend" aria-label="Colours">
        <li class="model">the model</li>
        <li class="reader">reader</li>
        <li class="tried">threshold tried</li>
        {lungs && film.pictures.includes("lungs") && <li class="lungs">lungs</li>}
      </ul>
      {heat.value && film.finding?.decision !== "declined" && <Threshold film={film} />}
    </section>
  );
}
