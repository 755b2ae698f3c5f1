"""Augmentation sets by name. Each step changes the film, and its mask where geometry moves.

    step.py       what a step is; one now and then, or one of several
    geometry.py   steps that move the film, and the mask with it
    grey.py       steps that change grey levels only
    hemithorax.py films of two halves, before any step
    collapse.py   collapses painted into negative films, before any step
    sets.py       the table of named sets

A step takes (image, mask, rng): image float32 (S, S) in [0, 1], mask uint8 (S, S) of 0 or 255, and a NumPy
generator, and returns the pair in the same form. Everything random comes from the generator, so a film's
augmentation is a function of the seed it is given, whichever process makes it.

The arithmetic is OpenCV's and NumPy's. torchvision v2 and kornia do the same steps; on one core they take
several times as long where geometry moves (`benchmarks/augment.py`, figures in its README), draw from torch's
global generator rather than from one that a film brings along, and have no CLAHE (torchvision) or no JPEG of
grey films (kornia). albumentations is no longer developed, and asks a registry for updates when imported.
"""

from pleura.data.augment.collapse import painted_collapse
from pleura.data.augment.hemithorax import hemithorax_cutmix
from pleura.data.augment.sets import AUGMENTATIONS, augment

__all__ = ["AUGMENTATIONS", "augment", "hemithorax_cutmix", "painted_collapse"]
