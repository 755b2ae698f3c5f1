"""Whose objects these are, and UIDs that a repeat has again."""

import uuid
from importlib.metadata import version
from typing import Any

from pleura.finding import ModelIdentity
from pleura.read.dicom import RESULTS_OF

_NAMESPACE = uuid.UUID("8f1c1d0e-6a0b-5d0c-9f5e-3b6b1f0c7a52")


def uid(*parts: str) -> str:
    """A UID below 2.25 (PS3.5 B.2) that only these parts have: a repeat of a result is the same object."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def equipment(model: ModelIdentity) -> dict[str, Any]:
    """What every object says of what made it (PS3.3 C.7.5.1), as highdicom's arguments name it."""
    return {
        "manufacturer": RESULTS_OF,
        "manufacturer_model_name": model.name[:64],
        "software_versions": [model.version[:64], f"pleura {version('pleura')}"[:64]],
        "device_serial_number": model.sha256[:16],
    }
