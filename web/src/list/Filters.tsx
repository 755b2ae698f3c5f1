import { SlidersHorizontal } from "lucide";
import { useRef } from "preact/hooks";

import type { State } from "../api/types";
import type { Sort, View } from "../state/query";
import { toggleTrial, trying } from "../state/trial";
import { ask, counts, query, total } from "../state/worklist";
import { IconButton } from "../ui/IconButton";
import { Trial } from "./Trial";
import { STATES } from "./words";

const SHOWN: State[] = ["positive", "negative", "declined", "failed", "waiting"];
const SORTS: Record<Sort, string> = {
  suspicion: "Suspicion",
  received: "Newest",
  read: "Unread",
  name: "Name",
  age: "Age",
};
const VIEWS: Record<View | "", string> = {
  "": "Any view",
  PA: "PA",
  AP: "AP",
  lateral: "Lateral",
  other: "Other",
  unknown: "Unknown",
};
const TYPING_MS = 250;

export function Filters() {
  return (
    <div class="filters">
      <Words />
      <div class="chips" role="group" aria-label="States shown">
        {SHOWN.map((state) => (
          <StateChip key={state} state={state} />
        ))}
        <Chip
          label="Unread"
          count={counts.value?.unread}
          on={query.value.unread}
          onClick={() => ask({ unread: !query.value.unread })}
        />
        <Chip
          label="Reviewed"
          on={query.value.corrected}
          onClick={() => ask({ corrected: !query.value.corrected })}
        />
      </div>
      <div class="order">
        <select
          aria-label="View position"
          value={query.value.views[0] ?? ""}
          onChange={(event) =>
            ask({ views: event.currentTarget.value ? [event.currentTarget.value as View] : [] })
          }
        >
          {Object.entries(VIEWS).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <select
          aria-label="Order"
          value={query.value.sort}
          onChange={(event) => ask({ sort: event.currentTarget.value as Sort })}
        >
          {Object.entries(SORTS).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <IconButton
          icon={SlidersHorizontal}
          label="Try another threshold on the list"
          shortcut="P"
          pressed={trying.value}
          onClick={toggleTrial}
        />
        <span class="total" role="status">
          {total.value.toLocaleString("en")} {total.value === 1 ? "film" : "films"}
        </span>
      </div>
      <Trial />
    </div>
  );
}

function Words() {
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  return (
    <input
      id="search"
      type="search"
      placeholder="Name, patient or study"
      aria-label="Search films"
      value={query.value.words}
      maxLength={200}
      onInput={(event) => {
        const words = event.currentTarget.value;
        clearTimeout(typing.current);
        typing.current = setTimeout(() => ask({ words }), TYPING_MS);
      }}
    />
  );
}

function StateChip({ state }: { state: State }) {
  const count = counts.value?.[state];
  const on = query.value.states.includes(state);
  if ((state === "waiting" || state === "failed") && !count && !on) return null;
  const rest = query.value.states.filter((other) => other !== state);
  return (
    <Chip
      label={STATES[state]}
      count={count}
      on={on}
      kind={state}
      onClick={() => ask({ states: on ? rest : [...rest, state] })}
    />
  );
}

interface ChipGiven {
  label: string;
  count?: number | undefined;
  on: boolean;
  kind?: State;
  onClick: () => void;
}

function Chip({ label, count, on, kind, onClick }: ChipGiven) {
  return (
    <button type="button" class={`chip ${kind ?? ""}`} aria-pressed={on} onClick={onClick}>
      {label}
      {count !== undefined && <span class="count">{count.toLocaleString("en")}</span>}
    </button>
  );
}
