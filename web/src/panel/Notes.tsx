import { Trash2 } from "lucide";

import type { Film } from "../api/types";
import { discard } from "../state/film";
import { Icon } from "../ui/Icon";

/** What was chosen or assumed on the way, and who says so. */
export function Notes({ film }: { film: Film }) {
  const notes = [...new Set([...film.notes, ...(film.finding?.notes ?? [])])];
  const { finding } = film;
  return (
    <section class="notes">
      {finding && <h3>How it was read</h3>}
      <ul>
        {notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
        {finding && (
          <li>
            Model {finding.model} {finding.model_version} ({finding.model_sha256.slice(0, 8)}).
          </li>
        )}
      </ul>
      <button type="button" class="plain" onClick={() => ask(film)}>
        <Icon of={Trash2} size={15} /> Delete this film
      </button>
    </section>
  );
}

function ask(film: Film): void {
  const what = `Delete ${film.name}, its finding and its corrections from the service?`;
  if (window.confirm(what)) void discard(film.id);
}
