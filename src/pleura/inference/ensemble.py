"""Several networks as one: pixel probabilities and presence scores, averaged."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pleura.errors import BundleError
from pleura.frame import WHOLE, Frame
from pleura.inference.lung_fields import lung_frame
from pleura.inference.manifest import TOP_PIXELS, Member
from pleura.inference.postprocess import presence_score
from pleura.inference.preprocess import LUNGS, InputSpec, network_input
from pleura.inference.runtimes.base import Logits, Runtime
from pleura.inference.stages import stage
from pleura.radiograph import Radiograph


class Vote(NamedTuple):
    """What networks make of films, before any decision.

    Attributes:
        maps: pixel probabilities, float32 (N, size, size) in [0, 1], each over its frame.
        scores: presence scores, float64 (N,) in [0, 1].
        frames: the part of each film that the networks saw.
        boxes: what a single network found one by one, as in `Logits`, in px of `size`; else empty.
    """

    maps: NDArray[np.float32]
    scores: NDArray[np.float64]
    frames: tuple[Frame, ...] = ()
    boxes: tuple[NDArray[np.float32], ...] = ()


class Ensemble:
    """Networks that judge together: the means of their pixel probabilities and of their presence scores.

    Each network's score is made as its member says, before the mean is taken. Networks of different input
    sizes meet at the largest, to which the maps of the others are enlarged (bilinear).

    Args:
        members: at least one; all see the same region of a film.
        runtimes: what runs each.
        flip: average each network's answer with that for the mirrored film, mirrored back.
    """

    def __init__(
        self, members: Sequence[Member], runtimes: Sequence[Runtime], *, flip: bool = False
    ) -> None:
        self.members, self.runtimes, self.flip = tuple(members), tuple(runtimes), flip
        self.size = max(member.input.size for member in members)

    def __call__(
        self, films: Sequence[Radiograph], labels: Sequence[NDArray[np.uint8] | None]
    ) -> Vote:
        """The networks' mean vote on films, at `size`.

        Args:
            films: one at least.
            labels: each film's label map, None without an anatomy network; for networks that see the lungs.

        Raises:
            BundleError: a member scores by a presence head, and its network has none.
        """
        seen: dict[InputSpec, NDArray[np.float32]] = {}
        maps = np.zeros((len(films), self.size, self.size), np.float32)
        scores = np.zeros(len(films), np.float64)
        boxes: tuple[NDArray[np.float32], ...] = ()
        frames = (WHOLE,) * len(films)
        if self.members[0].input.region == LUNGS:
            frames = tuple(lung_frame(one) for one in labels)
        for member, runtime in zip(self.members, self.runtimes, strict=True):
            if member.input not in seen:
                with stage("preprocess"):
                    inputs = [
                        network_input(film.pixels, member.input, frame)
                        for film, frame in zip(films, frames, strict=True)
                    ]
                    seen[member.input] = np.stack(inputs)
            with stage("network"):
                vote = self._vote(member, runtime, seen[member.input])
            maps += _enlarged(vote.maps, self.size)
            scores += vote.scores
            boxes = vote.boxes if len(self.members) == 1 else ()  # there is no mean of boxes
        count = len(self.members)
        return Vote(
            np.clip(maps / count, 0.0, 1.0), np.clip(scores / count, 0.0, 1.0), frames, boxes
        )

    def _vote(self, member: Member, runtime: Runtime, batch: NDArray[np.float32]) -> Vote:
        """One network's vote on a batch, float32 (N, channels, size, size)."""
        logits = runtime(batch)
        maps, presence = _probabilities(member, logits)
        if self.flip:
            mirrored = runtime(np.ascontiguousarray(batch[..., ::-1]))
            other_maps, other_presence = _probabilities(member, mirrored)
            maps = (maps + other_maps[..., ::-1]) / np.float32(2)
            if presence is not None and other_presence is not None:
                presence = (presence + other_presence) / np.float32(2)
        return _scored(member, maps, presence)._replace(boxes=logits.boxes)


def _probabilities(
    member: Member, logits: Logits
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Pixel probabilities, float32 (N, size, size), and those of presence, float32 (N,), if there are any."""
    presence = logits.presence
    if presence is None and member.presence_score != TOP_PIXELS:
        raise BundleError(f"{member.network} is to score by a presence head, and it has none")
    return _sigmoid(logits.mask), None if presence is None else _sigmoid(presence)


def _scored(
    member: Member, maps: NDArray[np.float32], presence: NDArray[np.float32] | None
) -> Vote:
    if member.presence_score == TOP_PIXELS or presence is None:
        return Vote(maps, np.array([presence_score(one) for one in maps], np.float64))
    return Vote(maps, presence.astype(np.float64))


def _enlarged(maps: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    if maps.shape[1:] == (size, size):
        return maps
    bilinear = cv2.INTER_LINEAR
    resized = [cv2.resize(one, (size, size), interpolation=bilinear) for one in maps]
    return np.stack(resized).astype(np.float32, copy=False)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))).astype(np.float32)
