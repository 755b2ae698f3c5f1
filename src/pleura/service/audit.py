"""Who saw and did what: a file that only grows, each line of which holds the hash of the one before.

A line that is changed or taken out breaks every later one. What the chain cannot show is that its end was cut
off, so ship the file, or its last hash, to another machine.
"""

import errno
import hashlib
import json
import logging
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pleura.errors import ServiceError

log = logging.getLogger(__name__)

_START = "0" * 64
_TAIL = 1 << 16


class Audit:
    """The log at `path`, continued; safe to call from several threads.

    Args:
        path: of the log, JSON lines.

    Raises:
        ServiceError: its last line is not the one that was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._number, self._hash = _end_of(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, who: str, did: str, what: str = "", *, durable: bool = False) -> None:
        """Adds a line.

        Args:
            who: identity of the asker.
            did: a verb: `opened`, `uploaded`, `corrected`, `deleted`, ...
            what: ids of films, jobs or studies; never patient data.
            durable: wait for the disk; for what changes something.
        """
        with self._lock:
            line: dict[str, Any] = {
                "number": self._number + 1,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "who": who,
                "did": did,
                "what": what,
                "before": self._hash,
            }
            line["hash"] = _hash_of(line)
            self._append((json.dumps(line) + "\n").encode("ascii"))
            self._number, self._hash = line["number"], line["hash"]
            if durable:
                os.fsync(self._file)

    def _append(self, line: bytes) -> None:
        """Writes all of a line, or nothing of it."""
        end = os.fstat(self._file).st_size
        written = os.write(self._file, line)
        if written < len(line):
            os.ftruncate(self._file, end)
            raise OSError(errno.ENOSPC, "the disk has no room for the audit log", str(self.path))

    def close(self) -> None:
        """Hands the last lines to the disk."""
        with self._lock:
            os.fsync(self._file)
            os.close(self._file)


def verify(path: Path) -> int:
    """Goes through the chain from its start; gives the number of lines.

    Raises:
        ServiceError: a line was changed, taken out or put in; says which.
    """
    before, number = _START, 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = _parsed(raw)
            whole = line is not None and line.get("number") == number
            if line is None or not whole or line["before"] != before or not _is_genuine(line):
                raise ServiceError(
                    f"{path}, line {number}: it is not what was written, or lines before it are missing; "
                    "compare it with the copy on the other machine"
                )
            before = line["hash"]
    return number


def _hash_of(line: dict[str, Any]) -> str:
    told = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _is_genuine(line: dict[str, Any]) -> bool:
    return line.get("hash") == _hash_of(line)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "before" in line else None


def _end_of(path: Path) -> tuple[int, str]:
    """The last line's number and hash; half a line, from a crash, is cut off."""
    if not path.exists() or not path.stat().st_size:
        return 0, _START
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        cut = len(tail) - (tail.rfind(b"\n") + 1)
        if cut:
            log.warning("%s ended in half a line, from a crash; it is cut off", path)
            file.truncate(size - cut)
    lines = tail[: len(tail) - cut].splitlines()
    if not lines:
        return 0, _START
    last = _parsed(lines[-1])
    if last is None or not _is_genuine(last):
        raise ServiceError(
            f"the last line of {path} is not what was written; keep that file as evidence and move it away"
        )
    return int(last["number"]), str(last["hash"])
