"""A film and findings for it."""

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from pleura.finding import PNEUMOTHORAX, Finding, Lesion, ModelIdentity
from pleura.radiograph import Radiograph

MODEL = ModelIdentity("made-up", "1", "ab" * 32)


def box_film() -> Radiograph:
    """A grey film of 60x80."""
    return Radiograph(np.full((60, 80), 0.5, np.float32), 8, "png", "x.png")


def dicom_of(film: Radiograph) -> Radiograph:
    """The film as if it had come from an archive."""
    header = Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    header.SOPInstanceUID, header.StudyInstanceUID, header.SeriesInstanceUID = (
        "1.2.3",
        "1.2",
        "1.2.1",
    )
    return replace(film, source_format="dicom", header=header)


def findings_of(film: Radiograph) -> tuple[Finding, Finding, Finding]:
    """A positive finding with a box of 400 px, a negative one, and a declined one."""
    mask = np.zeros(film.shape, np.bool_)
    mask[20:40, 10:30] = True
    common = (MODEL, film.source)
    lesion = Lesion("right", "convention", 400, 400 / mask.size, None, (20, 10, 40, 30), 0.9)
    return (
        Finding(
            *(PNEUMOTHORAX, "positive", "High.", *common),
            probability=0.9,
            mask=mask,
            lesions=(lesion,),
        ),
        Finding(PNEUMOTHORAX, "negative", "Low.", *common, probability=0.1, mask=mask & False),
        Finding(PNEUMOTHORAX, "declined", "It is a lateral view.", *common),
    )
