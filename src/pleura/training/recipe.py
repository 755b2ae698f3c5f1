"""`Recipe`: everything that decides a training run, as frozen dataclasses and as one YAML file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml

from pleura.config import STRICT, parse, read_yaml
from pleura.errors import RecipeError, UnknownName
from pleura.evaluation.operating_point import Rule
from pleura.inference.preprocess import InputSpec

# Inside an installed package, and at the top of a checkout.
_FOLDERS = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")

Monitor = Literal["dice_positive", "competition_dice", "auc", "loss", "last"]
Precision = Literal["auto", "32", "bf16"]


@dataclass(frozen=True)
class NetworkRecipe:
    """Which network, and what its encoder starts from.

    Attributes:
        name: in the table of `pleura.networks`.
        options: what that network takes beside channels and size.
        init: `imagenet` (timm's hub, or random with a warning where it cannot be reached), `random`, or
            the path of a safetensors file with the encoder's weights.
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


@dataclass(frozen=True)
class OptimizerRecipe:
    """`adam` or `adamw`, its learning rate, and how that runs over the epochs.

    Attributes:
        schedule: `constant`, or `cosine` down to a hundredth of the learning rate.
        warmup_epochs: of linear rise from nearly zero, before the schedule.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "weight_decay", "warmup_epochs"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name == "learning_rate" and value == 0):
                raise ValueError(f"{name} is finite and not negative, a rate not zero; got {value}")


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


@dataclass(frozen=True)
class Recipe:
    """A training run, but for the films.

    Attributes:
        name: of the run and, by default, of the bundle.
        description: one line, with the source of the numbers.
        network, input, loss, optimizer: see there.
        augmentation: a named set of `pleura.data.augment`.
        positive_share: of each epoch's films that are positive: all positives and as many negatives, drawn
            anew each epoch, as make up the rest; one share or a schedule. None takes every film each epoch.
        epoch_films: films an epoch at most, drawn from those it would show; None shows them all.
        batch_size: films an optimiser step.
        micro_batch: films a forward pass; gradients are summed to `batch_size`. None: the same.
        epochs: at most.
        patience: epochs without a better `monitor` before training stops; None never stops early.
        monitor: what chooses the best epoch, on the tuning films at the network's size:
            `dice_positive` (mean Dice of positive films at 0.5), `competition_dice`, `auc` or `loss`;
            `last` chooses nothing: the last epoch's weights are kept, whatever the tuning films say.
        tune_every: epochs between two scorings of the tuning films; the last epoch is always scored.
        ema_decay: of the exponential moving average of weights that is evaluated and kept; None: no average.
        clip_norm: of the gradient; None does not clip.
        precision: `bf16` autocast, `32`, or `auto`: bf16 where the machine computes in it.
        pictures_every: epochs between two contact sheets of tuning predictions.
        decision: the rule whose thresholds are fitted on the tuning films, see `evaluation.operating_point`.
        seed: of everything random.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    name: str
    network: NetworkRecipe
    input: InputSpec
    description: str = ""
    loss: tuple[LossTerm, ...] = (LossTerm("bce_dice"),)
    optimizer: OptimizerRecipe = OptimizerRecipe()
    augmentation: str = "none"
    positive_share: float | ShareSchedule | None = None
    epoch_films: int | None = None
    batch_size: int = 8
    micro_batch: int | None = None
    epochs: int = 50
    patience: int | None = 10
    monitor: Monitor = "dice_positive"
    tune_every: int = 1
    ema_decay: float | None = None
    clip_norm: float | None = 1.0
    precision: Precision = "auto"
    pictures_every: int = 5
    decision: Rule = "threshold"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "pictures_every", "tune_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1; got {getattr(self, name)}")
        for name in ("micro_batch", "patience", "epoch_films"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1 or absent; got {getattr(self, name)}")
        for name in ("positive_share", "ema_decay"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0 < value < 1:
                raise ValueError(f"{name} lies between 0 and 1; got {value}")
        if self.seed < 0:
            raise ValueError(f"seed is not negative; got {self.seed}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm is positive or absent; got {self.clip_norm}")
        if not self.loss:
            raise ValueError("loss needs at least one term")

    def share(self, epoch: int) -> float | None:
        """The positive share in an epoch, counted from 0; None takes every film."""
        share = self.positive_share
        return share.at(epoch, self.epochs) if isinstance(share, ShareSchedule) else share

    def to_yaml(self) -> str:
        """The recipe as `read_recipe` reads it."""
        return yaml.safe_dump(json.loads(json.dumps(asdict(self))), sort_keys=False)


def known_recipes() -> dict[str, Path]:
    """The recipes that come with pleura: their names and files."""
    return {path.stem: path for folder in _FOLDERS for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """The file of a recipe given by its path, or by the name of one that comes with pleura.

    Raises:
        UnknownName: neither a file nor a known name.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    known = known_recipes()
    if name not in known:
        raise UnknownName.among("recipe (or path of one, ending in .yaml)", name, known)
    return known[name]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, with `key=value` overrides (dots reach into sections) applied.

    Raises:
        RecipeError: no such file, an unknown key (with a spelling hint), a wrong type or value.
    """
    given = read_yaml(path, RecipeError)
    if not isinstance(given, dict):
        raise RecipeError(f"{path} holds no recipe: a mapping of keys to values is expected")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise RecipeError(f"{override!r} is no override; write key=value, such as epochs=3")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"{override!r}: its value is not YAML ({error})") from error
        _set(given, key.strip().split("."), parsed, override)
    if given.get("precision") == 32:  # YAML's number for what is the name of a precision
        given["precision"] = "32"
    return parse(Recipe, given, str(path), RecipeError)


def recipe_from(given: Mapping[str, Any], where: str) -> Recipe:
    """The recipe in a mapping that `to_yaml` wrote."""
    return parse(Recipe, given, where, RecipeError)


def _set(given: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    for part in path[:-1]:
        given = given.setdefault(part, {})
        if not isinstance(given, dict):
            raise RecipeError(f"{override!r}: {part} is a value, not a section")
    given[path[-1]] = value
