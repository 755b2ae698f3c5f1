import {
  Brush,
  Contrast,
  Eraser,
  Hand,
  type IconNode,
  Maximize,
  RotateCw,
  Ruler,
  SquareCenterlineDashedHorizontal,
  Sun,
  Trash2,
  ZoomIn,
} from "lucide";

import { edit, editing } from "../state/correction";
import { picture } from "../state/film";
import * as view from "../state/view";
import { IconButton } from "../ui/IconButton";
import { fullResolution } from "./actions";

const TOOLS: [view.Tool, IconNode, string, string][] = [
  ["window", Sun, "Window and level", "W"],
  ["pan", Hand, "Move", "V"],
  ["zoom", ZoomIn, "Zoom", "Z"],
  ["length", Ruler, "Measure a length", "M"],
];

export function Toolbar() {
  const viewing = picture.value?.viewing;
  const none = !viewing;
  return (
    <div class="toolbar" role="toolbar" aria-label="Viewing">
      <div class="group">
        {TOOLS.map(([tool, icon, label, key]) => (
          <IconButton
            key={tool}
            icon={icon}
            label={label}
            shortcut={key}
            pressed={view.tool.value === tool}
            disabled={none}
            onClick={() => {
              view.tool.value = tool;
            }}
          />
        ))}
        {!none && view.lines.value.length > 0 && (
          <IconButton
            icon={Trash2}
            label="Remove the measurements"
            onClick={() => {
              view.lines.value = [];
            }}
          />
        )}
      </div>
      <div class="group">
        <Presets />
        <IconButton
          icon={Contrast}
          label="Invert grey"
          shortcut="I"
          pressed={view.inverted.value}
          disabled={none}
          onClick={() => {
            view.inverted.value = !view.inverted.value;
          }}
        />
      </div>
      <div class="group">
        <IconButton
          icon={RotateCw}
          label="Turn by 90°"
          shortcut="R"
          disabled={none}
          onClick={() => view.turn(90)}
        />
        <IconButton
          icon={SquareCenterlineDashedHorizontal}
          label="Mirror"
          shortcut="H"
          pressed={view.flipped.value}
          disabled={none}
          onClick={() => {
            view.flipped.value = !view.flipped.value;
          }}
        />
        <IconButton
          icon={Maximize}
          label="Fit to the window"
          shortcut="F"
          disabled={none}
          onClick={() => view.stage.value?.fit()}
        />
        <button
          type="button"
          class="icon-button"
          aria-label="1:1, full resolution"
          aria-keyshortcuts="O"
          title="Full resolution (O)"
          disabled={none}
          onClick={fullResolution}
        >
          1:1
        </button>
      </div>
      <div class="group">
        <IconButton
          icon={Brush}
          label="Brush: correct the mask"
          shortcut="B"
          pressed={editing.value && view.tool.value === "brush"}
          disabled={none}
          onClick={() => edit("brush")}
        />
        <IconButton
          icon={Eraser}
          label="Eraser: correct the mask"
          shortcut="E"
          pressed={editing.value && view.tool.value === "eraser"}
          disabled={none}
          onClick={() => edit("eraser")}
        />
      </div>
    </div>
  );
}

function Presets() {
  const viewing = picture.value?.viewing;
  const choices = viewing ? view.presets(viewing) : [];
  const chosen = choices.findIndex((one) => one.name === view.grey.value.name);
  return (
    <select
      aria-label="Window preset"
      title="Window preset (1 to 9)"
      disabled={!viewing}
      value={chosen}
      onChange={(event) => {
        const choice = choices[Number(event.currentTarget.value)];
        if (choice) view.grey.value = choice;
      }}
    >
      {chosen < 0 && <option value={-1}>{viewing ? "By hand" : "Window"}</option>}
      {choices.map((choice, i) => (
        <option key={choice.name} value={i}>
          {choice.name}
        </option>
      ))}
    </select>
  );
}
