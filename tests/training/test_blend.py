"""Several cross-validations as one model: averaged, and fitted on the average out of fold."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from pleura.cli import app
from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import TrainingError
from pleura.evaluation.calibration import fit_calibrator
from pleura.evaluation.operating_point import fit_operating_point
from pleura.evaluation.pixel_sweep import PixelSweep
from pleura.evaluation.report import NUMBERS_FILE, REPORT_FILE
from pleura.evaluation.run import FILMS_FILE
from pleura.evaluation.score_file import read_scores
from pleura.finding import Finding
from pleura.inference.bundle import open_bundle
from pleura.inference.detector import Detector
from pleura.inference.manifest import GATE, SEGMENTER
from pleura.inference.preprocess import InputSpec
from pleura.training.blend import _calibrator, _point, _rule, export_blend
from pleura.training.cross_validate import cross_validate
from pleura.training.out_of_fold import PART
from pleura.training.recipe import NetworkRecipe, OptimizerRecipe, Recipe
from pleura.training.run import RunFolder

RECIPE = Recipe(
    name="one",
    network=NetworkRecipe("unet", {"filters": [4, 8], "padded": True, "batch_norm": True}),
    input=InputSpec(size=64),
    optimizer=OptimizerRecipe(learning_rate=1e-2),
    batch_size=4,
    epochs=4,
    tune_every=None,
    monitor="last",
    precision="32",
)
FOLDS = 2


@pytest.fixture(scope="module")
def split(blocks: Dataset) -> Split:
    return make_split(blocks, seed=0, test_fraction=0.25, folds=FOLDS)


@pytest.fixture(scope="module")
def two(
    blocks: Dataset, split: Split, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("blend")
    cross_validate(RECIPE, blocks, split, root / "one", device="cpu")
    cross_validate(replace(RECIPE, name="two", seed=1), blocks, split, root / "two", device="cpu")
    return root / "one", root / "two"


def averaged(two: tuple[Path, Path], blocks: Dataset, split: Split) -> PixelSweep:
    """Out of fold, from the folds' own bundles: the mean map and score of the two that a film is new to."""
    swept = PixelSweep()
    for fold, film_ids in enumerate(split.folds):
        pair = [Detector.load(one / "bundles" / f"fold-{fold}", device="cpu") for one in two]
        for film_id in film_ids:
            film = blocks.by_id[film_id]
            both = [detector(blocks.radiograph(film)) for detector in pair]
            finding = SimpleNamespace(
                calibrated=False,
                decision="negative",
                probability=np.mean([one.probability for one in both]),
                probability_map=np.mean([one.probability_map for one in both], axis=0),
            )
            swept.add(film_id, cast(Finding, finding), blocks.mask(film), part=PART)
    return swept


def test_what_decides_is_fitted_on_the_average_of_those_that_have_not_seen_a_film(
    two: tuple[Path, Path], blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    export_blend(
        two,
        blocks,
        split,
        tmp_path / "bundle",
        device="cpu",
        progress=lambda *numbers: told.append(numbers),
    )
    assert told == [(n, len(fold)) for fold in split.folds for n in range(1, len(fold) + 1)]
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.combination) == ("2xone+2xtwo", "mean")
    assert len(manifest.members) == 2 * FOLDS
    swept = averaged(two, blocks, split)
    expected = fit_operating_point(swept, part=PART)
    found = asdict(manifest.operating_point)
    for name, value in asdict(expected.point).items():
        assert found[name] == (pytest.approx(value, abs=1e-5) if name.endswith("d") else value)
    assert manifest.metrics[PART]["n"] == expected.n == sum(map(len, split.folds))
    assert manifest.metrics[PART]["value"] == pytest.approx(expected.value, abs=1e-6)
    scores, _, truth = swept.arrays()
    curve = fit_calibrator(scores, truth > 0, part=PART)
    assert manifest.calibrator is not None
    for score in (0.1, 0.5, 0.9):
        assert manifest.calibrator(score) == pytest.approx(curve(score), abs=1e-4)
    alone = json.loads((two[0] / PART / "operating_point.json").read_text())
    assert alone["value"] != manifest.metrics[PART]["value"]


def test_one_command_exports_them(
    two: tuple[Path, Path], blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    split.save(tmp_path / "split.json")
    places = ["--data", blocks.root, "--split", tmp_path / "split.json", "--device", "cpu"]

    def exported(*arguments: object) -> Any:
        command = ["export", *arguments, "--graph", "none", *places]
        return CliRunner().invoke(app, list(map(str, command)))

    done = exported(*two, "--out", tmp_path / "bundle", "--name", "blend")
    assert done.exit_code == 0, done.output
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, len(manifest.members)) == ("blend", 2 * FOLDS)
    assert manifest.operating_point.fitted_on == PART
    mixed = exported(two[0], two[1] / "fold-0", "--out", tmp_path / "mixed")
    assert mixed.exit_code == 2
    assert "but not both at" in mixed.output


def test_the_average_is_scored_out_of_fold_like_one_cross_validation(
    two: tuple[Path, Path], blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    split.save(tmp_path / "split.json")
    places = ["--data", blocks.root, "--split", tmp_path / "split.json", "--device", "cpu"]
    scores = tmp_path / "scores"
    asked = ["export", *two, "--out", tmp_path / "bundle", "--graph", "none", "--scores", scores]
    done = CliRunner().invoke(app, list(map(str, [*asked, *places])))
    assert done.exit_code == 0, done.output
    swept = averaged(two, blocks, split)
    expected, _, truth = swept.arrays()
    table = {row.film_id: row for row in read_scores(scores / PART / FILMS_FILE)}
    order = [film_id for film_ids in split.folds for film_id in film_ids]
    assert list(table) == order
    found = [table[film_id].presence_score for film_id in order]
    assert found == pytest.approx(list(expected), abs=1e-4)
    numbers = json.loads((scores / PART / NUMBERS_FILE).read_text())
    assert numbers["numbers"]["metrics"]["auc"]["value"] == pytest.approx(
        roc_auc_score(truth > 0, expected)
    )
    assert (scores / PART / REPORT_FILE).exists()
    point = json.loads((scores / PART / "operating_point.json").read_text())
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.operating_point.pixel_threshold == point["point"]["pixel_threshold"]
    assert manifest.metrics[PART]["numbers"] == numbers["numbers"]
    again = CliRunner().invoke(app, list(map(str, [*asked, *places])))
    assert again.exit_code == 0, again.output  # the very same is taken up
    assert [row.presence_score for row in read_scores(scores / PART / FILMS_FILE)] == found
    with pytest.raises(TrainingError, match="holds something else"):
        export_blend([two[1], two[0]], blocks, split, tmp_path / "other", scores=scores)
    with pytest.raises(TrainingError, match="holds something else"):
        export_blend(two, blocks, split, tmp_path / "other", scores=two[0])
    assert not (tmp_path / "other").exists()
    alone = ["export", two[0], "--out", tmp_path / "alone", "--scores", scores, *places]
    refused = CliRunner().invoke(app, list(map(str, alone)))
    assert refused.exit_code == 2
    assert "--scores goes with several" in refused.output


def test_what_cannot_be_blended_is_refused(
    two: tuple[Path, Path], blocks: Dataset, split: Split, tmp_path: Path
) -> None:
    other = make_split(blocks, seed=1, test_fraction=0.25, folds=FOLDS)
    with pytest.raises(TrainingError, match="trained on another split"):
        export_blend(two, blocks, other, tmp_path / "bundle")
    with pytest.raises(TrainingError, match="no finished cross-validation"):
        export_blend([*two, tmp_path], blocks, split, tmp_path / "bundle")
    cascade = tmp_path / "cascade"
    for fold in range(FOLDS):
        (cascade / f"fold-{fold}").mkdir(parents=True)
        for role in (GATE, SEGMENTER):
            (cascade / f"fold-{fold}" / role).symlink_to(two[0] / f"fold-{fold}")
    (cascade / PART).symlink_to(two[0] / PART)
    with pytest.raises(TrainingError, match="blend cascades with cascades"):
        export_blend([two[0], cascade], blocks, split, tmp_path / "bundle")
    export_blend([cascade, cascade], blocks, split, tmp_path / "bundle", device="cpu")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert [m.role for m in manifest.members] == [SEGMENTER] * 2 * FOLDS + [GATE] * 2 * FOLDS


def test_a_triplet_decides_where_all_recipes_and_the_aim_let_it(
    two: tuple[Path, Path], blocks: Dataset, split: Split
) -> None:
    swept = averaged(two, blocks, split)

    def tops(*recipes: tuple[str, Recipe]) -> float | None:
        runs = [(role, recipe, RunFolder(two[0])) for role, recipe in recipes]
        return _point(swept, runs).point.top_threshold

    triplet = replace(RECIPE, decision="triplet")
    assert tops((SEGMENTER, triplet), (SEGMENTER, triplet)) is not None
    assert tops((SEGMENTER, triplet), (SEGMENTER, RECIPE)) is None
    assert tops((SEGMENTER, triplet), (GATE, RECIPE)) is None
    share = replace(RECIPE, decision="relative")
    runs = [(SEGMENTER, share, RunFolder(two[0]))]
    assert _rule([*runs, *runs]) == "relative"
    assert _rule([*runs, (SEGMENTER, RECIPE, RunFolder(two[0]))]) == "threshold"
    youden = replace(RECIPE, aim="Youden")
    assert tops((SEGMENTER, youden), (SEGMENTER, triplet)) is None


def test_declined_films_have_no_say_in_the_calibrator() -> None:
    rng = np.random.default_rng(0)
    swept = PixelSweep([0.5], [0.0])
    labels: dict[str, int] = {}
    judged: list[tuple[float, bool]] = []
    for n in range(80):
        positive, declined = n % 4 == 0, n % 16 == 0
        score = float(np.clip(rng.normal(0.6 if positive else 0.4, 0.15), 0.01, 0.99))
        finding = SimpleNamespace(
            calibrated=False,
            decision="declined" if declined else "negative",
            probability=None if declined else score,
            probability_map=None if declined else np.full((4, 4), score, np.float32),
        )
        swept.add(str(n), cast(Finding, finding), np.full((4, 4), positive), part=PART)
        labels[str(n)] = int(positive)
        if not declined:
            judged.append((score, positive))
    dataset = SimpleNamespace(by_id={i: SimpleNamespace(label=one) for i, one in labels.items()})
    split = SimpleNamespace(folds=[list(labels)])
    found = _calibrator(swept, cast(Dataset, dataset), cast(Split, split))
    scores, truth = zip(*judged, strict=True)
    assert found == fit_calibrator(scores, truth, part=PART)
