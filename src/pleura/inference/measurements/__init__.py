"""How large a pneumothorax is, in the terms of the guidelines: `measure`."""

from pleura.inference.measurements.measure import measure

__all__ = ["measure"]
