"""What can be read of a DICOM file that cannot be parsed to its end.

pydicom then gives up the whole data set. Bytes behind the pixels (a transfer's padding) and a missing end of
the pixels' fragments are no reason to lose a film; pixels that are cut short are never given as whole.
"""

from io import BytesIO
from typing import Literal

import pydicom
from pydicom import DataElement
from pydicom.uid import UID, RLELossless

from pleura.read.dicom_pixels import ends_whole
from pleura.read.values import text

_PIXEL_DATA = 0x7FE00010
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # PS3.5 7.5; fragments are in Little Endian
_UNDEFINED = 0xFFFFFFFF


def salvaged(data: bytes, notes: list[str]) -> pydicom.FileDataset:
    """The header before the pixels, with these where they are whole; else without any."""
    file = BytesIO(data)
    ds = pydicom.dcmread(file, force=True, stop_before_pixels=True)
    at = file.tell()
    implicit, little = ds.original_encoding
    order: Literal["little", "big"] = "big" if little is False else "little"
    if data[at : at + 4] != b"".join(n.to_bytes(2, order) for n in (0x7FE0, 0x0010)):
        return ds  # it ends before, or is deflated
    start = at + (8 if implicit else 12)
    length = int.from_bytes(data[start - 4 : start], order)
    kind = "OW" if implicit else data[at + 4 : at + 6].decode("latin-1")
    if length != _UNDEFINED:
        found = data[start : start + length]
        is_whole = len(found) == length
    else:
        found, is_whole = _fragments(data, start, ds)
    if is_whole and kind in ("OB", "OW"):
        notes.append(
            "What should follow the pixels in the file is damaged or missing, and was left out."
        )
        ds[_PIXEL_DATA] = DataElement(_PIXEL_DATA, kind, found)
        ds[_PIXEL_DATA].is_undefined_length = length == _UNDEFINED
    return ds


def _fragments(data: bytes, start: int, ds: pydicom.FileDataset) -> tuple[bytes, bool]:
    """The offset table and fragments that begin at `start` (PS3.5 A.4), ended as they should be."""
    at, count = start, 0
    while data[at : at + 4] == _ITEM and at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if end > len(data):
            return b"", False
        at, count = end, count + 1
    found = data[start:at]
    is_ended = data[at : at + 4] == _END
    syntax = UID(text(ds.file_meta, "TransferSyntaxUID") or "")
    # Without the end, a last fragment might be missing; one frame of RLE has a single one (A.4.2).
    is_whole = count > 1 and (is_ended or syntax == RLELossless or ends_whole(found))
    return found + _END + b"\0\0\0\0", is_whole
