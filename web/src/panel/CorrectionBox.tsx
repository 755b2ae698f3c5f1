import { useSignal } from "@preact/signals";
import { Brush, Check, Eraser, Redo2, RotateCcw, Undo2, X } from "lucide";

import type { Correction, Finding } from "../api/types";
import { onStage } from "../film/actions";
import { percent } from "../film/measure";
import * as correction from "../state/correction";
import { film, history, opened, picture, showMaskOf, shownNumber } from "../state/film";
import { set, settings } from "../state/settings";
import * as view from "../state/view";
import { focus } from "../ui/focus";
import { Icon } from "../ui/Icon";
import { IconButton } from "../ui/IconButton";

/** Agree, disagree, or draw it better; the model's own result is kept beside it. */
export function CorrectionBox() {
  return (
    <section class="correction" aria-label="Your reading">
      <History key={opened.value} />
      {correction.editing.value ? <Drawing /> : null}
      <div class="words">
        <input
          type="text"
          id="comment"
          aria-label="Comment"
          placeholder="Comment"
          maxLength={10000}
          value={correction.comment.value}
          onInput={(event) => {
            correction.comment.value = event.currentTarget.value;
          }}
        />
        <input
          type="text"
          aria-label="Reader"
          placeholder="Your name"
          maxLength={200}
          value={settings.value.reader}
          onInput={(event) => set({ reader: event.currentTarget.value })}
        />
      </div>
      {correction.editing.value ? <SaveButtons /> : <VerdictButtons />}
    </section>
  );
}

function VerdictButtons() {
  const none = !picture.value; // nothing is said of a film not seen
  const busy = correction.saving.value; // disabled buttons would lose the focus
  return (
    <div class="verdicts">
      <button
        type="button"
        class="accept"
        disabled={none}
        aria-disabled={busy}
        aria-keyshortcuts="A"
        title="The finding is right (A)"
        onClick={() => correction.save("accepted")}
      >
        <Icon of={Check} /> Agree
      </button>
      <button
        type="button"
        class="reject"
        disabled={none}
        aria-disabled={busy}
        aria-keyshortcuts="X"
        title="The finding is wrong (X)"
        onClick={() => correction.save("rejected")}
      >
        <Icon of={X} /> Disagree
      </button>
      <button
        type="button"
        disabled={none}
        aria-keyshortcuts="B"
        title="Draw the mask (B)"
        onClick={() => {
          correction.edit();
          onStage(() => focus("stage"));
        }}
      >
        <Icon of={Brush} /> Draw
      </button>
    </div>
  );
}

function Drawing() {
  correction.drawn.value; // the mask changes in place
  const mask = correction.draft.value;
  if (!mask) return null;
  const { tool } = view;
  return (
    <div class="drawing" role="toolbar" aria-label="Drawing">
      <IconButton
        icon={Brush}
        label="Brush"
        shortcut="B"
        pressed={tool.value === "brush"}
        onClick={() => correction.edit("brush")}
      />
      <IconButton
        icon={Eraser}
        label="Eraser"
        shortcut="E"
        pressed={tool.value === "eraser"}
        onClick={() => correction.edit("eraser")}
      />
      <input
        type="range"
        aria-label="Size of the brush"
        title="Size of the brush ([ and ])"
        min={1}
        max={60}
        value={settings.value.brush}
        onInput={(event) => set({ brush: event.currentTarget.valueAsNumber })}
      />
      <IconButton
        icon={Undo2}
        label="Undo"
        shortcut="Ctrl+Z"
        disabled={!mask.canUndo}
        onClick={correction.undo}
      />
      <IconButton
        icon={Redo2}
        label="Redo"
        shortcut="Ctrl+Y"
        disabled={!mask.canRedo}
        onClick={correction.redo}
      />
      <IconButton icon={RotateCcw} label="Clear the mask" onClick={correction.clear} />
      <output class="area">{percent(mask.areaFraction, 1)}</output>
    </div>
  );
}

function SaveButtons() {
  return (
    <div class="verdicts">
      <button
        type="button"
        class="save"
        disabled={!picture.value}
        aria-disabled={correction.saving.value}
        aria-keyshortcuts="Control+S"
        title="Save the mask (Ctrl+S)"
        onClick={() => {
          focus("stage");
          void correction.save("corrected");
        }}
      >
        <Icon of={Check} /> Save the mask
      </button>
      <button
        type="button"
        title="Drop the drawing (Escape)"
        onClick={() => {
          focus("stage");
          correction.abandon();
        }}
      >
        Cancel
      </button>
    </div>
  );
}

const WHEN = { dateStyle: "medium", timeStyle: "short" } as const;
const SAID = { accepted: "agreed", rejected: "disagreed", corrected: "drew the" };

const FEW = 3;

/** What readers said, the latest first: a few of them, until all are asked for. */
function History() {
  const all = useSignal(false);
  const said = [...history.value].reverse();
  if (said.length === 0) return null;
  return (
    <div class="history">
      <ul aria-label="What readers said" tabIndex={0}>
        {(all.value ? said : said.slice(0, FEW)).map((one) => (
          <Reading key={one.number} one={one} />
        ))}
      </ul>
      {said.length > FEW && (
        <button
          type="button"
          class="plain"
          aria-expanded={all.value}
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? `Show the last ${FEW}` : `Show all ${said.length}`}
        </button>
      )}
    </div>
  );
}

function Reading({ one }: { one: Correction }) {
  return (
    <li>
      <span class={one.verdict}>
        {who(one)} {SAID[one.verdict]}{" "}
        {isOfAnother(one, film.value?.finding) && "with another model"}
        {one.has_mask && (
          <button
            type="button"
            class="chip"
            aria-pressed={one.number === shownNumber.value}
            title="Show this mask on the film"
            onClick={() => void showMaskOf(one)}
          >
            mask
          </button>
        )}
      </span>
      <time dateTime={one.time}>{new Date(one.time).toLocaleString(undefined, WHEN)}</time>
      {one.comment && <q>{one.comment}</q>}
    </li>
  );
}

/** Whether it was said of what another model had found. */
export function isOfAnother(
  { verdict, model_sha256 }: Correction,
  finding: Finding | null | undefined,
): boolean {
  return verdict !== "corrected" && !!finding && model_sha256 !== finding.model_sha256;
}

/** How the service calls whoever sits at its machine, or has its token: no names of readers. */
const NAMELESS = ["local", "token"];

export function who({ reader, identity }: Pick<Correction, "reader" | "identity">): string {
  const known = identity && !NAMELESS.includes(identity) ? identity : "Someone";
  return reader || known;
}
