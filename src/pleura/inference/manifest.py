"""What `bundle.json` says: a model's members, how they decide, what made them, what they are for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pleura.finding import PNEUMOTHORAX, Target
from pleura.inference.admission.thresholds import AdmissionThresholds
from pleura.inference.calibration import Calibrator
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import LUNGS, InputSpec

FORMAT_VERSION = 6
READABLE_VERSIONS = (1, 2, 3, 4, 5, 6)
"""Format 1 had one network and said all of it at the top level; format 2 had no exported graphs, format 3 no
network that looks at a film before the others do, format 4 none that sees the lungs alone, and format 5 no
operating point that keeps a film's largest region."""

TOP_PIXELS = "mean of the top 0.1 % of pixel probabilities"
PRESENCE_HEAD = "the presence head's probability"
PRESENCE_SCORES = (TOP_PIXELS, PRESENCE_HEAD)
SEGMENTER, GATE, ANATOMY = "segmenter", "gate", "anatomy"
ROLES = (SEGMENTER, GATE, ANATOMY)
MAX_MEMBERS = 64
INTENDED_USE = (
    "Research on frontal chest radiographs of adults. Not a medical device: "
    "never use it to diagnose, treat or triage a patient."
)
CARD_HASH_CHARACTERS = 16
"""Of each training film's `pixel_sha256` in the data card: enough to know the film again."""

_MEMBER_OF_FORMAT_1 = ("network", "network_options", "input", "presence_score", "training")


@dataclass(frozen=True)
class Member:
    """One network of a bundle.

    Attributes:
        network, network_options: what `pleura.networks.create` builds.
        input: what the network takes.
        presence_score: how a film's score comes from the network's output, one of `PRESENCE_SCORES`.
        role: `segmenter`; `gate`: it only says which films the segmenters look at; or `anatomy`: it says
            which films are judged at all, how they lie, and where their lungs are.
        training: the recipe and what the run recorded.
    """

    network: str
    network_options: Mapping[str, Any]
    input: InputSpec
    presence_score: str = TOP_PIXELS
    role: str = SEGMENTER
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _texts(self, "network")
        _mappings(self, "network_options", "training")
        if not isinstance(self.input, InputSpec):
            raise TypeError(f"input says what the network takes; got {self.input!r}")
        if self.presence_score not in PRESENCE_SCORES:
            raise ValueError(f"unknown presence score {self.presence_score!r}: update pleura")
        if self.role not in ROLES:
            raise ValueError(f"unknown role {self.role!r} of a member: update pleura")


@dataclass(frozen=True)
class BundleManifest:
    """What `bundle.json` says.

    The segmenters' pixel probabilities are averaged, and so are the members' presence scores: the gates' in a
    bundle that has gates (a cascade), else the segmenters'.

    Attributes:
        name, version: of the model.
        members: its networks; at least one is a segmenter.
        flip: whether each network also sees the mirrored film, and its two answers are averaged.
        target: what is looked for.
        operating_point: decision rule of the whole, with the films it was fitted on.
        admission: what the anatomy network may say of a film that is judged; None where there is no such
            network.
        calibrator: turns presence scores into probabilities; None: they are not calibrated. The operating
            point's threshold is on the score all the same.
        metrics: figures by part of the split, as measured; empty where none were.
        data_card: the training films: corpora, counts, split hash, pixel hashes.
        exports: of the exported graphs: how their numbers are kept, and for each runtime that ran them how
            its decisions compared with PyTorch's; empty where there are none.
        about: what people say of the model, for its card: a `summary`, and `sections` of points.
        intended_use, licence, created: text.
    """

    name: str
    version: str
    members: tuple[Member, ...]
    flip: bool = False
    target: Target = PNEUMOTHORAX
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)
    admission: AdmissionThresholds | None = None
    calibrator: Calibrator | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data_card: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    intended_use: str = INTENDED_USE
    licence: str = "unstated"
    created: str = ""

    def __post_init__(self) -> None:
        _texts(self, "name", "version", "intended_use", "licence", "created")
        _mappings(self, "metrics", "data_card", "exports", "about")
        if self.calibrator is not None and not isinstance(self.calibrator, Calibrator):
            raise TypeError(f"a calibrator maps scores to probabilities; got {self.calibrator!r}")
        if len(self.of_role(ANATOMY)) != (self.admission is not None):
            raise ValueError(
                "a bundle has thresholds of admission with its one anatomy network, or neither"
            )
        if not isinstance(self.flip, bool):
            raise TypeError(f"flip is true or false; got {self.flip!r}")
        if not all(isinstance(member, Member) for member in self.members):
            raise TypeError(f"members are networks; got {self.members!r}")
        if not self.of_role(SEGMENTER) or len(self.members) > MAX_MEMBERS:
            raise ValueError(
                f"a bundle has 1 to {MAX_MEMBERS} members, one of them a segmenter; got {len(self.members)}"
            )
        self._check_regions()

    def _check_regions(self) -> None:
        regions = {member.input.region for member in self.members if member.role != ANATOMY}
        if LUNGS in regions and not self.of_role(ANATOMY):
            raise ValueError(
                "networks that see the lungs alone need an anatomy network to find them"
            )
        for role in (SEGMENTER, GATE):
            if len({self.members[i].input.region for i in self.of_role(role)}) > 1:
                raise ValueError(f"the {role}s of a bundle see one region: the film, or its lungs")

    def of_role(self, role: str) -> tuple[int, ...]:
        """The indices of the members of a role."""
        return tuple(i for i, member in enumerate(self.members) if member.role == role)

    @property
    def combination(self) -> str:
        """`single`, `mean` or `cascade`."""
        if self.of_role(GATE):
            return "cascade"
        return "mean" if len(self.of_role(SEGMENTER)) > 1 else "single"


def manifest_from(described: Mapping[str, Any], version: int) -> BundleManifest:
    """The manifest in what `bundle.json` of a readable format says, without its checksums.

    Raises:
        ValueError, TypeError, KeyError: it is not as it should be.
    """
    given = dict(described)
    if version == 1:
        only = {key: given.pop(key) for key in _MEMBER_OF_FORMAT_1 if key in given}
        given["members"] = [only]
    members, calibrator = given.pop("members"), given.get("calibrator")
    admission = given.get("admission")
    if not isinstance(members, list):
        raise TypeError(f"members are a list; got {members!r}")
    return BundleManifest(
        **given
        | {
            "members": tuple(Member(**m | {"input": InputSpec(**m["input"])}) for m in members),
            "target": Target(**given["target"]),
            "operating_point": OperatingPoint(**given["operating_point"]),
            "admission": None if admission is None else AdmissionThresholds(**admission),
            "calibrator": None if calibrator is None else Calibrator(**calibrator),
        }
    )


def checked_precisions(exports: Mapping[str, Any], runtime: str) -> frozenset[str]:
    """The precisions in which `exports` has a runtime's decisions on record."""
    checks = exports.get("checked", ())
    if not isinstance(checks, Sequence):
        return frozenset()
    return frozenset(
        str(check.get("precision"))
        for check in checks
        if isinstance(check, Mapping) and check.get("runtime") == runtime
    )


def _texts(given: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(given, name), str):
            raise TypeError(f"{name} is a text; got {getattr(given, name)!r}")


def _mappings(given: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(given, name), Mapping):
            raise TypeError(f"{name} is a mapping; got {getattr(given, name)!r}")
