"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from pleura.errors import RecipeError, UnknownName
from pleura.networks import Output
from pleura.training.losses import (
    LOSSES,
    bce,
    bce_dice,
    check_loss,
    combo,
    dice,
    dice_positives,
    focal,
    loss_of,
    own_loss,
    taghanaki_combo,
    tversky,
    weighted_sum,
)
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


def test_dice_of_positives_says_nothing_of_empty_films() -> None:
    logits = LOGITS.clone().requires_grad_()
    losses = dice_positives(logits, MASKS)
    assert losses.tolist() == pytest.approx([1 - 2 / 4, 0.0])
    losses.sum().backward()
    assert logits.grad is not None
    assert (logits.grad[0] != 0).all()
    assert (logits.grad[1] == 0).all()


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


def test_positive_weight_is_of_the_targets_pixels() -> None:
    # One pixel of four weighs 5: (5 + 1 + 1 + 1) / 4 = 2 times log 2; without a target nothing changes.
    found = bce(LOGITS, MASKS, positive_weight=5.0).tolist()
    assert found == pytest.approx([2 * math.log(2), math.log(2)])


def test_combo_is_the_plain_sum() -> None:
    expected = [math.log(2) + 1 - 2 / 4, math.log(2) + 1 - 1 / 3]
    assert combo(LOGITS, MASKS).tolist() == pytest.approx(expected)
    weighted = combo(LOGITS, MASKS, positive_weight=5.0, smooth=3.0)
    # Dice with s = 3: (1 + 3) / (3 + 3) and 3 / (2 + 3).
    assert weighted.tolist() == pytest.approx([2 * math.log(2) + 1 / 3, math.log(2) + 2 / 5])


def test_taghanakis_combo() -> None:
    # Entropy: (0.8 + 3 * 0.2) / 4 = 0.35 times log 2 with a target, 4 * 0.2 / 4 = 0.2 without.
    found = taghanaki_combo(LOGITS, MASKS, alpha=0.6, beta=0.8).tolist()
    first, second = 0.35 * math.log(2), 0.2 * math.log(2)
    assert found == pytest.approx([0.6 * first + 0.4 * 0.5, 0.6 * second + 0.4 * 2 / 3])
    torch.testing.assert_close(taghanaki_combo(LOGITS, MASKS, alpha=1.0), 0.5 * bce(LOGITS, MASKS))


def test_focal() -> None:
    # All probabilities are 0.5: each pixel costs a * 0.25 * log 2; a is 0.25 on the target, 0.75 elsewhere.
    unit = 0.25 * math.log(2)
    expected = [(0.25 + 3 * 0.75) / 4 * unit, 0.75 * unit]
    assert focal(LOGITS, MASKS).tolist() == pytest.approx(expected)
    # A pixel at 0.9 of what is true costs (1 - 0.9)^2 * -log 0.9.
    sure = torch.full((1, 1, 1, 1), math.log(9.0))
    easy = focal(sure, torch.ones_like(sure), alpha=1.0)
    assert float(easy) == pytest.approx(0.01 * -math.log(0.9), rel=1e-4)
    torch.testing.assert_close(focal(LOGITS, MASKS, alpha=0.5, gamma=0.0), 0.5 * bce(LOGITS, MASKS))


def test_tversky_by_what_is_invented_and_missed() -> None:
    # Image 1: TP 0.5, FP 1.5, FN 0.5; image 2: FP 2.
    found = tversky(LOGITS, MASKS, alpha=0.3, beta=0.7).tolist()
    assert found == pytest.approx([1 - 1.5 / (1.5 + 0.45 + 0.35), 1 - 1 / (1 + 0.6)])
    half = tversky(LOGITS, MASKS, alpha=0.5, beta=0.5, smooth=1.0)
    torch.testing.assert_close(half, dice(LOGITS, MASKS, smooth=2.0))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_loss_is_one_finite_value_an_image(name: str, value: float, share: float) -> None:
    masks = torch.zeros(3, 1, 4, 4)
    masks[:, :, :, : int(4 * share)] = 1.0
    logits = torch.full((3, 1, 4, 4), value, requires_grad=True)
    losses = LOSSES[name](logits, masks)
    assert losses.shape == (3,)
    assert losses.isfinite().all()
    assert (losses >= -1e-6).all()
    losses.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_nought_where_all_is_right(name: str) -> None:
    for masks in (torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)):
        right = (2 * masks - 1) * 100
        assert float(LOSSES[name](right, masks)) == pytest.approx(0.0, abs=1e-6)
        wrong = float(LOSSES[name](-right, masks))
        assert wrong == 0.0 if name == "dice_positives" and not masks.any() else wrong > 0.1


def test_a_focal_exponent_below_one_has_a_gradient_where_all_is_right() -> None:
    logits = torch.full((1, 1, 2, 2), 100.0, requires_grad=True)
    focal(logits, torch.ones(1, 1, 2, 2), gamma=0.5).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("term", "says"),
    [
        (LossTerm("tversky", options={"alpha": 1.5}), r"alpha of loss tversky lies in \[0, 1\]"),
        (LossTerm("taghanaki_combo", options={"beta": -0.1}), r"lies in \[0, 1\]; got -0.1"),
        (LossTerm("dice", options={"smooth": 0.0}), "smooth of loss dice is finite and above 0"),
        (LossTerm("bce", options={"positive_weight": math.inf}), "finite and above 0; got inf"),
        (
            LossTerm("focal", options={"gamma": -1.0}),
            "gamma of loss focal is finite and at least 0",
        ),
    ],
)
def test_impossible_options(term: LossTerm, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        weighted_sum([term])


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


def test_the_networks_own_loss_stands_alone() -> None:
    own = LossTerm("network", options={"min_instance_px": 30})
    assert own_loss((own,)) is own
    assert loss_of((own,)) is None
    assert own_loss((LossTerm("bce"),)) is None
    assert loss_of((LossTerm("bce"),)) is not None
    for terms in (
        (own, LossTerm("bce")),
        (LossTerm("network", weight=2.0),),
        (LossTerm("network", on="presence"),),
    ):
        with pytest.raises(RecipeError, match="stands alone"):
            own_loss(terms)
    with pytest.raises(UnknownName, match="min_instance_px"):
        own_loss((LossTerm("network", options={"min_px": 3}),))
    with pytest.raises(RecipeError, match="at least 1; got 0"):
        own_loss((LossTerm("network", options={"min_instance_px": 0}),))


def test_a_network_is_trained_by_its_own_loss_or_by_ours() -> None:
    check_loss((LossTerm("network"),), "mask_rcnn")
    check_loss((LossTerm("dice"),), "unet")
    with pytest.raises(RecipeError, match="mask_rcnn computes its own loss"):
        check_loss((LossTerm("dice"),), "mask_rcnn")
    with pytest.raises(RecipeError, match="unet has no loss of its own"):
        check_loss((LossTerm("network"),), "unet")
