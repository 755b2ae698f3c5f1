"""`Detector`: films in, findings out. What is evaluated is what is served: this."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pleura.finding import Finding
from pleura.inference.admission import decline_reason
from pleura.inference.bundle import Bundle, BundleManifest, open_bundle
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
        maps = iter(self.probability_maps(judged)) if judged else iter(())
        return [
            self._declined(film, reason) if reason else self._finding(film, next(maps))
            for film, reason in zip(films, reasons, strict=True)
        ]

    def probability_maps(self, films: Sequence[Radiograph]) -> NDArray[np.float32]:
        """Pixel probabilities at the network's resolution, float32 (N, size, size) in [0, 1]."""
        spec = self.manifest.input
        logits = self.runtime(np.stack([network_input(film.pixels, spec) for film in films]))
        return (1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))).astype(np.float32)

    def _finding(self, film: Radiograph, probability_map: NDArray[np.float32]) -> Finding:
        point = self.manifest.operating_point
        score = presence_score(probability_map)
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
