"""Reading films: bytes -> `Radiograph`, and SIIM run lengths <-> masks.

read            any film, by its content
read_dicom      a DICOM file
read_image      a PNG, JPEG, WebP or TIFF file
is_dicom        whether a file that starts so is DICOM
Limits          how large a film may be
encode_rle, decode_rle
"""

from pleura.errors import UnrecognisedFormat
from pleura.radiograph import Radiograph
from pleura.read import dicom, image
from pleura.read.dicom import is_dicom, read_dicom
from pleura.read.image import read_image
from pleura.read.quiet import quiet
from pleura.read.rle import decode_rle, encode_rle
from pleura.read.source import DEFAULT_LIMITS, NO_FILM, Limits, Source, load, name_of, named


def read(source: Source, *, limits: Limits = DEFAULT_LIMITS, name: str | None = None) -> Radiograph:
    """One film from a file of any format pleura reads; its content decides, never its name.

    Args:
        source: a path, the file's bytes, or a binary stream (read from where it stands).
        limits: on bytes and pixels, checked before anything is decoded.
        name: what to call the film, in its `source` and in errors; by default what `source` is called.

    Returns:
        The film; `notes` tell what was chosen or repaired.

    Raises:
        ReadError: the film cannot be used; its subclasses say why. Nothing else is raised, and no
            message quotes patient data.
    """
    name = name_of(source) if name is None else name
    with named(name), quiet():
        data = load(source, limits)
        kind = image.format_of(data[:16])
        if kind is not None and data[128:132] != b"DICM":  # a preamble may hold a TIFF header
            return image.radiograph(data, kind, name, limits)
        if is_dicom(data[:132]):
            return dicom.radiograph(data, name, limits)
        raise UnrecognisedFormat(NO_FILM)


__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "decode_rle",
    "encode_rle",
    "is_dicom",
    "read",
    "read_dicom",
    "read_image",
]
