import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { open, opened } from "../state/film";
import { isFiltered, neighbour } from "../state/query";
import { pane } from "../state/view";
import { loaded, more, query, rows, total } from "../state/worklist";
import { Filters } from "./Filters";
import { Row } from "./Row";
import { reveal, slice } from "./virtual";

const ROW_PX = 76;
const NEAR_END_PX = 1500;

export function Worklist() {
  return (
    <section class="worklist" aria-label="Worklist">
      <Filters />
      <Rows />
    </section>
  );
}

function Rows() {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(800);
  const drawn = useComputed(() => slice(top.value, height.value, ROW_PX, rows.value.length));

  useEffect(() => {
    const element = box.current as HTMLDivElement;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [height]);

  useEffect(() => {
    (box.current as HTMLDivElement).scrollTop = 0; // another order, or other films, from their first on
  }, [query.value]);

  useEffect(() => {
    const element = box.current as HTMLDivElement;
    const place = rows.peek().findIndex((row) => row.id === opened.value);
    if (place < 0) return;
    const to = reveal(place, element.scrollTop, element.clientHeight, ROW_PX);
    if (to !== null) element.scrollTop = to;
  }, [opened.value]);

  useSignalEffect(() => {
    const below = rows.value.length * ROW_PX - top.value - height.value;
    if (below < NEAR_END_PX) void more();
  });

  const { first, end } = drawn.value;
  const inSight = rows.value.slice(first, end);
  return (
    <div
      ref={box}
      id="rows"
      class="rows"
      role="listbox"
      tabIndex={0}
      aria-label="Films"
      aria-activedescendant={
        inSight.some((row) => row.id === opened.value) ? `film-${opened.value}` : undefined
      }
      onKeyDown={onKey}
      onScroll={(event) => {
        const element = event.currentTarget;
        top.value = element.scrollTop;
      }}
    >
      <div class="length" style={{ height: `${rows.value.length * ROW_PX}px` }} role="presentation">
        {inSight.map((film, i) => (
          <Row
            key={film.id}
            film={film}
            open={film.id === opened.value}
            place={first + i}
            of={total.value}
            top={(first + i) * ROW_PX}
            onOpen={show}
          />
        ))}
      </div>
      {loaded.value && rows.value.length === 0 && <Nothing />}
    </div>
  );
}

/** Opens a film, and shows it where narrow screens still show the list: also the film that is open already. */
function show(id: string): void {
  void open(id);
  pane.value = "film";
}

function Nothing() {
  return (
    <p class="nothing">
      {isFiltered(query.value)
        ? "No film matches these filters."
        : "No films yet. Drop some anywhere on this page: DICOM, PNG, JPEG, TIFF, or a zip of them."}
    </p>
  );
}

function onKey(event: KeyboardEvent): void {
  const steps: Record<string, number> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: 8,
    PageUp: -8,
    Home: -Infinity,
    End: Infinity,
  };
  const step = steps[event.key];
  if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  const film = neighbour(rows.value, opened.value, step);
  if (film) void open(film.id);
}
