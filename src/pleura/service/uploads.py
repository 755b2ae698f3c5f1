"""From the bytes of an upload to films that are safe on the disk."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pleura.errors import ReadError
from pleura.read import is_dicom
from pleura.read.image import format_of
from pleura.read.source import NO_FILM
from pleura.service.decoding import Decoders
from pleura.service.folders import FILM
from pleura.service.metrics import Metrics
from pleura.service.problems import NO_ROOM, Refused, is_of_full_disk
from pleura.service.settings import Settings
from pleura.service.store import Arrival, Store, film_id_of
from pleura.service.zips import MAGIC, name_of

_CHUNK = 1 << 20


class Sent(NamedTuple):
    """A file of an upload: its name as the client gave it, and its content, or the file to take."""

    name: str
    content: BinaryIO | Path


@dataclass
class _Spooled:
    """A file of an upload on our disk, and what to call it."""

    name: str
    path: Path


class Uploads:
    """Receives films; safe to call from several threads."""

    def __init__(
        self, settings: Settings, store: Store, decoders: Decoders, metrics: Metrics
    ) -> None:
        self._settings, self._bounds = settings, settings.bounds
        self._store, self._decoders, self._metrics = store, decoders, metrics

    def receive(
        self, files: Iterable[Sent], strange: set[int] | None = None, *, unpack: bool = True
    ) -> tuple[str, dict[str, list[str]]]:
        """Keeps the films among the files of an upload.

        Args:
            files: of the upload.
            strange: is given the numbers, from 0, of the files that are no films.
            unpack: whether the films in zips are meant; archives send single films.

        Returns:
            The job's id, and the tasks that are to judge its new films.

        Raises:
            Refused: none of them is a film, there are too many, or there is no room.
        """
        self.check_room(0)
        refused: list[dict[str, str]] = []
        arrived: list[tuple[Arrival, Path]] = []
        with (
            self._metrics.stage("receive"),
            self._store.folders.spooled() as place,
            full_disk_refused(),
        ):
            strange = set() if strange is None else strange
            for file in self._films(files, place, refused, strange, unpack=unpack):
                arrived.append(self._arrival(file))
                if len(arrived) > self._bounds.files_per_upload:
                    raise Refused(
                        413, f"more than {self._bounds.files_per_upload} films; send fewer"
                    )
            if not arrived:
                raise Refused(
                    422, "there is no film in this upload; its files and why they are none: refused",
                    refused=refused[:1000],
                )  # fmt: skip
            self.check_room(sum(one.bytes for one, _ in arrived))
            job, tasks = self._keep(arrived, refused)
        new = sum(len(films) for films in tasks.values())
        self._metrics.repeated.inc(len(arrived) - new)
        self._metrics.refused.inc(len(refused))
        return job, tasks

    def _keep(
        self, arrived: list[tuple[Arrival, Path]], refused: list[dict[str, str]]
    ) -> tuple[str, dict[str, list[str]]]:
        store = self._store
        with store.arriving:  # nothing is deleted between a film's file and its row
            new = {one.id: path for one, path in arrived if not store.is_kept(one)}
            store.folders.place(new)
            return store.receive([arrival for arrival, _ in arrived], refused)

    def _films(
        self,
        files: Iterable[Sent],
        place: Path,
        refused: list[dict[str, str]],
        strange: set[int],
        *,
        unpack: bool,
    ) -> Iterator[_Spooled]:
        """The films of the upload, one by one, those inside zips too; the rest goes to `refused`."""
        unpacked = 0
        for number, sent in enumerate(files):
            path = place / f"{number}"
            if isinstance(sent.content, Path):
                sent.content.replace(path)
            else:
                with path.open("wb") as file:
                    shutil.copyfileobj(sent.content, file, _CHUNK)
            spooled = _Spooled(self._name(sent.name, number), path)
            members = [spooled]
            if unpack and _starts(path, MAGIC):
                self.check_room(0)
                members = self._members(spooled, refused, self._bounds.upload_bytes - unpacked)
                unpacked += sum(member.path.stat().st_size for member in members)
            if len(refused) > self._bounds.files_per_upload:
                raise Refused(
                    413,
                    f"more than {self._bounds.files_per_upload} files that are no films; send films alone",
                )
            for member in members:
                reason = self._refuse(member, unpack=unpack)
                if reason is None:
                    yield member
                else:
                    strange.add(number)
                    refused.append({"name": member.name, "reason": reason})
                    member.path.unlink(missing_ok=True)

    def _members(
        self, spooled: _Spooled, refused: list[dict[str, str]], most_bytes: int
    ) -> list[_Spooled]:
        """The files of a zip, `most_bytes` together at most, and no more than the disk has room for."""
        into = spooled.path.with_name(f"{spooled.path.name}-files")
        into.mkdir()
        bounds = {
            "files": self._bounds.files_per_upload,
            "total_bytes": max(0, min(most_bytes, self._free())),
            "file_bytes": self._bounds.film.max_bytes,
            "ratio": self._bounds.zip_ratio,
        }
        try:
            request: dict[str, Any] = {
                "path": str(spooled.path),
                "into": str(into),
                "bounds": bounds,
            }
            header, _ = self._decoders.ask({"do": "unpack", **request})
        except ReadError as error:
            refused.append({"name": spooled.name, "reason": str(error)})
            return []
        finally:
            spooled.path.unlink(missing_ok=True)
        found: list[_Spooled] = []
        for member in header["members"]:
            name = self._name(str(member["name"]), len(found) + len(refused))
            if member["path"] is None:
                refused.append({"name": name, "reason": str(member["reason"])[:500]})
            else:  # only the number is believed of what the process says
                found.append(_Spooled(name, into / str(int(member["path"]))))
        return found

    def _refuse(self, file: _Spooled, *, unpack: bool) -> str | None:
        """Why a file is no film, None for one; takes out what tells whose it is, where that is wanted."""
        size = file.path.stat().st_size
        if not size:
            return "is empty; copy the file again from where it came"
        if size > self._bounds.film.max_bytes:
            return f"is larger than the limit of {self._bounds.film.max_bytes:,} bytes"
        with file.path.open("rb") as opened:
            head = opened.read(132)
        if unpack and head.startswith(MAGIC):
            return "is a zip inside a zip; unpack it first"
        if not is_dicom(head) and format_of(head[:16]) is None:
            return NO_FILM
        return self._deidentify(file) if self._settings.deidentify else None

    def _deidentify(self, file: _Spooled) -> str | None:
        into = file.path.with_name(f"{file.path.name}-clean")
        request = {"path": str(file.path), "into": str(into), "limits": asdict(self._bounds.film)}
        try:
            self._decoders.ask({"do": "deidentify", **request}, [self._store.folders.secret])
        except ReadError as error:
            into.unlink(missing_ok=True)
            return str(error)
        file.path.unlink()
        file.path, file.name = into, ""
        return None

    def _name(self, given: str, number: int) -> str:
        """What a file is called; names of files tell names of people."""
        return f"file {number + 1}" if self._settings.deidentify else name_of(given)

    def _arrival(self, file: _Spooled) -> tuple[Arrival, Path]:
        with file.path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        film_id = film_id_of(sha256)
        name = file.name or f"{FILM} {film_id[:8]}"
        return Arrival(film_id, sha256, file.path.stat().st_size, name), file.path

    def check_room(self, wanted: int) -> None:
        """Makes sure that the disk and the store have room for so many bytes.

        Raises:
            Refused: they have not.
        """
        self.check_disk(wanted)
        most = self._bounds.store_bytes
        if most is not None and self._store.stored_bytes() + wanted > most:
            raise Refused(507, NO_ROOM)

    def check_disk(self, wanted: int) -> None:
        """Makes sure that the disk has room for so many bytes more; quick.

        Raises:
            Refused: it has not.
        """
        if not self._store.folders.make_room(self._bounds.free_bytes + wanted):
            raise Refused(507, NO_ROOM)

    def _free(self) -> int:
        """Bytes of the disk that may be filled."""
        return self._store.folders.room() - self._bounds.free_bytes


@contextmanager
def full_disk_refused() -> Iterator[None]:
    """What finds the disk full inside is refused."""
    try:
        yield
    except OSError as error:
        if not is_of_full_disk(error):
            raise
        raise Refused(507, NO_ROOM) from None


def _starts(path: Path, magic: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(magic)
