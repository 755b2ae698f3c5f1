"""Files that are there whole or not at all: written under another name beside the target, then renamed."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL = ".partial"


@contextmanager
def whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Gives a path to write a file to, which takes the name `path` once the block ends well.

    Until then `path` is what it was before. When the block fails, what it wrote is removed and the error
    passes. The file is the block's own making, so its permissions follow the umask.

    Args:
        path: the target, in a folder that exists. At most one thread of a process may write it at a time;
            several processes may, and the last one stays.
        durable: hand the content to the disk before the renaming (fsync), so that a power cut cannot leave an
            empty file. A few milliseconds each: for what costs hours to make again, not for pictures.

    Raises:
        OSError: the file cannot be written or renamed; names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # the first error says more
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and _tells_too_little(error, temporary):
            error.filename = str(path)
        raise


def _tells_too_little(error: OSError, temporary: Path) -> bool:
    """Whether an error names the temporary file alone, or a full disk and no file."""
    if error.filename is None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return error.filename == str(temporary) and error.filename2 is None


def write_bytes(path: Path, data: bytes | memoryview, *, durable: bool = False) -> None:
    """Writes `data` to `path` as `whole` does."""
    with whole(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, content: Any, *, durable: bool = False) -> None:
    """Writes `content` to `path` as indented JSON, as `whole` does.

    Raises:
        OSError: the file cannot be written or renamed.
        ValueError: a number is not finite, which JSON cannot say.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Half a surrogate pair, from a file name that is no text, becomes what is also JSON's escape for it.
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def remove_partial(folder: Path, *, shared: bool = False) -> None:
    """Removes what writers that were killed left in `folder`.

    Args:
        folder: that `whole` writes files into; where it is missing, nothing is done.
        shared: others may be writing there now, and only what processes left that live no more is removed.
            Without, nobody else may be.
    """
    for path in folder.glob(f".*{PARTIAL}"):
        if shared and _may_be_written(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_empty(folder: Path) -> bool:
    """Whether a folder is missing, or holds nothing but what writers that were killed left."""
    if not folder.exists():
        return True
    names = (path.name for path in folder.iterdir())
    return all(name.startswith(".") and name.endswith(PARTIAL) for name in names)


def _may_be_written(path: Path) -> bool:
    """Whether a file's name is none of `whole`, or names a process that lives."""
    process = path.name.removesuffix(PARTIAL).rpartition(".")[2]
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, OverflowError):  # another user's, or no number
        return True
    return True


def lock(file: int) -> bool:
    """Locks an open file or folder until it is closed; False where another process has locked it.

    Where the system or its file system knows no locks, nothing is locked, and all goes on.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
