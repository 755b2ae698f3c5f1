"""Many films through one detector, to a folder of results."""

import csv
import json
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from bright import Bright, predict, write_film
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from pleura.archive import reading, run
from pleura.inference.stages import STAGES, Stages


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Ten films in two folders, each two of one name, a broken one, a text and a hidden file."""
    root = tmp_path / "films"
    for number in range(10):
        folder = root / ("a" if number < 5 else "b/c")
        write_film(folder / f"{number % 5}.png", number, bright=number % 3 == 0)
    (root / "a" / "broken.png").write_bytes((root / "a" / "1.png").read_bytes()[:60])
    (root / "README.txt").write_text("no film")
    (root / ".hidden").write_text("no film")
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_objects_without_an_image_are_passed_over_in_folders_alone(
    archive: Path, tmp_path: Path
) -> None:
    report = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.SOPClassUID, report.SOPInstanceUID = BasicTextSRStorage, "1.2.3"
    report.Modality = "SR"
    report.save_as(archive / "a" / "report.dcm", enforce_file_format=True)
    _, counts = predict(tmp_path / "folder", archive)
    assert counts == {"judged": 10, "failed": 1, "passed over": 2}
    failures = []
    _, counts = predict(tmp_path / "named", archive / "a/report.dcm", failed=failures.append)
    assert counts == {"failed": 1}
    assert "it holds no image" in failures[0].message


@pytest.mark.parametrize(("name", "state"), [("noise", "passed over"), ("noise.DCM", "failed")])
def test_bytes_that_are_no_format_are_a_failure_under_a_films_suffix(
    archive: Path, tmp_path: Path, name: str, state: str
) -> None:
    (archive / name).write_bytes(np.random.default_rng(0).bytes(5000))
    _, before = predict(tmp_path / "out", archive / "a", archive / "b")
    _, counts = predict(tmp_path / "out", archive)
    told = Counter(counts)
    told.subtract(before)
    assert (told[state], told["judged"]) == (1 + (state == "passed over"), 0)


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_order_and_results_do_not_depend_on_the_batch(
    archive: Path, tmp_path: Path, batch_size: int
) -> None:
    out = tmp_path / "out"
    failures = []
    tally, counts = predict(
        out,
        archive,
        batch_size=batch_size,
        readers=3,
        failed=lambda failure: failures.append(failure),
    )
    assert tally == {"positive": 4, "negative": 6}
    assert counts == {"judged": 10, "failed": 1, "passed over": 1}
    found = rows(out / "findings.csv")
    names = [*(f"a/{i}.png" for i in range(5)), *(f"b/c/{i}.png" for i in range(5))]
    assert [row["file"] for row in found] == [str(archive / name) for name in names]
    assert [row["decision"] == "positive" for row in found] == [i % 3 == 0 for i in range(10)]
    listed = json.loads((out / "findings.json").read_text())
    assert [facts["file"] for facts in listed] == [row["file"] for row in found]
    assert [Path(row["file"]).name for row in rows(out / "failures.csv")] == ["broken.png"]
    assert [failure.source for failure in failures] == [str(archive / "a/broken.png")]
    assert failures[0].message.startswith(f"{archive / 'a/broken.png'}: this PNG file is damaged")
    assert not list(out.rglob("*.partial"))


def test_a_text_that_was_named_is_a_failure(archive: Path, tmp_path: Path) -> None:
    text = archive / "README.txt"
    _, counts = predict(tmp_path / "out", archive / "b", text)
    assert counts == {"judged": 5, "failed": 1}
    assert rows(tmp_path / "out/failures.csv") == [
        {"file": str(text), "reason": "is no DICOM, PNG, JPEG, WebP or TIFF file; export it as one of them"}
    ]  # fmt: skip


def test_masks_and_overlays(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(out, archive, overlays=True)
    found = rows(out / "findings.csv")
    stems = [*(str(i) for i in range(5)), *(f"{i}~{i + 8}" for i in range(5))]  # after two others
    assert [row["mask"] for row in found] == [f"masks/{stem}.png" for stem in stems]
    assert [row["overlay"] for row in found] == [f"overlays/{stem}.jpg" for stem in stems]
    mask = cv2.imread(str(out / "masks/0.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (160, 128)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).mean() == pytest.approx(0.25)
    drawn = cv2.imread(str(out / "overlays/0.jpg"))
    assert np.ptp(drawn.astype(int), axis=2).max() > 50  # something is drawn in colour
    assert sorted(path.stem for path in (out / "masks").iterdir()) == sorted(stems)


def test_few_films_are_in_memory_at_a_time(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and recording there are never more than the queues hold."""
    lock, opened, most = threading.Lock(), [], []
    real_open, real_record = run.open_film, run.Journal.record

    def counting_open(task, limits):
        with lock:
            opened.append(task.id)
        return real_open(task, limits)

    def counting_record(journal, batch):
        most.append(len(opened) - sum(done))
        done.append(len(batch))
        return real_record(journal, batch)

    done: list[int] = []
    monkeypatch.setattr(run, "open_film", counting_open)
    monkeypatch.setattr(run.Journal, "record", counting_record)
    for number in range(60):
        write_film(tmp_path / "more" / f"{number}.png", number)
    predict(tmp_path / "out", tmp_path / "more", batch_size=2, readers=3, masks=False)
    assert sum(done) == 60
    assert max(most) <= run.JUDGES * 2 + (2 + 3)  # batches, and what is read ahead


def test_progress_and_the_time_of_each_film(archive: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    stages = Stages()
    predict(
        tmp_path / "out",
        archive,
        progress=lambda done, total: said.append((done, total)),
        stages=stages,
    )
    assert said[0] == (0, 12)
    assert said[-1] == (12, 12)
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    assert {len(numbers) for numbers in stages.milliseconds.values()} == {10}  # of those judged
    for name in ("read", "decode", "write"):
        assert min(stages.milliseconds[name]) > 0
    assert tuple(stages.milliseconds) == STAGES


def test_what_a_detector_raises_ends_the_run(archive: Path, tmp_path: Path) -> None:
    class Broken(Bright):
        def batch(self, films):
            if len(self.seen) == 2:
                raise MemoryError
            return super().batch(films)

    with pytest.raises(MemoryError):
        predict(tmp_path / "out", archive, detector=Broken(), batch_size=2)
    assert not (tmp_path / "out/findings.csv").exists()
    assert len(rows(tmp_path / "out/findings.csv.partial")) <= 4
    rest = Bright()
    tally, _ = predict(tmp_path / "out", archive, detector=rest, batch_size=2)
    assert tally == {"positive": 4, "negative": 6}
    assert 6 <= sum(map(len, rest.seen)) < 10


def test_in_order_gives_results_in_order_and_errors_where_they_belong() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def task(n: int) -> int:
        if n == 7:
            raise ZeroDivisionError
        return n * n

    with ThreadPoolExecutor(3) as pool:
        assert list(reading.in_order(task, range(7), pool, 4)) == [0, 1, 4, 9, 16, 25, 36]
        results = reading.in_order(task, range(20), pool, 4)
        assert [next(results) for _ in range(7)] == [0, 1, 4, 9, 16, 25, 36]
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert list(reading.in_order(task, range(3), None, 1)) == [0, 1, 4]
