"""Reading films: bytes -> `Radiograph`, and SIIM run lengths <-> masks."""

from pleura.read.rle import decode_rle, encode_rle

__all__ = ["decode_rle", "encode_rle"]
