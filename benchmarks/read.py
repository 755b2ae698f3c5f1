# ruff: noqa: T201
"""Milliseconds to decode a film of each compressed transfer syntax: pleura, and the decoders it chose among.

    python benchmarks/read.py [--rows N] [--columns N] [--rounds N]

The film is made up: waves with a detector's noise, 12 bits (8 for JPEG Baseline), which compresses about as
films do. The ways take turns and change their order. All must give the same samples; lossy ones within one
grey level. `GIL` is the share of its time that a decoder keeps every other Python thread waiting.
"""

import argparse
import io
import statistics
import threading
import time
from collections.abc import Callable

import cv2
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pleura.read import Limits
from pleura.read.dicom_pixels import complete_description, decode

Way = Callable[[], np.ndarray]
OTHERS = ("pydicom", "gdcm", "pylibjpeg", "pyjpegls", "pillow")


def film(rows: int, columns: int, bits: int) -> np.ndarray:
    """Waves with noise, in `bits`."""
    y, x = np.mgrid[:rows, :columns]
    noise = np.random.default_rng(0).normal(0, 0.003, (rows, columns))
    grey = (np.sin(x / 90) + np.cos(y / 70) + 2) / 4 + noise
    levels = (grey * (2**bits - 1)).round().clip(0, 2**bits - 1)
    return levels.astype(np.uint8 if bits == 8 else np.uint16)


def stored(samples: np.ndarray, bits: int, syntax: UID) -> bytes:
    """A DICOM file of the samples in a transfer syntax."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    ds.Rows, ds.Columns = samples.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * samples.itemsize, bits, bits - 1
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", samples.tobytes()
    if syntax in FRAMES:
        frame = FRAMES[syntax](samples, bits)
        ds.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
        ds["PixelData"].VR, meta.TransferSyntaxUID = "OB", syntax
    else:
        ds.compress(syntax, encoding_plugin=ENCODERS[syntax], generate_instance_uid=False)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


FRAMES: dict[UID, Callable[[np.ndarray, int], bytes]] = {
    JPEGBaseline8Bit: lambda a, bits: imagecodecs.jpeg8_encode(a, level=92),
    JPEGExtended12Bit: lambda a, bits: imagecodecs.jpeg8_encode(
        a, level=92, bitspersample=bits
    ).replace(b"\xff\xc0", b"\xff\xc1", 1),
    JPEGLosslessSV1: lambda a, bits: imagecodecs.jpeg8_encode(
        a, lossless=True, predictor=1, bitspersample=bits
    ),
}
ENCODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}


def ways_for(data: bytes, syntax: UID) -> dict[str, Way]:
    """pleura's way to the samples, and each installed plugin of pydicom."""

    def pleura() -> np.ndarray:
        ds = pydicom.dcmread(io.BytesIO(data))
        complete_description(ds, [])
        return decode(ds, Limits(), [])

    def plugin(name: str) -> Way:
        def one() -> np.ndarray:
            ds = pydicom.dcmread(io.BytesIO(data))
            ds.pixel_array_options(decoding_plugin=name, raw=True)
            return ds.pixel_array

        return one

    there = get_decoder(syntax).available_plugins
    return {"pleura": pleura} | {name: plugin(name) for name in OTHERS if name in there}


def waiting_share(way: Way) -> float:
    """The longest time that another Python thread waited while the way ran, as a share of it."""
    stop, last, longest = threading.Event(), time.perf_counter(), 0.0
    thread = threading.Thread(target=lambda: (way(), stop.set()))
    began = time.perf_counter()
    thread.start()
    while not stop.is_set():
        time.sleep(0.0002)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    thread.join()
    return min(1.0, longest / (time.perf_counter() - began))


def compare(ways: dict[str, Way], rounds: int, *, lossy: bool) -> None:
    """Measures and prints the ways to one film."""
    reference, refused = ways["pleura"]().astype(int), []
    for name, way in ways.items():
        try:
            worst = int(np.abs(way().astype(int) - reference).max())
        except Exception as error:  # a plugin may not do this kind
            refused.append(name)
            print(f"    {name:10s} cannot ({type(error).__name__})")
            continue
        if worst > lossy:
            raise SystemExit(f"{name} differs by {worst} grey levels")
    names = [name for name in ways if name not in refused]
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            ways[name]()
            times[name].append(1e3 * (time.perf_counter() - began))
    for name in names:
        ratios = [a / b for a, b in zip(times[name], times["pleura"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"    {name:10s}{statistics.median(times[name]):9.1f} ms{middle:8.2f} x "
            f"({low:.2f} to {high:.2f}), GIL {waiting_share(ways[name]):4.0%}"
        )


def main() -> None:
    """Goes through the transfer syntaxes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    for syntax in (*FRAMES, *ENCODERS):
        bits = 8 if syntax == JPEGBaseline8Bit else 12
        data = stored(film(given.rows, given.columns, bits), bits, syntax)
        print(f"{syntax.name}, {given.rows}x{given.columns}, {bits} bits, {len(data) / 1e6:.1f} MB")
        compare(ways_for(data, syntax), given.rounds, lossy=syntax in list(FRAMES)[:2])


if __name__ == "__main__":
    main()
