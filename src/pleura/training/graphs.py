"""The exported graphs of a bundle: made, reduced if asked, and kept only if they decide as PyTorch does."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.data.manifest import Dataset, Film
from pleura.errors import MissingExtra, TrainingError, UnknownName
from pleura.evaluation.parity import EXACT, REDUCED, Bound, Parity, compare
from pleura.frame import WHOLE
from pleura.inference.bundle import Bundle, BundleManifest
from pleura.inference.detector import Detector
from pleura.inference.manifest import ANATOMY
from pleura.inference.preprocess import InputSpec, network_input
from pleura.inference.runtimes import RuntimeOptions
from pleura.inference.runtimes.graph import RuntimeRefusal
from pleura.inference.runtimes.open_vino import computes_bf16
from pleura.radiograph import Radiograph
from pleura.training.anatomy.parity import compare_looks
from pleura.training.graph import graph_of
from pleura.training.quantise import SCOPES, half, int8

log = logging.getLogger(__name__)

NUMBERS = ("f32", "f16", "int8")
"""How a graph keeps its numbers: as PyTorch does, weights in half the size, or all of it in a quarter."""

PARITY_FILMS = 100
CALIBRATION_FILMS = 64

_CHECKS = (("onnxruntime", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
_REFERENCE = RuntimeOptions("torch", "cpu", precision="f32")


class _Differs(TrainingError):
    """A graph that decides otherwise than its network."""


@dataclass(frozen=True)
class Graphs:
    """The members' graphs, in their order, and what `bundle.json` says of them."""

    files: tuple[bytes, ...]
    facts: Mapping[str, Any]


def graphs_for(
    manifest: BundleManifest,
    weights: Sequence[bytes],
    dataset: Dataset,
    *,
    numbers: str,
    train: Sequence[str],
    tune: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> Graphs:
    """Exports every network of a model that is about to become a bundle.

    The same detector runs the graphs on tuning films, in each runtime that is installed, and their decisions
    are compared with those of PyTorch in float32. Graphs with all 32 bits must keep `EXACT`, others
    `REDUCED`. Arithmetic in bf16, which a runtime could choose for itself, is put on record where it keeps
    `REDUCED`, and a detector will not use it otherwise.

    Args:
        manifest: of the bundle, with its operating point.
        weights: a safetensors file for each member.
        dataset: where the films are.
        numbers: one of `NUMBERS`.
        train: films to quantise on, by id.
        tune: films to compare on, by id.
        progress: called with (films done, films in all) while decisions are compared.

    Raises:
        UnknownName: `numbers` is not known.
        MissingExtra: a library is not installed, or no runtime to compare with.
        TrainingError: a network cannot be exported, or decides otherwise as a graph.
    """
    if numbers not in NUMBERS:
        raise UnknownName.among("kind of numbers", numbers, NUMBERS)
    judge = _Judge(manifest, weights, dataset, _spread(dataset, tune, PARITY_FILMS), progress)
    whole = [graph_of(member, one) for member, one in zip(manifest.members, weights, strict=True)]
    smaller = [half(one) for one in whole] if numbers != "f32" else whole
    try:
        looks = _checked_looks(manifest, weights, smaller, dataset, judge.films)
        if numbers == "f32":
            made = judge.checked(whole, EXACT)
        elif numbers == "f16":
            made = judge.checked(smaller, REDUCED)
        else:
            made = _quantised(judge, whole, _spread(dataset, train, CALIBRATION_FILMS))
    except _Differs as error:
        raise TrainingError(
            f"the graph does not decide as PyTorch does, and is refused: {error}. Export with other numbers, "
            "or without a graph (--graph none)"
        ) from None
    facts = {"numbers": numbers, "films": "tune", **made.facts} | looks
    return replace(made, facts=facts)


def _checked_looks(
    manifest: BundleManifest,
    weights: Sequence[bytes],
    graphs: Sequence[bytes],
    dataset: Dataset,
    films: Sequence[Film],
) -> dict[str, Any]:
    """What is put on record of an anatomy network's graph; empty where there is none."""
    found = []
    for i in manifest.of_role(ANATOMY):
        member = manifest.members[i]
        for runtime in [one for one in dict(_CHECKS) if find_spec(one)]:
            batches = _inputs(member.input, dataset, films)
            parity = compare_looks(member, weights[i], graphs[i], batches, runtime)
            found.append(parity.facts())
            if missed := parity.misses():
                raise _Differs(f"the anatomy network in {runtime}: {missed}")
    return {"anatomy": found} if found else {}


def _quantised(judge: "_Judge", whole: Sequence[bytes], films: Sequence[Film]) -> Graphs:
    """As much of the networks in 8 bits as the decisions allow."""
    reference = Detector.of(Bundle.in_memory(judge.manifest, judge.weights), options=_REFERENCE)
    refused = []
    for scope in SCOPES:
        graphs = [
            half(graph)
            if member.role == ANATOMY
            else int8(graph, list(_inputs(member.input, judge.dataset, films, reference)), scope)
            for member, graph in zip(judge.manifest.members, whole, strict=True)
        ]
        try:
            made = judge.checked(graphs, REDUCED)
        except _Differs as error:
            refused.append(f"{scope}: {error}")
            log.info("int8, %s", refused[-1])
        else:
            return replace(made, facts={**made.facts, "scope": scope})
    raise _Differs("; ".join(refused))


def _inputs(
    spec: InputSpec, dataset: Dataset, films: Sequence[Film], finding_lungs: Detector | None = None
) -> Iterator[NDArray[np.float32]]:
    """What a network takes of each film; one that sees the lungs alone needs the detector to find them."""
    for one in films:
        film = dataset.radiograph(one)
        (lungs,) = finding_lungs.lungs([film]) if finding_lungs else (WHOLE,)
        yield network_input(film.pixels, spec, lungs)[None]


@dataclass(frozen=True)
class _Judge:
    """Whether graphs decide as the networks that they are made from.

    Attributes:
        manifest, weights: the model.
        dataset, films: what to judge on.
        progress: called with (films done, films in all).
    """

    manifest: BundleManifest
    weights: Sequence[bytes]
    dataset: Dataset
    films: Sequence[Film]
    progress: Callable[[int, int], None] | None

    def checked(self, graphs: Sequence[bytes], bound: Bound) -> Graphs:
        """The graphs, and how each runtime and precision compares that keeps its bound.

        Raises:
            _Differs: one does not in float32 arithmetic.
        """
        bundle = Bundle.in_memory(self.manifest, self.weights, graphs)
        others, refused = _detectors(bundle)
        reference = Detector.of(bundle, options=_REFERENCE)
        named = {" ".join(key): one for key, one in others.items()}
        found = compare(reference, named, self._read(), self._tell)
        entries: list[dict[str, Any]] = []
        for (runtime, precision), parity in zip(others, found.values(), strict=True):
            if _keeps(runtime, precision, parity, bound if precision == "f32" else REDUCED):
                facts = {"runtime": runtime, "precision": precision, "version": _version(runtime)}
                entries.append(facts | parity.facts())
        return Graphs(tuple(graphs), {"checked": entries, "refused": sorted(refused)})

    def _read(self) -> Iterator[tuple[str, Radiograph]]:
        for film in self.films:
            yield film.film_id, self.dataset.radiograph(film)

    def _tell(self, done: int) -> None:
        if self.progress:
            self.progress(done, len(self.films))


def _keeps(runtime: str, precision: str, parity: Parity, bound: Bound) -> bool:
    """Whether the bound is kept; where it is not, a graph is no use, but bf16 is only not used."""
    missed = parity.misses(bound)
    if not missed:
        log.info("%s %s against torch: %s", runtime, precision, parity)
        return True
    said = f"in {runtime} {precision} {'; '.join(missed)}"
    if precision == "f32":
        raise _Differs(said)
    log.warning("%s: it will run in f32", said)
    return False


def _detectors(bundle: Bundle) -> tuple[dict[tuple[str, str], Detector], set[str]]:
    """The bundle in each runtime and precision that is here and runs it, and the runtimes that cannot.

    Raises:
        MissingExtra: there is no such runtime.
        RuntimeRefusal: none of those that are here runs it.
    """
    found: dict[tuple[str, str], Detector] = {}
    refused: dict[str, RuntimeRefusal] = {}
    for runtime, precision in _CHECKS:
        if find_spec(runtime) is None or (precision == "bf16" and not computes_bf16()):
            continue
        options = RuntimeOptions(runtime, "cpu", precision=precision, cache=False)
        try:
            detector = Detector.of(bundle, options=options)
        except RuntimeRefusal as error:
            log.info("%s", error)
            refused[runtime] = error
            continue
        looking = set(bundle.manifest.of_role(ANATOMY))  # always in f32
        others = [one for i, one in enumerate(detector.runtimes) if i not in looking]
        if all(f" {precision} " in one.name for one in others):
            found[runtime, precision] = detector
    if found:
        return found, set(refused)
    raise next(iter(refused.values()), None) or MissingExtra(
        "an exported graph is checked before it is written, and nothing that runs it is installed. Install "
        "it with: pip install 'pleura[onnxruntime]'"
    )


def _spread(dataset: Dataset, film_ids: Sequence[str], count: int) -> list[Film]:
    """At most `count` of the films, half of them positive if there are enough, far apart in their order."""
    films = [dataset.by_id[film_id] for film_id in sorted(film_ids)]
    positive = [film for film in films if film.label == 1]
    other = [film for film in films if film.label != 1]
    wanted = min(len(positive), max(count // 2, count - len(other)))
    return _thinned(positive, wanted) + _thinned(other, min(len(other), count - wanted))


def _thinned(films: Sequence[Film], count: int) -> list[Film]:
    return [films[len(films) * i // count] for i in range(count)]


def _version(runtime: str) -> str:
    try:
        return version(runtime)
    except PackageNotFoundError:  # a build of one's own
        return "unknown"
