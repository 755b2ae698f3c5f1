import * as view from "../state/view";

/** One pixel of the film on one of the screen. */
export function fullResolution(): void {
  const stage = view.stage.value;
  if (stage) stage.zoom(1 / (stage.scale * devicePixelRatio));
}
