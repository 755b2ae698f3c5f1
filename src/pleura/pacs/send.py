"""The DICOM results that `pleura predict --dicom` wrote, to an archive, each until it has arrived."""

import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pydicom
from pydicom.dataelem import RawDataElement

from pleura.errors import ArchiveError
from pleura.files import lock
from pleura.pacs.lines import CLASSES, MOST_BUSY, WAITS, Away, Broken, Line, Outcome
from pleura.pacs.peers import Destination
from pleura.read.dicom import RESULTS_OF
from pleura.read.quiet import quiet

RESULTS, JOURNAL = "dicom", "sent.csv"
_ENDS = ("kept", "left")
_UNDEFINED = 0xFFFFFFFF
_COLUMNS = ("destination", "sop_instance_uid", "modality", "state", "why")


@dataclass
class Delivered:
    """What came of it, in results.

    Attributes:
        sent: that the archive keeps now.
        there: that it was sent before.
        left: that it never takes.
        refused: that it did not take now; another call tries them again.
        strange: files that are no results of pleura, or damaged.
        busy: films after one another that it was busy over.
    """

    sent: int = 0
    there: int = 0
    left: int = 0
    refused: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    busy: int = 0


def send(
    folder: Path,
    peer: Destination,
    open_line: Callable[[Destination], Line],
    *,
    kinds: Sequence[str] = tuple(CLASSES),
    progress: Callable[[int, int], None] | None = None,
    waits: Sequence[float] = WAITS,
) -> Delivered:
    """Sends the results in `FOLDER/dicom` to an archive, a film's together.

    `FOLDER/sent.csv` says what became of each; what an archive keeps, or never takes, is not sent to it
    again. One that was sent when the call was killed is sent again, and is the same object.

    Args:
        folder: what `pleura predict --dicom` was told as OUT.
        peer: the archive.
        open_line: as `pleura.pacs.open.open_line` makes it.
        kinds: of `pleura.outputs.dicom.KINDS`.
        progress: called with (films done, films in all).
        waits: as `WAITS`.

    Raises:
        ArchiveError: there are no results, another call sends them, or the archive is away; what has arrived
            stands in the journal.
    """
    films = _films(folder / RESULTS)
    total = Delivered()
    with _journal(folder / JOURNAL, str(peer)) as (states, file):
        writer = csv.writer(file)
        line: Line | None = None
        done = 0
        try:
            for film in _refused_last(films, states):
                results = _results(film, kinds, total.strange)
                new = [one for one in results if states.get(one.SOPInstanceUID) not in _ENDS]
                total.there += len(results) - len(new)
                if new:
                    line = _send(new, peer, line, open_line, waits, total, writer)
                    file.flush()
                done += 1
                if progress:
                    progress(done, len(films))
        except Away as error:
            raise ArchiveError(
                f"{peer}: {error}. {total.sent} results were sent; the same command goes on from there"
            ) from None
        finally:
            if line is not None:
                line.close()
    return total


def _films(folder: Path) -> list[Path]:
    """The folders with results, one a film, in their order."""
    found = sorted({path.parent for path in folder.rglob("*.dcm")})
    if not found:
        raise ArchiveError(
            f"{folder} holds no DICOM results; give the OUT of a pleura predict --dicom that was run"
        )
    return found


def _refused_last(films: Sequence[Path], states: Mapping[str, str]) -> Iterator[Path]:
    """The films, those with a result that was refused before after all others, which they hold up no more."""
    if "refused" not in states.values():
        yield from films
        return
    late = []
    for film in films:
        results = _results(film, tuple(CLASSES), [])
        if any(states.get(one.SOPInstanceUID) == "refused" for one in results):
            late.append(film)
        else:
            yield film
    yield from late


def _results(film: Path, kinds: Sequence[str], strange: list[str]) -> list[pydicom.Dataset]:
    """A film's results of these kinds, in their order: a report refers to the outline."""
    wanted = [CLASSES[kind] for kind in kinds]
    found = []
    for path in sorted(film.glob("*.dcm")):
        try:
            with quiet():
                result = pydicom.dcmread(path)
                ours = result.get("Manufacturer") == RESULTS_OF and _is_whole(result)
                kind = result.get("SOPClassUID")
        except Exception:  # whatever a library makes of a damaged file
            ours, kind = False, None
        if not ours or kind not in CLASSES.values():
            strange.append(str(path))
        elif kind in wanted:
            found.append(result)
    order = list(CLASSES.values())
    return sorted(found, key=lambda result: order.index(result.SOPClassUID))


def _is_whole(result: pydicom.Dataset) -> bool:
    """Whether a result has all that its header promises; a file that was cut off is read without a word."""
    if "SOPInstanceUID" not in result:
        return False
    for tag in list(result.keys()):
        raw: Any = result.get_item(tag)  # as it was read
        is_raw = isinstance(raw, RawDataElement)
        if is_raw and raw.length not in (len(raw.value or b""), _UNDEFINED):
            return False
    if result.SOPClassUID == CLASSES["sr"]:
        return "ContentSequence" in result
    pixels = result.Rows * result.Columns * int(result.get("NumberOfFrames", 1) or 1)
    bits = pixels * result.SamplesPerPixel * result.BitsAllocated
    return bool(len(result.PixelData) >= (bits + 7) // 8)


def _send(
    results: Sequence[pydicom.Dataset],
    peer: Destination,
    line: Line | None,
    open_line: Callable[[Destination], Line],
    waits: Sequence[float],
    total: Delivered,
    writer: Any,
) -> Line | None:
    """Sends a film's results over a line, a new one where that is away; gives the line, if it holds.

    Raises:
        Away: the archive is, however long one waits, or busy over one film after another.
    """
    for seconds in (*waits, None):
        try:
            line = line or open_line(peer)
            outcome = line.send(results)
            break
        except Broken as error:  # perhaps over this film
            if line is not None:
                line.close()
            line = None
            outcome = Outcome()
            outcome.busy = str(error)
            for result in results:
                outcome.refuse(result, str(error))
            break
        except Away:
            if line is not None:
                line.close()
                line = None
            if seconds is None:
                raise
            time.sleep(seconds)
    for one in outcome.told:
        writer.writerow([str(peer), one.uid, one.modality, one.state, one.why])
    total.sent += outcome.kept
    total.left += len(outcome.left)
    total.refused += outcome.refused
    total.busy = 0 if outcome.busy is None else total.busy + 1
    if outcome.busy is not None and total.busy >= MOST_BUSY:
        raise Away(outcome.busy)
    return line


@contextmanager
def _journal(path: Path, destination: str) -> Iterator[tuple[dict[str, str], TextIO]]:
    """What became last of each result at the destination, by its UID; and the file, to go on with."""
    with closing(path.open("a+", newline="", encoding="utf-8")) as file:
        if not lock(file.fileno()):
            raise ArchiveError(f"another pleura send works on {path.parent}; wait for it")
        file.seek(0)
        rows = [row for row in csv.reader(file) if len(row) == len(_COLUMNS)]
        end = file.seek(0, os.SEEK_END)
        if not end:
            csv.writer(file).writerow(_COLUMNS)
        elif not _ends_whole(path):
            file.write("\r\n")  # after a line that was cut off
        yield {row[1]: row[3] for row in rows if row[0] == destination}, file


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
