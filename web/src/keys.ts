/** Every key the viewer knows: what is shown under `?` is what is done. */

import { fullResolution } from "./film/actions";
import * as correction from "./state/correction";
import { film, markRead, open, opened, picture, toggleLungs } from "./state/film";
import { neighbour, nextUnread } from "./state/query";
import { set, settings } from "./state/settings";
import { endTrial, toggleTrial, trying } from "./state/trial";
import * as view from "./state/view";
import { rows } from "./state/worklist";
import { focus } from "./ui/focus";

export interface Key {
  /** As `KeyboardEvent.key` has it, with `Ctrl+` before it; the first is the one shown. */
  keys: string[];
  does: string;
  run: () => void;
  /** Whether it goes on while the key is held; what saves or toggles is done once. */
  repeats?: boolean;
}

export interface Group {
  title: string;
  keys: Key[];
}

export const help = { toggle: () => {} };

const ZOOM = 1.25;

export const GROUPS: Group[] = [
  {
    title: "Films",
    keys: [
      { keys: ["j", "ArrowDown"], does: "Next film", run: () => go(1), repeats: true },
      { keys: ["k", "ArrowUp"], does: "Film before", run: () => go(-1), repeats: true },
      {
        keys: ["n"],
        does: "Next unread film",
        run: () => openRow(nextUnread(rows.value, opened.value)?.id),
      },
      { keys: ["u"], does: "Mark read or unread", run: toggleRead },
      { keys: ["p"], does: "Try another threshold on the list", run: tryOnList },
      { keys: ["/"], does: "Search", run: () => focus("search") },
    ],
  },
  {
    title: "Viewing",
    keys: [
      { keys: ["w"], does: "Window and level", run: () => take("window") },
      { keys: ["v"], does: "Move", run: () => take("pan") },
      { keys: ["z"], does: "Zoom", run: () => take("zoom") },
      { keys: ["+", "="], does: "Zoom in", run: () => view.stage.value?.zoom(ZOOM), repeats: true },
      { keys: ["-"], does: "Zoom out", run: () => view.stage.value?.zoom(1 / ZOOM), repeats: true },
      { keys: ["f"], does: "Fit to the window", run: () => view.stage.value?.fit() },
      { keys: ["o"], does: "Full resolution", run: fullResolution },
      { keys: ["i"], does: "Invert grey", run: () => flip(view.inverted) },
      { keys: ["h"], does: "Mirror", run: () => flip(view.flipped) },
      { keys: ["r"], does: "Turn by 90°", run: () => view.turn(90) },
      { keys: ["m"], does: "Measure: space bar sets both ends", run: () => take("length") },
      { keys: ["s"], does: "Go to the film, for arrow keys", run: () => focus("stage") },
      ...Array.from({ length: 9 }, (_, i) => ({
        keys: [String(i + 1)],
        does: i === 0 ? "Window presets, 1 to 9" : "",
        run: () => preset(i),
      })),
    ],
  },
  {
    title: "Overlay",
    keys: [
      { keys: ["c"], does: "Contour", run: () => set({ contour: !settings.value.contour }) },
      { keys: ["t"], does: "Heat map", run: () => set({ heat: !settings.value.heat }) },
      { keys: ["l"], does: "Lungs", run: () => void toggleLungs() },
      { keys: [" "], does: "All overlays away, and back", run: () => flip(view.overlaysHidden) },
      { keys: [","], does: "Lower pixel threshold", run: () => tryThreshold(-0.05), repeats: true },
      { keys: ["."], does: "Higher pixel threshold", run: () => tryThreshold(0.05), repeats: true },
    ],
  },
  {
    title: "Your reading",
    keys: [
      { keys: ["a"], does: "Agree", run: () => unlessDrawing(() => correction.save("accepted")) },
      {
        keys: ["x"],
        does: "Disagree",
        run: () => unlessDrawing(() => correction.save("rejected")),
      },
      { keys: ["b"], does: "Brush: space bar puts it down and up", run: () => draw("brush") },
      { keys: ["e"], does: "Eraser", run: () => draw("eraser") },
      { keys: ["["], does: "Smaller brush", run: () => resizeBrush(0.8), repeats: true },
      { keys: ["]"], does: "Larger brush", run: () => resizeBrush(1.25), repeats: true },
      { keys: ["Ctrl+z"], does: "Undo", run: correction.undo, repeats: true },
      { keys: ["Ctrl+y", "Ctrl+Shift+z"], does: "Redo", run: correction.redo, repeats: true },
      { keys: ["Ctrl+s"], does: "Save the mask", run: () => void correction.save("corrected") },
      { keys: ["Escape"], does: "Leave a field; drop the drawing or what is tried", run: leave },
    ],
  },
  { title: "Help", keys: [{ keys: ["?"], does: "This list", run: () => help.toggle() }] },
];

const BY_KEY = new Map(
  GROUPS.flatMap((group) => group.keys.flatMap((key) => key.keys.map((name) => [name, key]))),
);

/** The name of a pressed key, as `Key.keys` has it. */
export function nameOf(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey">,
): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!event.ctrlKey && !event.metaKey) return key;
  return `Ctrl+${event.shiftKey ? "Shift+" : ""}${key}`;
}

/** Does what a key stands for, unless something is being typed. */
export function onKey(event: KeyboardEvent): void {
  const name = nameOf(event);
  const key = BY_KEY.get(name);
  if (!key || event.altKey || event.defaultPrevented || isTyping(event.target, name)) return;
  if (name.length === 1 && !settings.value.singleKeys) return;
  event.preventDefault(); // held too: the browser has its own use for Ctrl+S
  if (!event.repeat || key.repeats) key.run();
}

function isTyping(target: EventTarget | null, name: string): boolean {
  if (document.querySelector("dialog[open]")) return name !== "?" || isField(target);
  if (!(target instanceof HTMLElement)) return false;
  if (name === " ") return target.closest("button, input, select, textarea, a") !== null;
  if (name.startsWith("Arrow") && target.closest("input, select")) return true;
  if (name === "Escape") return false;
  if (name.startsWith("Ctrl+s")) return false;
  return isField(target);
}

/** Whether keys write into it. */
function isField(target: EventTarget | null): target is HTMLElement {
  const fields = "textarea, select, input:not([type=checkbox], [type=range])";
  return target instanceof HTMLElement && target.matches(fields);
}

function go(step: number): void {
  openRow(neighbour(rows.value, opened.value, step)?.id);
}

function openRow(id: string | undefined): void {
  if (id) void open(id);
}

function toggleRead(): void {
  if (film.value) void markRead(film.value.id, !film.value.read);
}

function tryOnList(): void {
  toggleTrial();
  if (trying.value) requestAnimationFrame(() => focus("presence")); // once it is drawn
}

function take(tool: view.Tool): void {
  if (!picture.value) return;
  view.tool.value = tool;
  if (tool === "length") focus("stage");
}

function draw(tool: "brush" | "eraser"): void {
  correction.edit(tool);
  focus("stage");
}

function flip(one: { value: boolean }): void {
  if (picture.value) one.value = !one.value;
}

function preset(i: number): void {
  const choice = picture.value ? view.presets(picture.value.viewing)[i] : undefined;
  if (choice) view.grey.value = choice;
}

function tryThreshold(step: number): void {
  const own = film.value?.operating_point?.pixel_threshold;
  if (own === undefined) return;
  const next = (view.tried.value ?? own) + step;
  view.tried.value = Math.min(0.98, Math.max(0.02, next));
}

function resizeBrush(factor: number): void {
  const brush = settings.value.brush * factor;
  set({ brush: Math.min(60, Math.max(1, Math.round(factor > 1 ? brush + 0.5 : brush - 0.5))) });
}

function unlessDrawing(run: () => Promise<void>): void {
  if (!correction.editing.value) void run();
}

function leave(): void {
  const within = document.activeElement;
  if (isField(within)) within.blur();
  else if (correction.editing.value) correction.abandon();
  else if (view.tried.value !== null) view.tried.value = null;
  else endTrial();
}
