"""`pleura import-weights`: a foreign checkpoint to safetensors under our names."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pleura.cli.progress import console
from pleura.errors import RecipeError
from pleura.files import remove_partial

SHOWN = 8


def import_weights(
    file: Annotated[
        Path, typer.Argument(help="The checkpoint: .pth, .pt, .ckpt, .tar.", show_default=False)
    ],
    *,
    network: Annotated[
        str, typer.Option(help="Which of our networks it is of.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A .safetensors file.", show_default=False)
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the network, key=value.", show_default=False),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(help="Of the input: 1 or 3.", show_default="the network's own"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Of the input, in px.", show_default="the network's own")
    ] = None,
    pretraining: Annotated[
        str | None,
        typer.Option(help="Films it was trained on, if known; stays with it.", show_default=False),
    ] = None,
) -> None:
    """Turn another project's checkpoint into weights to start training from.

    Nothing in the file is run. Its tensors are matched to ours by rules for names, the rest by shape and
    order where that leaves no choice; what fitted and what not is said. Refused when less than nine in ten
    of the network's tensors are found. Then: pleura train RECIPE --init OUT.
    """
    from pleura.networks import check_options, create, default_channels, default_size
    from pleura.networks.foreign import fit_checkpoint, read_checkpoint, write_imported

    if out.suffix != ".safetensors":
        raise RecipeError(f"{out} is to be a .safetensors file; give --out such a name")
    if out.exists() and file.exists() and out.samefile(file):
        raise RecipeError(f"{out} is the checkpoint itself; give --out another name")
    options = _options(option or ())
    made = create(
        network,
        channels=channels or default_channels(network),
        size=size or default_size(network),
        **options,
    )
    check_options(network, options)
    fit = fit_checkpoint(made, read_checkpoint(file), str(file))
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_partial(out.parent, shared=True)
    write_imported(out, fit, file, network=network, pretraining=pretraining)
    console.print(
        f"{len(fit.tensors)} of {fit.total} tensors of {network} found in {file}: "
        f"{len(fit.tensors) - len(fit.by_order)} by name, {len(fit.by_order)} by shape and order."
    )
    for note in fit.notes:
        console.print(note)
    _listed("By shape and order, where only one reading was possible", fit.by_order)
    _listed("Not found; they start at random", fit.missing)
    _listed("Left over in the checkpoint", fit.unused)
    stamp = pretraining or fit.pretraining
    if stamp:
        console.print(
            f"Marked as trained on {stamp}: evaluations on films of the same source will say so."
        )
    console.print(f"Written: {out}. Start from it with: pleura train RECIPE --init {out}")


def _options(given: tuple[str, ...] | list[str]) -> dict[str, Any]:
    import yaml

    from pleura.config import parse_yaml

    options = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(f"{text!r} is no option; write key=value, such as encoder=resnet34")
        try:
            options[key.strip()] = parse_yaml(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"{text!r}: its value is not YAML ({error})") from error
    return options


def _listed(what: str, names: tuple[str, ...]) -> None:
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        console.print(f"{what}: {', '.join(names[:SHOWN])}{more}.")
