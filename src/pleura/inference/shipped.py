"""The model that is used when none is named: that of the distribution `pleura-weights`."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pleura.errors import BundleError
from pleura.inference.bundle import MANIFEST

DISTRIBUTION = "pleura-weights"
_MODULE = "pleura_weights"


def default_bundle() -> Path:
    """The bundle that the installed `pleura-weights` holds.

    Raises:
        BundleError: it is not installed, or holds none that this pleura finds.
    """
    try:
        held = import_module(_MODULE)
    except ModuleNotFoundError as error:
        if error.name != _MODULE:
            raise
        raise BundleError(
            f"no bundle was named, and the trained model is not installed: pip install {DISTRIBUTION} "
            "(under a licence of its own, for research use), or name a bundle that `pleura export` made"
        ) from None
    place = getattr(held, "BUNDLE", None)
    if not isinstance(place, Path) or not (place / MANIFEST).is_file():
        raise BundleError(
            f"the installed {DISTRIBUTION} {_version()} holds no bundle that this pleura finds; name one "
            "that `pleura export` made, or install the two in versions that go together"
        )
    return place


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "(of unknown version)"
