import type { Film, Lesion } from "../api/types";
import { onStage } from "../film/actions";
import { area } from "../film/measure";
import * as view from "../state/view";

/** The regions, largest first; choosing one brings it to the middle. */
export function Lesions({ film }: { film: Film }) {
  const lesions = film.finding?.lesions ?? [];
  if (lesions.length === 0) return null;
  return (
    <section class="lesions">
      <h3>{lesions.length === 1 ? "Region" : `${lesions.length} regions`}</h3>
      <ol>
        {lesions.map((lesion, i) => (
          <li key={lesion.box.join()}>
            <button
              type="button"
              onClick={() => onStage(() => centre(lesion))}
              title="Show it in the middle"
            >
              <span class="number">{i + 1}</span>
              <span class="side">{lesion.side}</span>
              <span class="area">{area(lesion.area_mm2, lesion.area_fraction)}</span>
              <span class="peak">peak {lesion.peak_probability.toFixed(2)}</span>
              <span class="extent">{extent(lesion, film)}</span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

function extent({ box: [top, left, bottom, right] }: Lesion, film: Film): string {
  const trusted = film.spacing_basis === "calibrated" || film.spacing_basis === "detector";
  if (!trusted || !film.spacing_mm) return `${right - left} × ${bottom - top} px`;
  const [row, column] = film.spacing_mm;
  const size = `${((right - left) * column).toFixed(0)} × ${((bottom - top) * row).toFixed(0)} mm`;
  return film.spacing_basis === "detector" ? `${size} at detector` : size;
}

function centre({ box: [top, left, bottom, right] }: Lesion): void {
  const stage = view.stage.value;
  if (!stage) return;
  stage.fit();
  stage.zoom(2);
  stage.centre([(left + right) / 2, (top + bottom) / 2]);
}
