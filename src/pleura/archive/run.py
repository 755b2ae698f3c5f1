"""An archive through one detector: reading runs beside the network, and a broken file stops nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pleura
from pleura.archive.duplicates import Duplicates
from pleura.archive.journal import Journal
from pleura.archive.pictures import Names, Pictures
from pleura.archive.reading import Opened, in_order, open_film
from pleura.archive.rows import Row, Task, is_passed_over
from pleura.files import remove_partial
from pleura.finding import Finding
from pleura.inference.detector import Detector
from pleura.inference.stages import Stages, stage
from pleura.outputs.table import Table, write_failures
from pleura.radiograph import Radiograph
from pleura.read import Limits

JUDGES = 2
"""Batches under way: while the network sees one, the masks of the one before are drawn and written."""

_ROWS = 8  # a batch is recorded at the latest when it has this many files for each film the network may see


@dataclass(frozen=True)
class Options:
    """How an archive is gone through.

    Attributes:
        masks, overlays, dicom: the pictures and results to write.
        geometry: of DICOM segmentations, as `pleura.outputs.dicom.dicom_results` has it.
        batch_size: films the network sees at once.
        readers: threads that read and decode.
        limits: on bytes and pixels of a file.
    """

    masks: bool = True
    overlays: bool = False
    dicom: bool = False
    geometry: bool = False
    batch_size: int = 4
    readers: int = 2
    limits: Limits = field(default_factory=Limits)


class Failure(NamedTuple):
    """A file that could not be read, and why, in words that name it."""

    source: str
    message: str


class _Planned(NamedTuple):
    """A film with what was decided about it in its turn: which it repeats, or its pictures' name."""

    opened: Opened
    first: Task | None = None
    name: str | None = None

    @property
    def film(self) -> Radiograph | None:
        """What the network is to see of it."""
        return None if self.first else self.opened.film


def identity_of(detector: Detector) -> dict[str, str]:
    """What every finding of a run depends on; findings of another are never mixed with them."""
    runtimes = sorted({runtime.name for runtime in detector.runtimes})
    return {
        "model": detector.bundle.identity.sha256,
        "runtime": ", ".join(runtimes),
        "pleura": pleura.__version__,
    }


def predict_archive(
    detector: Detector,
    journal: Journal,
    tables: Iterable[Table] = (),
    options: Options | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    failed: Callable[[Failure], None] | None = None,
    stages: Stages | None = None,
) -> Counter[str]:
    """Judges every film that waits in a journal, and writes pictures and tables into its folder.

    Args:
        detector: to judge with; its `identity_of` must be the journal's.
        journal: after `expect`.
        tables: take the facts of every finding, those of earlier runs first; entered and left here.
        options: how.
        progress: called with (done, total) after each batch; what earlier runs did counts as done.
        failed: called for each file that could not be read.
        stages: to time what becomes of each film; films are then gone through one at a time.

    Returns:
        How many films of the tables were called `positive`, `negative` or `declined`, and how many of them
        are `duplicates`.

    Raises:
        ArchiveError, OSError: something cannot be written. The next run goes on from there.
    """
    options = options or Options()
    remove_partial(journal.root)  # the journal is ours alone, and so is its folder
    known = journal.counts()
    total, done = sum(known.values()), sum(known.values()) - known.get("waiting", 0)
    tally: Counter[str] = Counter()
    with ExitStack() as stack:
        entered = [stack.enter_context(table) for table in tables]

        def add(facts: Mapping[str, Any]) -> None:
            for table in entered:
                table.add(facts)
            tally.update([facts["decision"], *(["duplicates"] if facts["duplicate_of"] else [])])

        for facts in journal.findings():
            add(facts)
        progress(done, total)
        for rows in _run(detector, journal, options, stages, stack):
            for facts in journal.record(rows):
                add(facts)
            for row in rows:
                if failed and row.state == "failed":
                    failed(Failure(row.task.source, f"{row.task.source}: {row.reason}"))
            done += len(rows)
            progress(done, total)
    write_failures(journal.root / "failures.csv", journal.failures())
    return tally


def _run(
    detector: Detector, journal: Journal, options: Options, stages: Stages | None, stack: ExitStack
) -> Iterator[list[Row]]:
    """What became of each batch, in order."""
    pictures = Pictures(
        journal.root,
        masks=options.masks,
        overlays=options.overlays,
        dicom=options.dicom,
        geometry=options.geometry,
    )
    readers = judges = None
    size = 1 if stages else options.batch_size
    if stages is None:
        readers = stack.enter_context(ThreadPoolExecutor(options.readers, "reader"))
        judges = stack.enter_context(ThreadPoolExecutor(JUDGES, "judge"))
    else:
        stack.enter_context(stages.watched())
    opened = in_order(
        lambda task: open_film(task, options.limits),
        journal.waiting(),
        readers,
        options.readers + size,
    )
    duplicates, names = Duplicates(journal, options.limits), Names(journal)
    batches = _batches(opened, duplicates, names if pictures else None, size)
    for rows in in_order(lambda batch: _judged(detector, batch, pictures), batches, judges, JUDGES):
        yield rows  # and have it recorded
        duplicates.settled(rows[-1].task.id)
        names.settled(rows[-1].task.id)
        if stages:
            stages.next_film()


def _batches(
    opened: Iterable[Opened], duplicates: Duplicates, names: Names | None, size: int
) -> Iterator[list[_Planned]]:
    """Films in batches of `size` that the network is to see, with whatever lies between them.

    Which films share a batch depends on nothing but the films that wait, so that a run taken up again after
    any batch makes the same batches.
    """
    batch: list[_Planned] = []
    for one in opened:
        first = duplicates.first_of(one)
        name = names.take(one.task) if names and one.film and not first else None
        batch.append(_Planned(one, first, name))
        seen = sum(planned.film is not None for planned in batch)
        if seen == size or len(batch) == _ROWS * size:
            yield batch
            batch = []
    if batch:
        yield batch


def _judged(detector: Detector, batch: list[_Planned], pictures: Pictures) -> list[Row]:
    films = [planned.film for planned in batch if planned.film is not None]
    findings = iter(detector.batch(films) if films else ())
    rows = []
    for planned in batch:
        if planned.film is not None:
            rows.append(_found(planned, planned.film, next(findings), pictures))
        else:
            rows.append(_not_judged(planned))
    return rows


def _found(planned: _Planned, film: Radiograph, finding: Finding, pictures: Pictures) -> Row:
    opened = planned.opened
    facts = finding.facts() | dict.fromkeys(("mask", "overlay", "dicom", "duplicate_of"))
    sizes: dict[str, int] = {}
    if planned.name is not None:
        with stage("write"):
            drawn = pictures.write(planned.name, film, finding)
        facts |= {"mask": drawn.mask, "overlay": drawn.overlay, "dicom": drawn.dicom}
        if drawn.without:
            facts["notes"].append(f"No DICOM results: {drawn.without}")
        sizes = drawn.sizes
    return Row(
        opened.task,
        "judged",
        opened.stamp,
        opened.content,
        opened.pixels,
        facts=facts,
        judged=finding.notes[len(film.notes) :],
        name=planned.name,
        pictures=sizes,
    )


def _not_judged(planned: _Planned) -> Row:
    """The row of a film that repeats another, or of a file that could not be read."""
    opened, first = planned.opened, planned.first
    task, film, error = opened.task, opened.film, opened.error
    if first is not None and film is not None:
        own = {
            "file": task.source,
            "sop_instance_uid": film.sop_instance_uid,
            "notes": list(film.notes),
            "dicom": None,  # the first film's may be in another study
            "duplicate_of": first.source,
        }
        content, pixels = opened.content, opened.pixels
        return Row(task, "judged", opened.stamp, content, pixels, first.id, facts=own)
    if error is not None and is_passed_over(error, task.source, named=task.named):
        return Row(task, "passed over", opened.stamp)
    reason = str(error).removeprefix(f"{task.source}: ")
    return Row(task, "failed", opened.stamp, kind=type(error).__name__, reason=reason)
