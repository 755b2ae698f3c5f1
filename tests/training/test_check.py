"""What cannot be trained is said before the first epoch, of whichever phase it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pleura.data.manifest import Dataset
from pleura.data.split import Split
from pleura.errors import RecipeError, UnknownName
from pleura.inference.preprocess import InputSpec
from pleura.training.check import check_recipe, unreached
from pleura.training.recipe import LossTerm, NetworkRecipe, Phase, Recipe, known_recipes, read_plan
from pleura.training.train import train

UNET = NetworkRecipe("unet", {"filters": [4, 8]})
RECIPE = Recipe(name="x", network=UNET, input=InputSpec(64), batch_size=6, epochs=2)


def in_phases(last: Phase, **changes: Any) -> Recipe:
    return replace(RECIPE, phases=(Phase("first", 1), last), **changes)


@pytest.mark.parametrize("on", ["presence", "deep"])
def test_a_loss_that_the_network_cannot_serve_is_found_before_the_first_phase(
    on: Any, blocks: Dataset, blocks_split: Split, tmp_path: Path
) -> None:
    recipe = in_phases(Phase("second", 1, loss=(LossTerm("bce"), LossTerm("bce", on=on))))
    with pytest.raises(RecipeError, match=f"phase second: loss bce is on {on}, but the network"):
        train(recipe, blocks, blocks_split, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecipeError, match=f"recipe x: loss bce is on {on}"):
        check_recipe(replace(RECIPE, loss=(LossTerm("bce", on=on),)))


def test_what_the_network_serves_is_let_through() -> None:
    deep = NetworkRecipe("unetpp", {"filters": [4, 8, 8]})
    check_recipe(in_phases(Phase("second", 1, loss=(LossTerm("dice", on="deep"),)), network=deep))
    bare = NetworkRecipe("unetpp", {"filters": [4, 8, 8], "deep_supervision": False})
    with pytest.raises(RecipeError, match="no deep supervision"):
        check_recipe(
            in_phases(Phase("second", 1, loss=(LossTerm("dice", on="deep"),)), network=bare)
        )


def test_what_a_loss_does_not_reach_is_named() -> None:
    joint = NetworkRecipe("joint", {"encoder": "mobilenetv2_050", "decoder_channels": [8, 8]})
    recipe = in_phases(
        Phase("second", 1, loss=(LossTerm("bce"), LossTerm("bce", on="deep"))), network=joint
    )
    last = unreached(recipe, recipe.phase(1))
    assert last
    assert all(n.startswith(("pool.", "presence.", "evidence_weight")) for n in last)
    first = unreached(recipe, recipe.phase(0))
    assert first - last == {"deep_heads.0.weight", "deep_heads.0.bias"}
    alone = replace(recipe, phases=(), loss=(LossTerm("bce", on="presence"),))
    assert {n.split(".")[0] for n in unreached(alone, alone)} == {"blocks", "deep_heads", "head"}
    plan = read_plan(known_recipes()["mask-rcnn"])
    assert isinstance(plan, Recipe)
    assert unreached(plan, plan) == set()


def test_a_size_that_the_network_cannot_take_is_found_before_the_first_phase() -> None:
    swin = NetworkRecipe("swin_unet", {"decoder_channels": [4, 4, 4, 4, 4]})
    check_recipe(replace(RECIPE, network=swin))
    recipe = replace(RECIPE, network=swin, phases=(Phase("coarse", 1, size=32), Phase("fine", 1)))
    with pytest.raises(
        RecipeError, match="phase coarse: network swin_unet cannot take films of 32"
    ):
        check_recipe(recipe)


def test_halves_are_not_for_a_network_that_learns_instances() -> None:
    recipe = read_plan(known_recipes()["mask-rcnn"])
    assert isinstance(recipe, Recipe)
    with pytest.raises(RecipeError, match="leave out hemithorax_cutmix"):
        check_recipe(replace(recipe, hemithorax_cutmix=0.5))
    check_recipe(replace(RECIPE, hemithorax_cutmix=0.5))
    with pytest.raises(ValueError, match="hemithorax_cutmix lies between 0 and 1"):
        replace(RECIPE, hemithorax_cutmix=1.5)


def test_names_of_later_phases_are_looked_up() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'dice'"):
        check_recipe(in_phases(Phase("second", 1, loss=(LossTerm("dicee"),))))
    with pytest.raises(UnknownName, match="augmentation set"):
        check_recipe(replace(RECIPE, augmentation="lite"))


@pytest.mark.parametrize("name", known_recipes())
def test_every_recipe_can_be_trained(name: str) -> None:
    plan = read_plan(known_recipes()[name])
    for _, recipe in [("", plan)] if isinstance(plan, Recipe) else plan.parts():
        check_recipe(recipe)
