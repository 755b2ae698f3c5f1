"""`Output`: what every network returns."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Logits of a batch.

    Attributes:
        mask_logits: float (N, 1, H, W) at the input's height and width.
    """

    mask_logits: Tensor
