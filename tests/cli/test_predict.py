"""`pleura predict` on what archives hold: names of every kind, broken films, and a sample to fill."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save

from pleura.inference.bundle import BundleManifest, Member, write_bundle
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from pleura.networks import create

OPTIONS = {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8, 8]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that calls every film positive, everywhere."""
    torch.manual_seed(0)
    weights = save(create("unet_timm", channels=1, size=64, **OPTIONS).state_dict())
    point = OperatingPoint(0.0, 0.0, 0.0, "an aim", "no films")
    manifest = BundleManifest(
        "m", "1", (Member("unet_timm", OPTIONS, InputSpec(64)),), operating_point=point
    )
    out = tmp_path_factory.mktemp("bundle") / "b"
    write_bundle(out, manifest, [weights])
    return out


def predict(bundle: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pleura.cli", "predict", *map(os.fspath, arguments),
         "--bundle", str(bundle), "--out", "out"],
        capture_output=True, cwd=cwd, env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip


def write_film(path: Path, seed: int, side: int = 256) -> None:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6)).astype(np.uint8)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_names_of_every_kind(bundle: Path, tmp_path: Path) -> None:
    odd = [b"a [copy].png", b"b [/x].png", b"=c.png", b"d\xff.png", b"broken [/red] \xff.png"]
    place = tmp_path / "in"
    for n, name in enumerate(odd):
        path = place / os.fsdecode(name)  # a slash in it makes a folder, and "[/x]" in its path
        try:
            write_film(path, n)
        except OSError:
            pytest.skip("this file system holds Unicode names only")
    broken = path
    broken.write_bytes(broken.read_bytes()[:200])
    done = predict(bundle, "in", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert r"failed in/broken [/red] \udcff.png" in said
    assert "4 positive" in said
    found = rows(tmp_path / "out/findings.csv")
    assert sorted(row["file"] for row in found) == [
        "in/=c.png",
        "in/a [copy].png",
        "in/b [/x].png",
        r"in/d\udcff.png",
    ]
    assert all((tmp_path / "out" / row["overlay"]).is_file() for row in found)
    (failure,) = rows(tmp_path / "out/failures.csv")
    assert failure["file"] == r"in/broken [/red] \udcff.png"


def test_a_submission_survives_a_broken_film(bundle: Path, tmp_path: Path) -> None:
    for n, (name, side) in enumerate((("good", 1024), ("small", 200), ("broken", 1024))):
        write_film(tmp_path / f"in/{name}.png", n, side)
    broken = tmp_path / "in/broken.png"
    broken.write_bytes(broken.read_bytes()[:1000])
    (tmp_path / "in/good.txt").write_text("a note beside the film")
    sample = tmp_path / "sample.csv"
    sample.write_text("ImageId,EncodedPixels\nsmall,-1\ngood,-1\nbroken,-1\n")
    siim = ("--format", "siim", "--sample", "sample.csv")
    done = predict(bundle, "in", *siim, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("pleura: 2 films failed;")
    assert done.stdout.decode().count("failed in/") == 2
    written = {r["ImageId"]: r["EncodedPixels"] for r in rows(tmp_path / "out/submission.csv")}
    assert list(written) == ["small", "good", "broken"]
    assert {name for name, pixels in written.items() if pixels == "-1"} == {"small", "broken"}
    assert {r["file"] for r in rows(tmp_path / "out/failures.csv")} == {
        "in/broken.png",
        "in/small.png",
    }
    sample.write_text(sample.read_text() + "nobody,-1\nnothing,-1\n")
    refused = predict(bundle, "in/good.png", *siim, cwd=tmp_path)
    assert refused.returncode == 1
    assert b"2 of the 5 images of the sample submission have no file" in refused.stderr
