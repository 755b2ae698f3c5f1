"""`pleura predict` on what archives hold: names of every kind, broken films, and a sample to fill."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from pleura.cli.latency import latency_table
from pleura.data.phantom import write_phantoms
from pleura.inference.bundle import PRESENCE_HEAD, BundleManifest, Member, write_bundle
from pleura.inference.postprocess import OperatingPoint
from pleura.inference.preprocess import InputSpec
from pleura.inference.stages import STAGES, Stages
from tiny_graphs import SIZE, graph


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that calls every film positive, everywhere."""
    point = OperatingPoint(0.0, 0.0, 0.0, "an aim", "no films")
    member = Member("unet_timm", {"encoder": "resnet10t"}, InputSpec(SIZE), PRESENCE_HEAD)
    out = tmp_path_factory.mktemp("bundle") / "b"
    write_bundle(
        out, BundleManifest("m", "1", (member,), operating_point=point), [], graphs=[graph()]
    )
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


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_stopped_prediction_goes_on_to_the_same_files(
    bundle: Path, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    """The command itself, with a network, stopped from outside while it works."""
    for n in range(100):  # enough that it is still at work when it is stopped after twenty
        write_film(tmp_path / f"in/{n:02}.png", n)
    whole = predict(bundle, "in", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    os.rename(tmp_path / "out", tmp_path / "whole")
    command = [sys.executable, "-m", "pleura.cli", "predict", "in", "--bundle", str(bundle)]
    process = subprocess.Popen(
        [*command, "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        # Who is started in a shell's background inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and len(list(tmp_path.glob("out/overlays/*.jpg"))) < 20:
        time.sleep(0.005)
    process.send_signal(how)
    assert process.wait() == code
    assert not (tmp_path / "out/findings.csv").exists()
    done = predict(bundle, "in", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"of 100 files were done before" in done.stdout
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith("journal.sqlite")
    }


def test_another_model_does_not_go_on_with_a_folder(bundle: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "a.png", 1)
    assert predict(bundle, "a.png", cwd=tmp_path).returncode == 0
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    text = (other / "bundle.json").read_text()
    (other / "bundle.json").write_text(text.replace('"an aim"', '"another aim"'))
    refused = predict(other, "a.png", cwd=tmp_path)
    assert refused.returncode == 1
    assert b"pleura: out holds findings made with model" in refused.stderr
    (tmp_path / "out/findings.csv.partial").touch()  # as a killed run leaves it
    afresh = predict(other, "a.png", "--fresh", "--no-overlays", "--table", "parquet", cwd=tmp_path)
    assert afresh.returncode == 0, afresh.stderr
    assert (tmp_path / "out/findings.parquet").is_file()
    assert not list(tmp_path.glob("out/findings.csv*"))  # which would grow old beside it


def test_a_profile_says_where_the_time_goes(bundle: Path, tmp_path: Path) -> None:
    for n in range(3):
        write_film(tmp_path / f"in/{n}.png", n)
    done = predict(bundle, "in/*.png", "--profile", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert "one at a time (2 films)" in said
    for name in (*STAGES, "film"):
        assert f" {name} " in said
    assert len(rows(tmp_path / "out/findings.csv")) == 3


def test_the_latency_table() -> None:
    stages = Stages()
    for n in range(12):
        stages.add("network", 100.0 if n == 0 else 6.0)  # the first film does not count
        stages.add("decode", 2.0)
        stages.next_film()
    table = latency_table(stages)
    columns = {column.header: list(column.cells) for column in table.columns}
    figures = dict(
        zip(columns["stage"], zip(*list(columns.values())[1:], strict=True), strict=True)
    )
    assert figures["network"] == ("6.0", "6.0", "75%")
    assert figures["decode"] == ("2.0", "2.0", "25%")
    assert figures["read"] == ("0.0", "0.0", "0%")
    assert figures["film"] == ("8.0", "8.0", "100%")


def test_dicom_films_get_dicom_results_and_others_say_why_not(bundle: Path, tmp_path: Path) -> None:
    """Positive everywhere: a segmentation of the whole film, a report and a picture, in the film's study."""
    write_phantoms(tmp_path / "made", 1, size=256, seed=1, processes=1)
    films = sorted((tmp_path / "made").rglob("*.dcm"))
    shutil.copy(films[0], tmp_path / "a.dcm")
    cv2.imwrite(str(tmp_path / "b.png"), np.full((64, 64), 90, np.uint8))
    done = predict(bundle, "a.dcm", "b.png", "--dicom", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"DICOM results: out" in done.stdout
    with (tmp_path / "out/findings.csv").open(newline="") as file:
        a, b = csv.DictReader(file)
    assert (a["dicom"], b["dicom"]) == ("dicom/a", "")
    assert "No DICOM results: it is PNG" in b["notes"]
    source = pydicom.dcmread(tmp_path / "a.dcm")
    results = {path.stem: pydicom.dcmread(path) for path in (tmp_path / "out/dicom/a").iterdir()}
    assert set(results) == {"seg", "sr", "sc"}
    for result in results.values():
        assert result.StudyInstanceUID == source.StudyInstanceUID
        assert result.PatientID == source.PatientID
    assert results["seg"].pixel_array.all()
    lost = tmp_path / "out/dicom/a/sr.dcm"
    before = {path: path.read_bytes() for path in (tmp_path / "out/dicom/a").iterdir()}
    lost.write_bytes(b"cut")  # as a power cut leaves it
    assert predict(bundle, "a.dcm", "b.png", "--dicom", cwd=tmp_path).returncode == 0
    assert pydicom.dcmread(lost).SOPInstanceUID == results["sr"].SOPInstanceUID
    assert set(before) == set((tmp_path / "out/dicom/a").iterdir())
    other = predict(bundle, "a.dcm", "b.png", cwd=tmp_path)
    assert other.returncode == 1
    assert b"begun with dicom on, and this is dicom off" in other.stderr + other.stdout
    alone = predict(bundle, "a.dcm", "--dicom-geometry", cwd=tmp_path)
    assert alone.returncode == 2
