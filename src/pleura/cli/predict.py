"""`pleura predict`: films to findings."""

import logging
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from pleura.archive.inputs import files_in
from pleura.archive.journal import Journal, forget
from pleura.archive.run import Failure, Options, identity_of, predict_archive
from pleura.archive.submission import fill
from pleura.cli.latency import latency_table
from pleura.cli.options import Device, Films, ModelBundle, OutFolder
from pleura.cli.progress import Bar, console
from pleura.cores import usable_cores
from pleura.errors import PleuraError, ReadError
from pleura.files import PARTIAL
from pleura.inference.detector import Detector
from pleura.inference.runtimes.base import MAX_THREADS
from pleura.inference.shipped import DISTRIBUTION
from pleura.inference.stages import Stages
from pleura.outputs.dicom import check_installed
from pleura.outputs.submission import Submission, read_sample_order
from pleura.outputs.table import FindingTable, Table, write_failures

log = logging.getLogger(__name__)

OVERLAYS_UP_TO = 200
"""Films of which overlays are drawn unless the user says otherwise: they take longer than the finding."""

_DECISIONS = ("positive", "negative", "declined")
_SHOWN = 20
_REASONS = 10
_MOST_READERS = 8
_INTERRUPTED = 130


class Format(StrEnum):
    """What `pleura predict` writes."""

    findings = "findings"
    siim = "siim"


class TableKind(StrEnum):
    """How the findings are tabled."""

    csv = "csv"
    parquet = "parquet"


_TABLES = {
    TableKind.csv: ("findings.csv", "findings.json"),
    TableKind.parquet: ("findings.parquet",),
}


def predict(
    films: Films,
    *,
    out: OutFolder,
    bundle: ModelBundle = None,
    format: Annotated[
        Format,
        typer.Option(help="siim: the challenge's submission, too."),
    ] = Format.findings,
    sample: Annotated[
        Path | None,
        typer.Option(
            help="With siim: the sample submission whose order is kept.", show_default=False
        ),
    ] = None,
    table: Annotated[
        TableKind, typer.Option(help="csv: findings.csv and .json; parquet: findings.parquet.")
    ] = TableKind.csv,
    masks: Annotated[bool, typer.Option(help="Write each film's mask as PNG.")] = True,
    overlays: Annotated[
        bool | None,
        typer.Option(
            "--overlays/--no-overlays",
            help=f"Draw each finding on its film.  [default: up to {OVERLAYS_UP_TO} films]",
            show_default=False,
        ),
    ] = None,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Write each DICOM film's finding as DICOM: segmentation, structured report, picture.",
        ),
    ] = False,
    dicom_geometry: Annotated[
        bool,
        typer.Option(
            "--dicom-geometry",
            help="With --dicom: invent the plane, and where none is known the pixel spacing, that OHIF needs "
            "to show a segmentation.",
        ),
    ] = False,
    device: Device = "auto",
    runtime: Annotated[str, typer.Option(help="auto, openvino, onnxruntime or torch.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16 or f16.")] = "auto",
    threads: Annotated[
        int, typer.Option(help="Of the network; 0: as many as there are.", min=0, max=MAX_THREADS)
    ] = 0,
    batch_size: Annotated[int, typer.Option(help="Films the network sees at once.", min=1)] = 4,
    readers: Annotated[
        int, typer.Option(help="Films read at once; 0: as many as cores, 8 at most.", min=0)
    ] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Judge all films again, whatever OUT holds.")
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Say where a film's time goes; films go through one by one."
        ),
    ] = False,
) -> None:
    """Find pneumothorax on films; research only, not a medical device.

    Writes findings.csv and findings.json, a mask and an overlay for each film, and failures.csv with the
    files that could not be read and why; those never stop the rest. In folders, files that are no films at
    all are passed over. A film that is there twice, by its bytes or by its pixels, is judged once.

    Interrupted, even by kill -9 or a power cut? The same command goes on where it stopped. Later it judges
    what is new or has changed.

    Exit codes: 0, every film has its finding, or its reason in failures.csv; 1, no film could be judged, the
    run could not go on, or films of a submission failed (-1 there); 2, the command is wrong; 130,
    interrupted.
    """
    if (format is Format.siim) != (sample is not None):
        raise typer.BadParameter("--format siim and --sample SAMPLE.csv go together")
    if dicom_geometry and not dicom:
        raise typer.BadParameter("--dicom-geometry says how --dicom writes; give both")
    if dicom:
        check_installed()
    if sample is not None and not masks:
        raise typer.BadParameter("--format siim is made of the masks; leave --no-masks out")
    submission = None if sample is None else Submission(read_sample_order(sample))
    detector = Detector.load(bundle, device, runtime=runtime, threads=threads, precision=precision)
    if bundle is None:
        made = detector.bundle.identity
        console.print(f"No --bundle: judged by {made.name} {made.version} of {DISTRIBUTION}.")
    log.info("%s", detector.description)
    out.mkdir(parents=True, exist_ok=True)
    if fresh:
        forget(out)
    with Journal(out, identity_of(detector)) as journal:
        total = _expect(journal, films)
        if submission is not None:
            submission.check(journal.sources())
        few = total <= OVERLAYS_UP_TO
        drawn = journal.agree(
            "overlays",
            None if overlays is None else _on(overlays),
            _on(few and submission is None),
        )
        if overlays is None and drawn == "off" and not few:
            console.print(f"More than {OVERLAYS_UP_TO} films: --overlays would draw them.")
        options = Options(
            masks=journal.agree("masks", _on(masks), "on") == "on",
            overlays=drawn == "on",
            dicom=journal.agree("dicom", _on(dicom), "off") == "on",
            geometry=journal.agree("dicom geometry", _on(dicom_geometry), "off") == "on",
            batch_size=batch_size,
            readers=readers or min(usable_cores(), _MOST_READERS),
        )
        stages = Stages() if profile else None
        tally = _judge(detector, journal, table, options, stages, say=submission is None)
        _summarise(tally, journal)
        console.print(f"Findings: {out / f'findings.{table}'}")
        if dicom:
            console.print(f"DICOM results: {out / 'dicom'}")
        if stages is not None:
            console.print(f"Networks by {detector.description}.")
            console.print(latency_table(stages))
        if submission is not None:
            _submit(submission, journal, out)
        if not sum(tally[decision] for decision in _DECISIONS):
            raise PleuraError("no film could be judged; the reasons are above and in failures.csv")


def _on(wanted: bool) -> str:
    return "on" if wanted else "off"


def _expect(journal: Journal, films: list[str]) -> int:
    """Lists what is to be done; gives how many films the journal then has."""
    before = journal.counts()
    journal.expect(files_in(films, journal.root))
    counts = journal.counts()
    total, waiting = sum(counts.values()), counts.get("waiting", 0)
    if not total:
        raise ReadError(f"there are no files in {', '.join(films)}")
    if before and total > waiting:
        console.print(f"{total - waiting} of {total} files were done before.")
    return total


def _judge(
    detector: Detector,
    journal: Journal,
    kind: TableKind,
    options: Options,
    stages: Stages | None,
    *,
    say: bool,
) -> Counter[str]:
    table = _table(kind, journal.root)
    failed = _Failures() if say else None
    try:
        with Bar("Predicting") as bar:
            return predict_archive(
                detector, journal, [table], options, progress=bar, failed=failed, stages=stages
            )
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where this one stopped")
        raise typer.Exit(_INTERRUPTED) from None


def _table(kind: TableKind, out: Path) -> Table:
    for other in set(_TABLES) - {kind}:  # of an earlier run, it would grow old
        for name in _TABLES[other]:
            for path in (out / name, out / f"{name}{PARTIAL}"):
                path.unlink(missing_ok=True)
    if kind is TableKind.csv:
        return FindingTable(*(out / name for name in _TABLES[kind]))
    from pleura.outputs.parquet import ParquetTable

    return ParquetTable(out / "findings.parquet")


class _Failures:
    """Says the first failures as they come, and then only that there are more."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, failure: Failure) -> None:
        self.count += 1
        if self.count <= _SHOWN:
            _say_failed(failure.message)
        elif self.count == _SHOWN + 1:
            console.print("and more; the rest is in failures.csv")


def _say_failed(message: str) -> None:
    console.print(Text("failed", "red"), message)


def _summarise(tally: Counter[str], journal: Journal) -> None:
    counts = journal.counts()
    failed, passed_over = counts.get("failed", 0), counts.get("passed over", 0)
    said = [f"{tally[decision]} {decision}" for decision in _DECISIONS] + [f"{failed} failed"]
    if tally["duplicates"]:
        said.append(f"{tally['duplicates']} of them seen before")
    if passed_over:
        said.append(f"{passed_over} other files passed over")
    console.print(f"{', '.join(said)}.")
    if failed > 1:
        console.print("Failed:")
        for kind, reason, films in journal.reasons(_REASONS):
            console.print(f"  {films:>7} x {kind}: {reason}")


def _submit(submission: Submission, journal: Journal, out: Path) -> None:
    path = out / "submission.csv"
    fill(submission, journal)
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
