"""Cross-validation: every film judged once, by a model that never saw it, at another folds' threshold."""

import json
from pathlib import Path

import pytest

from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import EvaluationError, TrainingError
from pleura.evaluation.comparison import read_entrants
from pleura.evaluation.run import count_openings
from pleura.training.cross_validate import PART, cross_validate
from pleura.training.recipe import find_recipe, read_recipe

TINY = (
    "input.size=64",
    "network.init=random",
    "epochs=1",
    "batch_size=8",
)


def test_every_film_is_judged_by_the_model_that_never_saw_it(
    blocks: Dataset, tmp_path: Path
) -> None:
    split = make_split(blocks, seed=0, test_fraction=0.25, folds=2)
    recipe = read_recipe(find_recipe("light"), TINY)
    began: list[int] = []
    opened = count_openings(blocks.root)
    found = cross_validate(
        recipe, blocks, split, tmp_path / "cv", device="cpu", fold_begins=began.append
    )
    assert began == [0, 1]
    development = sorted(i for fold in split.folds for i in fold)
    assert sorted(score.film_id for score in found.together.scores) == development
    assert [n.films for n in found.folds] == [len(fold) for fold in split.folds]
    assert found.together.run.provenance.overlap == 0
    assert found.together.run.model.version == "2 folds"
    out = tmp_path / "cv" / PART
    facts = json.loads((out / "evaluation.json").read_text())
    assert len(facts["folds"]) == 2
    point = json.loads((out / "operating_point.json").read_text())
    assert point["n"] == len(development)
    assert point["point"]["fitted_on"] == PART
    assert (out / "report.html").stat().st_size > 10_000
    assert count_openings(blocks.root) == opened

    kept = (tmp_path / "cv" / "scores" / "fold-0" / "films.csv").read_bytes()
    again = cross_validate(recipe, blocks, split, tmp_path / "cv", device="cpu")
    assert (tmp_path / "cv" / "scores" / "fold-0" / "films.csv").read_bytes() == kept
    assert again.together.facts() == found.together.facts()
    with pytest.raises(EvaluationError, match="given twice"):
        read_entrants([out, out])


def test_a_split_without_folds_is_refused(
    blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe = read_recipe(find_recipe("light"), TINY)
    with pytest.raises(TrainingError, match="no folds to validate across"):
        cross_validate(recipe, blocks, blocks_split, tmp_path / "cv")
