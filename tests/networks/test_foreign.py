"""Checkpoints of other projects: what is read, what fits, and what is refused."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from pleura.cli import app
from pleura.errors import RecipeError, WeightsError
from pleura.networks import create
from pleura.networks.encoder import SHOWN, load_start, read_pretraining, read_shown, read_weights
from pleura.networks.foreign import NIH, fit_checkpoint, read_checkpoint, write_imported
from pleura.networks.torchvision_ops import declare_missing

SMALL = {"encoder": "resnet10t", "decoder_channels": (8, 8, 8, 8, 8)}


def small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return create("unet_timm", channels=1, size=64, **SMALL)


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture(scope="module")
def densenet() -> nn.Module:
    """torchvision's DenseNet-121 with fourteen outputs, as CheXNet is built."""
    declare_missing()
    from torchvision.models import densenet121

    torch.manual_seed(0)
    return densenet121(num_classes=14).eval()


@pytest.fixture(scope="module")
def chexnet_file(densenet: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the names of the well-known reimplementation: wrapped, and dotted as of old."""
    state = {}
    for name, tensor in densenet.state_dict().items():
        for part in ("norm", "conv"):
            for number in "12":
                name = name.replace(f".{part}{number}.", f".{part}.{number}.")
        state["module.densenet121." + name.replace("classifier.", "classifier.0.")] = tensor
    assert "module.densenet121.features.denseblock1.denselayer1.norm.1.weight" in state
    path = tmp_path_factory.mktemp("foreign") / "model.pth.tar"
    torch.save({"epoch": 7, "state_dict": state, "best_loss": 0.15}, path)
    return path


def test_chexnet_says_what_its_own_network_says(
    densenet: nn.Module, chexnet_file: Path, tmp_path: Path
) -> None:
    network = create("chexnet", channels=3, size=64).eval()
    fit = fit_checkpoint(network, read_checkpoint(chexnet_file), "chexnet")
    assert (len(fit.tensors), fit.by_order, fit.missing, fit.unused) == (fit.total, (), (), ())
    assert fit.pretraining == NIH
    write_imported(tmp_path / "c.safetensors", fit, chexnet_file, network="chexnet")
    assert read_pretraining(tmp_path / "c.safetensors") == NIH
    loaded = load_start(network, read_weights(tmp_path / "c.safetensors"), "c")
    assert loaded == (True, ())
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        pneumothorax = densenet(images)[:, 7]
        torch.testing.assert_close(
            network(images).presence_logits, pneumothorax, rtol=1e-4, atol=1e-4
        )


def test_chexnet_on_one_channel_sees_a_grey_film_as_it_did_on_three(
    densenet: nn.Module, chexnet_file: Path
) -> None:
    network = create("chexnet", channels=1, size=64).eval()
    fit = fit_checkpoint(network, read_checkpoint(chexnet_file), "chexnet")
    load_start(network, dict(fit.tensors), "c")
    grey = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = densenet(grey.expand(1, 3, 64, 64))[:, 7]
        torch.testing.assert_close(network(grey).presence_logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model_state_dict": state, "epoch": 3},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict": {f"model.net.{k}": v for k, v in state.items()}},
        lambda state: {f"module._orig_mod.{k}": v for k, v in state.items()},
        lambda state: {k.replace("encoder.", "backbone."): v for k, v in state.items()},
        lambda state: {k.replace("head.", "segmentation_head.0."): v for k, v in state.items()},
    ],
)
def test_wrappers_and_prefixes_are_seen_through(wrap, tmp_path: Path) -> None:
    theirs, ours = small(1), small(2)
    torch.save(wrap(theirs.state_dict()), tmp_path / "w.pth")
    fit = fit_checkpoint(ours, read_checkpoint(tmp_path / "w.pth"), "w")
    assert (len(fit.tensors), fit.by_order) == (fit.total, ())
    assert load_start(ours, dict(fit.tensors), "w") == (True, ())
    assert same(ours, theirs)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"epoch": 3, "state_dict": state, "best_acc1": torch.tensor(0.8)},
        lambda state: {"model": {"name": "unet"}, "net": state, "mean": torch.zeros(1)},
        lambda state: {"model": {"state_dict": state, "step": torch.tensor(9)}},
    ],
)
def test_a_tensor_beside_the_wrapped_ones_is_left(wrap, tmp_path: Path) -> None:
    state = small().state_dict()
    torch.save(wrap(state), tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").keys() == state.keys()


def test_what_weights_were_shown_goes_with_them(tmp_path: Path) -> None:
    films = "0123456789abcdef fedcba9876543210"
    ours = small()
    save_file(ours.state_dict(), tmp_path / "run.safetensors", {SHOWN: films})
    fit = fit_checkpoint(ours, read_checkpoint(tmp_path / "run.safetensors"), "run")
    out = tmp_path / "out.safetensors"
    write_imported(out, fit, tmp_path / "run.safetensors", network="unet_timm")
    assert read_shown(out) == set(films.split())


def test_other_names_are_matched_by_shape_and_order_when_that_leaves_no_choice() -> None:
    theirs = small(1)
    renamed = {k.replace("decoder.blocks.", "up."): v for k, v in theirs.state_dict().items()} | {
        "aux.weight": torch.zeros(77)
    }
    ours = small(2)
    fit = fit_checkpoint(ours, renamed, "w")
    assert len(fit.tensors) == fit.total
    assert fit.by_order
    assert all(name.startswith("decoder.blocks.") for name in fit.by_order)
    assert fit.unused == ("aux.weight",)
    load_start(ours, dict(fit.tensors), "w")
    assert same(ours, theirs)


def test_an_order_that_leaves_a_choice_is_not_guessed() -> None:
    state = dict(small(1).state_dict())
    names = [k for k in state if k.startswith("decoder.blocks.4.")]
    moved = {k: v for k, v in state.items() if k not in names}
    # One more tensor of a kind that the decoder has: which is which cannot be told.
    moved |= {k.replace("decoder.blocks.4.", "last."): state[k] for k in names}
    moved["extra.weight"] = torch.zeros(8)
    fit = fit_checkpoint(small(2), moved, "w")
    assert fit.by_order == ()
    assert set(fit.missing) == {k for k in names if not k.endswith("num_batches_tracked")}
    assert "extra.weight" in fit.unused


def test_two_names_of_one_spelling_are_not_guessed() -> None:
    state = dict(small(1).state_dict())
    state["model.head.bias"] = state["head.bias"] + 1
    fit = fit_checkpoint(small(2), state, "w")
    assert "head.bias" in fit.missing


def test_another_architecture_is_refused_with_the_reason() -> None:
    other = create("unet_timm", channels=1, size=64, encoder="resnet18")
    with pytest.raises(WeightsError, match=r"fits \d+ of the network's \d+ tensors; nine in ten"):
        fit_checkpoint(small(), dict(other.state_dict()), "w")
    broken = dict(small().state_dict())
    broken["head.bias"] = torch.tensor([float("nan")])
    with pytest.raises(WeightsError, match=r"not finite: head\.bias"):
        fit_checkpoint(small(), broken, "w")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil-was-here",)


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": small().state_dict(), "extra": Evil()}, path)
    with pytest.raises(WeightsError, match="without running code"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError, match="without running code"):
        read_checkpoint(path)
    torch.save(small(), path)  # a whole network, classes and all
    with pytest.raises(WeightsError, match=r"holds a [\w.]+\); .* state_dict\(\) alone") as told:
        read_checkpoint(path)
    assert "weights_only" not in str(told.value)  # torch's advice: to run what is in the file
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04.", b"text" * 99])
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError):
            read_checkpoint(tmp_path / name)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_checkpoint(tmp_path / "w.pth")


def test_the_verb_says_what_fitted(tmp_path: Path) -> None:
    theirs = small(1)
    torch.save(
        {k: v for k, v in theirs.state_dict().items() if k != "head.bias"}, tmp_path / "b.pth"
    )
    out = tmp_path / "new" / "b.safetensors"
    out.parent.mkdir()
    (out.parent / ".b.safetensors.9999999.partial").touch()  # of a process that was killed
    command = [
        "import-weights",
        str(tmp_path / "b.pth"),
        "--network",
        "unet_timm",
        "--out",
        str(out),
    ]
    command += ["--option", "encoder=resnet10t", "--option", "decoder_channels=[8,8,8,8,8]"]
    done = CliRunner().invoke(app, [*command, "--pretraining", "PadChest"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "by name, 0 by shape and order" in said
    assert "Not found; they start at random: head.bias." in said
    assert "Marked as trained on PadChest" in said
    assert list(out.parent.iterdir()) == [out]
    with safe_open(out, framework="pt") as file:
        assert file.metadata()["source"] == "b.pth"
        assert file.metadata()["pretraining"] == "PadChest"
        assert len(file.metadata()["source_sha256"]) == 64
    wrong = CliRunner().invoke(app, [*command[:-1], "decoder_channels"])
    assert isinstance(wrong.exception, RecipeError)
    wrong = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "b.bin")])
    assert isinstance(wrong.exception, RecipeError)
    before = out.read_bytes()
    wrong = CliRunner().invoke(app, [command[0], str(out), *command[2:]])
    assert "itself" in str(wrong.exception)
    assert out.read_bytes() == before


@pytest.mark.parametrize("separator", [".", "_"])
def test_a_swin_unet_of_either_spelling_of_its_stages(separator: str, tmp_path: Path) -> None:
    """timm's Swin calls them layers.0; as a feature extractor, which newer checkpoints hold, layers_0."""
    torch.manual_seed(1)
    theirs = create("swin_unet", channels=1, size=32)
    renamed = {
        k.replace("encoder.layers_", f"module.encoder.layers{separator}"): v
        for k, v in theirs.state_dict().items()
    }
    assert any(f"layers{separator}3.blocks.0.attn" in name for name in renamed)
    torch.save({"epoch": 12, "model_state_dict": renamed}, tmp_path / "best_swin_unet.pth")
    out = tmp_path / "swin.safetensors"
    command = ["import-weights", str(tmp_path / "best_swin_unet.pth"), "--network", "swin_unet"]
    done = CliRunner().invoke(app, [*command, "--size", "32", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "by name, 0 by shape and order" in " ".join(done.output.split())
    torch.manual_seed(2)
    ours = create("swin_unet", channels=1, size=32)
    assert load_start(ours, read_weights(out), "swin") == (True, ())
    assert same(ours, theirs)


def test_a_checkpoint_of_three_channels_stays_one_where_the_network_takes_three(
    tmp_path: Path,
) -> None:
    options = {"encoder": "resnet18", "box_units": 16}
    theirs = create("mask_rcnn", channels=3, size=64, **options)
    torch.save(theirs.state_dict(), tmp_path / "best_model.pth")
    out = tmp_path / "m.safetensors"
    command = ["import-weights", str(tmp_path / "best_model.pth"), "--network", "mask_rcnn"]
    command += [part for k, v in options.items() for part in ("--option", f"{k}={v}")]
    assert CliRunner().invoke(app, [*command, "--out", str(out)]).exit_code == 0
    first = read_weights(out)["encoder.conv1.weight"]
    assert torch.equal(first, theirs.state_dict()["encoder.conv1.weight"])
    done = CliRunner().invoke(app, [*command, "--out", str(out), "--channels", "1"])
    assert done.exit_code == 0, done.output
    ours = create("mask_rcnn", channels=3, size=64, **options)
    assert load_start(ours, read_weights(out), "m") == (True, ())
    shared = ours.state_dict()["encoder.conv1.weight"].sum(dim=1)
    torch.testing.assert_close(shared, first.sum(dim=1))


def test_a_start_from_the_whole_network_or_from_its_encoder() -> None:
    theirs, ours = small(1), small(2)
    assert load_start(ours, dict(theirs.encoder.state_dict()), "w") == (False, ())
    assert same(ours.encoder, theirs.encoder)
    assert not torch.equal(ours.head.weight, theirs.head.weight)
    assert load_start(ours, dict(theirs.state_dict()), "w") == (True, ())
    assert torch.equal(ours.head.weight, theirs.head.weight)
    without = {k: v for k, v in theirs.state_dict().items() if k != "encoder.conv1.0.weight"}
    assert load_start(ours, without, "w") == (True, ("encoder.conv1.0.weight",))
    alone = {k.removeprefix("encoder."): v for k, v in without.items() if k.startswith("encoder.")}
    assert load_start(ours, alone, "w") == (False, ("encoder.conv1.0.weight",))
    lame = {k: v for k, v in theirs.state_dict().items() if "layer4" not in k}
    with pytest.raises(RecipeError, match="that the network is to start from"):
        load_start(ours, lame, "w")
