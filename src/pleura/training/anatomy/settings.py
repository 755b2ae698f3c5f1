"""`AnatomySettings`: what a run of the anatomy network is made with."""

import math
from dataclasses import dataclass

from pleura.data.impostors import KINDS
from pleura.errors import RecipeError, UnknownName
from pleura.inference.preprocess import InputSpec

HALVES = ("none", "even", "odd")


@dataclass(frozen=True)
class AnatomySettings:
    """What makes two runs the same run, but for their films.

    Attributes:
        size: of the network's input, in px; a multiple of 32.
        encoder: timm's name of the backbone.
        epochs, epoch_films, batch_size: how much is shown; a run resumes after its last whole epoch.
        learning_rate, weight_decay: of AdamW; the rate rises over half an epoch and falls as a cosine.
        ema_decay: of the moving average of the weights, which is what is kept.
        taught_films: of how many of the dataset's films a teacher, where there is one, may draw the lungs.
        seed: of everything random.
        precision: `auto` (bf16 where the machine is quicker in it), `bf16` or `32`.
        withheld_kinds: kinds of impostors that are never shown, so that they can be scored as unknown ones.
        withheld_lungs: `none`; or every second film with drawn lungs is not shown: the `even` ones or the
            `odd` ones in the order of their names.
    """

    size: int = 192
    encoder: str = "mobilenetv2_100"
    epochs: int = 16
    epoch_films: int = 512
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.99
    taught_films: int = 1000
    seed: int = 0
    precision: str = "auto"
    withheld_kinds: tuple[str, ...] = ()
    withheld_lungs: str = "none"

    def __post_init__(self) -> None:
        for name in ("epochs", "epoch_films", "batch_size"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is 1 or more; got {getattr(self, name)}")
        if self.size % 32 or not 32 <= self.size <= 4096:
            raise RecipeError(f"size is a multiple of 32 from 32 to 4096 px; got {self.size}")
        if not 0.0 < self.learning_rate < math.inf:
            raise RecipeError(f"the learning rate is positive; got {self.learning_rate}")
        if self.seed < 0:
            raise RecipeError(f"seed is not negative; got {self.seed}")
        if self.epoch_films < self.batch_size:
            raise RecipeError(
                f"an epoch of {self.epoch_films} films holds no batch of {self.batch_size}; give more films"
            )
        if self.precision not in ("auto", "bf16", "32"):
            raise UnknownName.among("precision", self.precision, ("auto", "bf16", "32"))
        if self.withheld_lungs not in HALVES:
            raise UnknownName.among("half of the films", self.withheld_lungs, HALVES)
        for kind in self.withheld_kinds:
            if kind not in KINDS:
                raise UnknownName.among("kind of impostor", kind, KINDS)
        if len(set(self.withheld_kinds)) == len(KINDS):
            raise RecipeError("every kind of impostor is withheld; show the network some")

    @property
    def input(self) -> InputSpec:
        """What the network takes."""
        return InputSpec(self.size, 1, 0.5, 0.5)

    @property
    def shown_kinds(self) -> tuple[str, ...]:
        """The kinds of impostors that are shown, in their order."""
        return tuple(kind for kind in KINDS if kind not in self.withheld_kinds)
