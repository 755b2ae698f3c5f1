"""Whose objects these are, and UIDs that a repeat has again."""

import hashlib
import json
import uuid
from importlib.metadata import version
from typing import Any

import numpy as np

from pleura.finding import Finding, ModelIdentity
from pleura.read.dicom import RESULTS_OF

_NAMESPACE = uuid.UUID("8f1c1d0e-6a0b-5d0c-9f5e-3b6b1f0c7a52")


def uid(*parts: str) -> str:
    """A UID below 2.25 (PS3.5 B.2) that only these parts have."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def digest(finding: Finding, *more: object) -> str:
    """Of all that a finding's objects hold: another finding, or another pleura, makes other objects.

    But for the film's name and UID: who makes the objects knows the film, the finding may have been kept
    without.
    """
    film = ("file", "sop_instance_uid")
    facts = {key: value for key, value in finding.facts().items() if key not in film}
    told = json.dumps([facts, version("pleura"), *map(str, more)], sort_keys=True)
    made = hashlib.sha256(told.encode())
    for drawn in (finding.mask, finding.lung_fields):
        made.update(b"" if drawn is None else np.packbits(drawn > 0).tobytes())
    return made.hexdigest()


def series(model: ModelIdentity, series_uid: str, kind: str) -> str:
    """The UID of the series that holds the results of one kind of a film's series."""
    return uid(series_uid, model.sha256, kind)


def equipment(model: ModelIdentity) -> dict[str, Any]:
    """What every object says of what made it (PS3.3 C.7.5.1), as highdicom's arguments name it."""
    return {
        "manufacturer": RESULTS_OF,
        "manufacturer_model_name": line(model.name),
        "software_versions": [line(model.version), line(f"pleura {version('pleura')}")],
        "device_serial_number": model.sha256[:16],
    }


def line(text: str) -> str:
    """A text as a Long String (LO) may be: 64 characters, no backslash, not empty."""
    kept = "".join(c if c.isprintable() and c != "\\" else "_" for c in text)
    return kept[:64].strip() or "-"
