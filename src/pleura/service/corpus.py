"""Corrected films as a corpus that `pleura prepare` reads: what readers said trains the next model."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from pleura.service.corrections import mask_name
from pleura.service.folders import FILM, MASK
from pleura.service.store import Store
from pleura.service.worklist import moment

COLUMNS = (
    "file", "label", "verdict", "reader", "comment", "corrected", "corrections", "model_decision",
    "model_probability", "model_sha256",
)  # fmt: skip
_ENDINGS = {"dicom": "dcm", "jpeg": "jpg", "tiff": "tif"}
_CHUNK = 1 << 20
_README = """Films that readers looked at, with the latest correction of each.

images/   the films as they were kept
masks/    what the readers drew, or accepted; films without the target have none
films.csv a row for each film; label: 1, 0, or unsure where a finding was rejected without a mask, or
          accepted before pleura kept what was accepted, and the film was judged again since

pleura prepare FOLDER --out DATASET
"""


def export(store: Store) -> Iterator[bytes]:
    """The corpus as a zip, piece by piece."""
    sink = _Sink()
    rows = store.database.rows(_LATEST)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        for row in rows:
            name = f"{row['film']}.{_ending(row['facts'])}"
            if not store.folders.file(row["film"]).is_file():  # deleted meanwhile
                continue
            yield from _copied(archive, sink, store, row["film"], FILM, f"images/{name}")
            mask = _mask_of(row)
            if mask is not None and store.folders.file(row["film"], mask).is_file():
                yield from _copied(
                    archive, sink, store, row["film"], mask, f"masks/{row['film']}.png"
                )
            writer.writerow(_cells(row, name))
        archive.writestr("films.csv", table.getvalue())
        archive.writestr("README.txt", _README)
        yield sink.taken()
    yield sink.taken()


_LATEST = """
SELECT c.*, f.facts, f.state AS state_now, f.probability AS probability_now,
    json_extract(f.finding, '$.model_sha256') AS model_now,
    (SELECT count(*) FROM corrections WHERE film = c.film) AS corrections
FROM corrections AS c JOIN films AS f ON f.id = c.film
WHERE number = (SELECT max(number) FROM corrections WHERE film = c.film)
ORDER BY c.film
"""


class _Sink(io.RawIOBase):
    """What a zip is written to, and taken from piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _copied(
    archive: zipfile.ZipFile, sink: _Sink, store: Store, film: str, file: str, name: str
) -> Iterator[bytes]:
    # Always with room for large files: how large one is cannot be mended in what was sent.
    with (
        store.folders.file(film, file).open("rb") as source,
        archive.open(name, "w", force_zip64=True) as target,
    ):
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            yield sink.taken()


def _mask_of(row: Any) -> str | None:
    """The file of the mask that the film's label stands for; None where it has none."""
    if row["label"] != 1 or _is_lost(row):
        return None
    return mask_name(row["number"]) if row["has_mask"] or row["state"] is not None else MASK


def _is_of_before(row: Any) -> bool:
    """Whether a correction does not hold what it was said of, and the film's finding is another by now."""
    was_replaced = row["model_sha256"] != row["model_now"] or row["state_now"] == "waiting"
    return row["state"] is None and was_replaced


def _is_lost(row: Any) -> bool:
    """Whether the mask that a reader accepted is no longer known."""
    return _is_of_before(row) and row["label"] == 1 and not row["has_mask"]


def _ending(facts: str | None) -> str:
    kind = json.loads(facts)["film"]["source_format"] if facts else "dicom"
    return _ENDINGS.get(kind, kind)


def _cells(row: Any, name: str) -> list[Any]:
    from pleura.outputs.table import cell

    label = "unsure" if row["label"] is None or _is_lost(row) else row["label"]
    state, probability = row["state"], row["probability"]
    if state is None and not _is_of_before(row):
        state, probability = row["state_now"], row["probability_now"]
    return [
        name, label, row["verdict"], cell(row["reader"]), cell(row["comment"].replace("\n", " ")),
        moment(row["time"]), row["corrections"], state, probability, row["model_sha256"],
    ]  # fmt: skip
