"""SIIM's run lengths <-> masks: relative and column-major, exact both ways.

A mask is the text ``gap length gap length ...``: walk down the first column, then the second, and so
on; skip `gap` pixels from the end of the previous run (from the first pixel at the start), then set
`length` pixels. ``-1`` is the empty mask. Format: SIIM-ACR Pneumothorax Segmentation Challenge, 2019.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import RunLengthError

EMPTY = "-1"


def encode_rle(mask: NDArray[np.bool_]) -> str:
    """The run lengths of a mask.

    Args:
        mask: bool (H, W).

    Returns:
        ``gap length gap length ...``, runs as long as they can be; ``-1`` where nothing is set.

    Raises:
        RunLengthError: `mask` is not two-dimensional or not bool.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise RunLengthError(
            f"a mask is bool (H, W); got {mask.dtype} {mask.shape}: compare it with a threshold first"
        )
    line = np.zeros(
        mask.size + 2, dtype=np.int8
    )  # a 0 before and after, so that every run has ends
    line[1:-1] = _transposed(mask).reshape(-1)
    edges = np.flatnonzero(line[1:] != line[:-1])  # start, end, start, end, ...
    if edges.size == 0:
        return EMPTY
    return " ".join(map(str, np.diff(edges, prepend=0).tolist()))


def decode_rle(text: str, shape: tuple[int, int] = (1024, 1024)) -> NDArray[np.bool_]:
    """The mask that run lengths describe.

    Args:
        text: ``gap length gap length ...`` or ``-1``; blanks around it do not matter. A gap of 0
            continues the previous run, as some writers split runs.
        shape: (H, W) of the mask.

    Returns:
        bool (H, W), C-contiguous.

    Raises:
        RunLengthError: the text is no such list, or does not fit into `shape`.
    """
    rows, columns = shape
    if rows < 0 or columns < 0:
        raise RunLengthError(f"a mask of {rows}x{columns} pixels cannot be: give its true shape")
    if not isinstance(text, str):  # pandas reads an empty cell as NaN, and -1 alone as a number
        raise RunLengthError(
            f"run lengths are text; got {text!r}: read their column as text (in pandas: dtype=str, "
            "keep_default_na=False)"
        )
    if text.strip() == EMPTY:
        return np.zeros(shape, dtype=np.bool_)
    counts = _counts(text, rows * columns)
    total = int(counts.sum())
    if total > rows * columns:
        raise RunLengthError(
            f"the run lengths reach pixel {total:,} of {rows * columns:,}: they are damaged or belong "
            f"to another shape than {rows}x{columns}"
        )
    line = np.zeros(rows * columns, dtype=np.bool_)
    line[:total] = np.repeat(np.arange(counts.size) % 2 == 1, counts)
    return _transposed(line.reshape(columns, rows))


def _counts(text: str, size: int) -> NDArray[np.int64]:
    """The numbers of `text`, alternately gap and length, each at most `size`."""
    digits = len(str(size))
    if len(text) > 2 * (size + 1) * (digits + 1):
        raise RunLengthError(
            f"run lengths of {len(text):,} characters are more than {size:,} pixels can have"
        )
    words = text.split()
    if not words:
        raise RunLengthError("the run lengths are empty text; a mask with nothing set is '-1'")
    together = "".join(words)
    if not (together.isascii() and together.isdigit()):
        wrong = next(word for word in words if not (word.isascii() and word.isdigit()))
        raise RunLengthError(
            f"{wrong[:20]!r} in the run lengths is no whole number of 0 or more; "
            "expected 'gap length gap length ...' or '-1'"
        )
    if len(words) % 2:
        raise RunLengthError(
            f"{len(words)} numbers in the run lengths: an odd count, so a gap or a length is missing"
        )
    if max(map(len, words)) > digits:
        words = [word.lstrip("0") or "0" for word in words]
        longest = max(words, key=len)
        if len(longest) > digits:
            raise RunLengthError(f"a run of {longest[:20]} is past the end of {size:,} pixels")
    counts = np.array(words, dtype=np.int64)
    if not counts[1::2].all():
        where = int(np.flatnonzero(counts[1::2] == 0)[0])
        raise RunLengthError(f"run {where + 1} has length 0; a mask with nothing set is '-1'")
    return counts


def _transposed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A C-contiguous transpose; OpenCV's is several times quicker than a strided copy."""
    if mask.size == 0 or not mask.flags.c_contiguous:
        return np.ascontiguousarray(mask.T)
    return cv2.transpose(mask.view(np.uint8)).view(np.bool_)
