import { computed } from "@preact/signals";

import { film, heat, modelMask, opened, readersMask } from "../state/film";
import { CorrectionBox } from "./CorrectionBox";
import { Decision } from "./Decision";
import { Layers } from "./Layers";
import { Lesions } from "./Lesions";
import { Notes } from "./Notes";
import { Probability } from "./Probability";
import { Results } from "./Results";
import { Sizes } from "./Sizes";

const anything = computed(() => heat.value ?? modelMask.value ?? readersMask.value);

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
            <Sizes film={open} />
            {anything.value && <Layers film={open} />}
            <Results film={open} />
            <Notes film={open} />
          </>
        ) : (
          !opened.value && <p class="nothing">No film is open.</p>
        )}
      </div>
      {open?.finding && <CorrectionBox />}
    </aside>
  );
}
