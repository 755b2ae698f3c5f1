"""The SIIM-ACR challenge's submission: a row for every image of the sample, whatever became of its film."""

import csv
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from pleura.errors import EvaluationError
from pleura.files import whole
from pleura.read.rle import encode_rle

log = logging.getLogger(__name__)

SIIM_SHAPE = (1024, 1024)
NOTHING = "-1"
_SAMPLE_BYTES = 64 << 20
_NAMED = 3


def read_sample_order(path: Path) -> list[str]:
    """The ImageIds of a sample submission, in its order, as often as they stand there.

    Raises:
        EvaluationError: the file cannot be read, is larger than 64 MB, has no column `ImageId`, or no
            row.
    """
    try:
        size = path.stat().st_size
        if size > _SAMPLE_BYTES:
            raise EvaluationError(
                f"{path} has {size:,} bytes, too many for a sample submission; give the CSV with the "
                "columns ImageId and EncodedPixels"
            )
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            if "ImageId" not in header:
                raise EvaluationError(
                    f"{path} has no column ImageId (it has: {', '.join(header)[:200] or 'none'}); give "
                    "the challenge's sample submission"
                )
            at = header.index("ImageId")
            order = [row[at].strip() for row in rows if len(row) > at and row[at].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(
            f"the sample submission {path} cannot be read ({error}); give a CSV in UTF-8"
        ) from error
    if not order:
        raise EvaluationError(f"{path} lists no image; give the challenge's sample submission")
    return order


class Submission:
    """Gathers `ImageId,EncodedPixels` for the images of a sample submission, in any order.

    An image is known by its SOP Instance UID or by its file's name without the ending. A declined or negative
    film is `-1`, and so is one that failed; a film that fails costs no other its row.

    Args:
        sample_order: ImageIds, as `read_sample_order` gives them.
    """

    def __init__(self, sample_order: Sequence[str]) -> None:
        self.order = tuple(sample_order)
        self._wanted = frozenset(self.order)
        self._rows: dict[str, str] = {}
        self._problems: list[tuple[str | None, str, str]] = []  # image, file, reason

    def check(self, sources: Iterable[str]) -> None:
        """Refuses files that cannot make up the sample, before time is spent on them.

        A file whose name is no ImageId may still hold one as its SOP Instance UID, so only what is certain
        is refused: fewer such files than images that no file is named for.

        Raises:
            EvaluationError: some image has no film.
        """
        images = [self._image(source) for source in sources]
        there = set(images)
        missing = [image for image in dict.fromkeys(self.order) if image not in there]
        others = images.count(None)
        if len(missing) > others:
            shown = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
            raise EvaluationError(
                f"{len(missing)} of the {len(self._wanted)} images of the sample submission have no file of "
                f"their name ({shown}), and {others} other files are given; give those films too"
            )

    def add(
        self, source: str, sop_instance_uid: str | None, mask: NDArray[np.bool_] | None
    ) -> None:
        """Takes a finding; one the sample does not list is left out, and logged.

        Args:
            source: the film's file.
            sop_instance_uid: the film's, where it has one.
            mask: bool (H, W) of a positive finding; None for any other.
        """
        image = self._image(source, sop_instance_uid)
        if image is None:
            log.warning("%s is not in the sample submission: left out", source)
        elif image in self._rows:
            reason = f"image {image} has a finding already, which is kept"
            self._problems.append((None, source, reason))
        elif mask is None:
            self._rows[image] = NOTHING
        elif mask.shape != SIIM_SHAPE:
            shape = "{}x{}".format(*mask.shape)
            reason = f"its mask is {shape}, and a submission's is {SIIM_SHAPE[0]}x{SIIM_SHAPE[1]}"
            self._problems.append((image, source, reason))
        else:
            self._rows[image] = encode_rle(mask)

    def fail(self, source: str, reason: str) -> None:
        """Takes a file that could not be read."""
        self._problems.append((self._image(source), source, reason))

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(file or image, reason) of what is `-1` for want of a usable finding, and of files left over.

        A file that failed counts for nothing where another file gave the finding of its image.
        """
        told = {image for image, _, _ in self._problems}
        absent = (i for i in dict.fromkeys(self.order) if i not in self._rows and i not in told)
        return [
            *((source, why) for image, source, why in self._problems if image not in self._rows),
            *((image, "no film of this image was given") for image in absent),
        ]

    def write(self, path: Path) -> int:
        """Writes the submission, whole or not at all; gives how many rows it has."""
        with (
            whole(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("ImageId", "EncodedPixels"))
            writer.writerows((image, self._rows.get(image, NOTHING)) for image in self.order)
        return len(self.order)

    def _image(self, source: str, uid: str | None = None) -> str | None:
        path = PurePath(source.replace("\\", "/"))
        # A UID without an ending looks to `stem` as if its last part were one.
        for name in (uid, path.stem, path.name):
            if name in self._wanted:
                return name
        return None
