"""What a network starts from, and what is put on record of it."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.data.split.linked import linked_groups
from pleura.errors import LeakError, RecipeError
from pleura.inference.bundle import CARD_HASH_CHARACTERS
from pleura.networks import check_options, create
from pleura.networks.encoder import (
    imagenet_weights,
    load_encoder,
    load_start,
    read_pretraining,
    read_shown,
    read_weights,
)
from pleura.networks.foreign import fit_checkpoint
from pleura.training.recipe import Recipe

log = logging.getLogger(__name__)

FOLD = re.compile(r"\{fold(?://?([1-9]\d?))?\}")  # a Path makes one slash of two


@dataclass(frozen=True)
class Start:
    """Where a network's first weights came from, as it was, not as it was asked for.

    Attributes:
        encoder: `random`, `imagenet` (through timm), `coco` (through torchvision), or the name of a file.
        sha256: of that file (hex), else None.
        pretraining: films that the file's header says its weights were trained on, else None.
        whole: whether the weights were of the whole network, not of its encoder alone.
    """

    encoder: str = "random"
    sha256: str | None = None
    pretraining: str | None = None
    whole: bool = False


def build(recipe: Recipe) -> nn.Module:
    """The recipe's network with random weights."""
    return create(
        recipe.network.name,
        channels=recipe.input.channels,
        size=recipe.input.size,
        **recipe.network.options,
    )


def check_start(recipe: Recipe, fold: int | None = None) -> None:
    """Raises RecipeError where a run cannot begin.

    A file to start from is not there, random weights are no start, or an option is to be true or false and is
    neither.
    """
    init = recipe.network.init
    check_options(recipe.network.name, recipe.network.options)
    if init == "random":
        with torch.device("meta"):
            _refuse_random(recipe, build(recipe))
    if init not in ("random", "imagenet", "coco") and not _path(init, fold).is_file():
        raise RecipeError(
            f"{_path(init, fold)} does not exist; give a .safetensors file to start from"
        )


def shown_before(recipe: Recipe, fold: int | None = None) -> frozenset[str]:
    """The films that trained the weights to start from, as far as their file says; see `read_shown`.

    Raises:
        RecipeError: the file is missing or damaged.
    """
    init = recipe.network.init
    if init in ("random", "imagenet", "coco"):
        return frozenset()
    return read_shown(_path(init, fold))


def card_hashes(dataset: Dataset, film_ids: Iterable[str]) -> set[str]:
    """The beginnings of the films' `pixel_sha256`, as a data card lists them."""
    return {dataset.by_id[i].pixel_sha256[:CARD_HASH_CHARACTERS] for i in film_ids}


def check_unseen(recipe: Recipe, dataset: Dataset, split: Split, fold: int | None = None) -> None:
    """Refuses to start from weights that know the films to be scored.

    Args:
        recipe: says from which.
        dataset: of the films.
        split: of that dataset, checked (`Split.check`).
        fold: which tunes, where the split has folds.

    Raises:
        LeakError: films that tune or test here trained them, or others of their patients did.
        RecipeError: the file is missing or damaged.
    """
    shown = shown_before(recipe, fold)
    named = {f.film_id for f in dataset.films if f.pixel_sha256[:CARD_HASH_CHARACTERS] in shown}
    sides, scored = split.sides(), ("test", "tune", f"fold {fold}")
    if not any(sides.get(film_id, "test") in scored for film_id in named):
        return  # films that belong together stand on one side, but for those set aside
    held_out = {*split.part("tune", fold), *split.test}
    groups = ({film.film_id for film in group} for group in linked_groups(dataset.films))
    if seen := held_out.intersection(chain.from_iterable(g for g in groups if g & named)):
        raise LeakError(
            f"{_path(recipe.network.init, fold)} was trained on {len(seen)} of the {len(held_out)} films "
            "that tune or test here, or on others of their patients: it would know them when it is scored. "
            "Start from weights of this split and fold ({fold} in the name of the file stands for it), or "
            "with init: imagenet"
        )


def start(
    recipe: Recipe, note: Callable[[str], None] | None = None, fold: int | None = None
) -> tuple[nn.Module, Start]:
    """The recipe's network with its first weights.

    Args:
        recipe: its `network.init` is followed; where what it asks for cannot be fetched, they stay random.
        note: told so, and which tensors of what was to be started are random still.
        fold: which stands for `{fold}` in the name of a file, so that each fold of a cross-validation goes on
            from weights that never saw its films either; `{fold//2}` where every two of these folds were
            one in the split of those weights (`pleura.data.split.divide_folds`).

    Raises:
        RecipeError: the network has nothing of the kind to start, the file is missing, or not its encoder's;
            or its weights would be random, and it cannot be trained from those; or an option is to be true or
            false and is neither.
    """
    network, init = build(recipe), recipe.network.init
    check_options(recipe.network.name, recipe.network.options)
    if init == "random":
        began = Start()
    elif init == "coco":
        began = _coco(network, recipe.network.name, note)
    elif init == "imagenet":
        began = _imagenet(network, recipe.network.name, note)
    else:
        path = _path(init, fold)
        loaded = load_start(network, read_weights(path), str(path))
        say_missing(loaded.missing, str(path), note)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        began = Start(path.name, sha256, read_pretraining(path), loaded.whole)
        if recipe.start_share is not None and loaded.missing:
            raise RecipeError(
                f"{path} has no weights for {len(loaded.missing)} tensors ({loaded.missing[0]} is one): "
                "start_share would mix what is learnt with random numbers. Leave it out, or start from "
                "weights of the whole network"
            )
    if began != Start() and not began.whole and hasattr(network, "absorb_epsilon"):
        network.absorb_epsilon()  # type: ignore[operator]
    if began == Start():
        _refuse_random(recipe, network)
    return network, began


def _refuse_random(recipe: Recipe, network: nn.Module) -> None:
    if getattr(network, "needs_weights", False):
        raise RecipeError(
            f"{recipe.network.name} with frozen norms cannot be trained from random weights: start it from "
            "some (--init FILE.safetensors, or network.init=coco where torchvision's server can be "
            "reached), or set network.options.norm=group"
        )


def _path(init: str, fold: int | None) -> Path:
    if FOLD.search(init) is None:
        return Path(init)
    if fold is None:
        raise RecipeError(
            f"network.init is {init}, but no fold is trained; give --fold, or a file without {{fold}}"
        )
    return Path(FOLD.sub(lambda found: str(fold // int(found[1] or 1)), init))


def _imagenet(network: nn.Module, named: str, note: Callable[[str], None] | None) -> Start:
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise RecipeError(f"network {named} has no encoder to start; use init: random")
    name = str(network.encoder_name)
    if note:
        note(
            f"Fetching ImageNet weights of {name} through timm; with no network it takes a minute to give up"
        )
    weights = imagenet_weights(name)
    if weights is None:
        _say_random(f"ImageNet weights of {name} cannot be had from timm's hub", note)
        return Start()
    missing = load_encoder(encoder, weights, f"timm's {name}")
    say_missing(missing, f"timm's {name}", note)
    return Start("imagenet")


def _coco(network: nn.Module, named: str, note: Callable[[str], None] | None) -> Start:
    fetch = getattr(network, "coco_weights", None)
    if fetch is None:
        raise RecipeError(f"there are no COCO weights for network {named}; use another init")
    try:
        weights = fetch()
    except ValueError as error:
        raise RecipeError(str(error)) from error
    if weights is None:
        _say_random("COCO weights cannot be had from torchvision's server", note)
        return Start()
    fit = fit_checkpoint(network, weights, "torchvision's COCO weights")
    loaded = load_start(network, dict(fit.tensors), "torchvision's COCO weights")
    say_missing(loaded.missing, "torchvision's COCO weights", note)
    return Start("coco", whole=True)


def _say_random(why: str, note: Callable[[str], None] | None) -> None:
    _say(
        f"{why}. Starting from random weights, which costs accuracy; `--init FILE.safetensors` starts from a "
        "file",
        note,
    )


def say_missing(
    missing: Sequence[str], source: str, note: Callable[[str], None] | None = None
) -> None:
    """Names the tensors that found no weights: one that is frozen would never learn."""
    if missing:
        _say(f"nothing in {source} fits {', '.join(missing)}: these start at random", note)


def _say(message: str, note: Callable[[str], None] | None) -> None:
    log.warning(message)
    if note:
        note(message)
