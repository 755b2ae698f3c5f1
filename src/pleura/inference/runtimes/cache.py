"""Compiled networks kept for the next start, in the user's cache folder."""

import hashlib
import logging
import os
import sys
import threading
from pathlib import Path

from pleura.files import write_bytes

log = logging.getLogger(__name__)

KEPT = 32
"""The most recently used networks; older ones are removed."""

MAX_BYTES = 2 << 30
_SUFFIX = ".compiled"
_DIGEST_BYTES = 32
_writing = threading.Lock()


def cache_folder() -> Path:
    """Where this system keeps what can be made again: pleura's folder there.

    `XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory Specification), `~/Library/Caches`, `LOCALAPPDATA`.
    """
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        given = Path(os.environ.get("XDG_CACHE_HOME") or "")
        base = given if given.is_absolute() else Path.home() / ".cache"
    return base / "pleura" / "compiled"


def key_of(*facts: object) -> str:
    """A file name for whatever the facts describe; any other fact gives another name."""
    return hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()


def recall(folder: Path, key: str) -> bytes | None:
    """What was kept under `key`, or None: nothing was, or it is damaged and now gone."""
    path = folder / (key + _SUFFIX)
    try:
        with path.open("rb") as file:
            digest, content = file.read(_DIGEST_BYTES), file.read(MAX_BYTES)
        if hashlib.sha256(content).digest() != digest:
            log.warning("%s is damaged; the network is compiled anew", path)
            path.unlink(missing_ok=True)
            return None
        os.utime(path)
    except OSError:
        return None
    return content


def forget(folder: Path, key: str) -> None:
    """Removes what was kept under `key`, if there is anything."""
    try:
        (folder / (key + _SUFFIX)).unlink(missing_ok=True)
    except OSError as error:
        log.info("the cache cannot be cleared: %s", error)


def keep(folder: Path, key: str, content: bytes) -> None:
    """Keeps `content` under `key`, with a checksum; a cache that cannot be written is done without."""
    try:
        with _writing:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(folder / (key + _SUFFIX), hashlib.sha256(content).digest() + content)
            found = sorted(folder.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime)
            for old in found[:-KEPT]:
                old.unlink(missing_ok=True)
    except OSError as error:
        log.info("the compiled network is not kept: %s", error)
