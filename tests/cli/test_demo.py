"""Where the demo keeps what: phantoms and a person's own films never share a folder."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pleura.cli import app

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ([], "demo"),
        (["--data", "films"], "demo-own"),
        (["--data", "films", "--out", "there"], "there"),
        (["--out", "there"], "there"),
    ],
)
def test_each_source_has_its_folder(
    arguments: list[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pleura.cli.demo import _Places

    seen: list[Path] = []

    def stop(source: Path, places: _Places, *, patients: int | None) -> None:
        seen.append(places.page.parent)
        raise KeyError("far enough")

    demo = sys.modules["pleura.cli.demo"]  # the package holds the verb under this name
    monkeypatch.setattr(demo, "_films_to_dataset", stop)
    CliRunner().invoke(app, ["demo", *arguments])
    assert seen == [Path(place)]


def test_both_folders_are_left_out_of_the_repository() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/demo/", "/demo-own/"} <= set(ignored)
    assert "--out" not in (ROOT / "Makefile").read_text()
