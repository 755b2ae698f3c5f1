"""The bundle: one directory, or its zip, that holds a model and everything needed to trust it.

    BUNDLE/
      bundle.json           identity, networks, operating point, metrics, data card, checksums
      weights.safetensors   the network's tensors; of several: weights-1.safetensors and so on, in order

Nothing in it is ever unpickled, and every file is checked against its SHA-256 before use.
"""

import hashlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pleura.errors import BundleError
from pleura.finding import ModelIdentity
from pleura.inference.manifest import (
    CARD_HASH_CHARACTERS,
    FORMAT_VERSION,
    PRESENCE_HEAD,
    READABLE_VERSIONS,
    TOP_PIXELS,
    BundleManifest,
    Member,
    manifest_from,
)

MANIFEST = "bundle.json"
MAX_MANIFEST_BYTES = 4 << 20
MAX_FILE_BYTES = 4 << 30

_WEIGHTS = re.compile(r"weights(-\d+)?\.safetensors")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened and whose checksums held; make one with `open_bundle`.

    Attributes:
        manifest: what `bundle.json` says.
        identity: name, version and the SHA-256 of `bundle.json`, which covers every other file.
        weights: the bytes of each member's safetensors file, in the members' order.
    """

    manifest: BundleManifest
    identity: ModelIdentity
    weights: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def in_memory(cls, manifest: BundleManifest, weights: Sequence[bytes]) -> "Bundle":
        """A bundle that was never written, for a model that is still being made."""
        digest = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in weights))
        identity = ModelIdentity(manifest.name, manifest.version, digest.hexdigest())
        return cls(manifest, identity, tuple(weights))


def weights_names(count: int) -> list[str]:
    """What the members' weights are called in a bundle of `count` members."""
    if count == 1:
        return ["weights.safetensors"]
    return [f"weights-{number}.safetensors" for number in range(1, count + 1)]


def write_bundle(
    out: Path, manifest: BundleManifest, weights: Sequence[bytes], *, zipped: bool = False
) -> ModelIdentity:
    """Writes a bundle to `out`, a directory or a zip, whole or not at all, replacing an older bundle.

    Args:
        out: where.
        manifest: what it says of itself.
        weights: a safetensors file's bytes for each member, in their order.
        zipped: write a zip.

    Raises:
        BundleError: `out` exists and is no bundle, or the weights are not one for each member.
    """
    if out.exists() and not _looks_like_bundle(out):
        raise BundleError(f"{out} exists and is no bundle; remove it or choose another place")
    if len(weights) != len(manifest.members):
        raise BundleError(
            f"a bundle of {len(manifest.members)} members needs as many weights; got {len(weights)}"
        )
    files = dict(zip(weights_names(len(weights)), weights, strict=True))
    described = asdict(manifest) | {
        "format_version": FORMAT_VERSION,
        "created": manifest.created or datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    text = json.dumps(described, indent=2, sort_keys=True).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        whole = Path(scratch) / "bundle"
        if zipped:
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
                for name, data in {MANIFEST: text, **files}.items():
                    archive.writestr(name, data)
        else:
            whole.mkdir()
            for name, data in {MANIFEST: text, **files}.items():
                (whole / name).write_bytes(data)
        if out.is_dir():  # a folder cannot be replaced in one step: the old one steps aside first
            os.replace(out, Path(scratch) / "former")
        os.replace(whole, out)
    return ModelIdentity(manifest.name, manifest.version, hashlib.sha256(text).hexdigest())


def open_bundle(path: Path | str) -> Bundle:
    """Opens the bundle at `path`, a directory or a zip.

    Raises:
        BundleError: there is none, it is of a format this pleura does not read, damaged or altered.
    """
    path = Path(path)
    text = _file(path, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        described = json.loads(text)
        version, checksums = described.pop("format_version"), described.pop("files")
        manifest = manifest_from(described, version) if version in READABLE_VERSIONS else None
        names = weights_names(len(manifest.members)) if manifest else []
        expected = {name: checksums[name] for name in names}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path}: its {MANIFEST} cannot be used: {error}") from error
    if manifest is None:
        raise BundleError(
            f"{path} is a bundle of format {version}; this pleura reads formats "
            f"{' and '.join(map(str, READABLE_VERSIONS))}: install the pleura it was made with, or export it "
            "again"
        )
    weights = tuple(_checked(path, name, sha256) for name, sha256 in expected.items())
    identity = ModelIdentity(manifest.name, manifest.version, hashlib.sha256(text).hexdigest())
    return Bundle(manifest, identity, weights)


def _checked(path: Path, name: str, sha256: str) -> bytes:
    data = _file(path, name, MAX_FILE_BYTES)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path}: {name} does not match its checksum; get the bundle again")
    return data


def _file(bundle: Path, name: str, limit: int) -> bytes:
    """The bytes of one file of a bundle, at most `limit` of them."""
    try:
        if bundle.is_dir():
            with (bundle / name).open("rb") as file:
                data = file.read(limit + 1)
        elif bundle.is_file():
            with zipfile.ZipFile(bundle) as archive, archive.open(_member(archive, name)) as file:
                data = file.read(limit + 1)
        else:
            raise BundleError(f"{bundle} does not exist; make a bundle with `pleura export`")
    except (FileNotFoundError, KeyError):
        raise BundleError(f"{bundle} is no bundle: it holds no {name}") from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{bundle}: {name} cannot be read ({error})") from error
    if len(data) > limit:
        raise BundleError(f"{bundle}: {name} is larger than {limit} bytes, which no bundle needs")
    return data


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """`name` at the top of the archive, or inside its only folder, as some tools zip."""
    matches = [m for m in archive.namelist() if PurePosixPath(m).name == name and m.count("/") <= 1]
    if len(matches) != 1:
        raise KeyError(name)
    return matches[0]


def _looks_like_bundle(path: Path) -> bool:
    """Whether nothing but a bundle would be lost with `path`."""
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
        return all(name == MANIFEST or _WEIGHTS.fullmatch(name) for name in names)
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
    return MANIFEST in names and all(_WEIGHTS.fullmatch(name) for name in names - {MANIFEST})


__all__ = [
    "CARD_HASH_CHARACTERS",
    "PRESENCE_HEAD",
    "TOP_PIXELS",
    "Bundle",
    "BundleManifest",
    "Member",
    "open_bundle",
    "write_bundle",
]
