"""`pleura evaluate`, `calibrate`, `compare`, `cross-validate`, end to end, on a target learnt in seconds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import save_file
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.manifest import Dataset, write_manifest
from pleura.data.split import Split, make_split
from pleura.errors import BundleError, EvaluationError, LeakError, PleuraError, UnknownName
from pleura.inference.bundle import BundleManifest, Member, open_bundle, write_bundle
from pleura.inference.preprocess import InputSpec
from pleura.inference.runtimes import Choice, Logits
from pleura.training.recipe import find_recipe, read_recipe
from pleura.training.start import build

TINY = ("input.size=64", "batch_size=8", "network.init=random", "epochs=1", "tune_every=1")


class Brightness:
    """A network that needs no training here: what is bright is the target."""

    name = "brightness"

    def __call__(self, batch: NDArray[np.float32]) -> Logits:
        mean, std = BRIGHT.mean, BRIGHT.std
        return Logits(16.0 * (batch[:, 0] * np.float32(std) + np.float32(mean) - 0.5), None)


BRIGHT = InputSpec(64)


@pytest.fixture(autouse=True)
def bright(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The bundle of `made` is run by `Brightness`."""
    if "made" in request.fixturenames:
        choice = Choice((Brightness(),), "it is a test")
        monkeypatch.setattr("pleura.inference.detector.runtimes_for", lambda *_: choice)


def pleura(*arguments: object) -> str:
    """What the command prints, on one line; its errors are raised."""
    shown = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    return " ".join(shown.output.split())


def copied(root: Path, of: Dataset) -> Path:
    """The dataset's folder with files of its own for what evaluations write."""
    root.mkdir()
    for name in ("dataset.json", "manifest.csv", "images", "masks"):
        (root / name).symlink_to(of.root / name)
    return root


def changed(root: Path, of: Dataset, change: Callable[[int], dict[str, object]]) -> Path:
    """The same with rows of the manifest changed."""
    copied(root, of)
    (root / "manifest.csv").unlink()
    films = [replace(film, **change(n)) for n, film in enumerate(of.films)]  # type: ignore[arg-type]
    write_manifest(root / "manifest.csv", films)
    return root


@pytest.fixture(scope="module")
def made(
    blocks: Dataset, blocks_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A dataset with its split, and a bundle that says it was made from it."""
    root = tmp_path_factory.mktemp("verbs")
    data, bundle = copied(root / "data", blocks), root / "bundle"
    blocks_split.save(data / "split.json")
    parts = {
        name: {"pixel_sha256": [blocks.by_id[i].pixel_sha256 for i in blocks_split.part(name)]}
        for name in ("train", "tune")
    }
    card = {"dataset_sha256": blocks.sha256, "parts": parts}
    manifest = BundleManifest("blocky", "1", (Member("unet_timm", {}, BRIGHT),), data_card=card)
    write_bundle(bundle, manifest, [b""])
    return {"data": data, "bundle": bundle, "root": root}


@pytest.fixture(scope="module")
def local(made: dict[str, Path], blocks: Dataset) -> Path:
    """Another hospital: other patients, films mirrored, two wards, one film a lateral."""
    root = changed(
        made["root"] / "local",
        blocks,
        lambda n: {
            "pixel_sha256": f"{n + 100:02x}" * 32,
            "thumbnail": np.random.default_rng(n).bytes(256).hex(),
            "patient_id": f"other-{n // 2}",
            "view": "lateral" if n == 4 else "PA",
            "facts": {"ward": "icu" if n % 3 else "er"},
        },
    )
    for folder in ("images", "masks"):
        (root / folder).unlink()
        (root / folder).mkdir()
        for file in sorted((blocks.root / folder).iterdir()):
            pixels = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(root / folder / file.name), pixels[:, ::-1])
    make_split(Dataset.open(root), seed=0, test_fraction=0.7, tune_fraction=0.3).save(
        root / "split.json"
    )
    return root


@pytest.fixture(scope="module")
def unsplit(made: dict[str, Path], local: Path) -> Path:
    """The other hospital without a split."""
    return copied(made["root"] / "unsplit", Dataset.open(local))


def test_calibrating_for_another_hospital(
    made: dict[str, Path], unsplit: Path, tmp_path: Path
) -> None:
    before = open_bundle(made["bundle"]).manifest
    said = pleura(
        "calibrate", made["bundle"], "--data", unsplit, "--part", "all", "-o", tmp_path / "b"
    )
    assert "Left out" not in said
    assert "Calibration on these films" in said
    assert "platt on 39 films of all, 16 positive" in said  # one of 40 is declined
    after = open_bundle(tmp_path / "b").manifest
    assert (after.calibrator.kind, after.calibrator.films) == ("platt", 39)
    assert after.operating_point == before.operating_point  # no decision changes
    assert after.data_card["parts"]["calibrate"]["films"] == 39
    assert after.data_card["parts"]["train"] == before.data_card["parts"]["train"]
    said = pleura("calibrate", tmp_path / "b", "--prevalence", "0.02", "-o", tmp_path / "rare")
    assert "for a prevalence of 0.02" in said
    rare = open_bundle(tmp_path / "rare").manifest.calibrator
    assert rare.prevalence == 0.02
    assert float(rare(0.5)) < float(after.calibrator(0.5))
    assert (rare.slope, rare.intercept) == (after.calibrator.slope, after.calibrator.intercept)


def test_the_films_of_a_frozen_test_part_calibrate_nothing(
    made: dict[str, Path], unsplit: Path, tmp_path: Path
) -> None:
    dataset = Dataset.open(unsplit)
    split = make_split(dataset, seed=0, test_fraction=0.25, tune_fraction=0.3)
    data = copied(tmp_path / "data", dataset)
    split.save(data / "split.json")
    said = pleura(
        "calibrate", made["bundle"], "--data", data, "--part", "all", "-o", tmp_path / "b"
    )
    assert f"Left out: {len(split.test)} films that" in said
    judged = {i for i in (*split.train, *split.tune) if i != "film-04"}  # the lateral is declined
    listed = open_bundle(tmp_path / "b").manifest.data_card["parts"]["calibrate"]["pixel_sha256"]
    assert sorted(listed) == sorted(dataset.by_id[i].pixel_sha256[:16] for i in judged)
    pleura("evaluate", tmp_path / "b", "--data", data, "--part", "test", "-o", tmp_path / "e")
    other = tmp_path / "other.json"
    make_split(dataset, seed=3, test_fraction=0.4, tune_fraction=0.3).save(other)
    with pytest.raises(LeakError, match="trained or tuned blocky"):
        pleura("evaluate", tmp_path / "b", "--data", data, "--split", other, "--part", "test",
               "-o", tmp_path / "no")  # fmt: skip


@pytest.mark.parametrize("wrong", [("--prevalence", "1.5"), ("-o", "taken")])
def test_what_cannot_be_written_is_said_before_films_are_scored(
    made: dict[str, Path],
    unsplit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: tuple[str, str],
) -> None:
    monkeypatch.setattr("pleura.evaluation.run.score_films", lambda *_, **__: pytest.fail("scored"))
    (tmp_path / "taken").write_text("something else")
    option, value = wrong
    with pytest.raises(PleuraError, match=r"between 0 and 1|exists and is no bundle"):
        pleura("calibrate", made["bundle"], "--data", unsplit, "--part", "all", "-o", tmp_path / "b",
               option, tmp_path / value if option == "-o" else value)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ((), EvaluationError, "nothing to do"),
        (("--prevalence", "0.1"), EvaluationError, "no calibrator"),
        (("--data", "local", "--part", "test"), EvaluationError, "never chosen on"),
        (("--prevalence", "0.1", "--method", "isotonic"), EvaluationError, "--method: how a"),
        (("--data", "local", "--method", "plat"), UnknownName, "Did you mean 'platt'"),
        (("--data", "unsplit", "--part", "all", "--method", "isotonic"), EvaluationError, "201"),
        (("--data", "data", "--part", "all"), LeakError, "trained blocky"),
        (("--data", "data"), EvaluationError, "at least 10 films of each class"),
    ],
)
def test_what_cannot_be_calibrated(
    made: dict[str, Path],
    local: Path,
    unsplit: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    error: type[PleuraError],
    says: str,
) -> None:
    places = {"local": local, "unsplit": unsplit, "data": made["data"]}
    given = [places.get(option, option) for option in options]
    with pytest.raises(error, match=says):
        pleura("calibrate", made["bundle"], *given, "-o", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_evaluating_with_what_a_user_names(
    made: dict[str, Path], local: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    said = pleura("evaluate", made["bundle"], "--data", local, "--part", "test", "-o", out,
                  "--by", "ward", "--by", "corpus",
                  "--prevalence", "0.003", "--prevalence", "0.3")  # fmt: skip
    facts = json.loads((out / "evaluation.json").read_text())
    assert [list(point["at_prevalence"]) for point in facts["points"]] == [["0.003", "0.3"]] * 6
    strata = {s["name"]: [x["name"] for x in s["strata"]] for s in facts["strata"]}
    assert strata["ward"] == ["er", "icu"]
    assert strata["corpus"] == ["blocks"]  # of one kind only, but asked for
    assert "opened" not in said
    assert facts["numbers"]["declined"] == 1  # film-04, the lateral
    assert facts["accepted"]["films"] == facts["numbers"]["films"] - 1
    assert facts["numbers"]["metrics"]["coverage"]["value"] == pytest.approx(27 / 28)
    assert "Of the 27 films it did not decline: Competition Dice" in said


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (("--by", "wards"), UnknownName, "Did you mean 'ward'"),
        (("--prevalence", "1.2"), EvaluationError, "between 0 and 1; got 1.2"),
        (("--part", "tets"), PleuraError, "tets"),
    ],
)
def test_what_cannot_be_evaluated(
    made: dict[str, Path],
    local: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    error: type[PleuraError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        pleura("evaluate", made["bundle"], "--data", local, "-o", tmp_path / "e", *options)
    assert not (tmp_path / "e").exists()


def test_a_network_that_gives_no_number(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Brightness, batch: NDArray[np.float32]) -> Logits:
        return Logits(
            np.full(batch[:, 0].shape, np.nan, np.float32), np.ones(len(batch), np.float32)
        )

    monkeypatch.setattr(Brightness, "__call__", broken)
    with pytest.raises(BundleError, match="blocky gives no number for film-"):
        pleura("evaluate", made["bundle"], "--data", made["data"], "-o", tmp_path / "e")


def test_every_fold_from_the_command_line(blocks: Dataset, tmp_path: Path) -> None:
    data, out = copied(tmp_path / "data", blocks), tmp_path / "cv"
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    split.save(data / "split.json")
    weights = dict(build(read_recipe(find_recipe("light"), TINY)).state_dict())
    del weights["head.bias"]
    save_file(weights, tmp_path / "w.safetensors")
    start = f"network.init={tmp_path / 'w.safetensors'}"
    said = pleura("cross-validate", "light", *TINY, start, "--data", data, "--out", out)
    assert said.count("w.safetensors fits head.bias: these start at random") == 2
    assert "fold 0" in said
    assert "fold 1" in said
    facts = json.loads((out / "out-of-fold" / "evaluation.json").read_text())
    assert facts["numbers"]["films"] == sum(map(len, split.folds))
    assert (out / "out-of-fold" / "report.html").exists()
    assert not (data / "test-openings.jsonl").exists()
    blocks_only = make_split(blocks, seed=0, test_fraction=0.25, tune_fraction=0.3)
    blocks_only.save(data / "plain.json")
    with pytest.raises(PleuraError, match="no folds to validate across"):
        pleura("cross-validate", "light", "--data", data, "--split", data / "plain.json",
               "--out", tmp_path / "no")  # fmt: skip


def test_evaluations_of_other_films_are_not_compared(
    made: dict[str, Path], local: Path, unsplit: Path, tmp_path: Path
) -> None:
    for name, data in (("here", made["data"]), ("there", local)):
        pleura("evaluate", made["bundle"], "--data", data, "-o", tmp_path / name)
    with pytest.raises(EvaluationError, match="not scored on the same films"):
        pleura("compare", tmp_path / "here", tmp_path / "there", "-o", tmp_path / "c")
    pleura("calibrate", made["bundle"], "--data", unsplit, "--part", "all", "-o", tmp_path / "b")
    pleura("evaluate", tmp_path / "b", "--data", made["data"], "-o", tmp_path / "calibrated")
    said = pleura("compare", tmp_path / "here", tmp_path / "calibrated", "-o", tmp_path / "c")
    assert "equal" in said  # a calibrator changes no rank and no call
    assert (tmp_path / "c" / "compare.html").exists()


def test_films_that_came_another_way(made: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "films").mkdir()
    for n, file in enumerate(sorted((made["data"] / "images").iterdir())[:3]):
        large = cv2.resize(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), (256, 256))
        cv2.imwrite(str(tmp_path / "films" / f"{n}.png"), large)
    (tmp_path / "films" / "notes.txt").write_text("no film, and nobody said it was one")
    (tmp_path / "films" / "damaged.dcm").write_text("its name says that it is one")
    out = tmp_path / "out"
    said = pleura("robustness", tmp_path / "films", broken, "-b", made["bundle"], "-o", out)
    assert "blocky on 3 films" in said
    assert said.count("Left out:") == 2
    assert "broken.png" in said
    assert "damaged.dcm" in said
    facts = json.loads((out / "robustness.json").read_text())
    assert facts["films"] == 3
    assert facts["model"]["name"] == "blocky"
    assert len(facts["changes"]) == 11
    fewer = pleura("robustness", tmp_path / "films", "-b", made["bundle"], "-o", out, "--limit", 2)
    assert "blocky on 1 films" in fewer  # of the first and the last file, which is none
    with pytest.raises(EvaluationError, match="there is no film"):
        pleura("robustness", broken, "-b", made["bundle"], "-o", out)
    with pytest.raises(FileExistsError):  # before any film is looked at: this one is none
        pleura("robustness", broken, "-b", made["bundle"], "-o", broken)
    (tmp_path / "evaluated").mkdir()
    (tmp_path / "evaluated/films.csv").write_text("scores")
    with pytest.raises(EvaluationError, match="overwritten"):
        pleura("robustness", broken, "-b", made["bundle"], "-o", tmp_path / "evaluated")
