"""`Recipe`: everything that decides a training run, as frozen dataclasses."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

import yaml

from pleura.config import STRICT
from pleura.evaluation.operating_point import COMPETITION_DICE, Aim, Rule
from pleura.inference.preprocess import LUNGS, InputSpec

Monitor = Literal["dice_positive", "competition_dice", "auc", "loss", "last"]
Schedule = Literal["constant", "cosine", "cosine_restarts", "cosine_wave", "plateau"]
Precision = Literal["auto", "32", "bf16"]
MAX_CHECKPOINTS = 16


@dataclass(frozen=True)
class NetworkRecipe:
    """Which network, and what its encoder starts from.

    Attributes:
        name: in the table of `pleura.networks`.
        options: what that network takes beside channels and size.
        init: `imagenet` (timm's hub, or random with a warning where it cannot be reached), `coco` (likewise
            torchvision's server; `mask_rcnn` only), `random`, or the path of a safetensors file with the
            encoder's weights or the whole network's; `{fold}` in it stands for the fold that is trained,
            `{fold//2}` for the one that two such were divided from.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    init: str = "random"


@dataclass(frozen=True)
class LossTerm:
    """One summand of the loss: `weight` times the loss `name` with its `options`.

    Attributes:
        on: which logits: `mask`; `presence`, against whether the mask is empty; or `deep`, the mean over the
            maps of deep supervision, against the mask at their size (a thin rim is kept: the largest value of
            each patch).
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: str
    weight: float = 1.0
    options: dict[str, float] = field(default_factory=dict)
    on: Literal["mask", "presence", "deep"] = "mask"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight is finite and not negative; got {self.weight}")


@dataclass(frozen=True)
class OptimizerRecipe:
    """`adam` or `adamw`, its learning rate, and how that runs over the epochs.

    Attributes:
        schedule: `constant`; `cosine` down to a hundredth of the learning rate; `cosine_restarts`, the
            same again and again (warm restarts, Loshchilov and Hutter, ICLR 2017); `cosine_wave`, down and
            up again, as PyTorch's `CosineAnnealingLR` goes on past its `T_max`; or `plateau`, a tenth each
            time the monitor stalls (the training loss, where it is `last`), down to a thousandth.
        warmup_epochs: of linear rise from nearly zero, before the schedule.
        cycle_epochs: from the highest to the lowest rate of `cosine_restarts` and `cosine_wave`.
        cycle_growth: of `cosine_restarts`: each cycle is this many times as long as the one before.
        plateau_epochs: without a better monitor, before `plateau` lowers the rate.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup_epochs: float = 0.0
    cycle_epochs: float = 10.0
    cycle_growth: float = 1.0
    plateau_epochs: int = 3

    def __post_init__(self) -> None:
        for name in ("learning_rate", "weight_decay", "warmup_epochs"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name == "learning_rate" and value == 0):
                raise ValueError(f"{name} is finite and not negative, a rate not zero; got {value}")
        for name, least in (("cycle_epochs", 1), ("cycle_growth", 1), ("plateau_epochs", 1)):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is at least {least}; got {getattr(self, name)}")


@dataclass(frozen=True)
class ShareSchedule:
    """A positive share that changes over the epochs, in one of two ways.

    Attributes:
        stepwise: pairs of an epoch, counted from 1, and the share from then on; the first is of epoch 1. A
            share of None takes every film.
        linear: the shares of the first and of the last epoch.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    stepwise: tuple[tuple[int, float | None], ...] | None = None
    linear: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.stepwise is None) == (self.linear is None):
            raise ValueError("a schedule of positive_share is either stepwise or linear")
        steps = self.stepwise if self.stepwise is not None else ((1, 0.5),)
        begins = [epoch for epoch, _ in steps]
        if begins[:1] != [1] or begins != sorted(set(begins)):
            raise ValueError(f"stepwise epochs rise from 1; got {begins}")
        for share in (*(s for _, s in steps), *(self.linear or ())):
            if share is not None and not 0 < share < 1:
                raise ValueError(f"positive_share lies between 0 and 1; got {share}")

    def at(self, epoch: int, epochs: int) -> float | None:
        """The share in an epoch, counted from 0, of a run of `epochs`; None takes every film."""
        if self.linear is not None:
            first, last = self.linear
            return first + (last - first) * min(epoch / max(epochs - 1, 1), 1.0)
        return [share for begin, share in self.stepwise or () if begin <= epoch + 1][-1]

    def stretched(self, epochs: int, to: int) -> "ShareSchedule":
        """The same for `to` epochs instead of `epochs`: steps in proportion, each of at least one epoch.

        Where there are fewer epochs than steps, the last ones are not reached.
        """
        if self.stepwise is None or epochs == to:
            return self
        moved: list[tuple[int, float | None]] = []
        for number, (begin, share) in enumerate(self.stepwise):
            at = 1 + round((begin - 1) * to / epochs)
            if begin <= epochs:  # reached before, and so after
                at = min(at, to - (len(self.stepwise) - number - 1))
            moved.append((max(at, moved[-1][0] + 1 if moved else 1), share))
        return ShareSchedule(stepwise=tuple(moved))


@dataclass(frozen=True)
class Phase:
    """One of several stretches of a run, each with its own loss, films and rate.

    It begins from the best weights of the one before, with a new optimiser, and ends after its epochs, or
    when nothing was better for `patience` of them. The best epoch of the last phase is the run's.

    Attributes:
        name: as the log and the curves show it.
        epochs: at most; of all phases together, the share of the recipe's `epochs` that is this one's.
        size: px, of the films it sees; None: the recipe's. The last phase has the recipe's, which the model
            will be used at.
        loss, optimizer, positive_share, monitor, patience, frozen_stages: as a recipe's. What a phase's YAML
            leaves out is as the recipe says.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: str
    epochs: int
    size: int | None = None
    loss: tuple[LossTerm, ...] = (LossTerm("bce_dice"),)
    optimizer: OptimizerRecipe = OptimizerRecipe()
    positive_share: float | ShareSchedule | None = None
    monitor: Monitor = "dice_positive"
    patience: int | None = 10
    frozen_stages: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]+", self.name):  # it stands in dotted paths, and in a log
            raise ValueError(f"a phase's name is of letters, digits, - and _; got {self.name!r}")
        if self.epochs < 1:
            raise ValueError(f"epochs is at least 1; got {self.epochs}")


PHASE_KEYS = tuple(f.name for f in fields(Phase) if f.name not in ("name", "epochs", "size"))
"""What a phase has of its own or takes from its recipe."""


@dataclass(frozen=True)
class Recipe:
    """A training run, but for the films.

    Attributes:
        name: of the run and, by default, of the bundle.
        description: one line, with the source of the numbers.
        network, input, loss, optimizer: see there.
        anatomy: what finds the lungs, where `input.region` is `lungs`: `shipped`, the network in
            `pleura-weights`, or the folder of a run of `pleura train-anatomy`. It goes into the bundle.
        augmentation: a named set of `pleura.data.augment`.
        hemithorax_cutmix: of the films, those of which one half is another film's, drawn from the same epoch
            (`pleura.data.augment.hemithorax_cutmix`); None: none.
        painted_collapses: of the negative films, those into which a collapse is painted, with its mask
            (`pleura.data.augment.painted_collapse`); they are counted as negative all the same. None: none.
        soft_presence: a column of the corpora's tables with another model's probability that the target is
            present (`pleura.training.soft_presence`): on films without an expert's label presence is learnt
            from that, and films without any label are trained on as well, for presence alone. None: labels.
        positive_share: of each epoch's films that are positive: all positives and as many negatives, drawn
            anew each epoch, as make up the rest; one share or a schedule. None takes every film each epoch.
        without_corpora: corpora none of whose films is trained on, whatever the split says: to measure what
            each is worth.
        repeat_corpora: how often each film of a corpus is among those to train on, where not once: a corpus
            that is few among many and yet like the films to be judged. Its repeats are augmented differently.
        epoch_films: films an epoch at most, drawn from those it would show; None shows them all.
        batch_size: films an optimiser step.
        micro_batch: films a forward pass; gradients are summed to `batch_size`. None: the same.
        epochs: at most.
        phases: stretches of the run, in their order, that differ in loss, films or rate; their epochs are
            stretched or squeezed to make `epochs` together. Empty: the whole run is one.
        patience: epochs without a better `monitor` before training stops; None never stops early.
        monitor: what chooses the best epoch, on the tuning films at the network's size:
            `dice_positive` (mean Dice of positive films at 0.5), `competition_dice`, `auc` or `loss`;
            `last` chooses nothing: the last epoch's weights are kept, whatever the tuning films say.
        tune_every: epochs between two scorings of the tuning films; the last epoch is always scored. None
            never scores them, which only `monitor: last` can do without.
        frozen_stages: the encoder's first stages, as many as said, that learn nothing more, and with them the
            statistics of all its batch norms; 0 holds only these. See `pleura.training.frozen`. None: all of
            it learns.
        keep_checkpoints: how many of the best epochs are kept and averaged, as probabilities, into the model;
            with `monitor: last` the last ones, of a cyclic schedule those where it is at its lowest (and its
            end, if those are too few).
        flip: whether the model averages its answer with that for the mirrored film.
        ema_decay: of the exponential moving average of weights that is evaluated and kept; None: no average.
        start_share: of the weights that the run starts from in those that are evaluated and kept, which lie
            between both (`pleura.training.average.between`): what was learnt before is forgotten less where a
            trained model is trained on. None: none of them.
        clip_norm: of the gradient; None does not clip.
        precision: `bf16` autocast, `32`, or `auto`: bf16 where the machine is quicker in it.
        pictures_every: epochs between two contact sheets of tuning predictions.
        decision: the rule whose thresholds are fitted on the tuning films, see `evaluation.operating_point`.
        aim: what they are fitted for: `competition Dice`, `specificity 0.95`, `sensitivity 0.95`, `Youden`.
        seed: of everything random.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: str
    network: NetworkRecipe
    input: InputSpec
    description: str = ""
    anatomy: str | None = None
    loss: tuple[LossTerm, ...] = (LossTerm("bce_dice"),)
    optimizer: OptimizerRecipe = OptimizerRecipe()
    augmentation: str = "none"
    hemithorax_cutmix: float | None = None
    painted_collapses: float | None = None
    soft_presence: str | None = None
    positive_share: float | ShareSchedule | None = None
    without_corpora: tuple[str, ...] = ()
    repeat_corpora: Mapping[str, int] = field(default_factory=dict)
    epoch_films: int | None = None
    batch_size: int = 8
    micro_batch: int | None = None
    epochs: int = 50
    phases: tuple[Phase, ...] = ()
    patience: int | None = 10
    monitor: Monitor = "dice_positive"
    tune_every: int | None = 1
    frozen_stages: int | None = None
    keep_checkpoints: int = 1
    flip: bool = False
    ema_decay: float | None = None
    start_share: float | None = None
    clip_norm: float | None = 1.0
    precision: Precision = "auto"
    pictures_every: int = 5
    decision: Rule = "threshold"
    aim: str = COMPETITION_DICE
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "pictures_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1; got {getattr(self, name)}")
        for name in ("micro_batch", "patience", "epoch_films", "tune_every"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1 or absent; got {getattr(self, name)}")
        shares = ("hemithorax_cutmix", "painted_collapses", "start_share")
        for name in ("positive_share", "ema_decay", *shares):
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0 < value < 1:
                raise ValueError(f"{name} lies between 0 and 1; got {value}")
        for corpus, times in self.repeat_corpora.items():
            if times < 1:
                raise ValueError(f"repeat_corpora: {corpus} is at least 1; got {times}")
        if self.frozen_stages is not None and self.frozen_stages < 0:
            raise ValueError(f"frozen_stages is not negative, or absent; got {self.frozen_stages}")
        if (self.input.region == LUNGS) != (self.anatomy is not None):
            raise ValueError(
                "input.region: lungs needs anatomy: shipped, or the folder of an anatomy run, and anatomy "
                f"needs it; got region {self.input.region} and anatomy {self.anatomy}"
            )
        if self.seed < 0:
            raise ValueError(f"seed is not negative; got {self.seed}")
        if self.keep_checkpoints > MAX_CHECKPOINTS:
            raise ValueError(f"keep_checkpoints is at most {MAX_CHECKPOINTS}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm is positive or absent; got {self.clip_norm}")
        if self.tune_every is None and self.monitor != "last":
            raise ValueError(f"monitor: {self.monitor} needs the tuning films; set tune_every")
        if Aim.of(self.aim) != Aim() and self.decision == "triplet":
            raise ValueError(f"aim: {self.aim} needs decision: threshold or relative")
        if self.soft_presence is not None and self.hemithorax_cutmix is not None:
            raise ValueError(
                "soft_presence says nothing of half a film: leave out that or hemithorax_cutmix"
            )
        if self.soft_presence is not None and self.painted_collapses is not None:
            raise ValueError(
                "soft_presence says nothing of what is painted: leave out that or painted_collapses"
            )
        if self.painted_collapses is not None and self.anatomy is None:
            raise ValueError(
                "painted_collapses needs to know where the lungs are: set input.region: lungs and anatomy: "
                "shipped, or leave it out"
            )
        if self.start_share is not None and self.network.init in ("random", "imagenet"):
            raise ValueError(
                "start_share is for training a whole network on: set network.init to a file of its weights, "
                f"or leave it out; got init: {self.network.init}"
            )
        if self.start_share is not None and self.phases:
            raise ValueError("start_share is for a run without phases; leave it or them out")
        if not self.loss:
            raise ValueError("loss needs at least one term")
        if self.phases:
            self._check_phases()

    def _check_phases(self) -> None:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases have names of their own; got {', '.join(names)}")
        if self.epochs < len(names):
            raise ValueError(
                f"{len(names)} phases ({', '.join(names)}) need {len(names)} epochs at least; "
                f"got epochs: {self.epochs}"
            )
        for number in range(len(names)):
            self.phase(number)  # checks its values as a recipe's
        last = self.phases[-1]
        if last.size not in (None, self.input.size):
            raise ValueError(
                f"the last phase sees films at input.size, {self.input.size} px, as the model will; "
                f"got size: {last.size}"
            )

    def phase(self, number: int) -> "Recipe":
        """A phase as a recipe of its own; of a recipe without phases, itself."""
        if not self.phases:
            return self
        phase = self.phases[number]
        own = {key: getattr(phase, key) for key in PHASE_KEYS}
        epochs = self._phase_epochs()[number]
        if isinstance(phase.positive_share, ShareSchedule):
            own["positive_share"] = phase.positive_share.stretched(phase.epochs, epochs)
        if epochs < phase.epochs:  # a warm-up of the whole would leave nothing of it
            warmup = phase.optimizer.warmup_epochs * epochs / phase.epochs
            own["optimizer"] = replace(phase.optimizer, warmup_epochs=warmup)
        seen = replace(self.input, size=phase.size or self.input.size)
        return replace(self, **own, input=seen, epochs=epochs, phases=())

    def _phase_epochs(self) -> list[int]:
        """How many of the recipe's epochs each phase has: in proportion, each at least one."""
        wanted = [phase.epochs for phase in self.phases]
        left, given = self.epochs, []
        for number, epochs in enumerate(wanted):
            later = len(wanted) - number - 1
            share = round(left * epochs / sum(wanted[number:]))
            given.append(min(max(share, 1), left - later))
            left -= given[-1]
        return given

    def to_the_end(self) -> "Recipe":
        """The same, every phase trained to its last epoch, which is kept: no tuning film has a say.

        A rate that falls when the tuning films say so falls along a cosine instead.
        """
        phases = tuple(_unguided(phase) for phase in self.phases)
        return replace(_unguided(self), phases=phases)

    def share(self, epoch: int) -> float | None:
        """The positive share in an epoch, counted from 0; None takes every film."""
        share = self.positive_share
        return share.at(epoch, self.epochs) if isinstance(share, ShareSchedule) else share

    def to_yaml(self) -> str:
        """The recipe as `read_recipe` reads it."""
        return yaml.safe_dump(json.loads(json.dumps(asdict(self))), sort_keys=False)


_Stretch = TypeVar("_Stretch", Recipe, Phase)


def _unguided(stretch: _Stretch) -> _Stretch:
    optimizer = stretch.optimizer
    if optimizer.schedule == "plateau":
        optimizer = replace(optimizer, schedule="cosine")
    return replace(stretch, monitor="last", patience=None, optimizer=optimizer)
