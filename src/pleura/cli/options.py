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
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Devices = Annotated[
    int | None,
    typer.Option(
        help="How many GPUs, or processes on a CPU, train together.",
        show_default="1, or torchrun's",
        min=1,
    ),
]
