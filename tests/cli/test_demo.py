"""The two demos: where they keep what, and the page of the one that needs a bundle alone."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pleura.cli import app
from pleura.inference.bundle import BundleManifest, Member, write_bundle
from pleura.inference.manifest import PRESENCE_HEAD
from pleura.inference.preprocess import InputSpec
from tiny_graphs import SIZE, graph

ROOT = Path(__file__).parents[2]
PLACES = [
    ([], "{}"),
    (["--data", "films"], "{}-own"),
    (["--data", "films", "--out", "there"], "there"),
    (["--out", "there"], "there"),
]


@pytest.mark.parametrize(("arguments", "place"), PLACES)
def test_each_source_has_its_folder_for_training(
    arguments: list[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pleura.cli.demo_train import _Places

    seen: list[Path] = []

    def stop(source: Path, places: _Places, *, patients: int | None) -> None:
        seen.append(places.page.parent)
        raise KeyError("far enough")

    demo = sys.modules["pleura.cli.demo_train"]  # the package holds the verb under this name
    monkeypatch.setattr(demo, "_films_to_dataset", stop)
    CliRunner().invoke(app, ["demo-train", *arguments])
    assert seen == [Path(place.format("demo-train"))]


def test_the_folders_are_left_out_of_the_repository() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/demo/", "/demo-own/", "/demo-train/", "/demo-train-own/"} <= set(ignored)
    assert "--out" not in (ROOT / "Makefile").read_text()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose network calls bright films positive, and runs without PyTorch."""
    member = Member("tiny", {}, InputSpec(SIZE), presence_score=PRESENCE_HEAD)
    manifest = BundleManifest("tiny", "1", (member,))
    write_bundle(tmp_path / "bundle", manifest, [], graphs=[graph()])
    return tmp_path / "bundle"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_phantoms_are_judged_and_shown(bundle: Path, here: Path) -> None:
    done = CliRunner().invoke(app, ["demo", "-b", str(bundle), "--patients", "3"])
    assert done.exit_code == 0, done.output
    page = (here / "demo" / "index.html").read_text(encoding="utf-8")
    judged = json.loads((here / "demo" / "findings" / "findings.json").read_text())
    assert page.count("<figure>") == len(judged) > 2
    assert "Not a medical device" in page
    assert "it says nothing about people" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    with_one = page.count("made with one")
    assert with_one + page.count("made without one") == len(judged)
    assert f"Of {with_one} phantoms made with a pneumothorax" in page
    negative = [facts for facts in judged if facts["decision"] == "negative"]
    assert negative
    for facts in negative:  # a high score without a region to draw would puzzle without its reason
        assert facts["reason"] in page
    for linked in ("card.html", "findings/findings.csv"):
        assert f'href="{linked}"' in page
        assert (here / "demo" / linked).is_file()


def test_own_films_have_a_folder_of_their_own_and_no_labels(bundle: Path, here: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["phantom", "--out", "films", "--patients", "12"]).exit_code == 0
    films = list((here / "films").rglob("*.dcm"))
    done = runner.invoke(app, ["demo", "-b", str(bundle), "--data", "films"])
    assert done.exit_code == 0, done.output
    page = (here / "demo-own" / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == min(16, len(films))
    assert "phantom" not in page
    assert "made with" not in page
    assert f"of {len(films)} films" in page


def test_one_film_is_enough(bundle: Path, here: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["phantom", "--out", "films", "--patients", "1"]).exit_code == 0
    film = next((here / "films").rglob("*.dcm"))
    done = runner.invoke(app, ["demo", "-b", str(bundle), "--data", str(film), "--out", "one"])
    assert done.exit_code == 0, done.output
    assert (here / "one" / "index.html").read_text().count("<figure>") == 1
