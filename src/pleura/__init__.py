"""pleura finds pneumothorax on chest radiographs. Research software, not a medical device."""

import logging

from pleura.errors import PleuraError
from pleura.finding import Finding, Lesion
from pleura.radiograph import Radiograph

__version__ = "0.1.0"
__all__ = ["Finding", "Lesion", "PleuraError", "Radiograph", "__version__"]

logging.getLogger("pleura").addHandler(logging.NullHandler())
