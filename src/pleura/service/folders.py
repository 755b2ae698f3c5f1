"""The files of the films: each film has a folder, named by what it holds.

STORE/
  store.sqlite       the index
  jobs.sqlite        the durable jobs
  audit.jsonl        who saw and did what
  secret             the key of sessions and of ids that replace others; whoever has it can match patients
  films/AB/ID/       film, thumbnail.jpg, mask.png, heat.png, lungs.png, correction-N.png
  spool/             what is being received; emptied at each start
  cache/             pixels and overlays that were asked for; may be deleted at any time
  reserve            room that is given up to delete by, where the disk is full
"""

import fcntl
import hmac
import os
import secrets
import shutil
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pleura.errors import ServiceError
from pleura.files import remove_partial, whole, write_bytes

FILM, THUMBNAIL = "film", "thumbnail.jpg"
MASK, HEAT, LUNGS = "mask.png", "heat.png", "lungs.png"
CACHE_BYTES = 2 << 30
RESERVE_BYTES = 16 << 20
_RESERVE = "reserve"


class Folders:
    """The store's files; safe to call from several threads.

    Args:
        root: the store's folder; made where it is missing, readable by its owner alone.

    Raises:
        ServiceError: another service works on it.
        OSError: it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_file = (self.root / "lock").open("w")
        _hold(self._lock_file, root)
        self.spool, self.cache = self.root / "spool", self.root / "cache"
        shutil.rmtree(self.spool, ignore_errors=True)  # what a crash left half received
        for folder in (self.spool, self.cache, self.root / "films"):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.root, self.cache):  # of films, `Housekeeping.remove_orphans` does it
            remove_partial(folder)
        self.secret = _secret(self.root / "secret")
        self._placing = threading.Lock()

    @property
    def identity(self) -> str:
        """Tells this store from others, wherever it is moved, and nothing of its secret."""
        return hmac.digest(self.secret, b"identity", "sha256").hex()[:32]

    def folder(self, film_id: str) -> Path:
        """Where a film's files lie, or would."""
        return self.root / "films" / film_id[:2] / film_id

    def file(self, film_id: str, name: str = FILM) -> Path:
        """One of a film's files; it need not be there."""
        return self.folder(film_id) / name

    @contextmanager
    def spooled(self) -> Iterator[Path]:
        """A new folder for what is being received, removed at the end."""
        place = self.spool / uuid.uuid4().hex
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def place(self, films: Mapping[str, Path]) -> None:
        """Moves films' files to their places, by their ids, and returns once the disk has them."""
        changed = set()
        for film_id, spooled in films.items():
            _to_disk(spooled)
            folder = self.folder(film_id)
            with self._placing:  # against a deletion of the same film
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.replace(spooled, folder / FILM)
            changed |= {folder, folder.parent, folder.parent.parent}
        for one in sorted(changed, reverse=True):  # what lies below is there before its name is
            _to_disk(one)

    def write(self, film_id: str, name: str, data: bytes, *, durable: bool = False) -> None:
        """Writes one of a film's files, whole or not at all."""
        write_bytes(self.file(film_id, name), data, durable=durable)

    def replace(
        self, film_id: str, files: Mapping[str, bytes | None], *, durable: Collection[str] = ()
    ) -> None:
        """Writes files of a film in the place of those of an earlier finding; None: there is none now.

        Where there is no room for all of them, those of the earlier finding stay.
        """
        with ExitStack() as written:
            for name, data in files.items():
                if data is not None:
                    path = whole(self.file(film_id, name), durable=name in durable)
                    written.enter_context(path).write_bytes(data)
        for name, data in files.items():
            if data is None:
                self.file(film_id, name).unlink(missing_ok=True)

    def remove(self, film_id: str) -> None:
        """Removes all of a film's files, those that were made of them too."""
        with self._placing:
            shutil.rmtree(self.folder(film_id), ignore_errors=True)
        for path in self.cache.glob(f"{film_id}*"):
            path.unlink(missing_ok=True)

    def remember(self, name: str, data: bytes, reserve: int = 0) -> Path:
        """Keeps something that can be made again, whose name starts with the film's id.

        Only where `reserve` bytes of the disk stay free, what was kept so far given up if need be.
        """
        path, needed = self.cache / name, reserve + len(data)
        if not self.make_room(needed):
            return path
        with suppress(OSError):  # no room is no reason not to answer
            write_bytes(path.with_name(f"{name}-{threading.get_ident()}"), data)
            os.replace(path.with_name(f"{name}-{threading.get_ident()}"), path)
        return path

    def make_room(self, needed: int) -> bool:
        """Whether the disk has `needed` bytes left; gives up what can be made again if need be."""
        if self.room() < needed:
            self.trim_cache(room=needed)
        return self.room() >= needed

    def trim_cache(self, most: int = CACHE_BYTES, room: int = 0) -> None:
        """Removes what was not asked for the longest until no more than `most` bytes are left in it.

        And until the disk has `room` bytes left.
        """
        found = []
        for path in self.cache.iterdir():
            with suppress(OSError):
                status = path.stat()
                found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found, key=lambda one: one[0]):
            if total <= most and self.room() >= room:
                return
            path.unlink(missing_ok=True)
            total -= size

    def keep_reserve(self, room: int) -> None:
        """Takes room to delete by, where the disk has more than `room` bytes left."""
        path = self.root / _RESERVE
        if not path.exists() and self.room() > room + RESERVE_BYTES:
            write_bytes(path, bytes(RESERVE_BYTES))

    def give_up_reserve(self) -> bool:
        """Gives that room back; whether there was any."""
        try:
            (self.root / _RESERVE).unlink()
        except FileNotFoundError:
            return False
        return True

    def room(self) -> int:
        """Bytes that the disk has left."""
        return shutil.disk_usage(self.root).free

    def close(self) -> None:
        """Lets another service have the store."""
        self._lock_file.close()


def _hold(file: TextIO, root: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ServiceError(
            f"another service works on {root}; stop it, or take another --store"
        ) from None


def _secret(path: Path) -> bytes:
    """The store's own key, made once."""
    if not path.exists():
        write_bytes(path, secrets.token_bytes(32), durable=True)
        path.chmod(0o600)
    secret = path.read_bytes()
    if len(secret) != 32:
        raise ServiceError(f"{path} is damaged; restore it, or start with a new store")
    return secret


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
