import { address } from "../api/client";
import type { Summary } from "../api/types";
import { unsavedFilms } from "../state/correction";
import { judgedByAnother } from "../state/service";
import { presence, wouldBe } from "../state/trial";
import { facts, parted, received, STATES, score, verdict } from "./words";

interface Given {
  film: Summary;
  open: boolean;
  place: number;
  of: number;
  top: number;
  onOpen: (id: string) => void;
}

export function Row({ film, open, place, of, top, onOpen }: Given) {
  const pictured = film.state !== "waiting" && film.state !== "failed";
  const [start, end] = parted(film.patient_id ?? film.name);
  const would = wouldBe(film, presence.value);
  return (
    <div
      id={`film-${film.id}`}
      class={`row ${film.state}${open ? " open" : ""}${film.read ? "" : " unread"}`}
      style={{ transform: `translateY(${top}px)` }}
      role="option"
      title={film.name}
      aria-selected={open}
      aria-setsize={of}
      aria-posinset={place + 1}
      onClick={() => onOpen(film.id)}
    >
      <div class="thumbnail">
        {pictured && (
          <img src={address.thumbnail(film.id)} alt="" loading="lazy" decoding="async" />
        )}
      </div>
      <div class="name">
        <span class="hidden">{`${film.read ? "" : "Unread: "}${start}${end}`}</span>
        <span class="written" dir="auto" aria-hidden="true">
          <span class="start">{start}</span>
          <span class="end">{end}</span>
        </span>
      </div>
      <div class="facts">{facts(film) || received(film)}</div>
      <div class="state">
        <span class="badge">{STATES[film.state]}</span>
        {would && (
          <span class="would" title={`At the threshold tried: ${STATES[would].toLowerCase()}`}>
            {STATES[would].toLowerCase()}
          </span>
        )}
        {!would && film.state === "positive" && film.side && <span class="side">{film.side}</span>}
        {judgedByAnother(film) && (
          <span class="another" title="Judged by another model than the service has now">
            other model
          </span>
        )}
        <Reading film={film} />
      </div>
      <div class="score">{score(film.probability, film.calibrated)}</div>
    </div>
  );
}

/** What the reader has not saved yet, or else what was said last. */
function Reading({ film }: { film: Summary }) {
  if (unsavedFilms.value.has(film.id)) return <span class="draft">Not saved</span>;
  return film.verdict && <span class="verdict">{verdict(film)}</span>;
}
