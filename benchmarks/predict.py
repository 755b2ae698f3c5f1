# ruff: noqa: T201
"""From a film's file to its finding, against the usual pipeline in eager PyTorch.

    python benchmarks/predict.py FILMS [--networks NAME ...] [--bundle BUNDLE ...] [--rounds N] [--count N]
                                 [--threads N] [--compile] [--no-archive] [--no-cold] [--keep FOLDER]

FILMS is a folder of DICOM files, all different. The networks have random weights of a fixed seed, which take
as long as trained ones; bundles given with --bundle (int8 ones, for instance) are measured beside them.

One at a time: the usual way is pydicom's `pixel_array`, OpenCV's resize, the network in float32, threshold,
and the map enlarged to the film; pleura's is `detector(read(path))`, in each runtime and precision there is,
which also finds lesions, checks the film and keeps its header's facts. --compile adds `torch.compile`, bf16.
Archive: `pleura predict`'s whole work, masks and table written, against the same network alone on inputs that
are ready. Cold: a whole process, from its start to the finding on disk, and the memory it held. The ways take
turns and change their order. For a CPU without AMX, set ONEDNN_MAX_CPU_ISA=AVX512_CORE.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import torch
from safetensors.torch import save
from torch.nn import functional as F

from pleura.archive import run
from pleura.archive.inputs import files_in
from pleura.archive.journal import Journal
from pleura.archive.run import Options, identity_of, predict_archive
from pleura.errors import PleuraError
from pleura.inference.bundle import BundleManifest, Member, open_bundle, write_bundle
from pleura.inference.detector import Detector
from pleura.inference.manifest import PRESENCE_HEAD, TOP_PIXELS
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec, network_input
from pleura.networks import create
from pleura.outputs.table import FindingTable
from pleura.read import read
from pleura.training.graph import graph_of

_R34 = {"encoder": "resnet34", "decoder_channels": [256, 128, 64, 32, 16]}
_JOINT = {"encoder": "mobilenetv2_100", "decoder_channels": [192, 96, 64, 48]}
NETWORKS: dict[str, Member] = {
    "joint": Member("joint", _JOINT, InputSpec(320), PRESENCE_HEAD),
    "unet-r34": Member("unet_timm", _R34, InputSpec(512), TOP_PIXELS),
    "swin-unet": Member("swin_unet", {}, InputSpec(224), TOP_PIXELS),
    "densenet": Member("chexnet", {}, InputSpec(224), PRESENCE_HEAD),
    "mask-rcnn": Member("mask_rcnn", {}, InputSpec(512, 3), PRESENCE_HEAD),
}
OURS = (
    ("openvino", "auto"),
    ("openvino", "bf16"),
    ("openvino", "f32"),
    ("onnxruntime", "f32"),
    ("torch", "f32"),
    ("torch", "bf16"),
)
USUAL = "usual: eager PyTorch"
COMPILED = "torch.compile bf16"
BATCH = 8

Way = Callable[[Path], object]


def bundle_of(name: str, folder: Path) -> Path:
    """A bundle of a network with random weights, and its exported graph where it can be exported."""
    out = folder / name
    if out.exists():
        return out
    member = NETWORKS[name]
    torch.manual_seed(0)
    weights = save(network(member).state_dict())
    try:
        graphs: Sequence[bytes] = [graph_of(member, weights)]
    except PleuraError as error:
        print(f"{name}: no graph ({error})")
        graphs = ()
    # Of random probabilities, near one half, none reaches these: no film has thousands of specks to draw.
    point = OperatingPoint(0.95, 0.0, 0.95)
    write_bundle(
        out, BundleManifest(name, "0", (member,), operating_point=point), [weights], graphs=graphs
    )
    return out


def network(member: Member) -> torch.nn.Module:
    """A member's network, ready to judge."""
    spec = member.input
    made = create(member.network, channels=spec.channels, size=spec.size, **member.network_options)
    return made.eval()


def usual(member: Member, weights: bytes, *, compiled: bool = False) -> Way:
    """What a notebook does."""
    from safetensors.torch import load

    net: Any = network(member)
    net.load_state_dict(load(weights))
    spec = member.input
    if compiled:
        net = torch.compile(net.to(memory_format=torch.channels_last))

    def one(path: Path) -> object:
        pixels = pydicom.dcmread(path).pixel_array
        small = cv2.resize(pixels, (spec.size, spec.size), interpolation=cv2.INTER_AREA)
        plane = (small.astype(np.float32) / 255.0 - spec.mean) / spec.std
        images = torch.from_numpy(plane)[None, None].repeat(1, spec.channels, 1, 1)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=compiled):
            logits = net(images).mask_logits.float()
        enlarged = F.interpolate(logits.sigmoid(), pixels.shape, mode="bilinear")
        return (enlarged > 0.5)[0, 0].numpy()

    return one


def detectors_of(bundle: Path) -> dict[str, Detector]:
    """The bundle in every runtime and precision there is, by what runs it."""
    found: dict[str, Detector] = {}
    for runtime, precision in OURS:
        try:
            detector = Detector.load(bundle, runtime=runtime, precision=precision)
            detector.warm_up()
        except (PleuraError, ValueError) as error:
            print(f"    no {runtime} {precision}: {str(error)[:120]}")
            continue
        name = ", ".join(sorted({one.name for one in detector.runtimes}))
        found.setdefault(f"pleura: {name}", detector)
    return found


def one_at_a_time(ways: dict[str, Way], films: Sequence[Path], rounds: int) -> None:
    """Measures and prints milliseconds a film, and how many times as fast as the usual way each is."""
    for way in ways.values():
        way(films[0])
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        film, turn = films[number % len(films)], number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            ways[name](film)
            times[name].append(1e3 * (time.perf_counter() - began))
    for name in names:
        ratios = [a / b for a, b in zip(times[USUAL], times[name], strict=True)]
        _say(name, statistics.median(times[name]), "ms", ratios)


def archive(
    detectors: dict[str, Detector], films: Sequence[Path], scratch: Path, rounds: int
) -> None:
    """Measures and prints films a second of whole archives, as a share of what the network alone does."""
    seen = [read(path) for path in films[:BATCH]]
    for name, detector in detectors.items():
        inputs = [
            np.stack([network_input(film.pixels, member.input) for film in seen])
            for member in detector.manifest.members
        ]
        rates, shares = [], []
        for number in range(rounds):
            order = (True, False) if number % 2 else (False, True)
            seconds = {}
            for whole in order:
                began = time.perf_counter()
                if whole:
                    _predict(detector, films, scratch / "archive")
                else:
                    _alone(detector, inputs, len(films))
                seconds[whole] = time.perf_counter() - began
            rates.append(len(films) / seconds[True])
            shares.append(seconds[False] / seconds[True])
        _say(name, statistics.median(rates), "films/s", shares)


def _predict(detector: Detector, films: Sequence[Path], out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    readers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    with Journal(out, identity_of(detector)) as journal:
        journal.expect(files_in(map(str, films)))
        table = FindingTable(out / "findings.csv", out / "findings.json")
        tally = predict_archive(
            detector, journal, [table], Options(batch_size=BATCH, readers=min(8, readers))
        )
    if tally["duplicates"] or tally.total() != len(films):
        raise SystemExit(f"FILMS must all be different, and films: {dict(tally)}")


def _alone(detector: Detector, inputs: list[np.ndarray], films: int) -> None:
    for start in range(0, films, BATCH):
        for runtime, batch in zip(detector.runtimes, inputs, strict=True):
            runtime(batch[: films - start])


_NOTEBOOK = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
import cv2
import predict
from pleura.inference.bundle import open_bundle
bundle = open_bundle({bundle!r})
mask = predict.usual(bundle.manifest.members[0], bundle.weights[0])(Path({film!r}))
cv2.imwrite({out!r}, mask.astype("u1") * 255)
"""


# A process of its own: what a child is said to have held at most includes what its parent held.
_LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def cold(bundle: Path, film: Path, scratch: Path, rounds: int) -> None:
    """Measures and prints whole processes: seconds to the finding on disk, and megabytes resident at most."""
    pleura = [sys.executable, "-m", "pleura.cli", "predict", str(film), "-b", str(bundle)]
    out = str(scratch / "cold.png")
    here = str(Path(__file__).parent)
    text = _NOTEBOOK.format(here=here, bundle=str(bundle), film=str(film), out=out)
    ways = {USUAL: [sys.executable, "-c", text]}
    for runtime in ("openvino", "onnxruntime"):
        options = ["-o", str(scratch / "cold"), "--fresh", "--no-overlays", "--runtime", runtime]
        ways[f"pleura predict, {runtime}"] = [*pleura, *options]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    memory: dict[str, float] = {}
    for number in range(rounds + 1):  # the first is to fill caches
        for name, command in ways.items():
            launcher = [sys.executable, "-S", "-c", _LAUNCHER, *command]
            done = subprocess.run(launcher, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{name} failed: {done.stderr[-500:]}")
            took, kilobytes = done.stdout.split()
            if number:
                seconds[name].append(float(took))
            memory[name] = float(kilobytes) / 1024
    for name in ways:
        ratios = [a / b for a, b in zip(seconds[USUAL], seconds[name], strict=True)]
        _say(name, statistics.median(seconds[name]), "s", ratios, f", {memory[name]:.0f} MB")


def _say(name: str, value: float, unit: str, ratios: list[float], more: str = "") -> None:
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    print(f"    {name:40s}{value:9.2f} {unit:8s}{middle:7.2f} x ({low:.2f} to {high:.2f}){more}")


def measure(bundle: Path, films: Sequence[Path], scratch: Path, given: argparse.Namespace) -> None:
    """Everything of one bundle."""
    opened = open_bundle(bundle)
    member = opened.manifest.members[0]
    print(f"\n{opened.manifest.name}: {member.network} at {member.input.size}")
    ways: dict[str, Way] = {}
    if opened.has_weights:
        ways[USUAL] = usual(member, opened.weights[0] or b"")
        if given.compile:
            ways[COMPILED] = usual(member, opened.weights[0] or b"", compiled=True)
    detectors = detectors_of(bundle)
    for name, detector in detectors.items():
        ways[name] = lambda path, detector=detector: detector(read(path))
    if USUAL in ways:
        print("  one film at a time: milliseconds; times as fast as the usual way (quartiles)")
        one_at_a_time(ways, films, given.rounds)
    if given.archive:
        quick = {name: one for name, one in detectors.items() if "torch" not in name}
        for judges in given.judges:
            run.JUDGES = judges
            print(
                f"  archive of {len(films)}, {judges} batches under way: films a second; share of the"
            )
            print("  network alone (quartiles)")
            archive(quick, films, scratch, max(3, given.rounds // 3))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS)[:4])
    parser.add_argument("--bundle", nargs="*", type=Path, default=[])
    parser.add_argument("--count", type=int, default=64, help="films of the archive")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--judges", type=int, nargs="*", default=[run.JUDGES])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--archive", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--cold", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--keep", type=Path, help="where the bundles are kept for another run")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    films = [place.path for place in files_in([str(given.films)]) if place.path.suffix == ".dcm"]
    films = films[: given.count]
    if not films:
        raise SystemExit(f"{given.films} holds no .dcm files")
    with tempfile.TemporaryDirectory(prefix="pleura-benchmark-") as name:
        scratch = Path(name)
        kept = given.keep or scratch / "bundles"
        kept.mkdir(parents=True, exist_ok=True)
        bundles = [bundle_of(one, kept) for one in given.networks] + given.bundle
        for bundle in bundles:
            measure(bundle, films, scratch, given)
        if given.cold:
            print(f"\ncold start, {bundles[0].name}: seconds; times as fast (quartiles); memory")
            cold(bundles[0], films[0], scratch, max(3, given.rounds // 3))


if __name__ == "__main__":
    main()
