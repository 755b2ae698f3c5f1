"""pleura finds pneumothorax on chest radiographs. Research software, not a medical device.

finding = pleura.Detector.load("bundle")(pleura.read("film.dcm"))
"""

import logging

from pleura.errors import PleuraError
from pleura.extent import Extent
from pleura.finding import Finding, Lesion
from pleura.inference.detector import Detector
from pleura.radiograph import Radiograph
from pleura.read import read

__version__ = "0.1.0"
__all__ = [
    "Detector",
    "Extent",
    "Finding",
    "Lesion",
    "PleuraError",
    "Radiograph",
    "__version__",
    "read",
]

logging.getLogger("pleura").addHandler(logging.NullHandler())
