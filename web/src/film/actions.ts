import * as view from "../state/view";

/** One pixel of the film on one of the screen. */
export function fullResolution(): void {
  const stage = view.stage.value;
  if (stage) stage.zoom(1 / (stage.scale * devicePixelRatio));
}

/** Does something with the film once it is shown: narrow screens may show another part of the page. */
export function onStage(act: () => void): void {
  view.pane.value = "film";
  requestAnimationFrame(act);
}
