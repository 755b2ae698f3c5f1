"""The networks that say whether: CheXNet's map and its mean, and the joint network's parts."""

import math

import pytest
import torch

from pleura.errors import RecipeError
from pleura.networks import create, has_presence_head, parameter_count
from pleura.networks.joint import AttentionPool, CompareSides, _evidence


def test_chexnets_presence_is_its_head_on_the_averaged_features() -> None:
    torch.manual_seed(0)
    network = create("chexnet", channels=1, size=64).eval()
    images = torch.rand(2, 1, 96, 64)
    with torch.inference_mode():
        features = network.encoder(images)[-1]
        output = network(images)
        averaged = features.mean(dim=(2, 3)) @ network.head.weight[0, :, 0, 0] + network.head.bias
        places = network.head(features)
    assert features.shape == (2, 1024, 3, 2)
    torch.testing.assert_close(output.presence_logits, averaged, rtol=1e-5, atol=1e-5)
    assert output.mask_logits.shape == (2, 1, 96, 64)
    # Bilinear enlargement leaves the corners as they are, and invents no value beyond the map's own.
    torch.testing.assert_close(output.mask_logits[:, :, 0, 0], places[:, :, 0, 0])
    assert output.mask_logits.max() <= places.max() + 1e-6
    assert has_presence_head("chexnet")


def test_chexnet_is_densenet_121_and_starts_at_a_low_prior() -> None:
    network = create("chexnet", channels=3, size=224)
    assert parameter_count(network) == 6_953_856 + 1024 + 1  # torchvision's features, and the head
    assert float(network.head.bias.detach().sigmoid()) == pytest.approx(0.1)


def test_joint_is_small_and_gives_every_kind_of_logits() -> None:
    network = create("joint", channels=1, size=320).eval()
    assert parameter_count(network) < 14e6
    with torch.inference_mode():
        output = network(torch.rand(1, 1, 64, 96))
    assert output.mask_logits.shape == (1, 1, 64, 96)
    assert output.presence_logits.shape == (1,)
    assert [tuple(d.shape[2:]) for d in output.deep_logits] == [(4, 6), (8, 12), (16, 24)]
    with pytest.raises(RecipeError, match="1 to 4 decoder_channels; got 5"):
        create("joint", channels=1, size=64, decoder_channels=(8, 8, 8, 8, 8))


@pytest.mark.parametrize(("blocks", "finest"), [(4, 2), (3, 4), (1, 16)])
def test_the_decoder_of_joint_may_stop_early(blocks: int, finest: int) -> None:
    network = create("joint", channels=1, size=64, decoder_channels=(8,) * blocks).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 1, 64, 96))
    assert output.mask_logits.shape == (1, 1, 64, 96)
    assert network.shuffle == finest
    assert len(output.deep_logits) == blocks - 1


def test_a_joint_network_goes_on_as_it_was_when_it_begins_to_compare_sides() -> None:
    torch.manual_seed(0)
    before = create("joint", channels=1, size=64).eval()
    after = create("joint", channels=1, size=64, compare_sides=True).eval()
    missing = after.load_state_dict(before.state_dict(), strict=False).missing_keys
    assert {name.partition(".")[0] for name in missing} == {"sides"}
    film = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        one, other = before(film), after(film)
    assert torch.equal(one.mask_logits, other.mask_logits)
    assert torch.equal(one.presence_logits, other.presence_logits)


def test_a_place_is_compared_with_its_mirror_place() -> None:
    torch.manual_seed(0)
    compare = CompareSides(4, 8)
    torch.nn.init.normal_(compare.out.weight)
    x = torch.rand(1, 4, 5, 7)
    with torch.inference_mode():
        assert torch.allclose(compare(x.flip(3)), compare(x).flip(3), atol=1e-5)
        changed = x.clone()
        changed[..., 2, 0] += 1.0
        moved = (compare(changed) - compare(x)).abs().sum(dim=(0, 1)) > 1e-5
    assert moved[2, 0]
    assert moved[2, 6]  # its mirror place
    assert not moved[:, 2:5].any()


def test_the_mask_of_joint_starts_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    network = create("joint", channels=1, size=64).eval()
    with torch.inference_mode():
        logits = network(torch.rand(1, 1, 64, 64)).mask_logits[0, 0]
    cells = logits.reshape(32, 2, 32, 2)
    torch.testing.assert_close(cells, cells[:, :1, :, :1].expand_as(cells))


def test_attention_pooling_weighs_places() -> None:
    pool = AttentionPool(2, 1)
    with torch.no_grad():
        for layer in (pool.value, pool.gate, pool.score):
            layer.weight.zero_()
            layer.bias.zero_()
        x = torch.tensor([[[[1.0, 3.0]], [[10.0, 20.0]]]])  # (1, 2, 1, 2)
        # Without scores every place weighs the same: the mean.
        torch.testing.assert_close(pool(x), torch.tensor([[2.0, 15.0]]))
        pool.value.weight[0, 0] = 1.0  # scores: tanh(1) / 2 s and tanh(3) / 2 s
        pool.score.weight[0, 0] = 4.0
        a, b = (math.exp(2 * math.tanh(v)) for v in (1.0, 3.0))
        expected = torch.tensor([[(a * 1 + b * 3) / (a + b), (a * 10 + b * 20) / (a + b)]])
        torch.testing.assert_close(pool(x), expected)


def test_evidence_is_the_best_windows_mean_probability_and_sends_no_gradient() -> None:
    logits = torch.full((2, 1, 8, 8), -100.0, requires_grad=True)
    with torch.no_grad():
        logits[1, 0, :4, :4] = 0.0  # one whole window at 0.5
        logits[1, 0, 7, 7] = 100.0  # one pixel of sixteen at 1: 1 / 16
    evidence = _evidence(logits)
    assert evidence.tolist() == pytest.approx([-1.0, 0.0])
    assert not evidence.requires_grad
