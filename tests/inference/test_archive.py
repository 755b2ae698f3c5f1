"""Many files through one detector, to a folder of results."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura.errors import DecodeError, ReadError
from pleura.finding import PNEUMOTHORAX, Finding, ModelIdentity
from pleura.inference.archive import files_in, predict_files
from pleura.outputs.prediction import PredictionFolder
from pleura.radiograph import Radiograph


class Bright:
    """Calls a film positive whose upper left quarter is bright, there."""

    def batch(self, films: list[Radiograph]) -> list[Finding]:
        return [self(film) for film in films]

    def __call__(self, film: Radiograph) -> Finding:
        mask = np.zeros(film.shape, np.bool_)
        score = float(film.pixels[: film.shape[0] // 2, : film.shape[1] // 2].mean())
        mask[: film.shape[0] // 2, : film.shape[1] // 2] = score > 0.5
        return Finding(
            target=PNEUMOTHORAX,
            decision="positive" if score > 0.5 else "negative",
            reason="A test.",
            model=ModelIdentity("bright", "1", "00"),
            source=film.source,
            probability=score,
            probability_map=np.full(film.shape, score, np.float32),
            mask=mask,
        )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Ten films in two folders, two of one name, a broken one, a text and a hidden file."""
    root = tmp_path / "films"
    for number in range(10):
        image = np.full((160, 128), 200 if number % 3 == 0 else 30, np.uint8)
        image[-1, -1] = 255 - number
        folder = root / ("a" if number < 5 else "b/c")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number % 5}.png"), image)
    (root / "a" / "broken.png").write_bytes((root / "a" / "1.png").read_bytes()[:60])
    (root / "README.txt").write_text("no film")
    (root / ".hidden").write_text("no film")
    return root


def test_folders_are_walked_in_order_each_file_once(archive: Path) -> None:
    found = [str(p.relative_to(archive)) for p in files_in([archive, archive / "a" / "1.png"])]
    assert found == ["README.txt", *(f"a/{i}.png" for i in range(5)), "a/broken.png",
                     *(f"b/c/{i}.png" for i in range(5))]  # fmt: skip
    with pytest.raises(ReadError, match="does not exist"):
        list(files_in([archive / "none"]))


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_order_and_results_do_not_depend_on_the_batch(archive: Path, batch_size: int) -> None:
    paths = list(files_in([archive]))
    results = list(predict_files(Bright(), paths, batch_size=batch_size))
    assert [r.path for r in results] == paths
    kinds = ["error" if r.error else r.finding.decision for r in results]
    assert kinds == ["error", *("positive" if i % 3 == 0 else "negative" for i in range(5)),
                     "error", *("positive" if i % 3 == 0 else "negative" for i in range(5, 10))]  # fmt: skip
    assert isinstance(results[6].error, DecodeError)


def test_few_films_wait_at_a_time(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pleura.inference import archive as module

    started: list[Path] = []
    real = module.read
    monkeypatch.setattr(
        module, "read", lambda p, limits: (started.append(p), real(p, limits=limits))[1]
    )
    paths = [archive / "a" / "1.png"] * 40
    results = predict_files(Bright(), paths, batch_size=2, readers=2)
    next(results)
    assert len(started) <= 4 + 2
    results.close()


def test_a_folder_of_predictions(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with PredictionFolder(out) as folder:
        for result in predict_files(Bright(), list(files_in([archive]))):
            if result.film is not None and result.finding is not None:
                folder.add(result.film, result.finding)
            else:
                folder.fail(str(result.path), str(result.error))
    with (out / "findings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert {"file", "sop_instance_uid", "probability", "decision", "area_fraction", "side"} <= rows[
        0
    ].keys()
    assert len(json.loads((out / "findings.json").read_text())) == 10
    with (out / "failures.csv").open() as file:
        failures = list(csv.DictReader(file))
    assert [Path(row["file"]).name for row in failures] == ["README.txt", "broken.png"]
    assert all(row["reason"] for row in failures)
    names = sorted(p.name for p in (out / "masks").iterdir())
    assert names == sorted([f"{i}.png" for i in range(5)] + [f"{i}~2.png" for i in range(5)])
    mask = cv2.imread(str(out / "masks" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (160, 128)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).mean() == pytest.approx(0.25)
    drawn = cv2.imread(str(out / "overlays" / "0.png"))
    assert drawn.shape[1] >= 128
    assert (drawn[..., 0] != drawn[..., 2]).any()  # something is drawn in colour
    assert not list(out.rglob("*.partial"))
