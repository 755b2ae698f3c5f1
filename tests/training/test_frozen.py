"""What is frozen stays as it was, the rest learns, and all of it can be let go."""

import pytest
import torch
from torch import nn

from pleura.errors import RecipeError
from pleura.networks.joint import Joint
from pleura.networks.unet import UNet
from pleura.training.frozen import Frozen


def network(encoder: str = "mobilenetv2_050") -> nn.Module:
    torch.manual_seed(0)
    return Joint(size=64, encoder=encoder, decoder_channels=(8, 8))


def changed(net: nn.Module, frozen: Frozen) -> set[str]:
    """The names of what one step changes, a batch norm's count of batches aside."""
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    frozen.rest()
    net(torch.randn(2, 1, 64, 64)).mask_logits.square().sum().backward()
    torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1).step()
    after = net.state_dict()
    return {k for k in before if not torch.equal(before[k], after[k]) and "num_batches" not in k}


@pytest.mark.parametrize(
    ("encoder", "stages", "held", "free"),
    [
        ("mobilenetv2_050", 2, ("conv_stem", "bn1", "blocks.0", "blocks.1"), "blocks.2"),
        ("resnet18", 2, ("conv1", "bn1", "layer1"), "layer2"),
    ],
)
def test_the_first_stages_and_every_statistic_stay(
    encoder: str, stages: int, held: tuple[str, ...], free: str
) -> None:
    net = network(encoder)
    names = changed(net, Frozen(net, stages))
    assert not [n for n in names if n.startswith(tuple(f"encoder.{layer}." for layer in held))]
    assert not [n for n in names if n.startswith("encoder.") and "running_" in n]
    assert [n for n in names if n.startswith(f"encoder.{free}.") and n.endswith("weight")]
    assert [n for n in names if n.startswith("blocks.") and "running_mean" in n]


def test_none_holds_statistics_alone_and_none_at_all_nothing() -> None:
    net = network()
    names = changed(net, Frozen(net, 0))
    assert "encoder.conv_stem.weight" in names
    assert "encoder.bn1.weight" in names
    assert not [n for n in names if n.startswith("encoder.") and "running_" in n]
    net = network()
    assert "encoder.bn1.running_mean" in changed(net, Frozen(net, None))


def test_what_was_frozen_learns_again_and_what_was_before_does_not() -> None:
    net = network()
    own = net.encoder.conv_stem.weight.requires_grad_(False)  # type: ignore[union-attr]
    frozen = Frozen(net, 2)
    assert sum(not p.requires_grad for p in net.parameters()) > 1
    frozen.thaw()
    assert [p for p in net.parameters() if not p.requires_grad] == [own]


def test_networks_without_the_stages_are_refused() -> None:
    with pytest.raises(RecipeError, match="needs a network on a timm encoder"):
        Frozen(UNet(), 1)
    with pytest.raises(RecipeError, match="more than the 5 stages"):
        Frozen(network(), 6)
