"""`Detector`: films in, findings out. What is evaluated is what is served: this."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError
from pleura.finding import Finding
from pleura.inference.admission import decline_reason
from pleura.inference.bundle import TOP_PIXELS, Bundle, BundleManifest, open_bundle
from pleura.inference.postprocess import draw_mask, lesions, presence_score, to_source_matrix
from pleura.inference.preprocess import network_input
from pleura.inference.runtime import Runtime, TorchRuntime
from pleura.radiograph import Radiograph


class Detector:
    """A bundle, ready to judge films; safe to call from several threads.

    Args:
        bundle: an opened bundle.
        runtime: what runs its network.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime) -> None:
        self.bundle = bundle
        self.runtime = runtime

    @classmethod
    def load(cls, path: Path | str, device: str = "auto") -> "Detector":
        """Opens the bundle at `path`, a directory or a zip, and makes it ready.

        Raises:
            BundleError: it is missing, damaged or altered.
            MissingExtra: what runs it is not installed.
        """
        bundle = open_bundle(path)
        return cls(bundle, TorchRuntime(bundle, device))

    @property
    def manifest(self) -> BundleManifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    def __call__(self, film: Radiograph) -> Finding:
        """The finding for one film."""
        return self.batch([film])[0]

    def batch(self, films: Sequence[Radiograph]) -> list[Finding]:
        """The findings for several films, in their order; the network sees them in one batch."""
        reasons = [decline_reason(film) for film in films]
        judged = [film for film, reason in zip(films, reasons, strict=True) if reason is None]
        maps, scores = self.probabilities(judged) if judged else ((), ())
        outcomes = iter(zip(maps, scores, strict=True))
        return [
            self._declined(film, reason) if reason else self._finding(film, *next(outcomes))
            for film, reason in zip(films, reasons, strict=True)
        ]

    def probabilities(self, films: Sequence[Radiograph]) -> tuple[NDArray[np.float32], list[float]]:
        """What the network makes of films, before any decision.

        Returns:
            Pixel probabilities at the network's resolution, float32 (N, size, size) in [0, 1], and the
            presence scores, in [0, 1].

        Raises:
            BundleError: the bundle scores by a presence head, and its network has none.
        """
        spec = self.manifest.input
        logits = self.runtime(np.stack([network_input(film.pixels, spec) for film in films]))
        maps = _sigmoid(logits.mask)
        if self.manifest.presence_score == TOP_PIXELS:
            return maps, [presence_score(probability_map) for probability_map in maps]
        if logits.presence is None:
            raise BundleError(
                f"{self.manifest.name} scores by a presence head, and its network has none"
            )
        return maps, [float(p) for p in _sigmoid(logits.presence)]

    def _finding(
        self, film: Radiograph, probability_map: NDArray[np.float32], score: float
    ) -> Finding:
        point = self.manifest.operating_point
        enlarged = to_source_matrix(probability_map, film.shape)
        mask = np.zeros(film.shape, dtype=np.bool_)
        suspected = score >= point.presence_threshold
        if suspected:
            mask = draw_mask(enlarged, point)
        if mask.any():
            reason = f"Score {score:.3f} reaches the threshold {point.presence_threshold:.3f}."
        elif suspected:
            reason = f"Score {score:.3f} reaches the threshold, but no region is large enough."
        else:
            reason = f"Score {score:.3f} is below the threshold {point.presence_threshold:.3f}."
        return Finding(
            target=self.manifest.target,
            decision="positive" if mask.any() else "negative",
            reason=reason,
            model=self.bundle.identity,
            source=film.source,
            sop_instance_uid=film.sop_instance_uid,
            probability=score,
            probability_map=enlarged,
            mask=mask,
            lesions=lesions(mask, enlarged, film),
            notes=film.notes,
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


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))).astype(np.float32)
