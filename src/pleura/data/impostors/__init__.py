"""What is no frontal chest film, made up: to teach a network when to decline, and to see whether it does.

plate.py       shadows of tissue and bone, and the film they make
anatomies.py   other parts of the body: hand, skull, abdomen, spine, knee, chest from the side
textures.py    what is no radiograph at all: noise, gradients, patterns, leaves, pages of text
altered.py     real films spoilt: one lung, a part enlarged, apices cut off, badly exposed, shuffled

Everything random comes from the generator that is given. Nothing here is meant to deceive a person.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pleura.data.impostors.altered import (
    apices_cut_off,
    badly_exposed,
    enlarged,
    one_lung,
    shuffled,
)
from pleura.data.impostors.anatomies import abdomen, hand, knee, lateral_chest, skull, spine
from pleura.data.impostors.textures import gradient, leaves, noise, page, pattern

Picture = NDArray[np.float32]

MADE: Mapping[str, Callable[[np.random.Generator, int], Picture]] = {
    "hand": hand,
    "skull": skull,
    "abdomen": abdomen,
    "spine": spine,
    "knee": knee,
    "lateral chest": lateral_chest,
    "noise": noise,
    "gradient": gradient,
    "pattern": pattern,
    "leaves": leaves,
    "text": page,
}
"""Kinds made from nothing: (generator, size) to float32 (size, size) in [0, 1]."""

SPOILT: Mapping[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "one lung": one_lung,
    "enlarged": enlarged,
    "badly exposed": badly_exposed,
    "shuffled": shuffled,
}
"""Kinds made of a real film: (film, generator) to another of the same size; float32 (S, S) in [0, 1]."""

KINDS = (*MADE, *SPOILT)

__all__ = ["KINDS", "MADE", "SPOILT", "Picture", "apices_cut_off"]
