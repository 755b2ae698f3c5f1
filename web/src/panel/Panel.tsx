import { film } from "../state/film";
import { CorrectionBox } from "./CorrectionBox";
import { Decision } from "./Decision";
import { Layers } from "./Layers";
import { Lesions } from "./Lesions";
import { Notes } from "./Notes";
import { Probability } from "./Probability";

/** What the model found on the open film, and what the reader says to it. */
export function Panel() {
  const open = film.value;
  return (
    <aside class="panel" aria-label="Finding">
      <div class="scroll" tabIndex={-1}>
        {open ? (
          <>
            <Decision film={open} />
            <Probability film={open} />
            <Lesions film={open} />
            {open.viewing && <Layers film={open} />}
            <Notes film={open} />
          </>
        ) : (
          <p class="nothing">No film is open.</p>
        )}
      </div>
      {open?.finding && <CorrectionBox />}
    </aside>
  );
}
