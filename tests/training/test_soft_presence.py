"""Soft labels: presence learnt from another model's probability, and films that have no other label."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pleura.data.dataset import FilmSet
from pleura.data.manifest import Dataset
from pleura.data.split import Split, make_split
from pleura.errors import DatasetError, RecipeError, TrainingError, UnknownName
from pleura.inference.preprocess import InputSpec, squeeze
from pleura.networks import Output
from pleura.training.check import check_recipe
from pleura.training.export import export
from pleura.training.loop import Trainer
from pleura.training.losses import weighted_sum
from pleura.training.recipe import LossTerm, NetworkRecipe, Recipe, known_recipes, read_plan
from pleura.training.run import RunFolder
from pleura.training.soft_presence import soft_presence
from pleura.training.train import train, trained_on

RECIPE = Recipe(
    name="soft",
    network=NetworkRecipe("joint", {"encoder": "resnet10t", "decoder_channels": [8, 8, 8]}),
    input=InputSpec(size=64),
    loss=(LossTerm("bce"), LossTerm("bce", 0.5, on="presence")),
    soft_presence="p",
    batch_size=6,
    epochs=1,
    precision="32",
    flip=False,
)
UNLABELLED, SILVER, EXPERT = "film-39", "film-36", "film-37"


@pytest.fixture
def doubtful(blocks: Dataset) -> Dataset:
    """`blocks` with one film unlabelled and one silver, both with a probability, as has one of an expert."""
    changes = {
        UNLABELLED: {"label": None, "label_quality": "none", "mask": None, "facts": {"p": "0.8"}},
        SILVER: {"label_quality": "silver", "facts": {"p": "0.25"}},
        EXPERT: {"facts": {"p": "0.9"}},
    }
    own = {f.film_id: {"patient_id": f.film_id} for f in blocks.films if f.film_id in changes}
    films = (
        replace(f, **own.get(f.film_id, {}) | changes.get(f.film_id, {})) for f in blocks.films
    )
    return replace(blocks, films=tuple(films))


def split_of(dataset: Dataset) -> Split:
    return make_split(dataset, seed=1, test_fraction=0.2, tune_fraction=0.3)


def test_an_experts_label_stands_whatever_a_model_says(doubtful: Dataset) -> None:
    given = soft_presence("p", doubtful, doubtful.by_id)
    assert given == {UNLABELLED: 0.8, SILVER: 0.25}
    assert soft_presence("p", doubtful, [EXPERT, SILVER]) == {SILVER: 0.25}
    assert soft_presence(None, doubtful, doubtful.by_id) == {}


@pytest.mark.parametrize("value", ["1.2", "-0.1", "nan", "likely"])
def test_what_is_no_probability_is_refused_by_name(doubtful: Dataset, value: str) -> None:
    films = tuple(
        replace(f, facts={"p": value}) if f.film_id == SILVER else f for f in doubtful.films
    )
    with pytest.raises(DatasetError, match=f"film {SILVER} has p '{value}'"):
        soft_presence("p", replace(doubtful, films=films), [SILVER])


def test_a_column_that_no_film_has_is_named(doubtful: Dataset) -> None:
    with pytest.raises(UnknownName, match="soft_presence"):
        soft_presence("classifier", doubtful, doubtful.by_id)


def test_unlabelled_films_are_trained_on_where_they_have_a_probability(doubtful: Dataset) -> None:
    split = split_of(doubtful)
    assert split.unlabelled == (UNLABELLED,)
    without = trained_on(replace(RECIPE, soft_presence=None), doubtful, split, None)
    assert trained_on(RECIPE, doubtful, split, None) == (*without, UNLABELLED)
    left_out = replace(RECIPE, without_corpora=("blocks",))
    assert trained_on(left_out, doubtful, split, None) == ()


def test_a_film_set_says_what_is_known_of_each_film(doubtful: Dataset) -> None:
    ids = ("film-00", SILVER, UNLABELLED)
    films = FilmSet(doubtful, ids, 64, squeeze, presence={SILVER: 0.25, UNLABELLED: 0.8})
    assert films.labels == (1, doubtful.by_id[SILVER].label, 1)
    assert films.drawn.tolist() == [True, True, False]
    np.testing.assert_allclose(films.presence, [math.nan, 0.25, 0.8])
    assert not films.get(2)[1].any()
    with pytest.raises(DatasetError, match=f"1 films are unlabelled: {UNLABELLED}"):
        FilmSet(doubtful, ids, 64, squeeze)


def test_presence_is_scored_against_the_probability_and_masks_where_they_are_known() -> None:
    terms = [
        LossTerm("bce"),
        LossTerm("bce", on="deep", weight=3.0),
        LossTerm("bce", on="presence", weight=2.0),
    ]
    zeros = torch.zeros(3, 1, 2, 2)
    output = Output(zeros, presence_logits=torch.tensor([0.0, 1.0, 1.0]), deep_logits=(zeros,))
    masks = zeros.clone()
    masks[0, 0, 0, 0] = 1.0
    presence = torch.tensor([math.nan, math.nan, 0.8])
    drawn = torch.tensor([True, True, False])
    of_masks = (1.0 + 3.0) * math.log(2)
    negative = math.log1p(math.e)  # of the logit 1 against 0
    doubt = 0.8 * (negative - 1.0) + 0.2 * negative
    losses = weighted_sum(terms)(output, masks, presence, drawn)
    assert losses.tolist() == pytest.approx(
        [of_masks + 2 * math.log(2), of_masks + 2 * negative, 2 * doubt], rel=1e-6
    )


def test_an_unlabelled_film_teaches_presence_and_no_mask(
    doubtful: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop gives to the loss, of a whole run; and the run's bundle counts the film as trained on."""
    given: dict[str, tuple[float, bool]] = {}
    plain = Trainer._losses

    def watched(
        self: Trainer, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor
    ) -> torch.Tensor:
        def loss(output: Output, masks: torch.Tensor, *known: torch.Tensor) -> torch.Tensor:
            for i, presence, drawn in zip(indices.tolist(), *known, strict=True):
                given[self.train.film_ids[i]] = float(presence), bool(drawn)
            return real(output, masks, *known)

        real = self.loss
        assert real is not None
        monkeypatch.setattr(self, "loss", loss)
        losses = plain(self, images, masks, indices)
        monkeypatch.setattr(self, "loss", real)
        return losses

    monkeypatch.setattr(Trainer, "_losses", watched)
    split = split_of(doubtful)
    train(replace(RECIPE, batch_size=1), doubtful, split, tmp_path / "run")
    assert given.keys() == set(split.train) | {UNLABELLED}
    assert given[UNLABELLED] == (pytest.approx(0.8), False)
    others = {i for i in split.train if i != SILVER}
    assert all(math.isnan(given[i][0]) and given[i][1] for i in others)
    assert given[SILVER] == (pytest.approx(0.25), True)
    assert len(RunFolder(tmp_path / "run").films_shown()) == len(given)
    export([tmp_path / "run"], doubtful, split, tmp_path / "bundle")
    described = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    part = described["data_card"]["parts"]["train"]
    assert (part["films"], part["silver"], part["unlabelled"]) == (len(given), 1, 1)


def test_what_cannot_be_learnt_softly_is_said_before_training() -> None:
    check_recipe(RECIPE)
    with pytest.raises(RecipeError, match="soft_presence is for losses on presence"):
        check_recipe(replace(RECIPE, loss=(LossTerm("bce"),)))
    for term in (
        LossTerm("focal", on="presence"),
        LossTerm("bce", options={"positive_weight": 2}, on="presence"),
    ):
        with pytest.raises(RecipeError, match="does not learn a probability"):
            check_recipe(replace(RECIPE, loss=(LossTerm("bce"), term)))
    rcnn = read_plan(known_recipes()["mask-rcnn"])
    assert isinstance(rcnn, Recipe)
    with pytest.raises(RecipeError, match="leave out soft_presence"):
        check_recipe(replace(rcnn, soft_presence="p"))
    with pytest.raises(ValueError, match="nothing of half a film"):
        replace(RECIPE, hemithorax_cutmix=0.5)


def test_other_probabilities_are_another_run(doubtful: Dataset, tmp_path: Path) -> None:
    split = split_of(doubtful)
    train(RECIPE, doubtful, split, tmp_path / "run", fit=False)
    films = tuple(
        replace(f, facts={"p": "0.3"}) if f.film_id == SILVER else f for f in doubtful.films
    )
    with pytest.raises(TrainingError, match="another run: soft_presence_sha256 is"):
        train(RECIPE, replace(doubtful, films=films), split, tmp_path / "run", fit=False)


def test_probabilities_of_experts_films_alone_change_nothing_and_are_told(
    doubtful: Dataset, tmp_path: Path
) -> None:
    films = tuple(
        replace(f, facts={}) if f.film_id in (SILVER, UNLABELLED) else f for f in doubtful.films
    )
    dataset = replace(doubtful, films=films)
    with pytest.raises(TrainingError, match="no film that is trained on has p"):
        train(RECIPE, dataset, split_of(dataset), tmp_path / "run", fit=False)
