"""`evaluate`: a detector over a part of a dataset, to numbers with intervals and the page that shows them.

Written into the folder of an evaluation:

    run.json          what was scored
    films.csv         a `FilmScore` a row, appended as films are scored
    evaluation.json   every number, versioned
    report.html       the page, one file
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from pleura.data.manifest import Dataset
from pleura.evaluation.bootstrap import RESAMPLES
from pleura.evaluation.detection import PREVALENCES, detection_statistics
from pleura.evaluation.page import SHOWN, write_report
from pleura.evaluation.parts import is_test
from pleura.evaluation.pixel_sweep import Detector
from pleura.evaluation.run import count_openings, score_films
from pleura.evaluation.strata import check_columns
from pleura.evaluation.summary import Evaluation, summarise
from pleura.files import write_json

log = logging.getLogger(__name__)

REPORT_FILE, NUMBERS_FILE = "report.html", "evaluation.json"


def evaluate(
    detector: Detector,
    dataset: Dataset,
    film_ids: Sequence[str],
    *,
    part: str,
    out: Path | None = None,
    split_sha256: str | None = None,
    allow_overlap: bool = False,
    by: Sequence[str] = (),
    prevalences: Sequence[float] = PREVALENCES,
    command: str | None = None,
    pictures: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Scores `detector` on films of `dataset` and computes every number with its interval.

    Films are judged one at a time, on their source matrices, by the same detector that predicts. With `out`
    the run can be broken off and taken up again, and the files named above are written.

    Args:
        detector, dataset, film_ids, part, out, split_sha256, allow_overlap, progress: as for
            `pleura.evaluation.run.score_films`.
        by: columns of the manifest to stratify by, besides those it always looks at.
        prevalences: at which predictive values are wanted.
        command: what was typed, for the report.
        pictures: show films on the page.
        resamples, seed: of the bootstrap.

    Raises:
        EvaluationError, LeakError: as `score_films` and `bootstrap` say.
        UnknownName: there is no such column.
    """
    check_columns(by, dataset.films)
    detection_statistics(prevalences)  # a wrong prevalence is told before the films are scored
    run, scores = score_films(
        detector,
        dataset,
        film_ids,
        part=part,
        out=out,
        split_sha256=split_sha256,
        allow_overlap=allow_overlap,
        progress=progress,
    )
    openings = count_openings(dataset.root) if is_test(part) else None
    evaluation = summarise(
        run,
        scores,
        films=dataset.by_id,
        by=by,
        prevalences=prevalences,
        test_openings=openings,
        command=command,
        resamples=resamples,
        seed=seed,
    )
    if out:
        write_json(out / NUMBERS_FILE, evaluation.facts())
        shown = SHOWN if pictures else 0
        write_report(out / REPORT_FILE, evaluation, detector, dataset, shown)
        log.info("wrote %s", out / REPORT_FILE)
    return evaluation
