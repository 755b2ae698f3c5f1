"""What both demos show: each command as it is said, and films with their findings for a page."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.cli.progress import console
from pleura.finding import Finding
from pleura.radiograph import Radiograph

PICTURE_PX = 448


def say(command: str) -> str:
    """Prints a command before it is carried out, and gives it back."""
    console.print(f"\n$ {command}", style="bold cyan", highlight=False)
    return command


def shown(
    film: Radiograph, finding: Finding, truth: NDArray[np.bool_] | None, label: int | None
) -> dict[str, Any]:
    """A film for a page: a picture with the outlines of label and finding, and the facts."""
    from pleura.outputs.html import jpeg_uri
    from pleura.outputs.measures import words
    from pleura.outputs.overlay import overlay

    picture = overlay(film, finding, truth, PICTURE_PX, caption=False)
    located = finding.lung_fields is not None
    sizes = [words(extent) for extent in finding.extents] if located else []
    return {"picture": jpeg_uri(picture), "label": label, "sizes": sizes, **finding.facts()}
