import type { Film } from "../api/types";
import { facts } from "../list/words";
import * as view from "../state/view";
import { unitOf } from "./measure";
import { SideMarkers } from "./SideMarkers";

/** What is known of the film and of how it is shown, in the corners of the stage. */
export function Corners({ film }: { film: Film }) {
  const { center, width, name } = view.grey.value;
  const turned = [
    view.inverted.value && "inverted",
    view.flipped.value && "mirrored",
    view.rotation.value > 0 && `turned ${view.rotation.value}°`,
  ].filter(Boolean);
  return (
    <>
      <div class="corner top left">
        <strong>{film.patient_id ?? film.name}</strong>
        <span>{[facts(film), film.study_date].filter(Boolean).join(" · ")}</span>
      </div>
      <div class="corner bottom left">
        <span>{name}</span>
        <span class="numbers">
          W {Math.round(width)} L {Math.round(center)}
        </span>
        {turned.length > 0 && <span class="turned">{turned.join(", ")}</span>}
      </div>
      <div class="corner bottom right">
        <span class="numbers">
          {Math.round(view.scale.value * 100)} % · {film.columns} × {film.rows}
        </span>
        <span>{unitOf(film)}</span>
      </div>
      <SideMarkers film={film} />
    </>
  );
}
