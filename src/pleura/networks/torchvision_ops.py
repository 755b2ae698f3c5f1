"""Lets torchvision import, and run, beside a torch it was not compiled for.

torchvision's wheels on the package index are linked against CUDA. Next to a CPU build of torch their
compiled operators do not load, and `import torchvision` (so timm too) ends in ``RuntimeError:
operator torchvision::nms does not exist``, because torchvision attaches shape functions to operators
that were never defined. That an operator of the name exists is all the import needs.

`nms` and `roi_align`, which Mask R-CNN needs, are given implementations in plain torch
(`pleura.networks.reference_ops`). No network here calls one of the others, so these are names without an
implementation: torch raises NotImplementedError if one is called. Where the compiled operators load, nothing
is touched.
"""

import importlib
import importlib.util
import logging
from pathlib import Path

import torch

from pleura.networks import reference_ops

log = logging.getLogger(__name__)

# Every operator that torchvision 0.21 to 0.28 attaches a shape function to.
NAMES = (
    "nms",
    "qnms",
    "roi_align",
    "qroi_align",
    "_roi_align_backward",
    "ps_roi_align",
    "_ps_roi_align_backward",
    "roi_pool",
    "_roi_pool_backward",
    "ps_roi_pool",
    "_ps_roi_pool_backward",
    "deform_conv2d",
    "_deform_conv2d_backward",
)

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
}
"""Of those that are implemented, as torchvision declares them."""

_declared: list[torch.library.Library] = []  # a Library's declarations live as long as it does


def compiled_operators_load() -> bool:
    """Whether the installed torchvision's own compiled operators work with the installed torch."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError as error:
            log.info("torchvision's compiled operators do not load: %s", error)
            return False
    return True  # loaded, or a platform that names the library otherwise and needs no help


def declare_missing() -> bool:
    """Declares torchvision's operators where its compiled ones do not load; says whether they were."""
    if not _declared and not compiled_operators_load():
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in NAMES:
            library.define(SCHEMAS.get(name, f"{name}(Tensor placeholder) -> Tensor"))  # type: ignore[no-untyped-call]
        library.impl("nms", reference_ops.nms, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        # On both keys: gradients then flow through the torch operators it is made of.
        for key in ("CompositeExplicitAutograd", "Autograd"):
            library.impl("roi_align", reference_ops.roi_align, key)  # type: ignore[no-untyped-call]
        _declared.append(library)
    return bool(_declared)


def provide_missing() -> None:
    """Makes `torchvision.ops.nms` and `roi_align` callable, by the compiled operators or by ours."""
    if declare_missing():
        for name in ("torchvision.extension", "torchvision.ops.roi_align"):
            # Asked before each call; what the import found is none, and a compiler would be sought.
            vars(importlib.import_module(name))["_has_ops"] = _has_ops


def _has_ops() -> bool:  # in a form that torch.jit can compile, as an export of the network does
    return True
