"""The `pleura` command: one file a verb, one line in the table below."""

import importlib
import io
import logging
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import pleura
from pleura.errors import MissingExtra, PleuraError, UnknownName

VERBS = (
    "phantom",
    "prepare",
    "verify",
    "split",
    "preview",
    "recipes",
    "import-weights",
    "train",
    "train-anatomy",
    "export",
    "evaluate",
    "calibrate",
    "compare",
    "robustness",
    "export-dataset",
    "cross-validate",
    "card",
    "fetch",
    "predict",
    "send",
    "serve",
    "demo",
    "demo-train",
)
"""Each a function in the module of its name; a command imports no other verb than its own."""

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


class _Verbs(TyperGroup):
    """The verbs, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        verb = getattr(importlib.import_module(f"pleura.cli.{name}"), name)
        alone = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
        )
        alone.command(cmd_name, no_args_is_help=False)(verb)
        return typer.main.get_command(alone)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(str(UnknownName.among("command", args[0], VERBS)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("pleura: interrupted; the same command can be given again", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    name="pleura",
    cls=_Verbs,
    help="Find pneumothorax on chest radiographs. Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


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
