"""The named sets: which steps, how strong and how often."""

from collections.abc import Mapping, Sequence

import numpy as np

from pleura.data.augment.geometry import (
    Affine,
    Elastic,
    GridDistortion,
    LensDistortion,
    SizedCrop,
    flip_horizontal,
    flip_vertical,
)
from pleura.data.augment.grey import (
    BrightnessContrast,
    Clahe,
    Gamma,
    GaussianNoise,
    Recompression,
)
from pleura.data.augment.step import Image, Mask, OneOf, Sometimes, Step
from pleura.errors import UnknownName

_CONTRAST_GAMMA_OR_BRIGHTNESS = OneOf(
    (BrightnessContrast(0.0, 0.2), Gamma(1.25), BrightnessContrast(0.2, 0.0))
)

AUGMENTATIONS: Mapping[str, Sequence[Step]] = {
    "none": (),
    # Mirrored and squeezed chests do occur; upside-down ones do not.
    "light": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.8, Affine(0.06, 0.15, 0.25, 12.0)),
        Sometimes(0.5, BrightnessContrast(0.15, 0.25)),
        Sometimes(0.5, Gamma(1.5)),
        Sometimes(0.3, GaussianNoise(0.03)),
    ),
    # All that may differ between hospitals and copies: pose, aspect (SIIM's films are squeezed to squares, a
    # hospital's are not), exposure, processing, and how the file was resized and compressed on its way.
    "full": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.8, Affine(0.06, 0.15, 0.25, 12.0)),
        Sometimes(0.25, SizedCrop(0.75)),
        Sometimes(0.2, Elastic(130.0, 10.0, 0.0)),
        Sometimes(0.15, Clahe(3.0, 8)),
        Sometimes(0.5, BrightnessContrast(0.15, 0.25)),
        Sometimes(0.5, Gamma(1.5)),
        Sometimes(0.3, GaussianNoise(0.03)),
        Sometimes(0.5, Recompression()),
    ),
    # The Swin-Tiny U-Net project's: vertical flip, brightness and contrast, noise, CLAHE, affine.
    "swin-unet": (
        Sometimes(0.5, flip_vertical),
        Sometimes(0.5, BrightnessContrast(0.2, 0.2)),
        Sometimes(0.3, GaussianNoise(0.05)),
        Sometimes(0.3, Clahe(4.0, 8)),
        Sometimes(0.5, Affine(0.0625, 0.1, 0.0, 15.0)),
    ),
    # CheXNet's (arXiv 1711.05225): films mirrored. The cascade built on it names no other.
    "chexnet-cascade": (Sometimes(0.5, flip_horizontal),),
    # The Mask R-CNN project names none; torchvision's own training of that network mirrors.
    "mask-rcnn": (Sometimes(0.5, flip_horizontal),),
    # The pneumonia project's original U-Net has none.
    "unet-original": (),
    # The computer-aided diagnosis project's, with its probabilities and sizes (176 of 256 px); its CLAHE has
    # 32 tiles a side, 8 px each at 256, which amplifies noise: kept, since it is theirs.
    "cad": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.5, Affine(0.0625, 0.1, 0.0, 45.0, edges="mirror")),
        Sometimes(0.5, Elastic(120.0, 6.0, 3.6)),
        Sometimes(0.3, _CONTRAST_GAMMA_OR_BRIGHTNESS),
        Sometimes(0.5, OneOf((SizedCrop(176 / 256), Clahe(2.0, 32)), weights=(0.25, 0.4))),
    ),
    # The SIIM-ACR winner's (sneddy, 2019). A lens distortion of 2 folds the corners over; it is theirs.
    "siim-first-place": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.3, _CONTRAST_GAMMA_OR_BRIGHTNESS),
        Sometimes(
            0.3,
            OneOf((Elastic(120.0, 6.0, 3.6), GridDistortion(5, 0.3), LensDistortion(2.0, 0.5))),
        ),
        Sometimes(0.5, Affine(0.0625, 0.1, 0.0, 45.0, edges="mirror")),
    ),
    # The SIIM-ACR fourth place's (amirassov, 2019), but for its crops of 512 from 768.
    "siim-fourth-place": (
        Sometimes(0.5, flip_horizontal),
        Sometimes(0.3, BrightnessContrast(0.2, 0.2)),
        Sometimes(
            0.3,
            OneOf(
                (
                    Elastic(120.0, 6.0, 3.6, edges="black"),
                    GridDistortion(5, 0.3, edges="black"),
                    LensDistortion(2.0, 0.5, edges="black"),
                )
            ),
        ),
        Sometimes(0.5, Affine(0.2, 0.2, 0.0, 20.0)),
    ),
}


def augment(name: str, image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Passes film and mask through the set `name`.

    Raises:
        UnknownName: there is no such set.
    """
    if name not in AUGMENTATIONS:
        raise UnknownName.among("augmentation set", name, AUGMENTATIONS)
    for step in AUGMENTATIONS[name]:
        image, mask = step(image, mask, rng)
    return image, mask
