"""A film's way from its file to its finding."""

import errno
import logging
import time
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.errors import ReadError
from pleura.finding import Finding
from pleura.inference.detector import Detector
from pleura.inference.postprocess import OperatingPoint, draw_mask
from pleura.radiograph import Radiograph
from pleura.read import Limits
from pleura.service.decoding import Decoders
from pleura.service.findings import finding_facts, operating_point
from pleura.service.folders import HEAT, LUNGS, MASK, THUMBNAIL
from pleura.service.metrics import Metrics
from pleura.service.problems import is_of_full_disk
from pleura.service.rasters import heat_png, lungs_png, mask_png, reduced
from pleura.service.store import Judged, Store, study_of

log = logging.getLogger(__name__)

MAX_DEATHS = 3
"""How often the service may die while it judges a film, before that is given up."""

ROOM_BYTES = 8 << 20
"""That the disk must have left for what is found in a film."""

_FIELDS = {f.name for f in fields(Radiograph)} - {"pixels", "header", "source"}
_FROM_FILM = (
    "view",
    "age_years",
    "sex",
    "patient_id",
    "modality",
    "study_instance_uid",
    "rows",
    "columns",
)


class Judge:
    """Judges films of the store; safe to call from several threads.

    Doing it again does no harm: a film that was judged stays as it is.
    """

    def __init__(
        self,
        store: Store,
        detector: Detector,
        decoders: Decoders,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._store, self._detector, self._decoders = store, detector, decoders
        self._metrics, self._limits = metrics, limits
        self._point = operating_point(detector.manifest)

    def __call__(self, film_id: str) -> None:
        """Judges a film that waits; one that does not is left alone.

        Raises:
            OSError: the disk is full; the film waits on.
        """
        if not self._store.folders.make_room(ROOM_BYTES):
            raise OSError(errno.ENOSPC, "no film is judged: the disk is full")
        deaths, row = self._store.begin(film_id), self._store.film(film_id)
        if deaths is None or row is None:
            return
        if deaths >= MAX_DEATHS:
            self._give_up(film_id)
            return
        if row["reason"] is None:  # judged again, it did not wait since it came
            waited = max(0.0, time.time() - row["received"])
            self._metrics.stage_seconds.labels("wait").observe(waited)
        try:
            judged = self._judged(film_id)
        except ReadError as error:
            judged = Judged("failed", str(error), {})
        except Exception as error:  # of a runtime or a library, too: the films behind it go on
            if is_of_full_disk(error):  # no fault of the film's
                raise
            if self._store.has(film_id):  # and was not deleted meanwhile
                log.error("film %s cannot be judged: %s", film_id, type(error).__name__)
            reason = f"it could not be judged ({type(error).__name__}); have it judged again to try once more"
            judged = Judged("failed", reason, {})
        if self._store.judge(film_id, judged, row["received"]):
            self._metrics.films.labels(judged.state).inc()
            if "probability" in judged.columns and judged.columns["probability"] is not None:
                self._metrics.probability.observe(judged.columns["probability"])
        else:
            self._store.remove_orphan(film_id)  # of one that was deleted meanwhile

    def _give_up(self, film_id: str) -> None:
        log.error("film %s is given up: the service died over it %s times", film_id, MAX_DEATHS)
        reason = "judging it ended the service several times; it is not tried again"
        if self._store.judge(film_id, Judged("failed", reason, {})):
            self._metrics.films.labels("failed").inc()

    def _judged(self, film_id: str) -> Judged:
        metrics, folders = self._metrics, self._store.folders
        request = {"path": str(folders.file(film_id)), "limits": asdict(self._limits)}
        with metrics.stage("decode"):
            header, (pixels, thumbnail) = self._decoders.ask({"do": "open", **request})
            film = film_from(header["film"], pixels)
        with metrics.stage("judge"):
            finding = self._detector(film)
        with metrics.stage("keep"):
            drawn, heat, lungs = finding.probability_map, None, finding.lung_fields
            if drawn is not None:
                heat = reduced(drawn, self._detector.size)
            pictures = {
                THUMBNAIL: thumbnail,
                HEAT: None if heat is None else heat_png(heat),
                LUNGS: None if lungs is None else lungs_png(lungs),
                MASK: None if finding.mask is None else mask_png(finding.mask),
            }
            folders.replace(film_id, pictures, durable=(MASK,))
            facts = header["film"]
            columns = {name: facts[name] for name in _FROM_FILM} | {
                "study": study_of(facts["study_instance_uid"], film_id),
                "study_date": header["study_date"],
                "probability": finding.probability,
                "calibrated": finding.calibrated,
                "side": finding.side,
                "area_fraction": finding.area_fraction,
                "area_mm2": finding.area_mm2,
                "has_regions": _has_regions(finding, heat, self._detector.manifest.operating_point),
            }
            return Judged(
                finding.decision,
                finding.reason,
                columns,
                {"film": facts, "viewing": header["viewing"]},
                finding_facts(finding),
                self._point
                if finding.pixel_threshold is None
                else self._point | {"pixel_threshold": finding.pixel_threshold, "relative": False},
            )


def _has_regions(
    finding: Finding, heat: NDArray[np.float32] | None, point: OperatingPoint
) -> bool | None:
    """Whether there are regions to draw, were the film suspected; None where there is no map to say so."""
    if finding.decision == "positive":
        return True
    if heat is None or finding.pixel_threshold is None:
        return None
    point = replace(point, pixel_threshold=finding.pixel_threshold, relative=False)
    return bool(draw_mask(heat, point, 1.0).any())


def film_from(facts: dict[str, Any], pixels: bytes) -> Radiograph:
    """The film that a process opened.

    Raises:
        ReadError: what it says does not fit together.
    """
    try:
        given = {name: facts[name] for name in _FIELDS}
        spacing, orientation = given["spacing_mm"], given["patient_orientation"]
        given |= {
            "spacing_mm": None if spacing is None else (float(spacing[0]), float(spacing[1])),
            "patient_orientation": orientation and tuple(orientation),
            "notes": tuple(str(note) for note in given["notes"]),
        }
        shape = int(facts["rows"]), int(facts["columns"])
        array = np.frombuffer(pixels, np.float32).reshape(shape)
        return Radiograph(pixels=array, source="film", **given)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ReadError(
            f"it was opened to something that is no film ({type(error).__name__})"
        ) from None
