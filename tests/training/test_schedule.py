"""Learning rates against numbers worked out by hand, and against PyTorch's own schedulers."""

import pytest
import torch

from pleura.training.recipe import OptimizerRecipe
from pleura.training.schedule import is_resting, learning_rate


def rates(epochs: int, **options) -> list[float]:
    """At the beginning of each epoch, of a rate of 1."""
    recipe = OptimizerRecipe(learning_rate=1.0, **options)
    return [learning_rate(recipe, epoch, epochs) for epoch in range(epochs)]


def by_torch(scheduler, epochs: int) -> list[float]:
    found = []
    for _ in range(epochs):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def test_a_cosine_falls_to_a_hundredth() -> None:
    recipe = OptimizerRecipe(learning_rate=2.0, schedule="cosine")
    found = [learning_rate(recipe, at, 10) for at in (0, 5, 10, 12)]
    assert found == pytest.approx([2.0, 2 * (0.01 + 0.99 * 0.5), 0.02, 0.02])


def test_a_warm_up_rises_and_the_rest_follows() -> None:
    recipe = OptimizerRecipe(learning_rate=1.0, schedule="cosine", warmup_epochs=2)
    assert learning_rate(recipe, 0, 10) == pytest.approx(0.01)
    assert learning_rate(recipe, 1, 10) == pytest.approx(0.5)
    assert learning_rate(recipe, 6, 10) == pytest.approx(0.505)


@pytest.mark.parametrize(("cycle", "growth"), [(3, 1), (2, 2), (1, 2)])
def test_restarts_are_pytorchs(cycle: int, growth: int) -> None:
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer(), cycle, growth, eta_min=0.01
    )
    ours = rates(20, schedule="cosine_restarts", cycle_epochs=cycle, cycle_growth=growth)
    assert ours == pytest.approx(by_torch(theirs, 20))


def test_a_wave_is_pytorchs_cosine_past_its_end() -> None:
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer(), 8, eta_min=0.01)
    assert rates(40, schedule="cosine_wave", cycle_epochs=8) == pytest.approx(by_torch(theirs, 40))


def test_a_plateau_is_pytorchs() -> None:
    scores = [0.1, 0.2, 0.2, 0.15, 0.19, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.31, 0.3]
    sgd = optimizer()
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        sgd, "max", factor=0.1, patience=2, threshold=0.0, min_lr=1e-3
    )
    recipe = OptimizerRecipe(learning_rate=1.0, schedule="plateau", plateau_epochs=3)
    expected = [1.0]
    for score in scores:
        theirs.step(score)
        expected.append(sgd.param_groups[0]["lr"])
    found = [learning_rate(recipe, n, 99, scores[:n]) for n in range(len(scores) + 1)]
    assert found == pytest.approx(expected)
    assert min(found) == pytest.approx(1e-3)


def test_a_plateau_counts_epochs_though_not_each_is_scored() -> None:
    recipe = OptimizerRecipe(learning_rate=1.0, schedule="plateau", plateau_epochs=3)
    scores = [None, 0.2, None, 0.2, None, 0.2, None, 0.3, None, 0.3, None, 0.3]
    found = [learning_rate(recipe, n, 99, scores[:n]) for n in range(len(scores) + 1)]
    assert found == pytest.approx([1.0] * 6 + [0.1] * 6 + [0.01])


def resting(epochs: int, **options) -> list[int]:
    recipe = OptimizerRecipe(**options)
    return [epoch for epoch in range(1, epochs + 1) if is_resting(recipe, epoch)]


def test_where_a_schedule_rests() -> None:
    assert resting(4, schedule="cosine") == [1, 2, 3, 4]
    assert resting(10, schedule="cosine_restarts", cycle_epochs=3) == [3, 6, 9]
    assert resting(15, schedule="cosine_restarts", cycle_epochs=2, cycle_growth=2) == [2, 6, 14]
    assert resting(8, schedule="cosine_restarts", cycle_epochs=3, warmup_epochs=1) == [4, 7]
    assert resting(30, schedule="cosine_wave", cycle_epochs=8) == [8, 24]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # the lowest points are at 2.5, 5, 7.5
        ({"schedule": "cosine_restarts", "cycle_epochs": 2.5}, [2, 5, 7]),
        # at 10.5, 20.5
        ({"schedule": "cosine_restarts", "warmup_epochs": 0.5}, [10, 20]),
        # at 3, 7.5, 14.25
        ({"schedule": "cosine_restarts", "cycle_epochs": 3, "cycle_growth": 1.5}, [3, 7, 14]),
        # at 2.5, 7.5, 12.5
        ({"schedule": "cosine_wave", "cycle_epochs": 2.5}, [2, 7, 12]),
        # at 8.5
        ({"schedule": "cosine_wave", "cycle_epochs": 8, "warmup_epochs": 0.5}, [8]),
    ],
)
def test_a_cycle_that_ends_within_an_epoch_rests_before_it(options, expected: list[int]) -> None:
    epochs = expected[-1]
    assert resting(epochs, **options) == expected
    recipe = OptimizerRecipe(learning_rate=1.0, **options)
    assert all(learning_rate(recipe, epoch - 0.01, epochs) < 0.2 for epoch in expected)
