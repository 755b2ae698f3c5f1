"""What of a corpus cannot be used, as rows of `failures.csv`."""

from pathlib import Path

from pleura.data.corpora.case import CorpusSpec
from pleura.data.corpora.listing import place


class Refused:
    """Collects (source, reason) of the files and folders of one corpus.

    Attributes:
        rows: what was refused, in order.
    """

    def __init__(self, spec: CorpusSpec) -> None:
        self._spec = spec
        self.rows: list[tuple[str, str]] = []

    def add(self, file: Path, reason: str) -> None:
        """Takes down a file."""
        self.rows.append((f"{self._spec.name}:{place(file, self._spec.root)}", reason))

    def folder(self, error: OSError) -> None:
        """Takes down the folder that `error` is about."""
        reason = f"the folder cannot be read ({error.strerror or error}): its files are left out"
        self.add(Path(error.filename), reason)
