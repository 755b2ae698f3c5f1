"""What each U-Net is by its paper: layers, sizes, wiring."""

import pytest
import torch
from torch import nn

from pleura.errors import RecipeError
from pleura.networks import create, has_presence_head, parameter_count
from pleura.networks.blocks import ASPP, ScSE, SqueezeExcite
from pleura.networks.unet import crop, mirror, mirrored_length


@pytest.mark.parametrize(
    ("length", "mirrored"),
    [(388, 572), (389, 588), (512, 700), (516, 700), (517, 716), (1, 188), (4, 188)],
)
def test_unpadded_sizes(length: int, mirrored: int) -> None:
    # 572 gives 388 and 700 gives 516; the smallest possible input, 188, gives 4.
    assert mirrored_length(length, levels=4, padded=False) == mirrored


def test_padded_sizes_are_multiples_of_the_stride() -> None:
    sides = [mirrored_length(n, levels=4, padded=True) for n in (1, 16, 17, 512)]
    assert sides == [16, 16, 32, 512]


def test_mirrored_length_is_what_the_network_can_take() -> None:
    network = create("unet", channels=1, size=64, filters=(2, 2, 2), dropout=0.0).eval()
    pooled = []
    network.pool.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0].shape[2:]))
    for length in range(30, 50):
        with torch.inference_mode():
            assert network(torch.rand(1, 1, length, 33)).mask_logits.shape[2:] == (length, 33)
    assert all(side % 2 == 0 for shape in pooled for side in shape)  # no pooling loses an edge


def test_mirroring_repeats_no_edge_and_goes_on_as_long_as_it_must() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
    assert mirror(row, 1, 5).flatten().tolist() == [2, 1, 2, 3, 2]
    assert mirror(row, 1, 11).flatten().tolist() == [1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3]
    assert mirror(row, 3, 3)[0, 0].tolist() == [[1, 2, 3]] * 3
    assert mirror(row, 1, 3) is row
    assert torch.equal(crop(mirror(row, 9, 15), 1, 3), row)


def test_unet_sees_the_image_where_it_is() -> None:
    # With convolutions that pass their middle on, the output is the image itself: nothing is shifted.
    network = create("unet", channels=1, size=64, filters=(1, 1), dropout=0.0).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
            middle = module.kernel_size[0] // 2
            module.weight.data[:, 0, middle, middle] = 1.0
    image = torch.rand(1, 1, 41, 38)
    with torch.inference_mode():
        torch.testing.assert_close(network(image).mask_logits, image)


def test_unet_has_23_convolutional_layers_and_31_million_parameters() -> None:
    with torch.device("meta"):
        network = create("unet", channels=1, size=512)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23
    assert parameter_count(network) == 31_030_593


def test_nested_unet_is_wired_as_in_the_paper() -> None:
    with torch.device("meta"):
        network = create("unetpp", channels=1, size=256)
    inputs = [[block[0].in_channels for block in column] for column in network.nested]
    assert inputs == [
        [32 + 64, 64 + 128, 128 + 256, 256 + 512],
        [2 * 32 + 64, 2 * 64 + 128, 2 * 128 + 256],
        [3 * 32 + 64, 3 * 64 + 128],
        [4 * 32 + 64],
    ]
    assert parameter_count(network) == pytest.approx(9.16e6, rel=0.01)  # 9.04 M without batch norm


def test_the_nested_unets_mask_is_the_mean_of_its_heads() -> None:
    network = create("unetpp", channels=1, size=32, filters=(2, 4, 8)).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 1, 32, 32))
    assert len(output.deep_logits) == 2
    mean = (output.deep_logits[0] + output.deep_logits[1]) / 2
    torch.testing.assert_close(output.mask_logits, mean)


def test_the_second_network_sees_the_image_under_the_first_mask() -> None:
    options = {"encoder": "vgg11_bn", "filters": (2, 2, 2, 2), "aspp_filters": 2}
    network = create("double_unet", channels=3, size=32, **options).eval()
    seen = []
    network.second_encoder[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        output = network(images)
    torch.testing.assert_close(seen[0], images * output.deep_logits[0].sigmoid())
    assert len(network.decoder) == len(network.second_decoder) == 4


def test_impossible_options() -> None:
    with pytest.raises(RecipeError, match="a VGG of timm; got resnet18"):
        create("double_unet", channels=1, size=64, encoder="resnet18")
    with pytest.raises(RecipeError, match="four levels"):
        create("double_unet", channels=1, size=64, encoder="vgg11", filters=(2, 2))
    for name in ("unet", "unetpp"):
        with pytest.raises(RecipeError, match="at least two levels"):
            create(name, channels=1, size=64, filters=(8,))


def test_whether_there_is_a_presence_head_may_be_an_option() -> None:
    assert not has_presence_head("unet_timm")
    assert has_presence_head("unet_timm", {"presence_head": True})
    assert not has_presence_head("unet", {"filters": (2, 2)})


def test_squeeze_excite_by_hand() -> None:
    block = SqueezeExcite(2, reduction=2)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 2, 3, 3)
    torch.testing.assert_close(block(x), x * 0.5)  # a gate of sigmoid(0)
    block.gate[3].bias.data = torch.tensor([100.0, -100.0])
    torch.testing.assert_close(block(x)[0, 0], x[0, 0])
    assert block(x)[0, 1].abs().max() < 1e-30


def test_scse_by_hand() -> None:
    block = ScSE(1)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    block.place[0].weight.data.fill_(1.0)
    x = torch.tensor([[[[0.0, 2.0]]]])
    expected = x * 0.5 + x * torch.tensor([0.5, 1 / (1 + torch.exp(torch.tensor(-2.0)))])
    torch.testing.assert_close(block(x), expected)


def test_aspp_keeps_the_size_and_knows_the_mean() -> None:
    block = ASPP(3, 5).eval()
    assert block(torch.rand(1, 3, 4, 7)).shape == (1, 5, 4, 7)
    assert block.together[0].in_channels == 5 * 5
    assert [view[0].dilation[0] for view in block.views] == [1, 6, 12, 18]
