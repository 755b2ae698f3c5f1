"""Links in the documents lead somewhere, and the model's numbers are those that were measured."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pleura.inference.manifest import FORMAT_VERSION

ROOT = Path(__file__).parents[1]
HIDDEN = {
    ".venv",
    ".git",
    ".hypothesis",
    ".pytest_cache",
    "node_modules",
    "demo",
    "demo-own",
    "demo-train",
    "demo-train-own",
    "runs",
}
PAGES = [
    path for path in sorted(ROOT.rglob("*.md")) if not HIDDEN & set(path.relative_to(ROOT).parts)
]
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def links(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [a or b for a, b in LINK.findall(text)]
    return [link for link in found if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", h.strip().lower()) for h in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{page.name} links to {link}"
        assert target.is_relative_to(ROOT), f"{page.name} links out of the repository: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name} links to {link}"


def test_the_examples_from_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pleura = str(Path(sys.executable).parent / "pleura")
    for command in (
        ("phantom", "--out", "films", "--patients", "24", "--size", "256"),
        ("prepare", "films", "--out", "data"),
        ("split", "data"),
    ):
        subprocess.run([pleura, *command], check=True, capture_output=True)
    page = (ROOT / "docs/how-to/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 9
    names: dict[str, Any] = {"__name__": "example"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"python.md, block {number}", "exec"), names)
    assert {"overlay.png", "sr.dcm", "own", "report"} <= {path.name for path in tmp_path.iterdir()}


def test_the_format_of_bundles_is_the_one_that_is_written() -> None:
    text = (ROOT / "docs/reference/bundle.md").read_text(encoding="utf-8")
    assert f"Format {FORMAT_VERSION} is written" in text


def test_the_pages_are_looked_at() -> None:
    assert ROOT / "README.md" in PAGES
    assert len(links(ROOT / "README.md")) > 3


@pytest.mark.parametrize("page", ["README.md", "weights/README.md", "docs/pleura-v1.md"])
@pytest.mark.parametrize(
    "evaluation",
    [
        "weights/evaluation/out-of-fold/evaluation.json",
        "weights/src/pleura_weights/evaluation/test/evaluation.json",
    ],
)
def test_the_model_s_numbers_are_those_of_its_evaluations(page: str, evaluation: str) -> None:
    told = json.loads((ROOT / evaluation).read_text(encoding="utf-8"))["numbers"]["metrics"]
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in ("auc", "sensitivity", "specificity", "dice_positives", "competition_dice"):
        value, low, high = (f"{told[name][key]:.3f}" for key in ("value", "low", "high"))
        assert re.search(rf"{value}( \(| \| ){low} to {high}", text), (name, value, low, high)
