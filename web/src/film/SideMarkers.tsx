import type { Film } from "../api/types";
import * as view from "../state/view";

type Place = "left" | "top" | "right" | "bottom";
const CLOCKWISE: Place[] = ["left", "top", "right", "bottom"];

/** To where a film's rows and columns run: as it was judged, where it lies turned. */
export function orientation(film: Film): [string, string] {
  const rows = film.image_left === "right" ? "L" : "R";
  return film.finding?.patient_orientation ?? [rows, "F"];
}

/** Where the patient's right and left lie on a film that is mirrored, and then turned clockwise. */
export function sides(
  [rows, columns]: [string, string],
  rotation: number,
  mirrored: boolean,
): [end: string, Place][] {
  const right = { L: 0, R: 2 }[rows] ?? { L: 1, R: 3 }[columns] ?? 0; // of CLOCKWISE, on the film itself
  const swapped = mirrored && right % 2 === 0 ? 2 : 0;
  const first = right + swapped + Math.round(rotation / 90);
  return ["R", "L"].map((end, i) => [end, CLOCKWISE[(first + 2 * i) % 4] as Place]);
}

/** R and L at the film's sides, wherever those are now; none on what is not frontal, nor assumed on what may not be. */
export function SideMarkers({ film }: { film: Film }) {
  if (film.view === "lateral" || film.view === "other") return null;
  const assumed = (film.finding?.side_basis ?? film.side_basis) === "convention";
  if (assumed && film.finding?.decision === "declined") return null;
  const why = assumed
    ? "Side assumed from the display convention"
    : "Side as the file's header says";
  return (
    <>
      {sides(orientation(film), view.rotation.value, view.flipped.value).map(([end, place]) => (
        <span key={end} class={`marker ${place}`} title={why}>
          {end}
          {assumed && <small>assumed</small>}
        </span>
      ))}
    </>
  );
}
