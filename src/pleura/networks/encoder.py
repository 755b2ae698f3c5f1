"""timm encoders: built with one input channel, started from ImageNet weights, a file, or at random."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pleura.errors import RecipeError, UnknownName
from pleura.networks.torchvision_ops import declare_missing

log = logging.getLogger(__name__)

SHOWN = "shown_pixel_sha256"
"""In the header of a weights file: the films that trained them, by the beginnings of their `pixel_sha256`."""


class Loaded(NamedTuple):
    """What `load_start` has copied.

    Attributes:
        whole: whether the weights were the whole network's, nine in ten of the rest's too, not its encoder's
            alone.
        missing: tensors of what was to be started, by their names in the network, that found none; they
            are as they were.
    """

    whole: bool
    missing: tuple[str, ...]


def timm_encoder(name: str, *, channels: int, size: int | None = None, **options: Any) -> nn.Module:
    """A timm backbone that returns its feature maps, finest first, with random weights.

    Args:
        name: timm's name of the architecture.
        channels: of the input, 1 or 3.
        size: of the input, for the encoders that are laid out for one, such as Swin.
        options: timm's own.

    Raises:
        UnknownName: timm has no such architecture.
        RecipeError: it cannot return feature maps, or does not take the options.
    """
    declare_missing()
    import timm

    if not isinstance(name, str) or not timm.is_model(name):
        raise UnknownName.among("timm architecture", str(name), timm.list_models())
    try:
        encoder: nn.Module = timm.create_model(
            name,
            pretrained=False,
            features_only=True,
            in_chans=channels,
            **_needed(name, size) | options,
        )
    except (RuntimeError, TypeError, AttributeError) as error:
        raise RecipeError(f"timm's {name} cannot serve as an encoder: {error}") from error
    if len(set(encoder.feature_info.reduction())) < 3:  # type: ignore[operator, union-attr]
        raise RecipeError(
            f"timm's {name} cannot serve as an encoder: it gives no maps of several sizes"
        )
    return encoder


def _needed(name: str, size: int | None) -> dict[str, Any]:
    """What timm's constructor of a known architecture is to be told."""
    import timm

    if name.startswith("mobilenetv2"):
        # Symmetric padding, so that weights carried over from TensorFlow see what they were trained on.
        return {"pad_type": "same"}
    config = timm.get_pretrained_cfg(name)
    fixed = config is not None and config.fixed_input_size
    return {"img_size": size} if fixed and size is not None else {}


def imagenet_weights(name: str) -> dict[str, Tensor] | None:
    """timm's ImageNet weights of an architecture through its hub, or None where none can be had."""
    declare_missing()
    import timm

    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # the hub's client raises many kinds, and each means the same here
        log.info("no ImageNet weights for %s: %s", name, error)
        return None


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        RecipeError: there is no such file, or it is not safetensors.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_pretraining(path: Path) -> str | None:
    """The films that a safetensors file's header says its weights were trained on; None where it does not.

    Raises:
        RecipeError: as `read_weights`.
    """
    with _opened(path) as file:
        return (file.metadata() or {}).get("pretraining")


def read_shown(path: Path) -> frozenset[str]:
    """The films that a safetensors file's header lists: beginnings of their `pixel_sha256`.

    Empty where it lists none, as that of weights from elsewhere.

    Raises:
        RecipeError: as `read_weights`.
    """
    with _opened(path) as file:
        return frozenset((file.metadata() or {}).get(SHOWN, "").split())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file, of which nothing but the header has been read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise RecipeError(
            f"{path} does not exist; give a .safetensors file to start from"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RecipeError(f"{path} is not a safetensors file ({error})") from error


def adapted(given: Tensor, shape: torch.Size) -> Tensor | None:
    """`given` as a tensor of `shape`, where it can be without a loss; None where not.

    A first convolution made for three channels is summed over them for a network of one, so that a grey
    film gives what its copy in all three would have given; one made for a single channel is shared out
    among three, a third each, which gives the same of such a copy. A linear layer becomes a 1x1
    convolution.
    """
    if given.shape == shape:
        return given
    if given.ndim == 4 and len(shape) == 4 and (given.shape[1], shape[1]) == (3, 1):
        given = given.sum(dim=1, keepdim=True)
    elif given.ndim == 4 and len(shape) == 4 and (given.shape[1], shape[1]) == (1, 3):
        given = given.expand(-1, 3, -1, -1) / 3
    elif given.ndim == 2 and len(shape) == 4:
        given = given[:, :, None, None]
    return given if given.shape == shape else None


def load_start(network: nn.Module, weights: dict[str, Tensor], source: str) -> Loaded:
    """Copies weights into a network: all of it, where they have its names, else its `encoder`.

    Raises:
        RecipeError: fewer than nine in ten of the tensors of the network's encoder, or of the network where
            it has none, were found.
    """
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module) or any(k.startswith("encoder.") for k in weights):
        fitting = {k: adapted(weights[k], v.shape) for k, v in own.items() if k in weights}
        found = {k: v for k, v in fitting.items() if v is not None}
        needed = {k for k in own if k.startswith("encoder.")} or set(own)
        held = sum(k in found for k in needed)
        if held < 0.9 * len(needed):
            raise RecipeError(
                f"{source} fits {held} of the {len(needed)} tensors that the network is to start from; give "
                "the weights of the same architecture"
            )
        network.load_state_dict(found, strict=False)
        others = own.keys() - needed or needed
        whole = sum(k in found for k in others) >= 0.9 * len(others)
        return Loaded(whole, tuple(name for name in own if name not in found))
    missing = load_encoder(encoder, weights, source)
    return Loaded(whole=False, missing=tuple(f"encoder.{name}" for name in missing))


def load_encoder(encoder: nn.Module, weights: dict[str, Tensor], source: str) -> tuple[str, ...]:
    """Copies every tensor of `weights` whose name and shape fit into `encoder`.

    Returns:
        The names of the encoder's tensors that none fitted; they are as they were.

    Shapes are made to fit as by `adapted`. timm renames stages when it builds a feature extractor
    (`layers.0` becomes `layers_0`): both spellings are understood.

    Raises:
        RecipeError: fewer than nine in ten of the encoder's tensors were found.
    """
    own = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    spelled = {name.replace(".", "_"): tensor for name, tensor in weights.items()}
    fitting: dict[str, Tensor] = {}
    for name, tensor in own.items():
        given = spelled.get(name.replace(".", "_"))
        made = None if given is None else adapted(given, tensor.shape)
        if made is not None:
            fitting[name] = made
    if len(fitting) < 0.9 * len(own):
        raise RecipeError(
            f"{source} fits {len(fitting)} of the encoder's {len(own)} tensors; "
            "give the weights of the same architecture"
        )
    with torch.no_grad():
        encoder.load_state_dict(fitting, strict=False)
    return tuple(name for name in own if name not in fitting)
