"""Once the network is trained: the density of known films, and the thresholds of declining."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pleura.data.augment.step import Image
from pleura.data.dataset import FilmSet
from pleura.data.phantom import phantom
from pleura.inference.admission.answers import Answers, answers_of
from pleura.inference.admission.doorkeeper import mending_for, objection
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.preprocess import InputSpec, normalise, squeeze
from pleura.networks.anatomy import Anatomy
from pleura.training.anatomy.samples import Material, framed

DOMAINS = ("chests", "drawn lungs", "phantoms")
MOST_CHESTS, PHANTOMS = 1500, 160
SPARED = 0.0025
"""Share of the films that each threshold alone may decline."""

_BATCH = 32
_LEAST_NO_CHEST = 0.25  # however sure the network is of the films that it is fitted on
# However large lungs are on those: other hospitals leave more room around them.
_MOST_LUNG_SHARE = 0.05


def fit_density(
    network: Anatomy,
    material: Material,
    spec: InputSpec,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fits the network's density to the films it was trained on: of each of `DOMAINS`.

    Args:
        network: trained, in evaluation mode.
        material: its films.
        spec: what it takes.
        seed: draws which films, and the windows about drawn lungs.
        progress: called with (films seen, films in all).
    """
    rng = np.random.default_rng([seed, 2])
    chests = rng.permutation(len(material.chests))[:MOST_CHESTS]
    domains: list[Iterator[Image]] = [
        (material.chests.get(int(i))[0] for i in chests),
        _lungs(material, rng),
        (
            phantom(int(rng.integers(2**31)), 256, squeeze=n % 2 == 0).pixels
            for n in range(PHANTOMS)
        ),
    ]
    total, done = len(chests) + 2 * len(material.lungs) + PHANTOMS, 0
    features: list[Tensor] = []
    for domain in domains:
        found = []
        while images := list(islice(domain, _BATCH)):
            small = [squeeze(image, spec.size) for image in images]
            found.append(network.features(_batch(small, spec)))
            done += len(images)
            if progress:
                progress(done, total)
        features.append(torch.cat(found))
    network.density.fit(features)


def _lungs(material: Material, rng: np.random.Generator) -> Iterator[Image]:
    for film in material.lungs:
        image = film.pixels.astype(np.float32) / np.float32(255)
        yield image
        yield framed(image, film.planes, rng, inside=0.0)[0]


@torch.inference_mode()
def answers_for(
    network: Anatomy,
    images: Sequence[Image] | FilmSet,
    spec: InputSpec,
    progress: Callable[[int, int], None] | None = None,
) -> list[Answers]:
    """What the network says of films, float32 (H, W) each or of a `FilmSet`."""
    found: list[Answers] = []
    for start in range(0, len(images), _BATCH):
        numbers = range(start, min(start + _BATCH, len(images)))
        chosen = [images.get(i)[0] if isinstance(images, FilmSet) else images[i] for i in numbers]
        output = network(_batch([squeeze(one, spec.size) for one in chosen], spec)).float()
        found += answers_of([tensor.numpy() for tensor in output])
        if progress:
            progress(len(found), len(images))
    return found


def fit_thresholds(answers: Sequence[Answers], fitted_on: str) -> AdmissionThresholds:
    """Thresholds of which each alone declines at most `SPARED` of these films.

    Args:
        answers: for real films that the network has not seen, all upright and whole.
        fitted_on: which films those are.
    """
    spare = int(SPARED * len(answers))

    def limit(values: Sequence[float]) -> float:
        """A little above all but `spare` of the values."""
        return 1.001 * float(np.sort(np.asarray(values))[len(values) - 1 - spare])

    least = float(np.sort([one.lung_share for one in answers])[spare])
    thresholds = AdmissionThresholds(
        no_chest=float(np.clip(limit([one.no_chest for one in answers]), _LEAST_NO_CHEST, 0.95)),
        novelty=limit([one.novelty for one in answers]),
        lung_share=min(0.99 * least, _MOST_LUNG_SHARE),
        cut_share=min(limit([one.cut_share for one in answers]) + 0.02, 1.0),
        fitted_on=fitted_on,
        films=len(answers),
    )
    declined = sum(_is_declined(one, thresholds) for one in answers)
    return replace(thresholds, declined=declined)


def _is_declined(answers: Answers, thresholds: AdmissionThresholds) -> bool:
    """Whether a film that is as it should be is declined, or would first be put right."""
    mending, reason = mending_for(answers, thresholds)
    return bool(mending or reason or objection(answers, thresholds))


def _batch(images: Sequence[Image], spec: InputSpec) -> Tensor:
    stacked: NDArray[np.float32] = np.stack([normalise(image, spec) for image in images])
    return torch.from_numpy(stacked)
