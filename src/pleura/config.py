"""Plain frozen dataclasses from YAML: every key checked, every error with its place and a hint."""

import difflib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pleura.errors import MissingExtra, PleuraError

T = TypeVar("T")

STRICT = {"extra": "forbid"}
"""What a dataclass read from YAML sets as `__pydantic_config__`, so that unknown keys are refused."""


class _Loader(yaml.SafeLoader):
    """YAML as people read it since version 1.2: `on`, `off`, `yes` and `no` are words, not truth values."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in known
        if not (tag.endswith(":bool") and first not in "tTfF")
    ]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(kind: type[T], given: Any, where: str, error: type[PleuraError]) -> T:
    """`given`, as YAML or JSON made it, as a `kind`.

    Args:
        kind: a dataclass with `__pydantic_config__ = STRICT`.
        given: mappings, lists and scalars.
        where: what to call the place in messages, such as the file.
        error: what to raise.

    Raises:
        PleuraError: of the class `error`: a key that is not known (with the nearest that is), a value of
            the wrong type, or one the dataclass itself refuses.
    """
    try:
        from pydantic import TypeAdapter, ValidationError
    except ImportError as failure:
        raise MissingExtra.needing(f"Reading {where}", "train", failure) from failure
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as failure:
        lines = [_explain(kind, dict(problem)) for problem in failure.errors()]
        raise error(f"{where}: " + "; ".join(lines)) from None


def read_yaml(path: Path, error: type[PleuraError]) -> Any:
    """The YAML document in `path`; raises `error` where there is none."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise error(f"{path} does not exist") from None
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as failure:
        raise error(f"{path} is not YAML: {failure}") from failure


def _explain(kind: Any, problem: dict[str, Any]) -> str:
    place = [str(part) for part in problem["loc"]]
    text = ".".join(place)
    if problem["type"] == "unexpected_keyword_argument":
        known = _known_keys(kind, place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{text} is no known key{hint} (known: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{text} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{text}: {message}" if text else str(message)


def _known_keys(kind: Any, place: list[str]) -> list[str]:
    """The field names of the dataclass at `place` below `kind`."""
    for part in place:
        hints = {f.name: f.type for f in fields(kind)} if is_dataclass(kind) else {}
        kind = hints.get(part, kind)
        arguments = getattr(kind, "__args__", ())
        kind = next((a for a in (kind, *arguments) if is_dataclass(a)), kind)
    return [f.name for f in fields(kind)] if is_dataclass(kind) else []
