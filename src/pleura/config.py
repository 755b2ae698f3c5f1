"""Plain frozen dataclasses from YAML: every key checked, every error with its place and a hint."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pleura.errors import MissingExtra, PleuraError

T = TypeVar("T")

STRICT = {"extra": "forbid"}
"""What a dataclass read from YAML sets as `__pydantic_config__`, so that unknown keys are refused."""


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
        made = TypeAdapter(kind).validate_python(given)
    except ValidationError as failure:
        lines = _explain(kind, [dict(problem) for problem in failure.errors()])
        raise error(f"{where}: " + "; ".join(lines)) from None
    if lines := list(_untrue(given, made, "")):
        raise error(f"{where}: " + "; ".join(lines))
    return made


def _untrue(given: Any, made: Any, place: str) -> Iterator[str]:
    """Lines for truth values that were taken for numbers, and for what was taken for a truth value."""
    if isinstance(given, Mapping):
        for key, inner in given.items():
            value = made.get(key) if isinstance(made, Mapping) else getattr(made, str(key), None)
            yield from _untrue(inner, value, f"{place}.{key}".removeprefix("."))
    elif isinstance(given, list) and isinstance(made, Sequence):
        for number, (inner, value) in enumerate(zip(given, made, strict=False)):
            yield from _untrue(inner, value, f"{place}.{number}".removeprefix("."))
    elif isinstance(given, bool) and isinstance(made, int | float) and not isinstance(made, bool):
        yield f"{place}: a number is expected; got {str(given).lower()}"
    elif isinstance(made, bool) and not isinstance(given, bool):
        yield f"{place}: true or false is expected; got {given!r}"


def read_yaml(path: Path, error: type[PleuraError]) -> Any:
    """The YAML document in `path`, as `parse_yaml` reads it; raises `error` where there is none."""
    import yaml

    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} does not exist") from None
    except OSError as failure:
        raise error(f"{path} cannot be read ({failure.strerror})") from failure
    except (yaml.YAMLError, UnicodeDecodeError) as failure:
        raise error(f"{path} is not YAML: {failure}") from failure


def parse_yaml(text: str) -> Any:
    """A YAML document.

    `on`, `off`, `yes` and `no` are words, as in YAML 1.2, not truth values; and a key stands once in its
    section.

    Raises:
        yaml.YAMLError: it is none.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            section = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in section.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if (key.tag, key.value) in seen:
                    told = f"the key {key.value!r} stands there twice"
                    raise yaml.MarkedYAMLError(
                        "in a section", section.start_mark, told, key.start_mark
                    )
                seen.add((key.tag, key.value))
            return section

    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, pattern)
            for tag, pattern in known
            if not (tag.endswith(":bool") and first not in "tTfF")
        ]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(text, Loader)


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "dict": "a section",
    "list": "a list",
    "tuple": "a list",
}


def _explain(kind: Any, problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each place that is wrong; of a value with several allowed forms, what all of them are."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        place = _place(kind, problem["loc"])
        found.setdefault(place, []).append(_said(kind, place, problem))
    lines = []
    for place, said in found.items():
        if any(other.startswith(f"{place}.") for other in found):
            continue  # one of its forms was recognised, and what is wrong lies in that
        forms = [text.removeprefix(_FORM) for text in said if text.startswith(_FORM)]
        if len(forms) == len(said):
            given = next(p["input"] for p in problems if _place(kind, p["loc"]) == place)
            null = "; write null for none" if str(given).lower() == "none" else ""
            said = [f": {' or '.join(dict.fromkeys(forms))} is expected; got {given!r}{null}"]
        lines += [
            f"{place}{text}".removeprefix(": ") for text in said if not text.startswith(_FORM)
        ]
    return lines


_FORM = "form: "


def _said(kind: Any, place: str, problem: Mapping[str, Any]) -> str:
    """What is wrong at a place, or, marked as such, the form that its value would have."""
    type_, parts = problem["type"], place.split(".")
    if type_ == "unexpected_keyword_argument":
        known = _known_keys(kind, parts[:-1])
        near = difflib.get_close_matches(parts[-1], known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if not near and "options" in known:
            hint = f"; if it is an option, write {'.'.join([*parts[:-1], 'options', parts[-1]])}"
        return f" is no known key{hint} (known: {', '.join(known)})"
    if type_ == "missing":
        return " is missing"
    if type_ == "literal_error":
        choices = [choice.strip("' ") for choice in re.split(", | or ", problem["ctx"]["expected"])]
        near = difflib.get_close_matches(str(problem["input"]), choices, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        return f": one of {', '.join(choices)} is expected; got {problem['input']!r}{hint}"
    if type_ == "dataclass_type":
        return f"{_FORM}a section with some of {', '.join(_known_keys(kind, parts))}"
    form = _EXPECTED.get(str(type_).split("_")[0])
    if form:
        return _FORM + form
    return f": {str(problem['msg']).removeprefix('Value error, ')}"


def _place(kind: Any, loc: Sequence[int | str]) -> str:
    """Where a problem lies, as one would write it: without the names of the forms a value may have."""
    parts: list[str] = []
    for part in loc:
        if isinstance(part, int) or part in _known_keys(kind, parts) or not _is_form(part):
            parts.append(str(part))
    return ".".join(parts)


def _is_form(part: str) -> bool:
    """Whether pydantic means one of several types by this, rather than a key."""
    return part in ("float", "int", "str", "bool") or part[:1].isupper() or "[" in part


def _known_keys(kind: Any, place: list[str]) -> list[str]:
    """The field names of the dataclass at `place` below `kind`."""
    for part in place:
        hints = {f.name: f.type for f in fields(kind)} if is_dataclass(kind) else {}
        kind = hints.get(part, kind)
        arguments = getattr(kind, "__args__", ())
        kind = next((a for a in (kind, *arguments) if is_dataclass(a)), kind)
    return [f.name for f in fields(kind)] if is_dataclass(kind) else []
