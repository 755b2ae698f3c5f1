"""What runs inside the processes that open untrusted files; nothing here is trusted by the service."""

import json
import logging
import math
import os
import re
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import date
from io import BytesIO
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from pleura.errors import DecodeError, PleuraError, ResultError, UnsupportedFilm
from pleura.radiograph import Radiograph
from pleura.read import Limits, read
from pleura.read.dicom import RESULTS_OF
from pleura.read.quiet import quiet
from pleura.read.values import text
from pleura.read.viewing import Viewing, read_for_viewing
from pleura.service.rasters import mask_png
from pleura.service.zips import ZipBounds, unpack

THUMBNAIL = 256
_FACTS = [f.name for f in fields(Radiograph) if f.name not in ("pixels", "header", "source")]
_MAX_TEXT = 200
_UID = re.compile(r"[0-9.]{1,64}")

_OPTIONS = {"Limits.max_pixels": "--pixel-limit", "Limits.max_bytes": "--film-limit"}
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
"""What a reason quotes of a film's header."""

Parts = Sequence[bytes]
Result = tuple[dict[str, Any], list[bytes | memoryview]]


def serve(pipe: Connection, max_memory: int) -> None:
    """Answers requests until the pipe closes."""
    _confine(max_memory)
    while True:
        try:
            request = json.loads(pipe.recv_bytes())
            parts = [pipe.recv_bytes() for _ in range(request.pop("parts"))]
        except (EOFError, OSError):
            return
        header, answered = _answer(request, parts)
        pipe.send_bytes(json.dumps({**header, "parts": [len(part) for part in answered]}).encode())
        for part in answered:
            pipe.send_bytes(part)


def _confine(max_memory: int) -> None:
    cv2.setNumThreads(1)
    for asked in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # the service ends them, once what it asked is answered
        signal.signal(asked, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):  # elsewhere the limit is not kept, or kills at once
        resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    logging.disable(logging.CRITICAL)  # libraries may quote the header: patient data
    warnings.filterwarnings("ignore", module="pydicom")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    parent = parent_process()
    if parent is not None:  # none outlives a killed service, stuck in a file
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _answer(request: dict[str, Any], parts: Parts) -> Result:
    try:
        return OPERATIONS[request["do"]](request, parts)
    except PleuraError as error:
        reason = str(error).removeprefix(": ")
        for library, option in _OPTIONS.items():
            reason = reason.replace(library, option)
        if request["do"] == "deidentify":  # nothing of the header is kept
            reason = _QUOTED.sub("…", reason)
        return {"error": type(error).__name__, "reason": reason}, []
    except MemoryError:
        reason = "it needs more memory than a film may; reduce it first"
        return {"error": "FilmTooLarge", "reason": reason}, []
    except Exception as error:  # whatever a library makes of a damaged file; its words may quote it
        reason = f"it cannot be used ({type(error).__name__}); the file is damaged"
        return {"error": "DecodeError", "reason": reason}, []


def _nothing(request: dict[str, Any], parts: Parts) -> Result:
    return {}, []


def _open(request: dict[str, Any], parts: Parts) -> Result:
    """A film's facts, its pixels as float32, and its thumbnail."""
    film, viewing = read_for_viewing(
        Path(request["path"]), limits=Limits(**request["limits"]), name=""
    )
    facts = {name: _plain(getattr(film, name)) for name in _FACTS}
    facts["notes"] = [note[:500] for note in film.notes[:50]]
    header = {
        "film": facts | {"rows": film.shape[0], "columns": film.shape[1]},
        "viewing": viewing_facts(viewing),
        "study_date": _date(film),
    }
    return header, [film.pixels.data.cast("B"), thumbnail(film.pixels)]


def _pixels(request: dict[str, Any], parts: Parts) -> Result:
    _, viewing = read_for_viewing(
        Path(request["path"]), limits=Limits(**request["limits"]), name=""
    )
    pixels = np.ascontiguousarray(viewing.pixels, viewing.pixels.dtype.newbyteorder("<"))
    return {}, [pixels.data.cast("B")]


def _unpack(request: dict[str, Any], parts: Parts) -> Result:
    """The members of a zip, unpacked to a folder."""
    bounds = ZipBounds(**request["bounds"])
    members = [
        {"name": m.name, "path": None if m.path is None else m.path.name, "reason": m.reason}
        for m in unpack(Path(request["path"]), Path(request["into"]), bounds)
    ]
    return {"members": members}, []


def _mask(request: dict[str, Any], parts: Parts) -> Result:
    """A drawn mask, checked and written anew: 0 and 255, on the film's matrix."""
    wanted = (int(request["columns"]), int(request["rows"]))
    image = Image.open(BytesIO(parts[0]), formats=("PNG",))
    if image.size != wanted:
        raise DecodeError(
            f"the mask is {image.size[1]}x{image.size[0]}, the film {wanted[1]}x{wanted[0]}; "
            "draw it on the film's own matrix"
        )
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "P"):
        raise DecodeError("the mask has more than 8 bits; save it as 8-bit grey PNG")
    grey = image.convert("L") if image.mode in ("1", "P") else image
    inside = np.asarray(grey.getchannel(0)) > 127
    return {"area_px": int(inside.sum())}, [mask_png(inside)]


def _overlay(request: dict[str, Any], parts: Parts) -> Result:
    """The film with its finding, as JPEG; the parts are mask, heat map and lungs, PNG, empty if need be."""
    from pleura.outputs.overlay import overlay
    from pleura.service.findings import finding_from

    film = read(Path(request["path"]), limits=Limits(**request["limits"]), name="film")
    finding = finding_from(request["finding"], film.shape, *parts)
    picture = overlay(
        film, finding, size=request["size"], heat=request["heat"], caption=request["caption"]
    )
    return {}, [_jpeg(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), 90)]


def _dicom(request: dict[str, Any], parts: Parts) -> Result:
    """DICOM results of a film, those of the kinds asked for that its finding has; parts as of `_overlay`."""
    from pleura.outputs.dicom import dicom_files
    from pleura.service.findings import finding_from

    film = read(Path(request["path"]), limits=Limits(**request["limits"]), name="film")
    finding = finding_from(request["finding"], film.shape, *parts)
    try:
        made = dicom_files(film, finding, geometry=request["geometry"])
    except ResultError as error:
        raise UnsupportedFilm(str(error).removeprefix("film: ")) from None
    return {}, [made[kind] for kind in request["kinds"] if kind in made]


def _instance(request: dict[str, Any], parts: Parts) -> Result:
    """What a DICOM file is, by its UIDs, and whether it is a result of ours."""
    with quiet():
        tags = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Manufacturer"]
        header = dcmread(Path(request["path"]), stop_before_pixels=True, specific_tags=tags)
        uids = {name: text(header, name) or "" for name in tags[:3]}
        ours = text(header, "Manufacturer") == RESULTS_OF
    if not all(map(_UID.fullmatch, uids.values())):
        raise DecodeError("it does not say by its UIDs what it is")
    return {**uids, "ours": ours}, []


def _deidentify(request: dict[str, Any], parts: Parts) -> Result:
    """A film's file without what tells whose it is, written to another place."""
    from pleura.service.deidentify import deidentified

    data = deidentified(Path(request["path"]), parts[0], Limits(**request["limits"]))
    Path(request["into"]).write_bytes(data)
    return {}, []


OPERATIONS: dict[str, Callable[[dict[str, Any], Parts], Result]] = {
    "nothing": _nothing,
    "open": _open,
    "pixels": _pixels,
    "unpack": _unpack,
    "mask": _mask,
    "overlay": _overlay,
    "dicom": _dicom,
    "instance": _instance,
    "deidentify": _deidentify,
}
"""What can be asked for; each is given the request and its parts, and answers with JSON types and parts."""


def viewing_facts(viewing: Viewing) -> dict[str, Any]:
    """What a viewer must know of the pixels, as JSON types."""
    rows, columns = viewing.pixels.shape
    return {
        "rows": rows,
        "columns": columns,
        "format": "u8" if viewing.maximum == 255 else "u16le",
        "maximum": viewing.maximum,
        "stage": viewing.stage,
        "bytes": viewing.pixels.nbytes,
        "windows": [window._asdict() for window in viewing.windows],
    }


def thumbnail(pixels: NDArray[np.float32]) -> bytes:
    """A small JPEG of a film."""
    rows, columns = pixels.shape
    factor = THUMBNAIL / max(rows, columns)
    size = max(1, round(columns * factor)), max(1, round(rows * factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return _jpeg(np.rint(np.clip(small, 0.0, 1.0) * 255.0).astype(np.uint8), 85)


def _jpeg(picture: NDArray[np.generic], quality: int) -> bytes:
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", np.asarray(picture), how)[1].tobytes()


def _plain(value: Any) -> Any:
    """A fact as JSON has it, its texts of a bounded length and without what is no text."""
    if isinstance(value, str):
        return (
            "".join(c for c in value[:_MAX_TEXT] if c.isprintable())
            .encode("utf-8", "replace")
            .decode()
        )
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _date(film: Radiograph) -> str | None:
    """The study's date in ISO 8601."""
    said = text(film.header, "StudyDate") if film.header is not None else None
    if said is None or len(said) != 8 or not said.isascii() or not said.isdigit():
        return None
    try:
        return date.fromisoformat(said).isoformat()
    except ValueError:  # no day that there is
        return None
