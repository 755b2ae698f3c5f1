import { address } from "../api/client";
import type { Summary } from "../api/types";
import { facts, received, STATES, score, shortened, verdict } from "./words";

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
      <div class="about">
        <div class="name">
          {!film.read && <span class="hidden">Unread: </span>}
          {shortened(film.patient_id ?? film.name)}
        </div>
        <div class="facts">{facts(film) || received(film)}</div>
        <div class="state">
          <span class="badge">{STATES[film.state]}</span>
          {film.state === "positive" && film.side && <span class="side">{film.side}</span>}
          {film.verdict && <span class="verdict">{verdict(film)}</span>}
        </div>
      </div>
      <div class="score">{score(film.probability, film.calibrated)}</div>
    </div>
  );
}
