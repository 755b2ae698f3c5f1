"""The bundle: one directory, or its zip, that holds a model and everything needed to trust it.

    BUNDLE/
      bundle.json           identity, network, input, operating point, metrics, data card, checksums
      weights.safetensors   the network's tensors

Nothing in it is ever unpickled, and every file is checked against its SHA-256 before use.
"""

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pleura.errors import BundleError
from pleura.finding import PNEUMOTHORAX, ModelIdentity, Target
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec

FORMAT_VERSION = 1
MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
TOP_PIXELS = "mean of the top 0.1 % of pixel probabilities"
PRESENCE_HEAD = "the presence head's probability"
PRESENCE_SCORES = (TOP_PIXELS, PRESENCE_HEAD)
INTENDED_USE = (
    "Research on frontal chest radiographs of adults. Not a medical device: "
    "never use it to diagnose, treat or triage a patient."
)
CARD_HASH_CHARACTERS = 16
"""Of each training film's `pixel_sha256` in the data card: enough to know the film again."""

MAX_MANIFEST_BYTES = 4 << 20
MAX_FILE_BYTES = 4 << 30


@dataclass(frozen=True)
class BundleManifest:
    """What `bundle.json` says.

    Attributes:
        name, version: of the model.
        network, network_options: what `pleura.networks.create` builds.
        input: what the network takes.
        target: what is looked for.
        operating_point: decision rule, with the films it was fitted on.
        presence_score: how a film's score comes from the network's output, one of `PRESENCE_SCORES`.
        calibrator: None: the score is not calibrated.
        metrics: figures by part of the split, as measured; empty where none were.
        data_card: the training films: corpora, counts, split hash, pixel hashes.
        training: the recipe and what the run recorded.
        intended_use, licence, created: text.
    """

    name: str
    version: str
    network: str
    network_options: Mapping[str, Any]
    input: InputSpec
    target: Target = PNEUMOTHORAX
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)
    presence_score: str = TOP_PIXELS
    calibrator: None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data_card: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    intended_use: str = INTENDED_USE
    licence: str = "unstated"
    created: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "version", "network", "intended_use", "licence", "created"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is a text; got {getattr(self, name)!r}")
        for name in ("network_options", "metrics", "data_card", "training"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"{name} is a mapping; got {getattr(self, name)!r}")
        if self.calibrator is not None:
            raise ValueError("it has a calibrator, which this pleura cannot apply: update pleura")
        if self.presence_score not in PRESENCE_SCORES:
            raise ValueError(f"unknown presence score {self.presence_score!r}: update pleura")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened and whose checksums held; make one with `open_bundle`.

    Attributes:
        manifest: what `bundle.json` says.
        identity: name, version and the SHA-256 of `bundle.json`, which covers every other file.
        weights: the bytes of `weights.safetensors`.
    """

    manifest: BundleManifest
    identity: ModelIdentity
    weights: bytes = field(repr=False)

    @classmethod
    def in_memory(cls, manifest: BundleManifest, weights: bytes) -> "Bundle":
        """A bundle that was never written, for a model that is still being made."""
        digest = hashlib.sha256(weights).hexdigest()
        return cls(manifest, ModelIdentity(manifest.name, manifest.version, digest), weights)


def write_bundle(
    out: Path, manifest: BundleManifest, weights: bytes, *, zipped: bool = False
) -> ModelIdentity:
    """Writes a bundle to `out`, a directory or a zip, whole or not at all, replacing an older bundle.

    Raises:
        BundleError: `out` exists and is no bundle.
    """
    if out.exists() and not _looks_like_bundle(out):
        raise BundleError(f"{out} exists and is no bundle; remove it or choose another place")
    described = asdict(manifest) | {
        "format_version": FORMAT_VERSION,
        "created": manifest.created or datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {WEIGHTS: hashlib.sha256(weights).hexdigest()},
    }
    text = json.dumps(described, indent=2, sort_keys=True).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        whole = Path(scratch) / "bundle"
        if zipped:
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(MANIFEST, text)
                archive.writestr(WEIGHTS, weights)
        else:
            whole.mkdir()
            (whole / MANIFEST).write_bytes(text)
            (whole / WEIGHTS).write_bytes(weights)
        if out.is_dir():  # a folder cannot be replaced in one step: the old one steps aside first
            os.replace(out, Path(scratch) / "former")
        os.replace(whole, out)
    return ModelIdentity(manifest.name, manifest.version, hashlib.sha256(text).hexdigest())


def open_bundle(path: Path | str) -> Bundle:
    """Opens the bundle at `path`, a directory or a zip.

    Raises:
        BundleError: there is none, it is of another version, damaged or altered.
    """
    path = Path(path)
    text = _file(path, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        described = json.loads(text)
        version, expected = described.pop("format_version"), described.pop("files")[WEIGHTS]
        manifest = _manifest(described) if version == FORMAT_VERSION else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path}: its {MANIFEST} cannot be used: {error}") from error
    if manifest is None:
        raise BundleError(
            f"{path} is a bundle of format {version}; this pleura reads {FORMAT_VERSION}: "
            "install the pleura it was made with, or export it again"
        )
    weights = _file(path, WEIGHTS, MAX_FILE_BYTES)
    if hashlib.sha256(weights).hexdigest() != expected:
        raise BundleError(f"{path}: {WEIGHTS} does not match its checksum; get the bundle again")
    identity = ModelIdentity(manifest.name, manifest.version, hashlib.sha256(text).hexdigest())
    return Bundle(manifest, identity, weights)


def _manifest(described: dict[str, Any]) -> BundleManifest:
    return BundleManifest(
        **described
        | {
            "input": InputSpec(**described["input"]),
            "target": Target(**described["target"]),
            "operating_point": OperatingPoint(**described["operating_point"]),
        }
    )


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
        return {entry.name for entry in path.iterdir()} <= {MANIFEST, WEIGHTS}
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist()) == {MANIFEST, WEIGHTS}
    except (OSError, zipfile.BadZipFile):
        return False
