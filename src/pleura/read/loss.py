"""What compression has taken from a film, as its header must say it (PS3.3 C.7.6.1.1.5)."""

from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from pleura.read.values import count, texts

_METHODS = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    JPEG2000MC: "ISO_15444_2",
    HTJ2K: "ISO_15444_15",
}
"""Transfer syntaxes that may lose detail, and what they are called there."""


def complete_compression(ds: Dataset) -> None:
    """Puts in what a header leaves out of a loss of detail: that there is one, how, and how far.

    Args:
        ds: with its pixels; of those that are lossless by their transfer syntax nothing is known but what the
            header says.
    """
    method = _METHODS.get(ds.file_meta.TransferSyntaxUID)
    if method is None:
        return
    ds.LossyImageCompression = "01"
    if not texts(ds, "LossyImageCompressionMethod"):
        ds.LossyImageCompressionMethod = method
    methods, ratios = (count(ds, f"LossyImageCompression{name}") for name in ("Method", "Ratio"))
    if methods == 1 and not ratios:
        samples = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel)
        raw = samples * int(ds.BitsAllocated) // 8
        ds.LossyImageCompressionRatio = f"{raw / len(ds.PixelData):.4g}"
