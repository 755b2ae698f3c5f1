"""What the distribution `pleura-weights` holds: the model that is used when none is named, and its parts."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pleura.errors import BundleError
from pleura.inference.bundle import MANIFEST

DISTRIBUTION = "pleura-weights"
ANATOMY_RUN = "anatomy.json"  # what every anatomy run has
_MODULE = "pleura_weights"
SHIPPED = "shipped"
"""What stands for the bundle that `pleura-weights` holds wherever a bundle is named."""


def default_bundle() -> Path:
    """The bundle that the installed `pleura-weights` holds.

    Raises:
        BundleError: it is not installed, or holds none that this pleura finds.
    """
    needed = "the trained model, which judges where no other bundle is named, is not installed"
    return _held("BUNDLE", MANIFEST, needed, "bundle", "a bundle that `pleura export` made")


def shipped_evaluations() -> tuple[Path, ...]:
    """The folders of what `pleura evaluate` wrote of the shipped bundle; none where there are none.

    Raises:
        BundleError: as `default_bundle`.
    """
    default_bundle()
    place = getattr(import_module(_MODULE), "EVALUATION", None)
    if not isinstance(place, Path) or not place.is_dir():
        return ()
    return tuple(sorted(one for one in place.iterdir() if one.is_dir()))


def shipped_anatomy() -> Path:
    """The folder of the finished anatomy run that the installed `pleura-weights` holds.

    Raises:
        BundleError: it is not installed, or holds none that this pleura finds.
    """
    needed = "the trained anatomy network is not installed"
    return _held("ANATOMY", ANATOMY_RUN, needed, "anatomy run", "a run of `pleura train-anatomy`")


def _held(name: str, file: str, needed: str, what: str, instead: str) -> Path:
    """The folder that the module names, when it holds a file."""
    try:
        held = import_module(_MODULE)
    except ModuleNotFoundError as error:
        if error.name != _MODULE:
            raise
        raise BundleError(
            f"{needed}: in a checkout of pleura, pip install ./weights ({DISTRIBUTION}, under a licence of "
            f"its own, for research use); or name {instead}"
        ) from None
    place = getattr(held, name, None)
    if not isinstance(place, Path) or not (place / file).is_file():
        raise BundleError(
            f"the installed {DISTRIBUTION} {_version()} holds no {what} that this pleura finds; name "
            f"{instead}, or install the two in versions that go together"
        )
    return place


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "(of unknown version)"
