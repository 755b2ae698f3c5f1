/** What is drawn above the film, from what is known and chosen; each part is made anew only when it changes. */

import { computed } from "@preact/signals";

import type { Film } from "../api/types";
import { draft, drawn, touched } from "../state/correction";
import { film, heat, lungs, modelMask, picture, readersMask } from "../state/film";
import { settings } from "../state/settings";
import * as view from "../state/view";
import { heatCanvas } from "./heat";
import { length } from "./measure";
import {
  boxes,
  fillDraft,
  MEASURED,
  MODEL,
  type Outline,
  outline,
  outlineOf,
  type Scene,
} from "./paint";
import { type Regions, regions } from "./regions";

const HALF = 128; // between outside, 0, and inside, 255

const size = computed(() => picture.value?.viewing ?? null);

const tinted = computed(() => (heat.value ? heatCanvas(heat.value) : null));

const modelOutline = computed(() => {
  const [mask, film] = [modelMask.value, size.value];
  return mask && film ? outline(mask, HALF, film.columns, film.rows) : null;
});

const lungsOutline = computed(() => {
  const [labels, film] = [lungs.value, size.value];
  return labels && film ? outline(labels, 1, film.columns, film.rows) : null; // 1 and 2 are lungs
});

const readersOutline = computed(() => {
  const [mask, film] = [readersMask.value, size.value];
  return mask && film ? outline(mask, HALF, film.columns, film.rows) : null;
});

/** The regions at the threshold that is tried out; null while none is, or without a map. */
export const triedRegions = computed<Regions | null>(() => {
  const [map, threshold, point] = [heat.value, view.tried.value, film.value?.operating_point];
  if (!map || threshold === null || !point) return null;
  return regions(map, level(threshold), point);
});

const triedOutline = computed(() => {
  const [found, threshold, film] = [triedRegions.value, view.tried.value, size.value];
  if (!found || threshold === null || !film) return null;
  return outline(found.kept, level(threshold), film.columns, film.rows);
});

const draftCanvas = computed(() => {
  const mask = draft.value;
  return mask ? new OffscreenCanvas(mask.width, mask.height) : null;
});

const filled = computed(() => {
  const [mask, canvas] = [draft.value, draftCanvas.value];
  const box = drawn.value ? touched.value : null;
  if (!mask || !canvas) return null;
  fillDraft(canvas, mask, box);
  return { canvas }; // anew each time, so that what uses it is told
});

function level(threshold: number): number {
  return Math.min(255, Math.max(1, Math.ceil(threshold * 255)));
}

function outlines(): Outline[] {
  if (view.overlaysHidden.value) return [];
  const below =
    settings.value.lungs && lungsOutline.value ? [outlineOf.lungs(lungsOutline.value)] : [];
  return settings.value.contour ? [...below, ...contours()] : below;
}

function contours(): Outline[] {
  const found: Outline[] = [];
  const instances = film.value?.finding?.instances ?? [];
  if (instances.length) found.push(outlineOf.model(boxes(instances.map((one) => one.box)), true));
  const others =
    draft.value !== null || readersOutline.value !== null || triedOutline.value !== null;
  if (modelOutline.value) found.push(outlineOf.model(modelOutline.value, others));
  if (readersOutline.value && !draft.value) found.push(outlineOf.reader(readersOutline.value));
  if (triedOutline.value) found.push(outlineOf.tried(triedOutline.value));
  return found;
}

function measured(facts: Film): Scene["lines"] {
  return view.lines.value.map((line) => ({ line, label: length(line, facts), colour: MEASURED }));
}

/** The distances that the service took for the guidelines' sizes. */
function distances(facts: Film): Scene["lines"] {
  if (view.overlaysHidden.value || !settings.value.distances) return [];
  return (facts.finding?.extents ?? []).flatMap(({ lines }) =>
    lines.map(({ start, end, mm }) => ({
      line: [
        [start[1], start[0]],
        [end[1], end[0]],
      ] as const,
      label: `${mm.toFixed(0)} mm`,
      colour: MODEL,
    })),
  );
}

/** All but where the film lies on the stage. */
export function scene(): Omit<Scene, "affine" | "size" | "brush"> | null {
  const [shown, facts] = [size.value, film.value];
  if (!shown || !facts) return null;
  const { heat: warm, opacity } = settings.value;
  const canvas = warm && !view.overlaysHidden.value ? tinted.value : null;
  return {
    film: [shown.columns, shown.rows],
    heat: canvas ? { canvas, opacity } : null,
    draft: filled.value?.canvas ?? null,
    outlines: outlines(),
    lines: [...distances(facts), ...measured(facts)],
    crosshair: view.crosshair.value,
  };
}
