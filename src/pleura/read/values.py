"""Values of a DICOM header, read tolerantly: what is absent or malformed is None or empty."""

import math
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag


@cache
def _tag(keyword: str) -> BaseTag:
    """The keyword's tag; looking an absent attribute up by name costs pydicom ten times as much."""
    return Tag(keyword)


def value(ds: Dataset, keyword: str) -> Any:
    """The element's value, or None where it is absent, empty or cannot be parsed."""
    tag = _tag(keyword)
    if tag not in ds:
        return None
    try:
        found = ds[tag].value
    except Exception:  # pydicom parses on access, and raises what its parsers raise
        return None
    return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found


def is_unreadable(ds: Dataset, keyword: str) -> bool:
    """Whether the element is there, with a value that cannot be parsed."""
    tag = _tag(keyword)
    try:
        if tag in ds:
            ds[tag]
    except Exception:  # as `value` has it
        return True
    return False


def texts(ds: Dataset, keyword: str) -> list[str]:
    """The element's values as text without surrounding blanks and NULs."""
    found = value(ds, keyword)
    if found is None:
        return []
    many = list(found) if isinstance(found, MultiValue | list | tuple) else [found]
    return [str(one).strip(" \0\t\r\n") for one in many]


def text(ds: Dataset, keyword: str) -> str | None:
    """The element's first value as text, or None where that is empty."""
    found = texts(ds, keyword)
    return found[0] or None if found else None


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """The element's values as finite numbers; empty where any of them is none."""
    try:
        found = [float(one) for one in texts(ds, keyword)]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []


def number(ds: Dataset, keyword: str) -> float | None:
    """The element's first value as a finite number, whatever the others are."""
    try:
        found = float(text(ds, keyword) or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def integer(ds: Dataset, keyword: str) -> int | None:
    """The element's first value as a whole number."""
    found = number(ds, keyword)
    return int(found) if found is not None and found == int(found) else None


def item(ds: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence."""
    found = value(ds, keyword)
    try:
        first = found[0]
    except Exception:
        return None
    return first if isinstance(first, Dataset) else None


def count(ds: Dataset, keyword: str) -> int:
    """How many values or items the element has."""
    found = value(ds, keyword)
    if found is None:
        return 0
    return len(found) if isinstance(found, MultiValue | Sequence | list) else 1
