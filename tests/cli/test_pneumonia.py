"""Another target than pneumothorax, from the dataset to the finding: the original U-Net's project."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.manifest import Dataset, dataset_description
from pleura.data.split import SPLIT_FILE, make_split
from pleura.finding import Target
from pleura.inference.detector import Detector

PNEUMONIA = Target("Pneumonia", "233604007")
TINY = ("input.size=64", "network.options.filters=[4,8,8,8,8]", "epochs=2", "batch_size=6")


def pleura(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def data(blocks: Dataset, tmp_path: Path) -> Path:
    """`blocks`, but that its blocks are pneumonia."""
    root = tmp_path / "data"
    shutil.copytree(blocks.root, root, ignore=shutil.ignore_patterns("cache"))
    (root / "dataset.json").write_text(json.dumps(dataset_description(PNEUMONIA, [])))
    make_split(Dataset.open(root), seed=0, test_fraction=0.25, tune_fraction=0.3).save(
        root / SPLIT_FILE
    )
    return root


def test_the_original_unet_finds_pneumonia(data: Path, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    said = pleura("train", "unet-original", *TINY, "--data", data, "--out", run)
    lines = [line for line in said.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert all("Dice+ " in line for line in lines)
    assert {"tuning-0001.png", "tuning-0002.png"} <= {path.name for path in run.iterdir()}

    pleura("export", run, "--out", bundle, "--graph", "none")
    found = Detector.load(bundle, device="cpu").manifest
    assert found.target == PNEUMONIA
    film = Dataset.open(data).films[0]
    answer = Detector.load(bundle, device="cpu")(Dataset.open(data).radiograph(film))
    assert answer.target == PNEUMONIA

    pleura("evaluate", bundle, "--data", data, "--part", "tune", "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "with pneumonia (" in page
    assert "Pneumonia (SCT 233604007)" in page
    assert "pneumothorax" not in page.lower()

    pleura("predict", data / film.image, "--bundle", bundle, "--out", tmp_path / "findings")
    table = next((tmp_path / "findings").glob("*.csv"))
    with table.open(encoding="utf-8") as file:
        assert {row["target"] for row in csv.DictReader(file)} == {"Pneumonia"}
