"""Copies of training films found in another dataset, by small thumbnails kept in a bundle's data card.

A film that was re-encoded or rescaled has other pixels and so another hash; its 8x8 thumbnail hardly changes.
Measured as `pleura.data.duplicates` does, on 5,505 real films of four sources: copies at 512² by JPEG 75 and
at 256² by JPEG 30 (of 250 of them) are within 0.0002, films of one patient differ by 0.0052 and more, of
others or unknown ones by 0.0060 and more; its threshold of 0.002 stands between. 64 bytes a film keep the
card small, and show no anatomy.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.data.duplicates import NEAR, unit_rows
from pleura.data.duplicates import SIDE as FULL_SIDE
from pleura.data.manifest import Film
from pleura.data.split.linked import thumbnail_is_whole

SIDE = 8
_BLOCK = 2048


def card_thumbnails(films: Sequence[Film]) -> str:
    """The films' 8x8 grey levels, base64, in no order that tells which is whose."""
    levels = _levels([film for film in films if thumbnail_is_whole(film)])
    return base64.b64encode(levels[np.lexsort(levels.T)].tobytes()).decode("ascii")


def copies_in_card(films: Sequence[Film], card: Any) -> set[str] | None:
    """The ids of `films` that look like a film of the card's; None where it holds no thumbnails."""
    if not isinstance(card, str):
        return None
    try:
        data = base64.b64decode(card, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) % SIDE**2:
        return None
    theirs = unit_rows(np.frombuffer(data, np.uint8).reshape(-1, SIDE**2))
    whole = [film for film in films if thumbnail_is_whole(film)]
    ours = unit_rows(_levels(whole))
    found: set[str] = set()
    for top in range(0, len(ours), _BLOCK):
        rows = ours[top : top + _BLOCK]
        for left in range(0, len(theirs), _BLOCK):
            near = (1.0 - rows @ theirs[left : left + _BLOCK].T < NEAR).any(axis=1)
            found.update(whole[top + int(i)].film_id for i in np.flatnonzero(near))
    return found


def _levels(films: Sequence[Film]) -> NDArray[np.uint8]:
    """The manifest's thumbnails, averaged to 8x8: uint8 (N, 64)."""
    given = b"".join(bytes.fromhex(film.thumbnail) for film in films)
    step = FULL_SIDE // SIDE
    full = np.frombuffer(given, np.uint8).reshape(-1, SIDE, step, SIDE, step)
    return np.asarray(np.rint(full.mean(axis=(2, 4))), np.uint8).reshape(-1, SIDE**2)
