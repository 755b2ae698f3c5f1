"""Which runtime runs a bundle here: what was asked for, or the quickest that is installed and can."""

import logging
import platform
from dataclasses import dataclass, replace

from pleura.errors import BundleError, DeviceUnavailable, MissingExtra
from pleura.inference.bundle import Bundle
from pleura.inference.manifest import ANATOMY, Member, checked_precisions
from pleura.inference.runtimes.base import AUTO, Runtime, RuntimeOptions
from pleura.inference.runtimes.graph import RuntimeRefusal
from pleura.inference.runtimes.onnx_runtime import OnnxRuntime
from pleura.inference.runtimes.open_vino import OpenVinoRuntime
from pleura.inference.runtimes.pytorch import TorchRuntime, gpu_is_usable

log = logging.getLogger(__name__)

_X86 = ("x86_64", "amd64", "i386", "i686")
_EXTRAS = {"openvino": "openvino", "onnxruntime": "onnxruntime", "torch": "train"}


@dataclass(frozen=True)
class Choice:
    """What runs a bundle's networks, in the members' order, and why that in one sentence."""

    runtimes: tuple[Runtime, ...]
    reason: str


def runtimes_for(bundle: Bundle, options: RuntimeOptions) -> Choice:
    """What is to run the networks of `bundle`, made ready.

    `auto` goes through the runtimes, the quickest first: torch where it finds a GPU, then OpenVINO on x86 and
    ONNX Runtime elsewhere, each other, and torch; it takes the first that is installed, whose files the
    bundle holds, and that accepts them.

    Raises:
        UnknownName: a network is not known.
        MissingExtra: what would run it is not installed.
        DeviceUnavailable: the device asked for is not there, or the runtime asked for cannot use it.
        BundleError: the bundle holds nothing for the runtime asked for, or its files are damaged.
    """
    if options.runtime == AUTO and options.device != "cuda":
        return _first_that_works(bundle, options)
    name = "torch" if options.runtime == AUTO else options.runtime
    if options.device == "cuda" and name != "torch":
        raise DeviceUnavailable(f"{name} runs on the cpu; with device cuda use runtime torch")
    lacking = _lacking(bundle, name, options)
    if lacking and options.runtime == AUTO:
        raise BundleError(f"device cuda needs {name}, but {lacking}; use device auto")
    if lacking:
        raise BundleError(f"runtime {name} was asked for, but {lacking}; use runtime auto")
    return _told(Choice(_made(name, bundle, options), "it was asked for"))


def _first_that_works(bundle: Bundle, options: RuntimeOptions) -> Choice:
    passed: list[str] = []
    missing: list[str] = []
    refused: BundleError | None = None
    for name in _order(options):
        lacking = _lacking(bundle, name, options)
        if lacking:
            passed.append(lacking)
            continue
        try:
            runtimes = _made(name, bundle, options)
        except MissingExtra:
            passed.append(f"{name} is not installed")
            missing.append(name)
        except RuntimeRefusal as error:
            log.warning("%s", error)
            passed.append(f"{name} cannot run it")
            refused = error
        else:
            because = f", as {' and '.join(dict.fromkeys(passed))}" if passed else ""
            return _told(Choice(runtimes, f"the quickest here{because}"))
    raise refused or _nothing_runs(bundle, missing)


def _order(options: RuntimeOptions) -> tuple[str, ...]:
    on_x86 = platform.machine().lower() in _X86
    cpu = ("openvino", "onnxruntime") if on_x86 else ("onnxruntime", "openvino")
    if options.device == AUTO and gpu_is_usable():
        return ("torch", *cpu)
    return (*cpu, "torch")


def _lacking(bundle: Bundle, name: str, options: RuntimeOptions) -> str | None:
    """Why the runtime cannot do this with this bundle, if so."""
    if name == "onnxruntime" and options.precision not in (AUTO, "f32"):
        return f"onnxruntime does not compute in {options.precision}"
    refused = bundle.manifest.exports.get("refused")
    if isinstance(refused, list) and name in refused and options.runtime == AUTO:
        return f"{name} does not run these networks"
    if name == "torch":
        return None if bundle.has_weights else "the bundle holds no safetensors"
    return None if bundle.has_graphs else "the bundle holds no exported graph"


def _nothing_runs(bundle: Bundle, missing: list[str]) -> MissingExtra:
    extras = sorted({_EXTRAS[name] for name in missing}, key=list(_EXTRAS.values()).index)
    ways = " or ".join(f"pip install 'pleura[{extra}]'" for extra in extras)
    kind = "an exported graph" if bundle.has_graphs else "safetensors alone"
    return MissingExtra(
        f"nothing that is installed runs this bundle, which holds {kind}. Install what does with: {ways}"
    )


def _told(choice: Choice) -> Choice:
    log.info("runtime %s: %s", ", ".join(sorted({r.name for r in choice.runtimes})), choice.reason)
    return choice


def _exact(options: RuntimeOptions) -> RuntimeOptions:
    """The same in f32: a distance from known films, which has a threshold, does not bear fewer digits."""
    return replace(options, precision="f32")


def _made(name: str, bundle: Bundle, given: RuntimeOptions) -> tuple[Runtime, ...]:
    """The runtime for each member; a damaged file ends this, whatever else the bundle holds."""
    checked = checked_precisions(bundle.manifest.exports, name)
    files = bundle.weights if name == "torch" else bundle.graphs

    def runtime(member: Member, file: bytes) -> Runtime:
        options = _exact(given) if member.role == ANATOMY else given
        if name == "torch":
            return TorchRuntime(member, file, options)
        if name == "onnxruntime":
            return OnnxRuntime(member, file, options)
        return OpenVinoRuntime(member, file, options, checked)

    pairs = zip(bundle.manifest.members, files, strict=True)
    return tuple(runtime(member, file) for member, file in pairs if file is not None)
