"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from pleura.errors import RecipeError, UnknownName
from pleura.networks import Output
from pleura.training.losses import bce, bce_dice, dice, weighted_sum
from pleura.training.recipe import LossTerm

# Two images of 2x2: probabilities 0.5 everywhere; one mask has one pixel, the other is empty.
LOGITS = torch.zeros(2, 1, 2, 2)
MASKS = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])


def test_bce() -> None:
    assert bce(LOGITS, MASKS).tolist() == pytest.approx([math.log(2), math.log(2)])
    sure = torch.full((1, 1, 2, 2), 100.0)
    assert float(bce(sure, torch.ones_like(sure))) == pytest.approx(0.0, abs=1e-6)
    assert float(bce(sure, torch.zeros_like(sure))) == pytest.approx(100.0)


def test_dice_is_of_each_image_by_itself() -> None:
    # Image 1: 2 * 0.5 + 1 = 2 over 2 + 1 + 1 = 4. Image 2: 1 over 2 + 0 + 1 = 3.
    assert dice(LOGITS, MASKS).tolist() == pytest.approx([1 - 2 / 4, 1 - 1 / 3])
    swapped = dice(LOGITS.flip(0), MASKS.flip(0))
    assert swapped.tolist() == pytest.approx([1 - 1 / 3, 1 - 2 / 4])


def test_dice_of_empty_and_full() -> None:
    empty, full = torch.full((1, 1, 10, 10), -100.0), torch.full((1, 1, 10, 10), 100.0)
    nothing, everything = torch.zeros(1, 1, 10, 10), torch.ones(1, 1, 10, 10)
    assert float(dice(empty, nothing)) == pytest.approx(0.0, abs=1e-6)
    assert float(dice(full, everything)) == pytest.approx(0.0, abs=1e-6)
    assert float(dice(full, nothing)) == pytest.approx(100 / 101)  # a false positive is punished
    assert float(dice(empty, everything)) == pytest.approx(100 / 101)


def test_an_empty_mask_still_gives_a_gradient() -> None:
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    dice(logits, torch.zeros(1, 1, 4, 4)).sum().backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()  # downhill is towards empty


def test_bce_dice_weighs_by_alpha() -> None:
    expected = 0.3 * bce(LOGITS, MASKS) + 0.7 * dice(LOGITS, MASKS)
    torch.testing.assert_close(bce_dice(LOGITS, MASKS, alpha=0.3), expected)
    torch.testing.assert_close(bce_dice(LOGITS, MASKS, alpha=1.0), bce(LOGITS, MASKS))


def test_weighted_sum_of_terms() -> None:
    loss = weighted_sum([LossTerm("bce", 2.0), LossTerm("dice", 0.5, {"smooth": 3.0})])
    expected = 2.0 * bce(LOGITS, MASKS) + 0.5 * dice(LOGITS, MASKS, smooth=3.0)
    torch.testing.assert_close(loss(Output(LOGITS), MASKS), expected)


def test_presence_is_scored_against_whether_the_mask_is_empty() -> None:
    loss = weighted_sum([LossTerm("bce", 2.0, on="presence")])
    output = Output(LOGITS, presence_logits=torch.tensor([0.0, 3.0]))
    expected = [2 * math.log(2), 2 * (3 + math.log1p(math.exp(-3)))]
    assert loss(output, MASKS).tolist() == pytest.approx(expected)
    with pytest.raises(RecipeError, match="has no head for it"):
        loss(Output(LOGITS), MASKS)


def test_deep_supervision_keeps_a_thin_rim_and_averages() -> None:
    masks = torch.zeros(1, 1, 8, 8)
    masks[0, 0, 3, :] = 1.0  # one row of eight
    sure = torch.full((1, 1, 2, 2), -50.0)
    sure[0, 0, 0] = 50.0  # right at 2x2: the upper patches hold the rim
    loss = weighted_sum([LossTerm("bce", on="deep")])
    output = Output(torch.zeros(1, 1, 8, 8), deep_logits=(sure, torch.zeros(1, 1, 4, 4)))
    assert float(loss(output, masks)) == pytest.approx((0.0 + math.log(2)) / 2, abs=1e-6)
    with pytest.raises(RecipeError, match="no deep supervision"):
        loss(Output(LOGITS), MASKS)


def test_unknown_loss_and_option() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'dice'"):
        weighted_sum([LossTerm("dise")])
    with pytest.raises(UnknownName, match="Did you mean 'alpha'"):
        weighted_sum([LossTerm("bce_dice", options={"alfa": 0.5})])
