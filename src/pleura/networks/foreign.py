"""Checkpoints of other projects: read without running their code, and renamed to a network of ours.

Names differ by what wrapped the network when it was saved, and by how its library spelled its layers. The
tables below undo both; what then still has no counterpart is matched by shape and order, but only where
that leaves no choice.
"""

import hashlib
import json
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from pleura.errors import WeightsError
from pleura.files import write_bytes
from pleura.networks.encoder import SHOWN, adapted, read_shown

MAX_BYTES = 8 << 30
ENOUGH = 0.9
"""Of a network's tensors: with fewer, the checkpoint is of another architecture."""

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "weights",
    "model_ema",
    "ema",
)
"""Where projects put the tensors inside a checkpoint."""

RULES: tuple[tuple[str, str], ...] = (
    # What held the network: DataParallel, Lightning, torch.compile, a class of the project's own.
    (r"^((module|model|net|network|_orig_mod)\.)+", ""),
    (r"^(backbone|base_model|feature_extractor|densenet121)\.", ""),
    # torchvision before 0.3 named a dense layer's parts norm.1, conv.1, norm.2, conv.2.
    (r"(denselayer\d+)\.(norm|conv)\.(\d)\.", r"\1.\2\3."),
    # torchvision's detectors: what holds the encoder, and names from before its layers were sequences.
    (r"^body\.", ""),
    (r"^fpn\.", "pyramid."),
    (r"((inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\3"),
    (r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2"),
    *((rf"mask_head\.mask_fcn{n + 1}\.", f"mask_head.{n}.0.") for n in range(4)),
    (r"^(classifier|segmentation_head|seg_head|final_conv|final|outc)\.((conv|0)\.)?", "head."),
)
"""Patterns, and what they become, in this order; dots and underscores count as equal afterwards."""

NIH_CLASSES = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
"""The outputs of a CheXNet trained on NIH ChestX-ray14, in that data set's own order."""

NIH = "NIH ChestX-ray14"


@dataclass(frozen=True)
class Fit:
    """How a foreign checkpoint fits a network of ours.

    Attributes:
        tensors: what fits, by our names.
        total: how many tensors our network has.
        by_order: those of ours that were matched by shape and order, not by name.
        missing: those of ours that found nothing; they keep their random start.
        unused: the checkpoint's that are left over.
        pretraining: films it is known to have been trained on, or None.
        notes: what was taken or assumed, one sentence each.
    """

    tensors: Mapping[str, Tensor]
    total: int
    by_order: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    pretraining: str | None
    notes: tuple[str, ...]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth`, `.pt`, `.ckpt`, `.tar` or `.safetensors` file; no code in it is run.

    Raises:
        WeightsError: there is no such file, it is too large, no checkpoint, holds objects besides tensors and
            plain values, or holds no tensors.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); give a checkpoint") from None
    if size > MAX_BYTES:
        raise WeightsError(
            f"{path} has {size} bytes; at most {MAX_BYTES} are read: save its weights alone"
        )
    try:
        if path.suffix == ".safetensors":
            content: Any = load_safetensors(path.read_bytes())
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch and safetensors raise many kinds, and each means the same here
        raise WeightsError(
            f"{path} is no file of tensors that can be read without running code ({_why(error)}); in its "
            "own project, save the network's state_dict() alone"
        ) from None
    tensors = _tensors(content)
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; give a network's state_dict")
    return tensors


def fit_checkpoint(network: nn.Module, given: Mapping[str, Tensor], source: str) -> Fit:
    """Finds for each tensor of `network` its counterpart in a foreign checkpoint.

    Args:
        network: of ours.
        given: tensors by foreign names.
        source: what to call the checkpoint in messages.

    Raises:
        WeightsError: fewer than nine in ten of the network's tensors found one, or a tensor is not finite.
    """
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    left = {k: v for k, v in given.items() if not k.endswith("num_batches_tracked")}
    notes: list[str] = []
    pretraining = NIH if _is_nih_chexnet(left) else None
    if pretraining:
        notes.append(f"Fourteen outputs in CheXNet's names: trained on {NIH}.")
    found = _by_name(own, left, notes, chexnet=bool(pretraining))
    by_order = _by_order(own, left, found)
    found |= by_order
    if len(found) < ENOUGH * len(own):
        raise WeightsError(
            f"{source} fits {len(found)} of the network's {len(own)} tensors; nine in ten are needed. Not "
            f"found: {_some(own.keys() - found.keys())}. Left over: {_some(left)}. Name the network it was "
            "made for, with its options"
        )
    broken = [name for name, tensor in found.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise WeightsError(f"{source} has values that are not finite: {_some(broken)}")
    return Fit(
        tensors={name: found[name].contiguous().clone() for name in own if name in found},
        total=len(own),
        by_order=tuple(by_order),
        missing=tuple(name for name in own if name not in found),
        unused=tuple(left),
        pretraining=pretraining,
        notes=tuple(notes),
    )


def write_imported(
    out: Path, fit: Fit, source: Path, *, network: str, pretraining: str | None = None
) -> None:
    """Writes what fits as safetensors, with where it came from in the header's metadata.

    Args:
        out: the file.
        fit: of `source`.
        source: the foreign checkpoint.
        network: its name in our table.
        pretraining: films it was trained on, where that is known; else what `fit` found out.
    """
    stamp = pretraining or fit.pretraining
    shown = read_shown(source) if source.suffix == ".safetensors" else ()
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    metadata = {
        "network": network,
        "source": source.name,
        "source_sha256": digest,
        "fitted": json.dumps([len(fit.tensors), fit.total]),
        **({"pretraining": stamp} if stamp else {}),
        **({SHOWN: " ".join(sorted(shown))} if shown else {}),
    }
    write_bytes(out, save_safetensors(dict(fit.tensors), metadata), durable=True)


def _tensors(content: Any, depth: int = 4) -> dict[str, Tensor]:
    """The tensors of a checkpoint, out of whatever wraps them; a score that lies beside them is left."""
    if not isinstance(content, Mapping) or depth == 0:
        return {}
    for key in WRAPPERS:
        if inner := _tensors(content.get(key), depth - 1):
            return inner
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def _spelled(name: str) -> str:
    for pattern, becomes in RULES:
        name = re.sub(pattern, becomes, name)
    return name.replace(".", "_").removeprefix("encoder_")


def _by_name(
    own: Mapping[str, Tensor], left: dict[str, Tensor], notes: list[str], *, chexnet: bool
) -> dict[str, Tensor]:
    """What fits by its name; it is taken out of `left`."""
    ours, theirs = _by_spelling(own), _by_spelling(left)
    found = {}
    for spelling in ours.keys() & theirs.keys():
        (name, *twins), (other, *rivals) = ours[spelling], theirs[spelling]
        if twins or rivals:  # several names of one spelling: a choice we do not make
            continue
        tensor, given = own[name], left[other]
        if chexnet and name.startswith("head.") and len(given) == len(NIH_CLASSES):
            row = NIH_CLASSES.index("Pneumothorax")
            given = given[row : row + 1]
            if name.endswith("weight"):
                notes.append(f"Of its outputs, number {row + 1}, Pneumothorax, was taken.")
        fitting = adapted(given, tensor.shape)
        if fitting is not None:
            found[name] = fitting
            del left[other]
    return found


def _by_spelling(tensors: Iterable[str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name in tensors:
        names.setdefault(_spelled(name), []).append(name)
    return names


def _by_order(
    own: Mapping[str, Tensor], left: dict[str, Tensor], found: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What fits by kind and shape, if both sides list the same in the same order; taken out of `left`."""

    def kinds(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {k: (k.rpartition(".")[2], tuple(v.shape)) for k, v in tensors.items()}

    ours = kinds({k: v for k, v in own.items() if k not in found})
    theirs = kinds(left)
    shared = set(ours.values()) & set(theirs.values())
    ours = {k: kind for k, kind in ours.items() if kind in shared}
    theirs = {k: kind for k, kind in theirs.items() if kind in shared}
    if list(ours.values()) != list(theirs.values()):
        return {}
    return {name: left.pop(other) for name, other in zip(ours, theirs, strict=True)}


def _is_nih_chexnet(given: Mapping[str, Tensor]) -> bool:
    return any(
        re.search(r"(^|\.)densenet121\.classifier\.(0\.)?weight$", name)
        and tensor.ndim == 2
        and len(tensor) == len(NIH_CLASSES)
        for name, tensor in given.items()
    )


def _some(names: Sequence[str] | Mapping[str, Any] | set[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return (", ".join(listed[:4]) or "none") + more


def _why(error: Exception) -> str:
    """Of an error of torch or safetensors; without torch's advice to run what is in the file."""
    refused = re.search(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)", str(error))
    if refused:
        return f"it holds a {refused[1]}"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than torch.save writes of tensors"
    return f"it is damaged, or no checkpoint: {type(error).__name__}"
