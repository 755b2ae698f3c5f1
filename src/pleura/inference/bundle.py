"""The bundle: one directory, or its zip, that holds a model and everything needed to trust it.

    BUNDLE/
      bundle.json           identity, networks, operating point, metrics, data card, checksums
      weights.safetensors   the network's tensors, for PyTorch
      network.onnx          the network as an exported graph, for the other runtimes

Each network has one of the two files, or both; those of several are weights-1.safetensors, network-1.onnx
and so on, in order. Nothing in it is ever unpickled; every file is checked against its SHA-256 before use.
"""

import hashlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pleura.errors import BundleError
from pleura.files import PARTIAL, remove_partial
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

_OWN = re.compile(r"weights(-\d+)?\.safetensors|network(-\d+)?\.onnx")

Parts = Sequence[bytes | None]
"""A file's bytes for each member, in their order; None where a member has no such file."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened; make one with `open_bundle`.

    Attributes:
        manifest: what `bundle.json` says.
        identity: name, version and the SHA-256 of `bundle.json`, which covers every other file.
        files: the members' files by name. Those of a bundle on the disk are read, and checked against their
            SHA-256, when they are asked for: a runtime needs some of them only.
    """

    manifest: BundleManifest
    identity: ModelIdentity
    files: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def in_memory(cls, manifest: BundleManifest, weights: Parts, graphs: Parts = ()) -> "Bundle":
        """A bundle that was never written, for a model that is still being made.

        Raises:
            BundleError: there is not a file for each member.
        """
        files = _named(manifest, weights, graphs)
        digest = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in files.values()))
        identity = ModelIdentity(manifest.name, manifest.version, digest.hexdigest())
        return cls(manifest, identity, files)

    @property
    def weights(self) -> tuple[bytes | None, ...]:
        """Each member's safetensors file; raises BundleError where one is damaged."""
        return tuple(self._file(name) for name in weights_names(len(self.manifest.members)))

    @property
    def graphs(self) -> tuple[bytes | None, ...]:
        """Each member's exported graph, an ONNX file; raises BundleError where one is damaged."""
        return tuple(self._file(name) for name in graph_names(len(self.manifest.members)))

    @property
    def has_weights(self) -> bool:
        """Whether every member has a safetensors file."""
        return all(name in self.files for name in weights_names(len(self.manifest.members)))

    @property
    def has_graphs(self) -> bool:
        """Whether every member has an exported graph."""
        return all(name in self.files for name in graph_names(len(self.manifest.members)))

    def _file(self, name: str) -> bytes | None:
        return self.files.get(name)


class _OnDisk(Mapping[str, bytes]):
    """The files of a bundle on the disk, read and checked when they are asked for."""

    def __init__(self, path: Path, checksums: Mapping[str, str]) -> None:
        self._path, self._checksums = path, checksums

    def __getitem__(self, name: str) -> bytes:
        return _checked(self._path, name, self._checksums[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._checksums)

    def __len__(self) -> int:
        return len(self._checksums)

    def __contains__(self, name: object) -> bool:  # without reading the file
        return name in self._checksums


def weights_names(count: int) -> list[str]:
    """What the members' weights are called in a bundle of `count` members."""
    return _numbered("weights", ".safetensors", count)


def graph_names(count: int) -> list[str]:
    """What the members' exported graphs are called in a bundle of `count` members."""
    return _numbered("network", ".onnx", count)


def _numbered(stem: str, suffix: str, count: int) -> list[str]:
    if count == 1:
        return [stem + suffix]
    return [f"{stem}-{number}{suffix}" for number in range(1, count + 1)]


def _named(manifest: BundleManifest, weights: Parts, graphs: Parts) -> dict[str, bytes]:
    """The members' files by name, of which each member has one at least."""
    count = len(manifest.members)
    weights, graphs = weights or [None] * count, graphs or [None] * count
    for what, parts in (("weights", weights), ("graphs", graphs)):
        if len(parts) != count:
            raise BundleError(f"a bundle of {count} members needs as many {what}; got {len(parts)}")
    if any(pair == (None, None) for pair in zip(weights, graphs, strict=True)):
        raise BundleError("each member of a bundle needs its weights, or its exported graph")
    pairs = [
        *zip(weights_names(count), weights, strict=True),
        *zip(graph_names(count), graphs, strict=True),
    ]
    return {name: data for name, data in pairs if data is not None}


def write_bundle(
    out: Path,
    manifest: BundleManifest,
    weights: Parts,
    *,
    graphs: Parts = (),
    zipped: bool = False,
) -> ModelIdentity:
    """Writes a bundle to `out`, a directory or a zip, whole or not at all, replacing an older bundle.

    Args:
        out: where.
        manifest: what it says of itself.
        weights: a safetensors file's bytes for each member, in their order; empty without any.
        graphs: an ONNX file's, likewise.
        zipped: write a zip.

    Raises:
        BundleError: `out` exists and is no bundle, or there is not a file for each member.
    """
    check_replaceable(out)
    files = _named(manifest, weights, graphs)
    described = asdict(manifest) | {
        "format_version": FORMAT_VERSION,
        "created": manifest.created or datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    text = json.dumps(described, indent=2, sort_keys=True).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_partial(out.parent, shared=True)
    ending = f".{os.getpid()}{PARTIAL}"
    with tempfile.TemporaryDirectory(ending, f".{out.name}-", out.parent) as scratch:
        whole = Path(scratch) / "bundle"
        if zipped:
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
                for name, data in {MANIFEST: text, **files}.items():
                    archive.writestr(name, data)
        else:
            whole.mkdir()
            for name, data in {MANIFEST: text, **files}.items():
                (whole / name).write_bytes(data)
        former = Path(scratch) / "former"
        if out.is_dir():  # a folder cannot be replaced in one step: the old one steps aside first
            os.replace(out, former)
        try:
            os.replace(whole, out)
        except BaseException:
            if former.exists():
                os.replace(former, out)
            raise
    return ModelIdentity(manifest.name, manifest.version, hashlib.sha256(text).hexdigest())


def open_bundle(path: Path | str) -> Bundle:
    """Opens the bundle at `path`, a directory or a zip; `shipped` is the one that `pleura-weights` holds.

    Raises:
        BundleError: there is none, it is of a format this pleura does not read, or its `bundle.json` is
            damaged. Other files are checked when they are asked for.
    """
    path = _place(Path(path))
    text = _file(path, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        described = json.loads(text)
        version, checksums = described.pop("format_version"), described.pop("files")
        manifest = manifest_from(described, version) if version in READABLE_VERSIONS else None
        if manifest is not None:
            _check_names(checksums, len(manifest.members))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{path}: its {MANIFEST} cannot be used: {error}; get the bundle again, or export it again"
        ) from error
    if manifest is None:
        raise BundleError(
            f"{path} is a bundle of format {version}; this pleura reads formats "
            f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}: install the pleura it was made with, "
            "or export it again"
        )
    identity = ModelIdentity(manifest.name, manifest.version, hashlib.sha256(text).hexdigest())
    return Bundle(manifest, identity, _OnDisk(path, checksums))


def _place(path: Path) -> Path:
    """Where the bundle lies: `shipped` is a name, unless a file or folder is called so."""
    from pleura.inference.shipped import SHIPPED, default_bundle

    return default_bundle() if str(path) == SHIPPED and not path.exists() else path


def _check_names(checksums: Mapping[str, str], count: int) -> None:
    """Refuses a list of files in which a member has none, or that names any other file."""
    pairs = list(zip(weights_names(count), graph_names(count), strict=True))
    strange = checksums.keys() - {name for pair in pairs for name in pair}
    if strange:
        raise ValueError(f"it lists files that no member has: {', '.join(sorted(strange))}")
    for pair in pairs:
        if not checksums.keys() & set(pair):
            raise ValueError(f"it lists neither {' nor '.join(pair)}")
    if not all(isinstance(sha256, str) for sha256 in checksums.values()):
        raise TypeError("checksums are texts")


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
        raise BundleError(
            f"{bundle} is no bundle: it holds no {name}; give one that `pleura export` wrote"
        ) from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(
            f"{bundle}: {name} cannot be read ({error}); give a bundle, a folder or a zip"
        ) from error
    if len(data) > limit:
        raise BundleError(f"{bundle}: {name} is larger than {limit} bytes, which no bundle needs")
    return data


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """`name` at the top of the archive, or inside its only folder, as some tools zip."""
    matches = [m for m in archive.namelist() if PurePosixPath(m).name == name and m.count("/") <= 1]
    if len(matches) != 1:
        raise KeyError(name)
    return matches[0]


def check_replaceable(out: Path) -> None:
    """Refuses a place where a bundle cannot be written without losing something else.

    Raises:
        BundleError: `out` exists and is no bundle.
    """
    if out.exists() and not _looks_like_bundle(out):
        raise BundleError(f"{out} exists and is no bundle; remove it or choose another place")


def _looks_like_bundle(path: Path) -> bool:
    """Whether nothing but a bundle would be lost with `path`."""
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
        return all(name == MANIFEST or _OWN.fullmatch(name) for name in names)
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
    return MANIFEST in names and all(_OWN.fullmatch(name) for name in names - {MANIFEST})


__all__ = [
    "CARD_HASH_CHARACTERS",
    "PRESENCE_HEAD",
    "TOP_PIXELS",
    "Bundle",
    "BundleManifest",
    "Member",
    "check_replaceable",
    "open_bundle",
    "write_bundle",
]
