"""`Output`: what every network returns."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Logits of a batch.

    Attributes:
        mask_logits: float (N, 1, H, W) at the input's height and width.
        presence_logits: float (N,), of the target being anywhere in the film; None where the network has
            no head for it.
        deep_logits: further mask logits, float (N, 1, h, w) each, for deep supervision; used in training
            only, and empty where there are none.
        boxes: of a network that finds instances one by one, float (K, 5) each image: left, top, right and
            bottom in px of the input, and score, best first; else empty.
    """

    mask_logits: Tensor
    presence_logits: Tensor | None = None
    deep_logits: tuple[Tensor, ...] = ()
    boxes: tuple[Tensor, ...] = ()

    def float(self) -> "Output":
        """The same in float32, where autocast left bf16."""
        presence = self.presence_logits
        return Output(
            self.mask_logits.float(),
            None if presence is None else presence.float(),
            tuple(logits.float() for logits in self.deep_logits),
            tuple(boxes.float() for boxes in self.boxes),
        )
