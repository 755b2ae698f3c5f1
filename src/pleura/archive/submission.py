"""The challenge's submission from what was predicted."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.archive.journal import Journal
from pleura.errors import ArchiveError
from pleura.outputs.submission import Submission


def fill(submission: Submission, journal: Journal) -> None:
    """Gives a submission every finding and failure of a journal; masks are read from their pictures.

    Raises:
        ArchiveError: a mask is gone or damaged.
    """
    for facts in journal.findings():
        mask = None
        if facts["decision"] == "positive":
            mask = _read(journal.root / str(facts["mask"]))
        submission.add(facts["file"], facts["sop_instance_uid"], mask)
    for source, reason in journal.failures():
        submission.fail(source, reason)


def _read(path: Path) -> NDArray[np.bool_]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ArchiveError(
            f"{path} is gone or damaged; run the same command again to write it anew"
        )
    return np.asarray(image) > 0
