import type { Film, Side } from "../api/types";
import * as view from "../state/view";

type Place = "left" | "top" | "right" | "bottom";
const CLOCKWISE: Place[] = ["left", "top", "right", "bottom"];

/** Where the patient's right and left lie on a film that is mirrored, and then turned clockwise. */
export function sides(
  imageLeft: Side,
  rotation: number,
  mirrored: boolean,
): [end: string, Place][] {
  const ends = imageLeft === "right" ? ["R", "L"] : ["L", "R"];
  const quarter = Math.round(rotation / 90) % 4;
  const first = (mirrored ? 2 : 0) + quarter; // where the image's left edge has gone
  return ends.map((end, i) => [end, CLOCKWISE[(first + 2 * i) % 4] as Place]);
}

/** R and L at the film's sides, wherever those are now. */
export function SideMarkers({ film }: { film: Film }) {
  const assumed = film.side_basis === "convention";
  const why = assumed
    ? "Side assumed from the display convention"
    : "Side as the file's header says";
  return (
    <>
      {sides(film.image_left, view.rotation.value, view.flipped.value).map(([end, place]) => (
        <span key={end} class={`marker ${place}`} title={why}>
          {end}
          {assumed && <small>assumed</small>}
        </span>
      ))}
    </>
  );
}
