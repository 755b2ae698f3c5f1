import type { Film } from "../api/types";
import * as view from "../state/view";

/** R and L at the film's sides, wherever those are now. */
export function SideMarkers({ film }: { film: Film }) {
  const ends = film.image_left === "right" ? ["R", "L"] : ["L", "R"];
  const quarter = Math.round(view.rotation.value / 90) % 4;
  const mirrored = view.flipped.value;
  const places = ["left", "top", "right", "bottom"];
  const first = (mirrored ? 2 : 0) + quarter; // where the image's left edge has gone
  const assumed = film.side_basis === "convention";
  const why = assumed
    ? "Side assumed from the display convention"
    : "Side as the file's header says";
  return (
    <>
      {ends.map((end, i) => (
        <span key={end} class={`marker ${places[(first + 2 * i) % 4]}`} title={why}>
          {end}
          {assumed && <small>assumed</small>}
        </span>
      ))}
    </>
  );
}
