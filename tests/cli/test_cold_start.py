"""A command imports nothing that its first finding does not need: imports are most of what a start costs."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura.inference.bundle import PRESENCE_HEAD, BundleManifest, Member, write_bundle
from pleura.inference.preprocess import InputSpec
from tiny_graphs import SIZE, graph

# What a start without them saves, or what is not installed without an extra.
HEAVY = {
    "jinja2",
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "onnxscript",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "sklearn",
    "tensorboard",
    "timm",
    "torch",
    "torchvision",
    "yaml",
}
PROGRAM = """
import json, sys
from pleura.cli import app
code = app(sys.argv[1:], standalone_mode=False)
print(json.dumps([code or 0, sorted({name.partition('.')[0] for name in sys.modules}),
                  [name for name in sys.modules if name.startswith('pleura.cli.')]]))
"""


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_prediction_imports_only_what_it_needs(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    member = Member("unet", {}, InputSpec(SIZE, mean=0.0, std=1.0), PRESENCE_HEAD)
    write_bundle(tmp_path / "b", BundleManifest("tiny", "1", (member,)), (), graphs=[graph()])
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "film.png"), pixels)
    command = ["predict", "film.png", "-b", "b", "-o", "o", "--runtime", runtime]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    code, modules, verbs = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert (tmp_path / "o" / "findings.csv").exists()
    assert runtime in modules
    assert HEAVY & set(modules) == set()
    others = {"pleura.cli.train", "pleura.cli.calibrate", "pleura.cli.prepare", "pleura.cli.demo"}
    assert "pleura.cli.predict" in verbs
    assert others & set(verbs) == set()
