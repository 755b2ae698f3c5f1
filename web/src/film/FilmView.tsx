import { effect, untracked } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { draft } from "../state/correction";
import { film, loading, openAgain, opened, picture, unopened } from "../state/film";
import { attempt } from "../state/messages";
import { settings } from "../state/settings";
import * as view from "../state/view";
import { stageKey } from "./arrows";
import { Corners } from "./Corners";
import type { Point } from "./geometry";
import { scene } from "./layers";
import { paint } from "./paint";
import { brushRadius, listen } from "./pointer";
import type { Look, Stage } from "./stage";
import { Toolbar } from "./Toolbar";

/** The film with all that lies above it. */
export function FilmView() {
  const box = useRef<HTMLDivElement>(null);
  const layer = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const ending = mount(box.current as HTMLDivElement, layer.current as HTMLCanvasElement);
    return () => void ending.then((end) => end?.());
  }, []);
  return (
    <main class="film" aria-label="Film">
      <Toolbar />
      <div
        class={`stage ${view.tool.value}`}
        id="stage"
        tabIndex={0}
        role="application"
        aria-label={film.value ? `Film ${film.value.name}` : "No film"}
        aria-describedby="stage-help"
        onKeyDown={stageKey}
      >
        <div class="pixels" ref={box} hidden={!picture.value} />
        <canvas class="layer" ref={layer} />
        {picture.value && film.value && <Corners film={film.value} />}
        <Instead />
      </div>
      <p id="stage-help" class="hidden">
        Arrow keys move the film, or the crosshair while measuring or drawing. With Shift they set
        window and level. Question mark lists all keys.
      </p>
    </main>
  );
}

/** What is said where there is no film to show. */
function Instead() {
  if (picture.value) return null;
  if (!opened.value)
    return <p class="instead">Choose a film from the worklist, or drop files anywhere.</p>;
  if (loading.value) return <p class="instead quiet">Opening …</p>;
  if (unopened.value) return <Unopened />;
  const { state, name } = film.value ?? {};
  if (state === "waiting")
    return <p class="instead">{name} waits to be judged. It is shown as soon as it is.</p>;
  if (state === "failed") return <p class="instead">{name} cannot be shown.</p>;
  return null;
}

function Unopened() {
  return (
    <div class="instead">
      <p>The film could not be opened.</p>
      <button type="button" onClick={() => void openAgain()}>
        Try again
      </button>
    </div>
  );
}

async function mount(
  box: HTMLDivElement,
  layer: HTMLCanvasElement,
): Promise<(() => void) | undefined> {
  const made = await attempt("The viewer cannot start", () => import("./stage"));
  if (!made) return undefined;
  let hover: Point | null = null;
  let asked = 0;
  const repaint = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => draw(stage, layer, hover));
  };
  const stage: Stage = new made.Stage(box, () => {
    view.scale.value = stage.scale;
    repaint();
  });
  view.stage.value = stage;
  const endings = [
    listen(box.parentElement as HTMLElement, stage, (place) => {
      hover = place;
      if (isDrawing()) repaint();
    }),
    effect(() => {
      const film = picture.value;
      if (film) void stage.show(film, untracked(look));
    }),
    effect(() => stage.setLook(look())),
    effect(() => {
      view.tool.value;
      settings.value.brush;
      scene();
      repaint();
    }),
  ];
  return () => {
    for (const end of endings) end();
    stage.destroy();
    view.stage.value = null;
  };
}

function look(): Look {
  return {
    window: view.grey.value,
    inverted: view.inverted.value,
    rotation: view.rotation.value,
    flipped: view.flipped.value,
  };
}

function isDrawing(): boolean {
  return draft.value !== null && (view.tool.value === "brush" || view.tool.value === "eraser");
}

function draw(stage: Stage, layer: HTMLCanvasElement, hover: Point | null): void {
  const shown = scene();
  const size: Point = [layer.clientWidth, layer.clientHeight];
  if (!shown || !stage.shows) {
    layer.getContext("2d")?.clearRect(0, 0, layer.width, layer.height);
    return;
  }
  const at = view.crosshair.value ?? hover;
  const brush = at && isDrawing() ? { at, radius: brushRadius() } : null;
  paint(layer, { ...shown, affine: stage.affine(), size, brush });
}
