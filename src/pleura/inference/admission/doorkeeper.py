"""`Doorkeeper`: films to those that are judged, put right where they must be, and to reasons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.inference.admission.answers import UPRIGHT, Answers, answers_of
from pleura.inference.admission.basics import decline_reason
from pleura.inference.admission.mending import AS_IT_IS, Mending
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.manifest import Member
from pleura.inference.preprocess import network_input
from pleura.inference.runtimes.base import Runtime
from pleura.inference.stages import stage
from pleura.radiograph import Radiograph

_UNCLEAR = "How the film lies cannot be told: it may be turned, or its greys inverted."


@dataclass(frozen=True, eq=False)
class Admission:
    """Whether a film is judged, and as what.

    Attributes:
        film: as it is to be judged.
        reason: why it is declined, in one sentence; None where it is judged.
        mending: what was done to it.
        labels: uint8 (S, S), its label map, as in `Answers`; None where no network looked at it.
    """

    film: Radiograph
    reason: str | None = None
    mending: Mending = AS_IT_IS
    labels: NDArray[np.uint8] | None = None


class Doorkeeper:
    """Looks at films before any other network does.

    Args:
        member: the anatomy network; None where a bundle has none: then header and matrix alone decide.
        runtime: what runs it.
        thresholds: what it may say of a film that is judged.
    """

    def __init__(
        self,
        member: Member | None = None,
        runtime: Runtime | None = None,
        thresholds: AdmissionThresholds | None = None,
    ) -> None:
        self.member, self.runtime = member, runtime
        self.thresholds = thresholds or AdmissionThresholds()

    def __call__(self, films: Sequence[Radiograph]) -> list[Admission]:
        """An admission for each film, in their order.

        Raises:
            BundleError: the network's answers are none.
        """
        with stage("preprocess"):
            found = [Admission(film, decline_reason(film)) for film in films]
        if self.member is None or self.runtime is None:
            return found
        looked_at = [i for i, one in enumerate(found) if one.reason is None]
        for i, answers in zip(looked_at, self._answers([films[i] for i in looked_at]), strict=True):
            found[i] = self._admitted(films[i], answers)
        mended = [i for i in looked_at if found[i].mending and found[i].reason is None]
        second = self._answers([found[i].film for i in mended])
        for i, answers in zip(mended, second, strict=True):
            reason = objection(answers, self.thresholds) or _still_wrong(answers)
            if reason:
                found[i] = Admission(films[i], reason)
            else:
                found[i] = Admission(found[i].film, None, found[i].mending, answers.labels)
        return found

    def labels(self, films: Sequence[Radiograph]) -> list[NDArray[np.uint8] | None]:
        """The label map of each film as it is, whatever is to be said of it; None where no network looks."""
        if self.member is None:
            return [None] * len(films)
        return [answers.labels for answers in self._answers(films)]

    def _admitted(self, film: Radiograph, answers: Answers) -> Admission:
        """What the first look says; a film to be put right is looked at again."""
        mending, reason = mending_for(answers, self.thresholds)
        if reason is None and not mending:
            reason = objection(answers, self.thresholds)
        if reason:
            return Admission(film, reason)
        if mending:
            return Admission(mending.mended(film), None, mending)
        return Admission(film, None, mending, answers.labels)

    def _answers(self, films: Sequence[Radiograph]) -> list[Answers]:
        if not films or self.member is None or self.runtime is None:
            return []
        with stage("preprocess"):
            batch = np.stack([network_input(film.pixels, self.member.input) for film in films])
        with stage("network"):
            return answers_of(self.runtime.outputs(batch))


def mending_for(answers: Answers, thresholds: AdmissionThresholds) -> tuple[Mending, str | None]:
    """What must be done to a film before it is judged, or why it is declined at once."""
    if answers.no_chest >= thresholds.no_chest:
        return AS_IT_IS, _no_chest(answers)
    quarters, inverted = answers.quarters, answers.inverted >= 0.5
    turned = float(answers.presentation[quarters])
    if quarters != UPRIGHT and turned < thresholds.sure:
        return AS_IT_IS, _UNCLEAR
    if turned < 0.5 or (inverted and answers.inverted < thresholds.sure):
        return AS_IT_IS, _UNCLEAR
    return Mending(quarters, inverted), None


def objection(answers: Answers, thresholds: AdmissionThresholds) -> str | None:
    """Why a film that lies upright, with bone bright, is not judged; None where it is."""
    if answers.no_chest >= thresholds.no_chest:
        return _no_chest(answers)
    if answers.novelty > thresholds.novelty:
        return (
            f"The film is unlike the chest films that this model knows (novelty {answers.novelty:.1f}, "
            f"{thresholds.novelty:.1f} at most)."
        )
    if answers.lung_share < thresholds.lung_share:
        return f"Hardly any lung is found on the film ({answers.lung_share:.1%} of it)."
    if answers.cut_share > thresholds.cut_share:
        return "The film's upper edge cuts the lungs off; air at an apex could not be seen."
    return None


def _no_chest(answers: Answers) -> str:
    return f"The film does not look like a whole frontal chest film (probability {answers.no_chest:.2f})."


def _still_wrong(answers: Answers) -> str | None:
    """Why a film that was put right cannot be judged all the same."""
    if answers.quarters != UPRIGHT or answers.inverted >= 0.5:
        return _UNCLEAR
    return None
