"""The `pleura` command: one file a verb, one line in the table below."""

import io
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import pleura
from pleura.cli.calibrate import calibrate
from pleura.cli.compare import compare
from pleura.cli.cross_validate import cross_validate
from pleura.cli.demo import demo
from pleura.cli.evaluate import evaluate
from pleura.cli.export import export
from pleura.cli.export_dataset import export_dataset
from pleura.cli.import_weights import import_weights
from pleura.cli.phantom import phantom
from pleura.cli.predict import predict
from pleura.cli.prepare import prepare
from pleura.cli.preview import preview
from pleura.cli.recipes import recipes
from pleura.cli.split import split
from pleura.cli.train import train
from pleura.cli.verify import verify
from pleura.errors import MissingExtra, PleuraError

app = typer.Typer(
    name="pleura",
    help="Find pneumothorax on chest radiographs. Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

VERBS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("phantom", phantom),
    ("prepare", prepare),
    ("verify", verify),
    ("split", split),
    ("preview", preview),
    ("recipes", recipes),
    ("import-weights", import_weights),
    ("train", train),
    ("export", export),
    ("evaluate", evaluate),
    ("calibrate", calibrate),
    ("compare", compare),
    ("export-dataset", export_dataset),
    ("cross-validate", cross_validate),
    ("predict", predict),
    ("demo", demo),
)

TRAIN_LIBRARIES = (
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "onnxscript",
    "pydantic",
    "safetensors",
    "tensorboard",
    "timm",
    "torch",
    "torchvision",
)
"""What `pleura[train]` brings; a verb that misses one of them says so in a line."""

for _name, _verb in VERBS:
    app.command(_name, no_args_is_help=False)(_verb)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pleura {pleura.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Say which pleura this is.", callback=_version, is_eager=True
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )


def main() -> None:
    """The console entry point: pleura's own errors, and the disk's, end in one line and exit code 1."""
    for stream in (sys.stdout, sys.stderr):  # a file name need not be text that can be printed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except PleuraError as error:
        _fail(str(error))
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in TRAIN_LIBRARIES:
            raise
        _fail(str(MissingExtra.needing("this verb", "train", error)))
    except OSError as error:
        _fail(f"{error}; check that the place exists, can be written, and has room")


def _fail(message: str) -> None:
    print(f"pleura: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
