"""What a network costs, against numbers worked out by hand."""

import pytest
from typer.testing import CliRunner

from pleura.cli import app
from pleura.cli import recipes as verb
from pleura.inference.preprocess import InputSpec
from pleura.networks import create, parameter_count
from pleura.training import cost as module
from pleura.training.cost import cost_of, films_per_second
from pleura.training.recipe import NetworkRecipe, Recipe, known_recipes

SMALL = Recipe(
    name="x",
    network=NetworkRecipe("unet", {"filters": [2, 3], "padded": True}),
    input=InputSpec(32),
)


def test_the_arithmetic_of_a_small_unet_by_hand() -> None:
    def conv(inputs: int, outputs: int, kernel: int, side: int) -> int:
        return 2 * inputs * outputs * kernel**2 * side**2

    by_hand = conv(1, 2, 3, 32) + conv(2, 2, 3, 32)  # down
    by_hand += conv(2, 3, 3, 16) + conv(3, 3, 3, 16)  # the bottom
    by_hand += 2 * 3 * 2 * 2**2 * 16**2  # transposed convolution, stride 2
    by_hand += conv(4, 2, 3, 32) + conv(2, 2, 3, 32)  # up, with the skip
    by_hand += conv(2, 1, 1, 32)  # the head
    cost = cost_of(SMALL)
    assert cost.gflops == pytest.approx(by_hand / 1e9)
    network = create("unet", channels=1, size=32, **SMALL.network.options)
    assert cost.parameters == parameter_count(network)


def test_a_network_whose_shapes_hang_on_the_film_is_run_once() -> None:
    options = {
        "encoder": "resnet18",
        "norm": "group",
        "proposals": 7,
        "detections": 2,
        "box_units": 8,
    }
    recipe = Recipe(
        name="x", network=NetworkRecipe("mask_rcnn", options), input=InputSpec(64, channels=3)
    )
    more = Recipe(
        name="x",
        network=NetworkRecipe("mask_rcnn", options | {"proposals": 9}),
        input=InputSpec(64, channels=3),
    )
    # Two more boxes through the box head: 256 x 7 x 7 to 8, 8 to 8, and 8 to two classes and their boxes.
    each = 2 * (256 * 49 * 8 + 8 * 8 + 8 * 2 + 8 * 8)
    assert cost_of(more).gflops - cost_of(recipe).gflops == pytest.approx(2 * each / 1e9, rel=1e-3)


def test_time_is_the_median_of_the_rounds_without_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter([9.0, 0.5, 0.25, 1.0])
    monkeypatch.setattr(module, "_seconds", lambda network, film: next(seconds))
    assert films_per_second(SMALL, rounds=3) == 2.0


@pytest.mark.slow
def test_the_verb_lists_every_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["recipes"])
    assert done.exit_code == 0, done.output
    first = [line.split(" ")[0] for line in done.output.splitlines()]
    assert set(known_recipes()) <= set(first)


@pytest.mark.parametrize("columns", [80, 200])
def test_descriptions_are_read_at_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(
        verb, "_costs", lambda plan, measure: ["a_network > another", "512x1", "24.4", "61.6"]
    )
    lines = CliRunner().invoke(app, ["recipes"]).output.splitlines()
    assert max(map(len, lines)) <= columns
    assert any("CheXNet, a DenseNet-121 classifier at 224" in line for line in lines)
