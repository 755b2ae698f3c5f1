"""The trained model of pleura, as a bundle. For research; not a medical device."""

from pathlib import Path

BUNDLE = Path(__file__).parent / "pleura-v1"
"""What `pleura.Detector.load()` opens."""
