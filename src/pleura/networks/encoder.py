"""timm encoders: built with one input channel, started from ImageNet weights, a file, or at random."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pleura.errors import RecipeError, UnknownName
from pleura.networks.torchvision_ops import declare_missing

log = logging.getLogger(__name__)


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
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise RecipeError(
            f"{path} does not exist; give a .safetensors file to start from"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RecipeError(f"{path} is not a safetensors file ({error})") from error


def load_encoder(encoder: nn.Module, weights: dict[str, Tensor], source: str) -> int:
    """Copies every tensor of `weights` whose name and shape fit into `encoder`; returns how many fit.

    A first convolution made for three channels is summed over them for an encoder of one, so that a
    grey film gives what its copy in all three would have given. timm renames stages when it
    builds a feature extractor (`layers.0` becomes `layers_0`): both spellings are understood.

    Raises:
        RecipeError: fewer than nine in ten of the encoder's tensors were found.
    """
    own = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    spelled = {name.replace(".", "_"): tensor for name, tensor in weights.items()}
    fitting: dict[str, Tensor] = {}
    for name, tensor in own.items():
        given = spelled.get(name.replace(".", "_"))
        if given is None:
            continue
        if given.shape != tensor.shape and given.ndim == 4 and given.shape[1] == 3:
            given = given.sum(dim=1, keepdim=True)
        if given.shape == tensor.shape:
            fitting[name] = given
    if len(fitting) < 0.9 * len(own):
        raise RecipeError(
            f"{source} fits {len(fitting)} of the encoder's {len(own)} tensors; "
            "give the weights of the same architecture"
        )
    with torch.no_grad():
        encoder.load_state_dict(fitting, strict=False)
    return len(fitting)
