import type { Film } from "../api/types";

/** What was chosen or assumed on the way, and who says so. */
export function Notes({ film }: { film: Film }) {
  const notes = [...new Set([...film.notes, ...(film.finding?.notes ?? [])])];
  const { finding } = film;
  return (
    <section class="notes">
      <h3>How it was read</h3>
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
    </section>
  );
}
