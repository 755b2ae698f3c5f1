"""Arguments and options that several verbs share, so that they read the same in each."""

import logging
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
_MOST_TOKEN = 1000
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def token_in(file: Path | None) -> str | None:
    """What a token file holds; None without one. Says so where others can read it."""
    if file is None:
        return None
    with file.open(encoding="utf-8") as opened:
        token = opened.read(_MOST_TOKEN).strip()
    if file.stat().st_mode & 0o077:
        logging.getLogger(__name__).warning("others than you can read %s: chmod 600 it", file)
    return token
