"""`Detector`: films in, findings out. What is evaluated is what is served: this."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError
from pleura.finding import PNEUMOTHORAX, Finding
from pleura.frame import WHOLE, Frame
from pleura.inference.admission.doorkeeper import Admission, Doorkeeper
from pleura.inference.bundle import Bundle, BundleManifest, open_bundle
from pleura.inference.calibration import Calibrator
from pleura.inference.ensemble import Ensemble, Vote
from pleura.inference.lung_fields import LungFields, lung_frame
from pleura.inference.manifest import ANATOMY, GATE, SEGMENTER
from pleura.inference.measurements import measure
from pleura.inference.postprocess import (
    OperatingPoint,
    draw_mask,
    instances,
    lesions,
    to_source_matrix,
)
from pleura.inference.runtimes import AUTO, Runtime, RuntimeOptions, runtimes_for
from pleura.inference.shipped import default_bundle
from pleura.inference.stages import stage
from pleura.radiograph import Radiograph

Map = NDArray[np.float32]

SIDE_NOTE = "A lesion's side is that of the lung field it lies in."
"""Of a finding whose lesions have their sides from the lungs, not from the half of the image."""


class _Outcome(NamedTuple):
    """What the networks make of one film: a map and boxes where the segmenters looked, and the score.

    The map is over `frame`, the part of the film that they saw.
    """

    probability_map: Map | None
    score: float
    frame: Frame = WHOLE
    boxes: NDArray[np.float32] | None = None


class Detector:
    """A bundle, ready to judge films; safe to call from several threads.

    Args:
        bundle: an opened bundle.
        runtimes: what runs each of its members, in their order.
        reason: why those, in one sentence.
    """

    def __init__(
        self, bundle: Bundle, runtimes: Sequence[Runtime], reason: str = "they were given"
    ) -> None:
        self.bundle = bundle
        self.runtimes = tuple(runtimes)
        self._reason = reason
        self._segmenter = self._ensemble(SEGMENTER)
        self._gate = self._ensemble(GATE) if self.manifest.of_role(GATE) else None
        self._door = self._doorkeeper()

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        device: str = "auto",
        *,
        runtime: str = "auto",
        threads: int = 0,
        precision: str = "auto",
        cache: bool = True,
    ) -> "Detector":
        """Opens the bundle at `path`, a directory or a zip, and makes it ready; without one, the shipped.

        Args:
            path: the bundle; None: the one that the distribution `pleura-weights` holds.
            device: `auto`, `cpu` or `cuda`.
            runtime: `auto`, `openvino`, `onnxruntime` or `torch`; see `runtimes_for`.
            threads: of the network; 0: as many as this process may use.
            precision: of the arithmetic: `auto`, `f32`, `bf16` or `f16`; see `RuntimeOptions`.
            cache: keep what was compiled for this machine for the next start.

        Raises:
            BundleError: it is missing, damaged or altered, or holds nothing for the runtime; or none was
                named and `pleura-weights` is not installed.
            MissingExtra: what runs it is not installed.
            DeviceUnavailable, UnknownName: there is no such device or runtime.
        """
        options = RuntimeOptions(runtime, device, threads, precision, cache)
        return cls.of(open_bundle(default_bundle() if path is None else path), options=options)

    @classmethod
    def of(
        cls, bundle: Bundle, device: str = "auto", *, options: RuntimeOptions | None = None
    ) -> "Detector":
        """An opened bundle, made ready, on `device` or as `options` say; raises as `load` does.

        Raises:
            ValueError: both are given, and `options` would not be on that device.
        """
        if options is not None and device not in (AUTO, options.device):
            raise ValueError(
                f"options ask for the device {options.device}, not {device}; give one of both"
            )
        choice = runtimes_for(bundle, options or RuntimeOptions(device=device))
        return cls(bundle, choice.runtimes, choice.reason)

    @property
    def description(self) -> str:
        """What runs the networks, and why that: such as `openvino bf16 on cpu: the quickest here`."""
        names = sorted({runtime.name for runtime in self.runtimes})
        return f"{', '.join(names)}: {self._reason}"

    def warm_up(self, batch_size: int = 1) -> None:
        """Runs every network once on a blank batch, so that the first film waits for nothing."""
        for member, runtime in zip(self.manifest.members, self.runtimes, strict=True):
            spec = member.input
            blank = np.zeros((batch_size, spec.channels, spec.size, spec.size), np.float32)
            if member.role == ANATOMY:
                runtime.outputs(blank)
            else:
                runtime(blank)

    def _ensemble(self, role: str) -> Ensemble:
        chosen = self.manifest.of_role(role)
        members = [self.manifest.members[i] for i in chosen]
        return Ensemble(members, [self.runtimes[i] for i in chosen], flip=self.manifest.flip)

    def _doorkeeper(self) -> Doorkeeper:
        """What looks at films first: with the bundle's anatomy network, where it has one."""
        for i in self.manifest.of_role(ANATOMY):
            member, runtime = self.manifest.members[i], self.runtimes[i]
            return Doorkeeper(member, runtime, self.manifest.admission)
        return Doorkeeper()

    @property
    def size(self) -> int:
        """Of the probability maps as the networks draw them, px a side."""
        return self._segmenter.size

    @property
    def manifest(self) -> BundleManifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Detector cannot be sent to another process; load it there (pleura.Detector.load)"
        )

    def __call__(self, film: Radiograph) -> Finding:
        """The finding for one film.

        Raises:
            BundleError: the networks' answer is not a number.
            TypeError: it is no film that `pleura.read` gave.
        """
        return self.batch([film])[0]

    def batch(self, films: Iterable[Radiograph]) -> list[Finding]:
        """The findings for several films, in their order; the network sees them in one batch.

        Raises:
            BundleError, TypeError: as for one film.
        """
        films = list(films)
        for film in films:
            if not isinstance(film, Radiograph):
                raise TypeError(
                    f"a film is what pleura.read(path) gives, a Radiograph; got {type(film).__name__}"
                )
        admissions = self._door(films)
        judged = [one for one in admissions if one.reason is None]
        outcomes = iter(self._outcomes(judged) if judged else ())
        with stage("postprocess"):
            return [
                self._declined(one.film, one.reason)
                if one.reason
                else self._finding(one, next(outcomes))
                for one in admissions
            ]

    def probabilities(self, films: Sequence[Radiograph]) -> tuple[Map, list[float]]:
        """What the networks make of films, as they are and before any decision; none is declined.

        Returns:
            Pixel probabilities at the segmenters' resolution, float32 (N, size, size) in [0, 1], over the
            part of each film that they see, and the presence scores, in [0, 1]: the gates' in a cascade.

        Raises:
            BundleError: a member scores by a presence head, and its network has none.
        """
        labels = self._door.labels(films)
        vote = self._segmenter(films, labels)
        scores = self._gate(films, labels).scores if self._gate else vote.scores
        return vote.maps, [float(score) for score in scores]

    def lungs(self, films: Sequence[Radiograph]) -> list[Frame]:
        """The frame around the lungs of each film as it is; the whole film without an anatomy network."""
        return [lung_frame(labels) for labels in self._door.labels(films)]

    def _outcomes(self, admissions: Sequence[Admission]) -> list[_Outcome]:
        """Each film's outcome; a cascade makes no map of the films that its gates do not suspect."""
        films = [one.film for one in admissions]
        labels = [one.labels for one in admissions]
        if self._gate is None:
            return list(_outcomes_of(self._segmenter(films, labels)))
        gated = [float(score) for score in self._gate(films, labels).scores]
        threshold = self.manifest.operating_point.presence_threshold
        suspected = [i for i, score in enumerate(gated) if score >= threshold]
        drawn: Iterator[_Outcome] = iter(())
        if suspected:
            chosen = [films[i] for i in suspected], [labels[i] for i in suspected]
            drawn = _outcomes_of(self._segmenter(*chosen))
        return [
            next(drawn)._replace(score=score) if score >= threshold else _Outcome(None, score)
            for score in gated
        ]

    def _finding(self, admission: Admission, outcome: _Outcome) -> Finding:
        film, labels = admission.film, admission.labels
        fields = None if labels is None else LungFields.of(labels, film)
        probability_map, score, frame, boxes = outcome
        self._check_finite(film, score, probability_map)
        point, calibrator = self.manifest.operating_point, self.manifest.calibrator
        enlarged, threshold = None, point.pixel_threshold_at(score)
        mask = np.zeros(film.shape, dtype=np.bool_)
        suspected = score >= point.presence_threshold
        if probability_map is not None:
            enlarged = to_source_matrix(probability_map, film.shape, frame)
            if suspected:
                mask = draw_mask(enlarged, point, score)
        found = () if enlarged is None else lesions(mask, enlarged, film, fields)
        located = None if fields is None or fields.doubt else fields
        is_pneumothorax = self.manifest.target.code == PNEUMOTHORAX.code
        finding = Finding(
            target=self.manifest.target,
            decision="positive" if mask.any() else "negative",
            reason=_reason(score, point, calibrator, found=bool(mask.any())),
            model=self.bundle.identity,
            source=film.source,
            sop_instance_uid=film.sop_instance_uid,
            probability=float(calibrator(score)) if calibrator else score,
            calibrated=calibrator is not None,
            probability_map=enlarged,
            pixel_threshold=None if enlarged is None else threshold,
            mask=mask,
            lesions=found,
            instances=()
            if boxes is None or not mask.any()  # those too faint to be drawn are no finding
            else instances(boxes, self._segmenter.size, film.shape, threshold),
            extents=measure(mask, found, film, fields) if is_pneumothorax else (),
            lung_fields=located.labels if located else None,
            notes=film.notes + ((SIDE_NOTE,) if found and located else ()),
        )
        return admission.mending.finding_back(finding, film)

    def _check_finite(self, film: Radiograph, score: float, probability_map: Map | None) -> None:
        """Not a number is not a negative film, which thresholds would make of it."""
        known = probability_map is None or bool(np.isfinite(probability_map).all())
        if not (known and np.isfinite(score)):
            raise BundleError(
                f"{self.bundle.identity.name} gives no number for {film.source} (score {score}): its weights "
                f"are damaged, or {self.description} is too coarse for it; try --precision f32"
            )

    def _declined(self, film: Radiograph, reason: str) -> Finding:
        return Finding(
            target=self.manifest.target,
            decision="declined",
            reason=reason,
            model=self.bundle.identity,
            source=film.source,
            sop_instance_uid=film.sop_instance_uid,
            notes=film.notes,
        )


def _outcomes_of(vote: Vote) -> Iterator[_Outcome]:
    boxes = vote.boxes or (None,) * len(vote.scores)
    for drawn, score, frame, found in zip(vote.maps, vote.scores, vote.frames, boxes, strict=True):
        yield _Outcome(drawn, float(score), frame, found)


def _reason(
    score: float, point: OperatingPoint, calibrator: Calibrator | None, *, found: bool
) -> str:
    """Why a film was called positive, having a mask, or negative; in the units of its probability."""
    word, value, threshold = "Score", f"{score:.3f}", f"{point.presence_threshold:.3f}"
    if calibrator is not None:
        word = "Probability"
        value, threshold = (
            f"{float(calibrator(x)):.3f}" for x in (score, point.presence_threshold)
        )
    if score < point.presence_threshold:
        if value == threshold:  # of an isotonic step, or rounded
            return f"{word} {value} is just below the threshold."
        return f"{word} {value} is below the threshold {threshold}."
    if point.top_threshold is not None:
        top = f"reaches a probability of {point.top_threshold:.2f}"
        if found:
            return f"Enough of the film {top}."
        return f"Too little of the film {top}, or no region is large enough."
    if found:
        return f"{word} {value} reaches the threshold {threshold}."
    return f"{word} {value} reaches the threshold, but no region is large enough."
