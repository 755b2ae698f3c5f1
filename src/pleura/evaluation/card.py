"""The model card: what a model is for, what made it, how good it is and what it cannot do, from its bundle.

After Mitchell et al., "Model cards for model reporting", FAT* 2019. The numbers are the bundle's own and
those of evaluations of that very bundle; what only people can say (uses, confounders, terms) is its `about`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pleura.config import STRICT, parse, read_yaml
from pleura.errors import EvaluationError
from pleura.evaluation.numbers import METRICS
from pleura.evaluation.report import NUMBERS_FILE
from pleura.evaluation.summary import FORMAT_VERSION
from pleura.files import remove_partial, write_bytes
from pleura.inference.bundle import Bundle
from pleura.outputs.html import render, render_text, write_page

PAGE, TEXT = ".html", ".md"
_OUT_OF_FOLD = "out-of-fold"
_HEADINGS = (
    "Intended use", "Not for", "What it was trained on", "How it was trained", "What it gets wrong",
    "Known weaknesses", "Ethics",
)  # fmt: skip
"""How headings begin that every card has in this order, after Mitchell et al.; others come last."""
_STRATUM_METRICS = ("auc", "sensitivity", "dice_positives")


@dataclass(frozen=True)
class About:
    """What people say of a model, in a YAML file; it becomes the bundle's `about`.

    Attributes:
        summary: one or two sentences.
        sections: heading -> points.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT
    summary: str
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_about(path: Path) -> About:
    """The `About` in a YAML file.

    Raises:
        EvaluationError: there is none, or it is not as it should be.
    """
    return parse(About, read_yaml(path, EvaluationError), str(path), EvaluationError)


def write_card(out: Path, bundle: Bundle, evaluations: Sequence[Path] = ()) -> None:
    """Writes the card of `bundle` to `out`, as a page or as Markdown by the name's ending.

    Args:
        out: ends in `.html` or `.md`.
        bundle: an opened one.
        evaluations: folders that `pleura evaluate` wrote for this very bundle.

    Raises:
        EvaluationError: the ending is another, a folder holds no evaluation, or one of another model or
            format.
    """
    if out.suffix not in (PAGE, TEXT):
        raise EvaluationError(f"a card is a {PAGE} or a {TEXT} file; got {out.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    told = [*_own(bundle), *(_read(folder, bundle) for folder in evaluations)]
    known = {
        "manifest": bundle.manifest,
        "identity": bundle.identity,
        "summary": bundle.manifest.about.get("summary", "Model card."),
        "sections": _ordered(bundle.manifest.about.get("sections", {})),
        "evaluations": told,
        "metrics": METRICS,
        "stratum_metrics": _STRATUM_METRICS,
        "members": [_member(member.training, member) for member in bundle.manifest.members],
        "effort": _effort(bundle),
        "means": _means,
    }
    if out.suffix == PAGE:
        write_page(out, render("card.html.j2", **known))
    else:
        remove_partial(out.parent, shared=True)  # as with a page
        text = render_text("card.md.j2", **known)
        write_bytes(out, f"{text.rstrip()}\n".encode())


def _own(bundle: Bundle) -> list[dict[str, Any]]:
    """The evaluations that the bundle itself holds, by their part."""
    held = bundle.manifest.metrics
    return [dict(told) for told in held.values() if isinstance(told, Mapping) and "numbers" in told]


def _read(folder: Path, bundle: Bundle) -> dict[str, Any]:
    path = folder / NUMBERS_FILE
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, model = told.get("format_version"), told["run"]["model"]["sha256"]
    except (FileNotFoundError, NotADirectoryError):
        raise EvaluationError(
            f"{folder} holds no {NUMBERS_FILE}; make one with `pleura evaluate`"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EvaluationError(f"{path} is damaged ({error!r}); evaluate again") from error
    if version != FORMAT_VERSION:
        raise EvaluationError(
            f"{path} is of format {version}; this pleura reads {FORMAT_VERSION}: evaluate again"
        )
    if model != bundle.identity.sha256:
        raise EvaluationError(
            f"{path} is of another model (SHA-256 {model[:16]}..., not {bundle.identity.sha256[:16]}...); "
            "evaluate this very bundle"
        )
    return told


def _ordered(sections: Mapping[str, Any]) -> dict[str, Any]:
    def place(heading: str) -> int:
        begun = [n for n, usual in enumerate(_HEADINGS) if heading.startswith(usual)]
        return begun[0] if begun else len(_HEADINGS)

    return {heading: sections[heading] for heading in sorted(sections, key=place)}


def _means(run: Mapping[str, Any]) -> str:
    """What the numbers of an evaluation's run describe."""
    part, overlap = run["part"], run.get("provenance", {}).get("overlap")
    if part == _OUT_OF_FOLD:
        return "the procedure: each film was judged by the one network that was not trained on it"
    if overlap is None:
        return "this model; whether it was made from these films is not known"
    if overlap:
        return (
            f"this model on what it knows: {overlap} of {run['films']} films made it (trained or tuned it), "
            "or belong with films that did, so that these numbers are no estimate for other films"
        )
    if part == "test":
        return "this model, on films that nothing was trained on, chosen or fitted by"
    return (
        "this model, on films that something of it was fitted on"
        if part == "tune"
        else "this model"
    )


def _member(training: Mapping[str, Any], member: Any) -> dict[str, Any]:
    recipe, began = training.get("recipe", {}), training.get("start", {})
    return {
        "role": member.role,
        "network": member.network,
        "size": member.input.size,
        "region": member.input.region,
        "parameters": training.get("parameters"),
        "recipe": recipe.get("name"),
        "fold": training.get("fold"),
        "start": began.get("encoder"),
        "device": training.get("device"),
        "precision": training.get("precision"),
        "effort": training.get("effort"),
    }


def _effort(bundle: Bundle) -> dict[str, Any] | None:
    """What training all members took, where all have it on record, and whether any began from a file."""
    starts = [member.training.get("start", {}) for member in bundle.manifest.members]
    each = [member.training.get("effort") for member in bundle.manifest.members]
    known = [one for one in each if isinstance(one, Mapping)]
    if not known or len(known) < len(each):
        return None
    return {
        "films": sum(one["films"] for one in known),
        "core_hours": sum(one["seconds"] * one["threads"] for one in known) / 3600.0,
        "from_files": any(start.get("sha256") for start in starts),
    }
