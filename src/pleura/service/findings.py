"""A finding as the store keeps it, and back: facts as JSON, and the pictures of `rasters`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import DecodeError
from pleura.extent import Extent, Line
from pleura.finding import PNEUMOTHORAX, Finding, Instance, Lesion, ModelIdentity, Target
from pleura.inference.manifest import BundleManifest

Kept = TypeVar("Kept")


def finding_facts(finding: Finding) -> dict[str, Any]:
    """Everything but the arrays and the film's name, as JSON types; the target's code, too."""
    facts = finding.facts()
    kept = {key: value for key, value in facts.items() if key not in ("file", "sop_instance_uid")}
    return kept | {"target_code": finding.target.code, "target_scheme": finding.target.scheme}


def finding_from(
    facts: dict[str, Any], shape: tuple[int, int], mask: bytes, heat: bytes, lungs: bytes
) -> Finding:
    """The finding of a film of `shape` that was kept as `facts` and three PNGs, each empty if need be.

    What another version of pleura kept beside is passed over.
    """
    side_basis = facts["side_basis"] or "convention"
    declined = facts["decision"] == "declined"
    return Finding(
        target=Target(
            facts["target"],
            facts.get("target_code", PNEUMOTHORAX.code),  # older stores have none
            facts.get("target_scheme", PNEUMOTHORAX.scheme),
        ),
        decision=facts["decision"],
        reason=facts["reason"],
        model=ModelIdentity(facts["model"], facts["model_version"], facts["model_sha256"]),
        source="film",
        probability=facts["probability"],
        calibrated=facts["calibrated"],
        probability_map=_map(heat, shape) if heat else None,
        pixel_threshold=facts.get("pixel_threshold"),
        mask=None if declined else _mask(mask, shape),
        lesions=tuple(
            _made(Lesion, {**lesion, "box": tuple(lesion["box"]), "side_basis": side_basis})
            for lesion in facts["lesions"]
        ),
        instances=tuple(
            Instance(tuple(one["box"]), float(one["score"])) for one in facts["instances"]
        ),
        extents=tuple(_extent(extent) for extent in facts.get("extents", ())),
        lung_fields=_grey(lungs) if lungs else None,
        patient_orientation=tuple(facts.get("patient_orientation") or ()) or None,
        notes=tuple(facts["notes"]),
    )


def operating_point(manifest: BundleManifest) -> dict[str, Any]:
    """How a bundle decides, with its presence threshold in the units of a finding's probability, too."""
    point = manifest.operating_point
    threshold = point.presence_threshold
    calibrator = manifest.calibrator
    return {
        "presence_threshold": threshold,
        "presence_probability": float(calibrator(threshold)) if calibrator else threshold,
        "pixel_threshold": point.pixel_threshold,
        "relative": point.relative,
        "min_area_fraction": point.min_area_fraction,
        "keep_largest": point.keep_largest,
        "top_threshold": point.top_threshold,
        "min_top_area_fraction": point.min_top_area_fraction,
        "aim": point.aim,
        "fitted_on": point.fitted_on,
    }


def _extent(facts: Mapping[str, Any]) -> Extent:
    lines = tuple(
        Line(line["name"], tuple(line["start"]), tuple(line["end"]), line["mm"])
        for line in facts["lines"]
    )
    return _made(Extent, {**facts, "lines": lines})


def _made(kind: type[Kept], facts: Mapping[str, Any]) -> Kept:
    """An object of what is known of it."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in facts.items() if name in names})


def _grey(png: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DecodeError("a picture of the finding is gone or damaged; judge the film again")
    return np.asarray(image, np.uint8)


def _mask(png: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    return _grey(png) > 0 if png else np.zeros(shape, np.bool_)


def _map(png: bytes, shape: tuple[int, int]) -> NDArray[np.float32]:
    levels = _grey(png).astype(np.float32) / np.float32(255)
    return np.asarray(cv2.resize(levels, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
