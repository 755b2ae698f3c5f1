"""Keeps the warnings of decoding libraries from escaping while films are read."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

_lock = threading.Lock()
_depth = 0
_saved: AbstractContextManager[None] | None = None


def _drop(record: logging.LogRecord) -> bool:
    return False


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is warned about inside, and pydicom logs nothing.

    Those messages quote header values, which may be patient data, and they repeat for every film;
    what matters of them becomes a note or an error. Reading happens in many threads, and
    `warnings.catch_warnings` alone would restore one thread's state over another's: so the first one
    in saves and the last one out restores.
    """
    global _depth, _saved
    logger = logging.getLogger("pydicom")
    with _lock:
        if _depth == 0:
            _saved = warnings.catch_warnings(record=False)
            _saved.__enter__()
            warnings.simplefilter("ignore")
            logger.addFilter(_drop)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _saved is not None:
                _saved.__exit__(None, None, None)
                _saved = None
                logger.removeFilter(_drop)
