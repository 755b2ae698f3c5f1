"""The corpus layouts: a source folder -> `Case`s, without decoding a pixel.

A new layout is one file with a `cases` function and one line in `LAYOUTS`.
"""

from collections.abc import Callable, Mapping

from pleura.data.corpora import folders, siim
from pleura.data.corpora.case import Case, CorpusSpec, Corrections, read_specs
from pleura.data.corpora.listing import first_named, kinds
from pleura.errors import CorpusError, UnknownName

Cases = tuple[list[Case], list[tuple[str, str]]]

LAYOUTS: Mapping[str, Callable[[CorpusSpec], Cases]] = {
    "siim": siim.cases,
    "folders": folders.cases,
}


def find_cases(spec: CorpusSpec) -> Cases:
    """The cases of a corpus, sorted by path, and (source, reason) for what has no film.

    Raises:
        CorpusError: the root is missing, of no known layout, or a table in it cannot be used.
    """
    if not spec.root.is_dir():
        raise CorpusError(f"{spec.root} is no folder; give the corpus's root")
    layout = detect_layout(spec) if spec.layout == "auto" else spec.layout
    if layout not in LAYOUTS:
        raise UnknownName.among("corpus layout", layout, LAYOUTS)
    found, failures = LAYOUTS[layout](spec)
    return sorted(found, key=lambda case: case.path), failures


def detect_layout(spec: CorpusSpec) -> str:
    """The layout that the root's contents speak for.

    Raises:
        CorpusError: there is neither a DICOM file nor an image in it.
    """
    pair = any(all((spec.root / name).is_dir() for name in names) for names in folders.PAIRS)
    if spec.masks or pair:
        return "folders"
    names = siim.ANNOTATIONS + siim.FOLDERS
    if (
        spec.annotations
        or first_named(spec.root, names)
        or spec.root.resolve().name in siim.FOLDERS
    ):
        return "siim"
    found = (kind for _, _, kind in kinds(spec.root, lambda _: None))
    if any(kind in ("dicom", "image") for kind in found):
        return "folders"
    raise CorpusError(
        f"{spec.root} holds no film: neither DICOM files (*.dcm) nor PNG, JPEG, WebP or TIFF images"
    )


__all__ = [
    "LAYOUTS",
    "Case",
    "CorpusSpec",
    "Corrections",
    "detect_layout",
    "find_cases",
    "read_specs",
]
