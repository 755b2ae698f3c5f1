"""Recipes: read, checked, overridden, written; and the films an epoch shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pleura.data.augment import AUGMENTATIONS
from pleura.errors import RecipeError, TrainingError, UnknownName
from pleura.networks import NETWORKS, has_presence_head, parameter_count
from pleura.training.losses import check_loss
from pleura.training.recipe import (
    Cascade,
    Recipe,
    ShareSchedule,
    find_recipe,
    read_plan,
    read_recipe,
    recipe_from,
)
from pleura.training.sampling import epoch_order, epoch_size, is_painted, other_half
from pleura.training.start import build

FILES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
RECIPES = [path for path in FILES if isinstance(read_plan(path), Recipe)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_names_what_there_is(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.network.name in NETWORKS
    assert recipe.augmentation in AUGMENTATIONS
    check_loss(recipe.loss, recipe.network.name)
    with torch.device(
        "meta"
    ):  # no memory and no arithmetic: that it can be made, not what it holds
        assert parameter_count(build(recipe)) > 0
    if any(term.on == "presence" for term in recipe.loss):
        assert has_presence_head(recipe.network.name, recipe.network.options)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert read_recipe(tmp_path / "again.yaml") == recipe


def test_swin_unet_is_its_projects_recipe() -> None:
    recipe = read_recipe(find_recipe("swin-unet"))
    assert (recipe.network.name, recipe.input.size, recipe.input.channels) == ("swin_unet", 224, 1)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate) == ("adam", 1e-4)
    assert (recipe.batch_size, recipe.epochs) == (8, 50)
    assert (recipe.loss[0].name, recipe.loss[0].options) == ("bce_dice", {"alpha": 0.5})


def test_unet_original_is_its_projects_recipe() -> None:
    recipe = read_recipe(find_recipe("unet-original"))
    assert (recipe.network.name, recipe.input.size) == ("unet", 512)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate) == ("adam", 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.pictures_every) == (16, 3, 1)
    assert [term.name for term in recipe.loss] == ["bce"]


def test_the_winners_recipe() -> None:
    recipe = read_recipe(find_recipe("siim-first-place"))
    phases = [recipe.phase(number) for number in range(3)]
    assert [phase.share(0) for phase in phases] == [0.8, 0.6, 0.4]
    assert [phase.optimizer.learning_rate for phase in phases] == [1e-4, 1e-5, 1e-5]
    assert [phase.optimizer.schedule for phase in phases] == ["plateau", *["cosine_wave"] * 2]
    assert {phase.optimizer.weight_decay for phase in phases} == {5e-6}
    assert [(phase.epochs, phase.patience) for phase in phases] == [(50, 11), (50, 13), (50, 13)]
    assert (recipe.decision, recipe.keep_checkpoints, recipe.flip) == ("triplet", 3, True)
    # 3:1:4, his focal loss being twice ours at alpha 0.5.
    for phase in phases:
        assert [term.weight for term in phase.loss] == [3.0, 1.0, 2 * 4.0]


def test_the_fourth_places_recipe() -> None:
    recipe = read_recipe(find_recipe("siim-fourth-place"))
    assert (recipe.share(0), recipe.share(59)) == pytest.approx((0.8, 0.22))
    weights = [(term.on, term.weight) for term in recipe.loss]
    assert weights == [("mask", 0.9 * 3), ("mask", 0.9), ("presence", 0.1)]
    assert (recipe.optimizer.schedule, recipe.keep_checkpoints, recipe.flip) == (
        "cosine_wave",
        4,
        True,
    )


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return path


MINIMAL = "name: x\nnetwork: {name: unet_timm}\ninput: {size: 64}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINIMAL + "epoch: 3\n", "did you mean 'epochs'"),
        (MINIMAL + "optimizer: {learning_rat: 1}\n", "did you mean 'learning_rate'"),
        (MINIMAL + "epochs: many\n", "epochs"),
        (MINIMAL + "epochs: 0\n", "epochs is at least 1"),
        (MINIMAL + "positive_share: 1.5\n", "positive_share lies between 0 and 1"),
        (MINIMAL + "positive_share: {linear: [0.8, 1.2]}\n", "between 0 and 1; got 1.2"),
        (MINIMAL + "positive_share: {linear: [0.8]}\n", "linear"),
        (MINIMAL + "positive_share: {stepwise: [[1, 0.0]]}\n", "between 0 and 1; got 0.0"),
        (MINIMAL + "positive_share: {stepwise: [[2, 0.5]]}\n", r"rise from 1; got \[2\]"),
        (MINIMAL + "positive_share: {stepwise: [[1, 0.5], [1, 0.4]]}\n", "rise from 1"),
        (MINIMAL + "positive_share: {stepwise: []}\n", "rise from 1"),
        (MINIMAL + "positive_share: {}\n", "either stepwise or linear"),
        (MINIMAL + "positive_share: {lineal: [0.8, 0.2]}\n", "did you mean 'linear'"),
        (MINIMAL + "monitor: accuracy\n", "monitor"),
        (MINIMAL + "loss: []\n", "at least one term"),
        (MINIMAL + "seed: -1\n", "seed is not negative"),
        (
            MINIMAL + "loss: [{name: bce, weight: -1}]\n",
            "weight is finite and not negative; got -1.0",
        ),
        (MINIMAL + "loss: [{name: bce, weight: .nan}]\n", "weight is finite and not negative"),
        (MINIMAL + "loss: [{name: bce, weight: .inf}]\n", "weight is finite and not negative"),
        (MINIMAL + "epochs: 5\nepochs: 7\n", "the key 'epochs' stands there twice"),
        (MINIMAL + "optimizer: {name: adam, name: adamw}\n", "the key 'name' stands there twice"),
        (MINIMAL + "optimizer: {learning_rate: .inf}\n", "learning_rate is finite"),
        (MINIMAL + "optimizer: {weight_decay: .nan}\n", "weight_decay is finite"),
        (MINIMAL + "epochs: 1.5\n", "epochs: a whole number is expected; got 1.5"),
        (MINIMAL + "loss: dice\n", "loss: a list is expected; got 'dice'"),
        (MINIMAL + "loss: [dice]\n", "loss.0: a section with some of name, weight, options, on"),
        (MINIMAL + "loss: [{name: dice, smoth: 1}]\n", r"write loss\.0\.options\.smoth"),
        (MINIMAL + "positive_share: 50%\n", "a number or a section with some of stepwise, linear"),
        (MINIMAL + "monitor: dice_positiv\n", "got 'dice_positiv'. Did you mean 'dice_positive'"),
        (MINIMAL + "clip_norm: none\n", "got 'none'; write null for none"),
        (MINIMAL + "phases: [{name: a.b, epochs: 1}]\n", "letters, digits, - and _; got 'a.b'"),
        ("name: x\nnetwork: {name: unet_timm}\n", "input is missing"),
        ("name: x\nnetwork: {name: n}\ninput: {size: 5}\n", "32 to 4096"),
        ("- a\n", "holds no recipe"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        read_recipe(write(tmp_path, text))


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot be read \(Is a directory\)"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("epochs=true", "epochs: a number is expected; got true"),
        ("optimizer.learning_rate=true", r"optimizer\.learning_rate: a number is expected"),
        ("flip=yes", "flip: true or false is expected; got 'yes'"),
        ("flip=1", "flip: true or false is expected; got 1"),
    ],
)
def test_truth_is_no_number_and_a_word_no_truth(override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        read_recipe(find_recipe("light"), [override])
    assert read_recipe(find_recipe("light"), ["flip=true", "optimizer.learning_rate=3e-4"]).flip


def test_collapses_are_painted_where_the_lungs_are_known() -> None:
    with pytest.raises(RecipeError, match="needs to know where the lungs are"):
        read_recipe(find_recipe("light"), ["painted_collapses=0.25"])
    lungs = ["painted_collapses=0.25", "input.region=lungs", "anatomy=shipped"]
    assert read_recipe(find_recipe("light"), lungs).painted_collapses == 0.25
    with pytest.raises(RecipeError, match="nothing of what is painted"):
        read_recipe(find_recipe("light"), [*lungs, "soft_presence=probability"])
    with pytest.raises(RecipeError, match="between 0 and 1; got 1"):
        read_recipe(find_recipe("light"), [*lungs, "painted_collapses=1.0"])
    shown = [is_painted(n, 0, 0.25, (0, 3)) for n in range(400)]
    assert 70 < sum(shown) < 130
    assert shown == [is_painted(n, 0, 0.25, (0, 3)) for n in range(400)]
    assert shown != [is_painted(n, 0, 0.25, (0, 4)) for n in range(400)]
    assert not any(is_painted(n, 1, 0.9, (0, 3)) for n in range(100))
    assert not any(is_painted(n, 0, None, (0, 3)) for n in range(100))


def test_on_is_a_word(tmp_path: Path) -> None:
    text = MINIMAL + "loss: [{name: bce, on: presence}]\nema_decay: null\naugmentation: no\n"
    recipe = read_recipe(write(tmp_path, text))
    assert recipe.loss[0].on == "presence"  # YAML 1.1 would have read {name: bce, True: presence}
    assert recipe.augmentation == "no"
    overridden = read_recipe(write(tmp_path, MINIMAL), ["augmentation=no"])
    assert overridden.augmentation == "no"


def test_overrides_reach_into_sections_and_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    recipe = read_recipe(
        path, ["epochs=3", "optimizer.learning_rate=1e-4", "network.options.encoder=resnet18"]
    )
    assert recipe.epochs == 3
    assert recipe.optimizer.learning_rate == 1e-4
    assert recipe.network.options == {"encoder": "resnet18"}
    with pytest.raises(RecipeError, match="did you mean 'epochs'"):
        read_recipe(path, ["epoch=3"])
    with pytest.raises(RecipeError, match="write key=value"):
        read_recipe(path, ["epochs"])
    with pytest.raises(RecipeError, match="its value is not YAML"):
        read_recipe(path, ["epochs=["])
    with pytest.raises(RecipeError, match="not a section"):
        read_recipe(path, ["name.x=3"])


def test_a_precision_may_be_written_as_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "precision: 32\n")
    assert read_recipe(path).precision == "32"
    assert read_recipe(path, ["precision=32"]).precision == "32"
    with pytest.raises(RecipeError, match="precision"):
        read_recipe(path, ["precision=16"])


def test_a_recipe_is_found_by_name_or_path() -> None:
    assert find_recipe("light").stem == "light"
    assert find_recipe("some/where.yaml") == Path("some/where.yaml")
    with pytest.raises(UnknownName, match="Did you mean 'light'"):
        find_recipe("ligth")


def test_an_epoch_without_a_share_shows_every_film_once() -> None:
    labels = [0, 1, 0, 0, 1, 0]
    order = epoch_order(labels, seed=1, epoch=0, positive_share=None)
    assert sorted(order.tolist()) == list(range(6))


def test_a_share_takes_all_positives_and_new_negatives_each_epoch() -> None:
    labels = [1] * 10 + [0] * 90
    orders = [epoch_order(labels, seed=1, epoch=e, positive_share=0.5) for e in range(2)]
    for order in orders:
        assert len(order) == 20
        assert len(set(order.tolist())) == 20
        assert set(range(10)) <= set(order.tolist())
    assert set(orders[0].tolist()) != set(orders[1].tolist())
    again = epoch_order(labels, seed=1, epoch=1, positive_share=0.5)
    np.testing.assert_array_equal(again, orders[1])


def test_a_share_never_repeats_a_negative() -> None:
    order = epoch_order([1] * 10 + [0] * 5, seed=0, epoch=0, positive_share=0.1)
    assert len(order) == 15


def test_a_share_needs_both_classes() -> None:
    with pytest.raises(TrainingError, match="0 positive and 3 negative"):
        epoch_order([0, 0, 0], seed=0, epoch=0, positive_share=0.5)


def test_a_stepwise_share_holds_from_its_epoch_on(tmp_path: Path) -> None:
    text = MINIMAL + "epochs: 6\npositive_share: {stepwise: [[1, 0.8], [3, 0.4], [5, null]]}\n"
    recipe = read_recipe(write(tmp_path, text))
    assert [recipe.share(epoch) for epoch in range(6)] == [0.8, 0.8, 0.4, 0.4, None, None]
    assert recipe_from(yaml.safe_load(recipe.to_yaml()), "x") == recipe


def test_a_linear_share_reaches_its_end_in_the_last_epoch(tmp_path: Path) -> None:
    text = MINIMAL + "epochs: 5\npositive_share: {linear: [0.8, 0.2]}\n"
    recipe = read_recipe(write(tmp_path, text))
    shares = [recipe.share(epoch) for epoch in range(5)]
    assert shares == pytest.approx([0.8, 0.65, 0.5, 0.35, 0.2])
    assert read_recipe(write(tmp_path, text), ["epochs=1"]).share(0) == 0.8
    assert read_recipe(write(tmp_path, MINIMAL), ["positive_share=0.5"]).share(3) == 0.5


@pytest.mark.parametrize(
    ("epochs", "every"), [(30, 25), (60, 49), (10, 9), (5, 5), (2, 2), (1, None)]
)
def test_a_shorter_run_turns_to_every_film_as_early_in_proportion(
    epochs: int, every: int | None
) -> None:
    recipe = read_recipe(find_recipe("joint"), [f"epochs={epochs}"])
    shares = [recipe.share(epoch) for epoch in range(epochs)]
    first = epochs if every is None else every - 1
    assert shares == [0.5] * first + [None] * (epochs - first)


def test_steps_that_are_set_with_the_epochs_stand_where_they_were_set() -> None:
    changes = ["epochs=10", "positive_share={stepwise: [[1, 0.5], [3, null]]}"]
    assert read_recipe(find_recipe("joint"), changes).share(2) is None
    changes = ["epochs=10", "positive_share.stepwise.1=[5, 0.4]"]
    schedule = read_recipe(find_recipe("joint"), changes).positive_share
    assert schedule == ShareSchedule(stepwise=((1, 0.5), (5, 0.4)))


def test_steps_are_stretched_in_proportion_and_keep_an_epoch_each() -> None:
    steps = ShareSchedule(stepwise=((1, 0.8), (3, 0.6), (5, 0.4), (20, None)))
    assert steps.stretched(10, 20).stepwise == ((1, 0.8), (5, 0.6), (9, 0.4), (39, None))
    assert steps.stretched(10, 10) is steps
    early = ShareSchedule(stepwise=((1, 0.8), (9, 0.6), (10, 0.4)))
    assert early.stretched(10, 3).stepwise == ((1, 0.8), (2, 0.6), (3, 0.4))
    assert early.stretched(10, 2).stepwise == ((1, 0.8), (2, 0.6), (3, 0.4))
    linear = ShareSchedule(linear=(0.8, 0.2))
    assert linear.stretched(10, 3) is linear


@pytest.mark.parametrize("share", [None, 0.1, 0.22, 0.5, 0.8, 0.99])
def test_an_epochs_size_is_known_before(share: float | None) -> None:
    labels = [1] * 10 + [0] * 37
    order = epoch_order(labels, seed=0, epoch=0, positive_share=share)
    assert epoch_size(labels, share) == len(order)
    fewer = epoch_order(labels, seed=0, epoch=0, positive_share=share, films=5)
    assert fewer.tolist() == order[:5].tolist()
    assert epoch_size(labels, share, films=5) == len(fewer)


PHASES = (
    MINIMAL
    + """
optimizer: {name: adam, learning_rate: 1.0e-3, schedule: cosine}
monitor: competition_dice
phases:
  - name: presence
    epochs: 4
    loss: [{name: bce, on: presence}]
    monitor: auc
  - name: mask
    epochs: 8
    optimizer: {learning_rate: 1.0e-4}
    positive_share: {linear: [0.8, 0.4]}
"""
)


def test_a_phase_takes_from_its_recipe_what_it_leaves_out(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, PHASES))
    assert recipe.epochs == 12
    first, second = (recipe.phase(n) for n in range(2))
    assert [term.on for term in first.loss] == ["presence"]
    assert (first.monitor, second.monitor) == ("auc", "competition_dice")
    assert (first.optimizer.learning_rate, second.optimizer.learning_rate) == (1e-3, 1e-4)
    assert (second.optimizer.name, second.optimizer.schedule) == ("adam", "cosine")
    assert (first.epochs, second.epochs) == (4, 8)
    assert (first.share(0), second.share(0), second.share(7)) == pytest.approx((None, 0.8, 0.4))
    assert recipe_from(yaml.safe_load(recipe.to_yaml()), "x") == recipe
    ended = recipe.to_the_end()
    assert {ended.phase(n).monitor for n in range(2)} == {"last"}
    assert {ended.phase(n).patience for n in range(2)} == {None}


@pytest.mark.parametrize(("epochs", "each"), [(6, [2, 4]), (2, [1, 1]), (3, [1, 2]), (24, [8, 16])])
def test_a_shorter_run_shortens_its_phases_in_proportion(
    tmp_path: Path, epochs: int, each: list[int]
) -> None:
    recipe = read_recipe(write(tmp_path, PHASES), [f"epochs={epochs}"])
    assert [recipe.phase(n).epochs for n in range(2)] == each


def test_fewer_epochs_warm_up_for_less(tmp_path: Path) -> None:
    warm = PHASES.replace("learning_rate: 1.0e-4", "learning_rate: 1.0e-4, warmup_epochs: 2")
    assert warm != PHASES
    for changes, warmup in (
        ([], 2),
        (["epochs=6"], 1),
        (["epochs=24"], 2),
        (["phases.mask.epochs=2"], 0.5),
        (["phases.mask.epochs=2", "phases.mask.optimizer.warmup_epochs=2"], 2),
    ):
        mask = read_recipe(write(tmp_path, warm), changes).phase(1)
        assert mask.optimizer.warmup_epochs == pytest.approx(warmup)
    whole = find_recipe("light")
    assert read_recipe(whole).optimizer.warmup_epochs == 1
    assert read_recipe(whole, ["epochs=1"]).optimizer.warmup_epochs < 0.1
    assert read_recipe(whole, ["epochs=90"]).optimizer.warmup_epochs == 1


def test_a_phases_steps_follow_its_epochs(tmp_path: Path) -> None:
    steps = "positive_share: {stepwise: [[1, 0.8], [5, 0.4]]}"
    path = write(tmp_path, PHASES.replace("positive_share: {linear: [0.8, 0.4]}", steps))
    for changes, begins in (([], 5), (["epochs=6"], 3), (["phases.mask.epochs=16"], 9)):
        mask = read_recipe(path, changes).phase(1)
        shares = [mask.share(epoch) for epoch in range(mask.epochs)]
        assert shares == [0.8] * (begins - 1) + [0.4] * (mask.epochs - begins + 1)


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        ([], [256, 384, 448]),
        (["input.size=448"], [256, 384, 448]),
        (["input.size=128"], [64, 96, 128]),  # 73 and 110
        (["input.size=320"], [192, 288, 320]),  # 183 and 274
        (["input.size=896"], [512, 768, 896]),
        (["input.size=32"], [32, 32, 32]),
        (["input.size=128", "phases.coarse.size=256"], [256, 96, 128]),
        (["phases.1.size=320", "input.size=128"], [64, 320, 128]),
    ],
)
def test_the_sizes_of_phases_follow_the_inputs(
    tmp_path: Path, overrides: list[str], sizes: list[int]
) -> None:
    phases = ["{name: coarse, epochs: 1, size: 256}", "{name: fine, epochs: 1, size: 384}"]
    text = f"phases: [{', '.join(phases)}, {{name: finest, epochs: 1}}]\n"
    path = write(tmp_path, MINIMAL.replace("64", "448") + text)
    recipe = read_recipe(path, overrides)
    assert [recipe.phase(n).input.size for n in range(3)] == sizes


def test_a_last_phase_that_says_its_size_follows_exactly(tmp_path: Path) -> None:
    text = "phases: [{name: a, epochs: 1, size: 32}, {name: b, epochs: 1, size: 64}]\n"
    recipe = read_recipe(write(tmp_path, MINIMAL + text), ["input.size=100"])
    assert [phase.size for phase in recipe.phases] == [64, 100]


def test_the_winners_1024_after_512_can_be_asked_for() -> None:
    changes = ["input.size=1024", "phases.start.size=512", "batch_size=2"]
    recipe = read_recipe(find_recipe("siim-first-place"), changes)
    assert [recipe.phase(n).input.size for n in range(3)] == [512, 1024, 1024]
    assert {recipe.phase(n).batch_size for n in range(3)} == {2}


def test_a_recipe_without_phases_is_its_own(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, MINIMAL))
    assert recipe.phase(0) is recipe


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("phases.mask.epochs=0", "epochs is at least 1"),
        ("phases.presence.name=mask", "names of their own"),
        ("epochs=1", r"2 phases \(presence, mask\) need 2 epochs at least; got epochs: 1"),
        ("phases.mask.positive_share=2", "between 0 and 1"),
        ("phases.mask.patience=0", "patience is at least 1"),
        ("phases.mask.lost=1", "did you mean 'loss'"),
        ("phases.masks.epochs=1", r"no 'masks'; it holds 0 \(presence\), 1 \(mask\)"),
        ("phases.2.epochs=1", "no '2'"),
        ("phases.presence.size=16", "32 to 4096 px; got 16"),
        ("phases.mask.size=96", "the last phase sees films at input.size"),
        ("phases.mask.optimizer.schedule=cosine_restart", "Did you mean 'cosine_restarts'"),
        ("keep_checkpoints=0", "keep_checkpoints is at least 1"),
        ("keep_checkpoints=99", "at most 16"),
        ("optimizer.cycle_epochs=0", "cycle_epochs is at least 1"),
        ("optimizer.cycle_growth=0.5", "cycle_growth is at least 1"),
    ],
)
def test_what_is_wrong_with_phases_is_said(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        read_recipe(write(tmp_path, PHASES), [override])


def test_overrides_reach_into_lists_by_number_and_by_name(tmp_path: Path) -> None:
    changes = ["phases.mask.epochs=2", "phases.0.loss.bce.weight=3", "phases.0.loss.0.options.x=1"]
    recipe = read_recipe(write(tmp_path, PHASES), changes)
    assert recipe.epochs == 6
    assert recipe.phases[1].epochs == 2
    assert (recipe.phases[0].loss[0].weight, recipe.phases[0].loss[0].options) == (3.0, {"x": 1.0})


def test_an_override_that_would_change_nothing_is_refused(tmp_path: Path) -> None:
    text = PHASES.replace(
        "    monitor: auc\n", "    monitor: auc\n    optimizer: {learning_rate: 1}\n"
    )
    path = write(tmp_path, text)
    with pytest.raises(RecipeError, match=r"write phases\.presence\.optimizer\.learning_rate=1"):
        read_recipe(path, ["optimizer.learning_rate=1"])
    assert read_recipe(path, ["optimizer.weight_decay=1"]).phases[1].optimizer.weight_decay == 1
    assert read_recipe(path, ["monitor=loss"]).phases[1].monitor == "loss"


def test_the_cascade_is_two_recipes_of_which_each_can_be_changed() -> None:
    path = find_recipe("chexnet-cascade")
    plan = read_plan(path)
    assert isinstance(plan, Cascade)
    assert (plan.gate, plan.segmenter) == (
        read_recipe(find_recipe("chexnet")),
        read_recipe(find_recipe("unet")),
    )
    changes = ["segmenter.epochs=3", "segmenter=unetpp", "gate.loss.0.options.positive_weight=2"]
    plan = read_plan(path, changes)
    assert isinstance(plan, Cascade)
    assert (plan.segmenter.name, plan.segmenter.epochs) == ("unetpp", 3)
    assert plan.gate.loss[0].options == {"positive_weight": 2.0}
    ended = plan.to_the_end()
    assert {ended.gate.monitor, ended.segmenter.monitor} == {"last"}
    assert plan.gate.optimizer.schedule == "plateau"
    assert ended.gate.optimizer == replace(plan.gate.optimizer, schedule="cosine")
    assert ended.segmenter.optimizer == plan.segmenter.optimizer


def test_a_cascade_is_decided_as_its_export_is() -> None:
    def rule(gate: str, segmenter: str) -> str:
        decisions = (f"gate.decision={gate}", f"segmenter.decision={segmenter}")
        return read_plan(find_recipe("chexnet-cascade"), decisions).decision

    assert rule("relative", "relative") == "relative"
    assert rule("threshold", "relative") == rule("threshold", "threshold") == "threshold"
    assert rule("threshold", "triplet") == "threshold"  # a gate needs a presence threshold


def test_a_classifier_is_set_by_its_scores_and_its_cascade_by_masks() -> None:
    assert read_recipe(find_recipe("chexnet")).aim == "Youden"
    plan = read_plan(find_recipe("chexnet-cascade"))
    assert (plan.aim, plan.decision) == ("competition Dice", "threshold")


@pytest.mark.parametrize("name", ["unet", "unetpp", "unetpp-weighted", "double-unet", "cad"])
def test_the_cascade_has_its_projects_four_choices_and_the_cad_projects(name: str) -> None:
    plan = read_plan(find_recipe("chexnet-cascade"), [f"segmenter={name}"])
    assert isinstance(plan, Cascade)
    assert plan.segmenter.name == name


@pytest.mark.parametrize(
    ("override", "error", "says"),
    [
        ("epochs=3", RecipeError, r"write gate\.epochs=3 or segmenter\.epochs=3"),
        ("segmentor=unet", RecipeError, "does not say which recipe"),
        ("segmenter=unetp", UnknownName, "Did you mean 'unetpp'"),
        ("segmenter.epoch=3", RecipeError, "did you mean 'epochs'"),
        ("gate", RecipeError, "gate=NAME"),
    ],
)
def test_what_is_wrong_with_a_cascade_is_said(
    override: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        read_plan(find_recipe("chexnet-cascade"), [override])


def test_a_cascade_is_no_recipe_and_half_of_one_is_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a cascade of the recipes chexnet and unet"):
        read_recipe(find_recipe("chexnet-cascade"))
    with pytest.raises(RecipeError, match="segmenter is missing"):
        read_plan(write(tmp_path, "name: x\ngate: chexnet\n"))


def test_the_documents_phases_are_a_recipe(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "recipe.md").read_text()
    block = next(b for b in text.split("```yaml\n")[1:] if b.startswith("phases:"))
    recipe = read_recipe(write(tmp_path, MINIMAL + block.split("```")[0]))
    assert [recipe.phase(n).epochs for n in range(2)] == [5, 25]
    for n in range(2):
        check_loss(recipe.phase(n).loss, "joint")


def test_about_a_share_of_the_films_takes_a_half_of_another_of_the_epoch() -> None:
    order = np.array([3, 5, 8, 9])
    given = [other_half(index, order, 0.25, (1, 2)) for index in range(400)]
    assert given == [other_half(index, order, 0.25, (1, 2)) for index in range(400)]
    assert given != [other_half(index, order, 0.25, (1, 3)) for index in range(400)]
    assert {half for half in given if half is not None} == {3, 5, 8, 9}
    assert 70 < sum(half is not None for half in given) < 130
    assert other_half(3, order, None, (1, 2)) is None
