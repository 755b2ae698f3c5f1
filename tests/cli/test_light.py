"""Without the libraries of `pleura[train]`: verbs work where they can, and else say what to install."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pleura
from pleura.cli import TRAIN_LIBRARIES, VERBS
from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.evaluation.foreign import ForeignPredictions
from pleura.evaluation.run import score_films
from pleura.finding import ModelIdentity
from pleura.inference.bundle import BundleManifest, Member, write_bundle
from pleura.inference.preprocess import InputSpec
from pleura.read.rle import encode_rle

ROOT = Path(__file__).parents[2]
# The command line's own library may bring pydantic, and not work without it.
CODECS = {"gdcm", "openjpeg", "pylibjpeg", "jpeg_ls"}  # those of the extra `dev`
BLOCKED = sorted(set(TRAIN_LIBRARIES) - {"pydantic"} | CODECS)
LIGHT = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
from pleura.cli import main
main()
"""


def light(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100"},
    )


@pytest.fixture
def folder(blocks: Dataset, blocks_split: Split, tmp_path: Path) -> Path:
    """A folder with a dataset, a split and a bundle whose network can only run with the libraries."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("dataset.json", "manifest.csv", "images", "masks"):
        (data / name).symlink_to(blocks.root / name)
    blocks_split.save(data / "split.json")
    manifest = BundleManifest(
        "m", "1", (Member("unet_timm", {"encoder": "resnet10t"}, InputSpec(64)),)
    )
    write_bundle(tmp_path / "bundle", manifest, [b""])
    run = tmp_path / "run"
    run.mkdir()
    _evaluations(tmp_path, blocks)
    store = tmp_path / "store"
    store.mkdir()
    (store / "audit.jsonl").touch()
    return tmp_path


def _evaluations(root: Path, dataset: Dataset) -> None:
    """Two evaluations of all films, as `pleura evaluate` keeps them: perfect masks, made elsewhere."""
    film_ids = tuple(film.film_id for film in dataset.films)
    masks: dict[str, str | Path] = {i: encode_rle(dataset.mask(dataset.by_id[i])) for i in film_ids}
    for name in ("one", "two"):
        identity = ModelIdentity(name, "1", "0" * 64)
        foreign = ForeignPredictions(masks, identity, dataset.target)
        score_films(foreign, dataset, film_ids, part="tune", out=root / name)


NEED = {
    "train": ["train", "light", "--data", "data", "--out", "new-run"],
    "train-anatomy": ["train-anatomy", "--lungs", "lungs", "--data", "data", "--out", "new-run"],
    "export": ["export", "run", "--out", "b", "--data", "data"],
    "recipes": ["recipes"],
    "import-weights": ["import-weights", "w.pth", "--network", "unet", "-o", "w.safetensors"],
    "evaluate": ["evaluate", "bundle", "--data", "data", "--out", "e"],
    "calibrate": ["calibrate", "bundle", "--data", "data", "--out", "c"],
    "cross-validate": ["cross-validate", "light", "--data", "data", "--out", "cv"],
    "predict": ["predict", "data/images", "-b", "bundle", "-o", "p"],
    "robustness": ["robustness", "data/images", "-b", "bundle", "-o", "r"],
    "demo": ["demo", "--patients", "20", "-b", "bundle"],
    "demo-train": ["demo-train", "--patients", "20"],
}
WORK = {
    "serve": ["serve", "--store", "store", "--check-audit"],
    "phantom": ["phantom", "--out", "ph", "--patients", "15", "--size", "64"],
    "prepare": ["prepare", "data/images", "--out", "prepared", "--unmasked", "negative"],
    "verify": ["verify", "data", "--out", "v"],
    "preview": ["preview", "light", "--data", "data"],
    "split": ["split", "data", "--out", "s.json"],
    "compare": ["compare", "one", "two", "--out", "c", "--resamples", "100"],
    "card": ["card", "bundle", "--out", "card.md"],
    "export-dataset": ["export-dataset", "coco", "--data", "data", "--out", "coco"],
}

TALK = {  # to archives, as far as that goes without one
    "fetch": (["fetch", "pacs.example"], "is no URL"),
    "send": (["send", "store", "--to", "https://pacs.example"], "holds no DICOM results"),
}


def test_every_verb_is_looked_at() -> None:
    assert NEED.keys() | WORK.keys() | TALK.keys() == set(VERBS)


@pytest.mark.parametrize("verb", sorted(TALK))
def test_a_verb_that_talks_to_archives_needs_none_of_them(verb: str, folder: Path) -> None:
    command, why = TALK[verb]
    done = light(*command, cwd=folder)
    assert done.returncode == 1
    assert why in done.stderr


@pytest.mark.parametrize("verb", sorted(NEED))
def test_a_verb_that_needs_them_says_so_in_a_line(verb: str, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    done = light(*NEED[verb], cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("pleura: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "pip install 'pleura[train]'" in done.stderr
    if verb.startswith("demo"):  # before any work
        assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("verb", sorted(WORK))
def test_a_verb_that_needs_none_works(verb: str, folder: Path) -> None:
    done = light(*WORK[verb], cwd=folder)
    assert done.stderr == ""
    assert done.returncode == (1 if verb == "verify" else 0), done.stdout  # blocks are no films


def test_corpora_files_are_read_without_them(folder: Path) -> None:
    (folder / "c.yaml").write_text("corpora: [{root: data/images, unmasked: negative}]\n")
    done = light("prepare", "--corpora", "c.yaml", "--out", "prepared", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version(tmp_path: Path) -> None:
    done = light("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"pleura {pleura.__version__}\n")


def test_the_libraries_are_those_of_the_extra() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {line.split(">")[0].replace("-", "_") for line in extra["train"]}
    assert names == set(TRAIN_LIBRARIES)
