"""The same film again, by its bytes or by its pixels: judged once."""

import numpy as np

from pleura.archive.journal import Journal
from pleura.archive.reading import Opened
from pleura.archive.rows import Task
from pleura.errors import ReadError
from pleura.read import Limits, read


class Duplicates:
    """Finds the film that another repeats, among those in the journal and those under way.

    Nothing is kept but the digests of the films under way. Films that may have the same pixels, by a sample
    of them, are compared whole: the earlier file is read again, and where it is gone the film counts as new.

    Args:
        journal: of the films that are done.
        limits: on bytes and pixels of a file.
    """

    def __init__(self, journal: Journal, limits: Limits) -> None:
        self.journal, self.limits = journal, limits
        self._contents: dict[bytes, Task] = {}
        self._pixels: dict[bytes, Task] = {}

    def first_of(self, opened: Opened) -> Task | None:
        """The film that this one repeats; None for a new one, which is then under way."""
        if opened.film is None or opened.content is None or opened.pixels is None:
            return None
        first = self.journal.first_with("content", opened.content)
        if first := first or self._contents.get(opened.content):
            return first
        first = self.journal.first_with("pixels", opened.pixels) or self._pixels.get(opened.pixels)
        if first and self._same_pixels(first, opened):
            return first
        self._contents[opened.content] = opened.task
        self._pixels.setdefault(opened.pixels, opened.task)
        return None

    def settled(self, last: int) -> None:
        """The films up to row `last` are in the journal."""
        for under_way in (self._contents, self._pixels):
            for digest in [digest for digest, task in under_way.items() if task.id <= last]:
                del under_way[digest]

    def _same_pixels(self, first: Task, opened: Opened) -> bool:
        try:
            other = read(first.path, limits=self.limits)
        except ReadError:
            return False
        return opened.film is not None and np.array_equal(other.pixels, opened.film.pixels)
