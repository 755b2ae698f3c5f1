"""The files of a folder, in a fixed order."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

DICOM = frozenset({".dcm", ".dicom"})
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})


def files(root: Path, suffixes: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Yields (file, path relative to `root` with `/`) at any depth, sorted; hidden ones are skipped.

    Links to folders are not followed, so a loop of links ends.
    """
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                path = Path(folder, name)
                yield path, path.relative_to(root).as_posix()


def place(file: Path, root: Path) -> str:
    """`file` as the manifest names it: relative to `root` with `/`, or whole where it lies elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def first_named(root: Path, names: tuple[str, ...]) -> str | None:
    """The first of `names` that exists in `root`, or None."""
    return next((name for name in names if (root / name).exists()), None)
