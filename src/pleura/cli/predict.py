"""`pleura predict`: films to findings."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from pleura.cli.progress import Bar, console
from pleura.errors import PleuraError, ReadError, UnrecognisedFormat
from pleura.inference.archive import Result, files_in, predict_files
from pleura.inference.detector import Detector
from pleura.outputs.submission import Submission, read_sample_order

_SHOWN = 20


class Format(StrEnum):
    """What `pleura predict` writes."""

    findings = "findings"
    siim = "siim"


def predict(
    films: Annotated[
        list[Path], typer.Argument(help="Files or folders of films.", show_default=False)
    ],
    *,
    bundle: Annotated[
        Path, typer.Option("--bundle", "-b", help="The model: a bundle.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to write; a folder.", show_default=False)
    ],
    format: Annotated[
        Format,
        typer.Option(help="findings: tables, masks, overlays; siim: the challenge's submission."),
    ] = Format.findings,
    sample: Annotated[
        Path | None,
        typer.Option(
            help="With siim: the sample submission whose order is kept.", show_default=False
        ),
    ] = None,
    masks: Annotated[bool, typer.Option(help="Write each film's mask as PNG.")] = True,
    overlays: Annotated[bool, typer.Option(help="Draw each finding on its film.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Films the network sees at once.", min=1)] = 4,
) -> None:
    """Find pneumothorax on films; research only, not a medical device.

    Writes findings.csv and findings.json, a mask and an overlay for each film, and failures.csv with
    the files that could not be read and why; those never stop the rest. In folders, files that are no
    films at all are passed over. A submission has a row for every image of the sample: -1 where its film
    failed, which also ends in exit code 1.
    """
    if (format is Format.siim) != (sample is not None):
        raise typer.BadParameter("--format siim and --sample SAMPLE.csv go together")
    paths = list(files_in(films))
    if not paths:
        raise ReadError(f"there are no files in {', '.join(map(str, films))}")
    submission = None
    if sample is not None:
        submission = Submission(read_sample_order(sample))
        submission.check(map(str, paths))
    results = predict_files(Detector.load(bundle, device), paths, batch_size=batch_size)
    named = {path for path in films if path.is_file()}
    with Bar("Predicting") as bar:
        counted = _counted(results, len(paths), bar)
        if submission is not None:
            _submission(counted, submission, named, out)
        else:
            _findings(counted, named, out, masks=masks, overlays=overlays)


def _counted(results: Iterator[Result], total: int, bar: Bar) -> Iterator[Result]:
    for done, result in enumerate(results, start=1):
        yield result
        bar(done, total)


def _findings(
    results: Iterator[Result], named: set[Path], out: Path, *, masks: bool, overlays: bool
) -> None:
    from pleura.outputs.prediction import PredictionFolder

    skipped = 0
    with PredictionFolder(out, masks=masks, overlays=overlays) as folder:
        for result in results:
            if result.film is not None and result.finding is not None:
                folder.add(result.film, result.finding)
            elif _no_film(result, named):
                skipped += 1
            else:
                folder.fail(str(result.path), str(result.error))
                _say_failed(str(result.error))
    counts = folder.counts
    console.print(
        f"{counts['positive']} positive, {counts['negative']} negative, {counts['declined']} declined, "
        f"{counts['failed']} failed"
        + (f", {skipped} files that are no films passed over" if skipped else "")
        + f". Findings: {out / 'findings.csv'}"
    )
    if not counts.total() - counts["failed"]:
        raise PleuraError("no film could be judged; the reasons are above and in failures.csv")


def _submission(
    results: Iterator[Result], submission: Submission, named: set[Path], out: Path
) -> None:
    from pleura.outputs.table import write_failures

    out.mkdir(parents=True, exist_ok=True)
    for result in results:
        if result.finding is not None:
            submission.add(result.finding)
        elif not _no_film(result, named) or submission.lists(str(result.path)):
            submission.fail(str(result.path), str(result.error))
    path = out / "submission.csv"
    rows, failures = submission.write(path), submission.failures
    write_failures(out / "failures.csv", failures)
    for source, reason in failures[:_SHOWN]:
        _say_failed(reason if source in reason else f"{source}: {reason}")
    if len(failures) > _SHOWN:
        console.print(f"and {len(failures) - _SHOWN} more")
    console.print(f"{rows} rows: {path}")
    if failures:
        raise PleuraError(
            f"{len(failures)} films failed; those of the sample are -1 in {path}, and the reasons are in "
            f"{out / 'failures.csv'}"
        )


def _no_film(result: Result, named: set[Path]) -> bool:
    """Whether the file, met in a folder, is of another kind, such as a text beside the films."""
    return isinstance(result.error, UnrecognisedFormat) and result.path not in named


def _say_failed(reason: str) -> None:
    console.print(Text("failed", "red"), reason)
