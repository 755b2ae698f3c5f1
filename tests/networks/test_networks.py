"""The contract every network keeps, and the pieces they are made of."""

from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pleura.errors import RecipeError, UnknownName
from pleura.networks import (
    NETWORKS,
    create,
    default_channels,
    has_own_loss,
    has_presence_head,
    parameter_count,
)
from pleura.networks.decoder import UNetDecoder
from pleura.networks.encoder import load_encoder, read_weights, timm_encoder
from pleura.training.losses import weighted_sum
from pleura.training.recipe import LossTerm

LIGHT_RCNN = {
    "encoder": "resnet18",
    "candidates": 50,
    "proposals": 20,
    "rois": 16,
    "detections": 5,
    "box_units": 32,
}
# As small as each network can be, and its variants: name, size, options.
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "chexnet": ("chexnet", 64, {}),
    "double_unet": (
        "double_unet",
        64,
        {"encoder": "vgg11_bn", "filters": (4, 8, 8, 8), "aspp_filters": 4},
    ),
    "joint": ("joint", 64, {}),
    "joint, sides compared": ("joint", 64, {"compare_sides": True}),
    "joint, ConvNeXt": (
        "joint",
        64,
        {"encoder": "convnext_atto", "decoder_channels": (32, 16, 8)},
    ),
    "mask_rcnn": ("mask_rcnn", 64, {**LIGHT_RCNN, "norm": "group"}),
    "mask_rcnn, frozen norm": ("mask_rcnn", 64, LIGHT_RCNN),
    "swin_unet": ("swin_unet", 64, {}),
    "unet": ("unet", 64, {"filters": (8, 16, 32)}),
    "unet, padded": ("unet", 64, {"filters": (8, 16, 32), "padded": True, "batch_norm": True}),
    "unet_timm": ("unet_timm", 64, {}),
    "unet_timm, ResNet, scSE, presence": (
        "unet_timm",
        64,
        {"encoder": "resnet18", "scse": True, "presence_head": True},
    ),
    "unet_timm, EfficientNet": ("unet_timm", 64, {"encoder": "efficientnet_b0"}),
    "unet_timm, ConvNeXt": ("unet_timm", 64, {"encoder": "convnext_atto"}),
    "unet_timm, Swin": ("unet_timm", 64, {"encoder": "swin_tiny_patch4_window7_224"}),
    "unetpp": ("unetpp", 64, {"filters": (4, 8, 16)}),
    "unetpp, one head": ("unetpp", 64, {"filters": (4, 8, 16), "deep_supervision": False}),
}
FIXED_SIZE = {"swin_unet", "unet_timm, Swin"}


def made(case: str, channels: int = 1) -> tuple[nn.Module, int]:
    name, size, options = CASES[case]
    return create(name, channels=channels, size=size, **options), size


def test_every_network_keeps_the_contract() -> None:
    assert {name for name, _, _ in CASES.values()} == set(NETWORKS)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channels", [1, 3])
def test_forward_and_backward(case: str, channels: int) -> None:
    torch.manual_seed(0)
    network, size = made(case, channels)
    images = torch.randn(2, channels, size, size)
    output = network(images)
    assert output.mask_logits.shape == (2, 1, size, size)
    assert output.mask_logits.dtype == torch.float32
    total = output.mask_logits.mean()
    name, _, options = CASES[case]
    assert (output.presence_logits is not None) is has_presence_head(name, options)
    if output.presence_logits is not None:
        assert output.presence_logits.shape == (2,)
        total = total + output.presence_logits.mean()
    for logits in output.deep_logits:
        assert logits.shape[:2] == (2, 1)
        total = total + logits.mean()
    if has_own_loss(name):
        masks = torch.zeros(2, 2, size, size)  # two instances in the first film, none in the second
        masks[0, 0, 8:40, 4:30] = masks[0, 1, 44:60, 40:50] = 1.0
        losses = network.losses(images, masks)
        assert losses.shape == (2,)
        total = losses.mean()
    total.backward()
    gradients = [p.grad for p in network.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_one_film_can_be_trained_on(case: str) -> None:
    network, size = made(case)
    assert network.train()(torch.rand(1, 1, size, size)).mask_logits.isfinite().all()


@pytest.mark.parametrize("case", [c for c in CASES if has_own_loss(CASES[c][0])])
def test_a_batch_without_positives_has_a_loss_of_its_own(case: str) -> None:
    torch.manual_seed(0)
    network, size = made(case)
    images, none = torch.rand(2, 1, size, size), torch.zeros(2, 1, size, size)
    losses = network.train().losses(images, none)
    losses.mean().backward()
    assert losses.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
    with torch.inference_mode():  # the same each time, whatever was drawn before
        first = network.eval().losses(images, none)
        torch.rand(3)
        assert torch.equal(first, network.losses(images, none))


@pytest.mark.parametrize("case", [c for c in CASES if not has_own_loss(CASES[c][0])])
def test_a_batch_without_positives_has_a_loss_and_gradients(case: str) -> None:
    torch.manual_seed(0)
    network, size = made(case)
    images, none = torch.rand(2, 1, size, size), torch.zeros(2, 1, size, size)
    output = network.train()(images)
    terms = [LossTerm("bce_dice")]  # a recipe's default, and the same on what else there is
    terms += [LossTerm("bce", on="presence")] if output.presence_logits is not None else []
    terms += [LossTerm("bce_dice", on="deep")] if output.deep_logits else []
    losses = weighted_sum(terms)(output, none)
    assert losses.shape == (2,)
    assert losses.isfinite().all()
    losses.mean().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize("case", CASES)
def test_starts_near_the_prior_of_the_background(case: str) -> None:
    torch.manual_seed(0)
    network, size = made(case)
    with torch.inference_mode():
        probability = network.eval()(torch.rand(1, 1, size, size)).mask_logits.sigmoid().mean()
    assert 0.0005 < float(probability) < 0.2


@pytest.mark.parametrize("case", sorted(set(CASES) - FIXED_SIZE))
def test_odd_sizes(case: str) -> None:
    network, _ = made(case)
    with torch.inference_mode():
        assert network.eval()(torch.rand(1, 1, 75, 98)).mask_logits.shape == (1, 1, 75, 98)


@pytest.mark.parametrize("case", CASES)
def test_bf16_stays_close_to_float32(case: str) -> None:
    torch.manual_seed(0)
    network, size = made(case)
    network.eval()
    images = torch.rand(1, 1, size, size)
    with torch.inference_mode():
        exact = network(images).float()
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(images).float()
    if not exact.boxes:
        off = exact.mask_logits.sigmoid() - rough.mask_logits.sigmoid()
        assert float(off.abs().max()) < 0.05
        return
    # Untrained boxes score alike: which of them are best, and so the map, hangs on the last digit.
    torch.testing.assert_close(exact.presence_logits, rough.presence_logits, rtol=0, atol=0.05)
    mask = torch.zeros(1, 1, size, size)
    mask[0, 0, 8:40, 4:30] = 1.0
    with torch.inference_mode():
        exact = network.losses(images, mask)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network.losses(images, mask)
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_weights_survive_a_file(case: str, tmp_path) -> None:
    network, size = made(case)
    save_file(network.eval().state_dict(), tmp_path / "weights.safetensors")
    other, _ = made(case)
    other.eval().load_state_dict(read_weights(tmp_path / "weights.safetensors"))
    images = torch.rand(1, 1, size, size)
    with torch.inference_mode():
        assert torch.equal(network(images).mask_logits, other(images).mask_logits)


def test_swin_unet_is_swin_tiny_with_five_blocks_and_a_1x1_head() -> None:
    network = create("swin_unet", channels=1, size=224)
    with torch.inference_mode():
        maps = network.encoder(torch.rand(1, 1, 224, 224))
    assert [m.shape[-1] for m in maps] == [96, 192, 384, 768]
    assert [m.shape[1] for m in maps] == [56, 28, 14, 7]
    assert len(network.decoder.blocks) == 5
    assert network.head.kernel_size == (1, 1)
    assert parameter_count(network) == sum(p.numel() for p in network.parameters())


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'swin_unet'"):
        create("swinunet", channels=1, size=224)
    with pytest.raises(UnknownName, match="encoder"):
        create("unet_timm", channels=1, size=64, encoders="resnet18")
    with pytest.raises(UnknownName, match="resnet18"):
        create("unet_timm", channels=1, size=64, encoder="resnet_18")


def test_impossible_options_are_recipe_errors() -> None:
    with pytest.raises(RecipeError, match="unet_timm at 1x64x64"):
        create("unet_timm", channels=1, size=64, decoder_channels=(8,))
    with pytest.raises(RecipeError, match="encoder"):
        create("unet_timm", channels=1, size=64, encoder="mixer_b16_224")
    with pytest.raises(UnknownName, match="'5' is no known timm architecture"):
        create("unet_timm", channels=1, size=64, encoder=5)


def test_decoder_meets_each_finer_map_then_only_doubles() -> None:
    decoder = UNetDecoder((8, 16, 32), (24, 12, 6, 4))
    maps = [torch.rand(1, c, s, s) for c, s in ((8, 16), (16, 8), (32, 4))]
    assert decoder(maps, (64, 64)).shape == (1, 4, 64, 64)
    assert [block[0].in_channels for block in decoder.blocks] == [32 + 16, 24 + 8, 12, 6]


def test_an_encoder_of_three_channels_starts_one_of_a_single_channel() -> None:
    torch.manual_seed(0)
    colour = timm_encoder("resnet18", channels=3).eval()
    grey = timm_encoder("resnet18", channels=1).eval()
    assert load_encoder(grey, dict(colour.state_dict()), "a test") == ()
    plane = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        for a, b in zip(grey(plane), colour(plane.expand(1, 3, 64, 64)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_an_encoder_of_a_single_channel_starts_one_of_three() -> None:
    torch.manual_seed(0)
    grey = timm_encoder("resnet18", channels=1).eval()
    colour = timm_encoder("resnet18", channels=3).eval()
    assert load_encoder(colour, dict(grey.state_dict()), "a test") == ()
    third = colour.state_dict()["conv1.weight"][:, 2:] * 3
    torch.testing.assert_close(third, grey.state_dict()["conv1.weight"])
    plane = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        for a, b in zip(colour(plane.expand(1, 3, 64, 64)), grey(plane), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_network_is_described_with_its_own_channels() -> None:
    names = ("mask_rcnn", "unet", "anatomy")
    assert [default_channels(name) for name in names] == [3, 1, 1]
    with pytest.raises(UnknownName, match="mask_rcnn"):
        default_channels("mask_rcn")


def test_weights_of_another_architecture_are_refused(tmp_path) -> None:
    encoder = timm_encoder("resnet18", channels=1)
    other = timm_encoder("mobilenetv2_100", channels=1)
    with pytest.raises(RecipeError, match=r"fits \d+ of the encoder's"):
        load_encoder(encoder, dict(other.state_dict()), "mobilenet.safetensors")
    with pytest.raises(RecipeError, match="does not exist"):
        read_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(RecipeError, match="is not a safetensors file"):
        read_weights(tmp_path / "bad.safetensors")
