"""What pleura was trained to. For research; not a medical device."""

from pathlib import Path

BUNDLE = Path(__file__).parent / "pleura-v1"
"""What `pleura.Detector.load()` opens."""

EVALUATION = Path(__file__).parent / "evaluation"
"""What `pleura evaluate` wrote of that bundle, a folder each; `pleura card` shows the numbers."""

ANATOMY = Path(__file__).parent / "anatomy"
"""What `pleura export --anatomy shipped` puts into a bundle: a finished run of `pleura train-anatomy`."""
