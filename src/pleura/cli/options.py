"""Arguments and options that several verbs share, so that they read the same in each."""

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str, typer.Argument(help="A recipe's name or YAML file.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Changes to it, as key=value; dots reach into sections.", metavar="KEY=VALUE"
    ),
]
PreparedDataset = Annotated[Path, typer.Option(help="The prepared dataset.", show_default=False)]
Films = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, quoted patterns ('films/**/*.dcm'), @LIST (a file with a path on each "
        "line), or - (such a list on standard input).",
        show_default=False,
    ),
]
OutFolder = Annotated[
    Path, typer.Option("--out", "-o", help="Where to write; a folder.", show_default=False)
]
ModelBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle", "-b", help="The model: a bundle.", show_default="the one in pleura-weights"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Devices = Annotated[
    int | None,
    typer.Option(
        help="How many GPUs, or processes on a CPU, train together.",
        show_default="1, or torchrun's",
        min=1,
    ),
]
