"""The training curves: what stands on which panel, and a PNG that is whole."""

import sys

import cv2
import pytest

from pleura.errors import MissingExtra
from pleura.outputs.curves import save_png, training_curves

pytest.importorskip("matplotlib")

ROWS = [
    {"epoch": n, "train_loss": 1 / (n + 1), "tune_loss": str(1 / (n + 1)), "tune_dice": dice,
     "tune_auc": None, "lr": 1e-4, "seconds": 9.0, "note": "x"}
    for n, dice in enumerate([0.1, 0.4, "nan", 0.3, ""])
]  # fmt: skip


def drawn(figure):
    return {axes.get_ylabel(): axes for axes in figure.axes}


def test_each_number_has_its_panel():
    panels = drawn(training_curves(ROWS))
    assert list(panels) == ["loss", "metric", "learning rate"]
    labels = {line.get_label() for axes in panels.values() for line in axes.lines}
    assert {"train loss", "tune loss", "tune dice", "lr"} <= labels
    assert not labels & {"tune auc", "seconds", "note"}


def test_values_that_are_none_are_left_out_and_the_best_is_marked():
    metric = drawn(training_curves(ROWS))["metric"]
    assert metric.lines[0].get_xdata().tolist() == [0, 1, 3]
    assert metric.lines[0].get_ydata().tolist() == [0.1, 0.4, 0.3]
    assert [text.get_text() for text in metric.texts] == ["0.400"]


def test_phases_are_told_apart_by_lines():
    rows = [row | {"phase": "presence" if row["epoch"] < 2 else "mask"} for row in ROWS]
    loss = drawn(training_curves(rows))["loss"]
    assert [text.get_text() for text in loss.texts] == ["presence", "mask"]
    assert [line.get_xdata()[0] for line in loss.lines[2:]] == [-0.5, 1.5]
    only = [row | {"phase": "mask"} for row in ROWS]
    assert not drawn(training_curves(only))["loss"].texts


def test_rows_without_epochs_are_counted():
    loss = drawn(training_curves([{"loss": 2.0}, {"loss": 1.0}]))["loss"]
    assert loss.lines[0].get_xdata().tolist() == [1, 2]


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS, [{"epoch": 1}]])
def test_a_png_is_written_whole(tmp_path, rows):
    path = tmp_path / "curves.png"
    save_png(training_curves(rows), path, dpi=50)
    image = cv2.imread(str(path))
    assert image.shape[0] > 100
    assert image.min() < 128
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"pleura\[train\]"):
        training_curves(ROWS)
