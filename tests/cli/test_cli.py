"""The command line as a user meets it: help, errors in one line, and the whole path."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pleura.cli import VERBS, app
from pleura.inference.bundle import open_bundle

COMMAND = [sys.executable, "-m", "pleura.cli"]


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=environment
    )


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_page(verb: str) -> None:
    shown = CliRunner().invoke(app, [verb, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: pleura {verb}" in shown.output.replace("root", "pleura")


def test_the_help_of_train_names_every_start() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    option = shown[shown.index("--init") :][:300]
    assert all(start in option for start in ("imagenet", "coco", "random", "safetensors"))


@pytest.mark.parametrize("limit", ["--keep-days", "--disk-limit", "--film-limit", "--pixel-limit"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_no_limit_of_the_service_is_without_end(limit: str, value: str) -> None:
    refused = CliRunner().invoke(app, ["serve", limit, value])
    assert refused.exit_code == 2
    assert limit in refused.output


@pytest.mark.parametrize("asked", [["predict", "."], ["serve"]])
def test_more_threads_than_any_machine_has_are_told_at_once(asked: list[str]) -> None:
    shown = CliRunner().invoke(app, [*asked, "--threads", "5000"])
    assert shown.exit_code == 2
    assert "1024" in shown.output


def test_an_interrupted_verb_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pleura.inference.bundle.open_bundle", interrupt)
    ended = CliRunner().invoke(app, ["card", "bundle", "--out", str(tmp_path / "card.md")])
    assert ended.exit_code == 130
    assert ended.output == "pleura: interrupted; the same command can be given again\n"


def test_a_run_whose_dataset_moved_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format_version": 1, "dataset": "gone/data"}')
    ended = CliRunner().invoke(app, ["export", str(tmp_path), "--out", str(tmp_path / "bundle")])
    assert "gone/data, which is not there; say where" in str(ended.exception)


def test_the_front_page_says_what_it_is_not() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert "not a medical device" in " ".join(shown.output.split())
    assert all(name in shown.output for name in VERBS)


def test_a_run_is_not_averaged_with_itself(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = run("export", "run", "./run", "--out", "b", cwd=tmp_path)
    assert done.returncode == 2
    assert "a run is given twice" in done.stderr


def test_pleura_is_a_module_that_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pleura", "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("pleura "), done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "ligth", "--data", "."], "no prepared dataset|Did you mean 'light'"),
        (["split", "nowhere"], "no prepared dataset"),
        (["verify", "nowhere"], "no prepared dataset"),
        (["evaluate", "b", "--data", "nowhere", "--out", "o"], "no prepared dataset"),
        (["export", "nowhere", "--out", "b"], "holds no training run"),
        (["export", __file__, "--out", "b"], "holds no training run"),
        (["predict", "nowhere.dcm", "--bundle", "b", "--out", "o"], "does not exist"),
        (["prepare", "nowhere", "--out", "d"], "nowhere"),
    ],
)
def test_errors_end_in_one_line_and_exit_code_1(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("pleura: ")
    assert done.stderr.count("\n") == 1
    assert any(part in done.stderr for part in says.split("|"))
    assert "Traceback" not in done.stderr


def test_a_cross_validation_that_is_not_finished_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "cv" / "fold-1").mkdir(parents=True)
    done = run("export", "cv", "--out", "b", cwd=tmp_path)
    assert done.returncode == 1
    assert "cv holds no finished cross-validation" in done.stderr
    assert "run the same `pleura cross-validate` again to go on" in done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo, run once: every verb but phantom's own help is in it."""
    root = tmp_path_factory.mktemp("demo") / "demo-train"
    settings = ["epochs=2", "input.size=64", "batch_size=8", "network.options.encoder=resnet10t"]
    options = [part for setting in settings for part in ("--setting", setting)]
    done = run("demo-train", "--out", root, "--patients", "24", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "index.html" in done.stdout.splitlines()[-1]
    return root


@pytest.mark.slow
def test_the_demo_ends_in_a_page_that_needs_nothing_beside_it(demo: Path) -> None:
    page = (demo / "index.html").read_text(encoding="utf-8")
    assert "Not a medical device" in page
    split = json.loads((demo / "data" / "split.json").read_text())
    assert page.count("<figure>") == min(12, len(split["test"]))
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="data:image/' in page
    for linked in ("evaluation/report.html", "verify/verify.html"):
        assert f'href="{linked}"' in page
        assert (demo / linked).stat().st_size > 10_000


@pytest.mark.slow
def test_the_demo_predicts_on_test_films_only(demo: Path) -> None:
    split = json.loads((demo / "data" / "split.json").read_text())
    with (demo / "findings" / "findings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert 0 < len(rows) <= 12
    assert {row["sop_instance_uid"] for row in rows} <= set(split["test"])
    assert (demo / "data" / "test-openings.jsonl").read_text().count("\n") == 1


@pytest.mark.slow
def test_predicting_goes_on_past_a_broken_file(demo: Path, tmp_path: Path) -> None:
    films = sorted((demo / "phantoms").rglob("*.dcm"))[:3]
    (tmp_path / "in").mkdir()
    for film in films:
        (tmp_path / "in" / film.name).write_bytes(film.read_bytes())
    (tmp_path / "in" / "broken.dcm").write_bytes(films[0].read_bytes()[:900])
    done = run("predict", tmp_path / "in", "-b", demo / "bundle", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "findings.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    with (tmp_path / "out" / "failures.csv").open() as file:
        (failure,) = csv.DictReader(file)
    assert failure["file"].endswith("broken.dcm")
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 3
    nothing = run(
        "predict", tmp_path / "in" / "broken.dcm", "-b", demo / "bundle", "-o", tmp_path / "x"
    )
    assert nothing.returncode == 1


@pytest.mark.slow
def test_a_submission_keeps_the_samples_order(demo: Path, tmp_path: Path) -> None:
    from pleura.cli.phantom import phantom

    phantom(tmp_path / "p", patients=5, size=1024, films_per_patient=(1, 1))
    films = sorted((tmp_path / "p").rglob("*.dcm"), reverse=True)
    square = [f for f in films if _is_square(f)]
    assert len(square) >= 2
    sample = tmp_path / "sample.csv"
    lines = ["ImageId,EncodedPixels", *(f"{f.stem},-1" for f in square)]
    sample.write_text("\n".join(lines) + "\n")
    done = run("predict", *square, "-b", demo / "bundle", "-o", tmp_path / "out", "--format", "siim",
               "--sample", sample)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "out" / "submission.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == [line.split(",")[0] for line in lines]
    alone = run(
        "predict", films[0], "-b", demo / "bundle", "-o", tmp_path / "o", "--format", "siim"
    )
    assert alone.returncode == 2
    assert "--sample" in alone.stderr


def _is_square(path: Path) -> bool:
    from pleura.read import read

    return read(path).shape == (1024, 1024)


@pytest.mark.slow
def test_a_zipped_bundle_says_the_same(demo: Path, tmp_path: Path) -> None:
    done = run("export", demo / "run", "--data", demo / "data", "--out", tmp_path / "b.zip",
               "--graph", "none", "--name", "mine", "--version", "1.2", "--licence", "CC0-1.0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = open_bundle(tmp_path / "b.zip").manifest
    assert (manifest.name, manifest.version, manifest.licence) == ("mine", "1.2", "CC0-1.0")
    card = manifest.data_card
    split = json.loads((demo / "data" / "split.json").read_text())
    assert card["parts"]["train"]["films"] == len(split["train"])
    assert len(card["parts"]["train"]["pixel_sha256"]) == len(split["train"])
    assert card["test_sha256"] == split["test_sha256"]
    assert "pixel_sha256" not in card["parts"]["test"]
    film = next((demo / "phantoms").rglob("*.dcm"))
    findings = []
    for bundle in (demo / "bundle", tmp_path / "b.zip"):
        out = tmp_path / f"out-{bundle.name}"
        assert run("predict", film, "-b", bundle, "-o", out).returncode == 0
        findings.append(json.loads((out / "findings.json").read_text())[0])
    assert findings[0]["probability"] == findings[1]["probability"]


@pytest.mark.slow
def test_the_shipped_anatomy_goes_into_a_bundle(demo: Path, tmp_path: Path) -> None:
    done = run("export", demo / "run", "--data", demo / "data", "--out", tmp_path / "b",
               "--graph", "none", "--anatomy", "shipped")  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = open_bundle(tmp_path / "b").manifest
    assert [member.role for member in manifest.members] == ["segmenter", "anatomy"]
    assert manifest.data_card["anatomy"]["films"] == 2839


@pytest.mark.slow
def test_another_split_than_the_runs_is_refused(demo: Path, tmp_path: Path) -> None:
    done = run("split", demo / "data", "--seed", "5", "--out", tmp_path / "other.json")
    assert done.returncode == 0, done.stderr
    done = run("export", demo / "run", "--data", demo / "data", "--split", tmp_path / "other.json",
               "--out", tmp_path / "b")  # fmt: skip
    assert done.returncode == 1
    assert "was trained on another split" in done.stderr


@pytest.mark.slow
def test_preview_draws_a_row_a_film(demo: Path, tmp_path: Path) -> None:
    import cv2

    half = tmp_path / ".p.png.9999999.partial"  # of a process that was killed
    half.touch()
    done = run(
        "preview", "swin-unet", "--data", demo / "data", "--out", tmp_path / "p.png", "--films", "3"
    )
    assert done.returncode == 0, done.stderr
    assert not half.exists()
    height, width = cv2.imread(str(tmp_path / "p.png")).shape[:2]
    assert width > 1.5 * height
