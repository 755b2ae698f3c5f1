"""torchvision's operators, compiled or ours: the same numbers, worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from pleura.networks import reference_ops
from pleura.networks.torchvision_ops import (
    compiled_operators_load,
    declare_missing,
    provide_missing,
)


@pytest.fixture(scope="module", params=["ours", "torchvision's"])
def ops(request: pytest.FixtureRequest):
    """Our implementations, and what torchvision calls here, which may be the same."""
    if request.param == "ours":
        return reference_ops.nms, reference_ops.roi_align
    provide_missing()
    return torch.ops.torchvision.nms, torch.ops.torchvision.roi_align


def test_torchvision_imports_whatever_build_it_is() -> None:
    assert declare_missing() is (not compiled_operators_load())
    assert declare_missing() is declare_missing()
    import torchvision

    assert torchvision.__version__


def test_torchvisions_own_functions_work_whatever_build_it_is() -> None:
    provide_missing()
    from torchvision.ops import nms, roi_align

    box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    assert nms(box, torch.ones(1), 0.5).tolist() == [0]
    assert roi_align(torch.ones(1, 1, 8, 8), [box], (2, 2)).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


def test_nms_drops_what_overlaps_a_better_box_too_much(ops) -> None:
    nms, _ = ops
    # The first two share 9 x 9 of 100 + 100 - 81: 0.6807. The third is apart, the fourth inside of it: 0.25.
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [20, 20, 25, 25]])
    scores = torch.tensor([0.5, 0.9, 0.1, 0.7])
    assert nms(boxes, scores, 0.68).tolist() == [1, 3, 2]
    assert nms(boxes, scores, 0.69).tolist() == [1, 3, 0, 2]
    assert nms(boxes, scores, 0.25).tolist() == [1, 3, 2]  # at the threshold a box stays
    assert nms(boxes, scores, 0.24).tolist() == [1, 3]
    assert nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_a_dropped_box_drops_nothing(ops) -> None:
    nms, _ = ops
    # Each overlaps the next by 6 of 14: the middle one goes, so the last stays.
    boxes = torch.tensor([[0.0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_boxes_without_area_overlap_nothing(ops) -> None:
    nms, _ = ops
    boxes = torch.tensor([[3.0, 3, 3, 3], [3, 3, 3, 3]])
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]


def test_roi_align_of_a_slope_is_the_slope_at_the_bins_middles(ops) -> None:
    _, roi_align = ops
    slope = torch.arange(36.0).reshape(1, 1, 6, 6)  # 6 y + x at the pixel centres
    box = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
    # Bins of 2 x 2 with middles at 1 and 3; pixel centres lie at whole numbers where it is not aligned...
    plain = roi_align(slope, box, 1.0, 2, 2, 2, False)
    torch.testing.assert_close(plain[0, 0], torch.tensor([[7.0, 9.0], [19.0, 21.0]]))
    # ... and at halves where it is; samples at -0.5 + 0.5 = 0 are inside.
    aligned = roi_align(slope, box, 1.0, 2, 2, 2, True)
    torch.testing.assert_close(aligned[0, 0], torch.tensor([[3.5, 5.5], [15.5, 17.5]]))


def test_roi_align_outside_of_the_map(ops) -> None:
    _, roi_align = ops
    ones = torch.ones(1, 1, 4, 4)
    # Samples at x = -2.5 .. 2.5 by one: those below -1 are zero, the one at -0.5 counts as the edge.
    box = torch.tensor([[0.0, -3.0, 0.0, 3.0, 1.0]])
    found = roi_align(ones, box, 1.0, 1, 6, 1, False)
    assert found[0, 0, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert roi_align(ones, box[:0], 1.0, 2, 2, 2, False).shape == (0, 1, 2, 2)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [-1, 1, 2])
def test_roi_align_is_its_definition(ops, aligned: bool, ratio: int) -> None:
    _, roi_align = ops
    generator = torch.Generator().manual_seed(0)

    def draw(rows: int, columns: int, most: float) -> Tensor:
        return torch.rand(rows, columns, generator=generator) * most

    maps = draw(40, 31, 1.0).reshape(2, 1, 20, 31)
    corner = draw(8, 2, 100.0) - 10.0
    boxes = torch.cat([draw(8, 1, 2.0).floor(), corner, corner + draw(8, 2, 60.0)], dim=1)
    found = roi_align(maps, boxes, 0.25, 3, 2, ratio, aligned)
    expected = torch.tensor([_defined(maps, box, 0.25, (3, 2), ratio, aligned) for box in boxes])
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_roi_aligns_gradient_is_the_weight_of_each_pixel(ops) -> None:
    _, roi_align = ops
    maps = torch.zeros(1, 1, 6, 6, requires_grad=True)
    roi_align(maps, torch.tensor([[0.0, 0, 0, 4, 4]]), 1.0, 2, 2, 2, False).sum().backward()
    # Samples at 0.5, 1.5, 2.5 and 3.5, two a bin: half of a half goes to either neighbour of each.
    side = torch.tensor([0.25, 0.5, 0.5, 0.5, 0.25, 0.0])
    torch.testing.assert_close(maps.grad[0, 0], side[:, None] * side[None])


def test_roi_align_keeps_the_dtype_of_the_maps() -> None:
    maps = torch.ones(1, 1, 4, 4, dtype=torch.bfloat16)
    box = torch.tensor([[0.0, 0, 0, 2, 2]])
    assert reference_ops.roi_align(maps, box, 1.0, 1, 1, 2, False).dtype == torch.bfloat16


def _defined(
    maps: Tensor, box: Tensor, scale: float, bins: tuple[int, int], ratio: int, aligned: bool
) -> list[list[float]]:
    """RoIAlign of one box on one channel, sample by sample."""
    image, offset = int(box[0]), 0.5 if aligned else 0.0
    left, top, right, bottom = (float(v) * scale - offset for v in box[1:])
    size = (bottom - top, right - left) if aligned else (max(bottom - top, 1), max(right - left, 1))
    counts = [ratio if ratio > 0 else math.ceil(s / b) for s, b in zip(size, bins, strict=True)]

    def mean(i: int, j: int) -> float:
        total = 0.0
        for a in range(counts[0]):
            for b in range(counts[1]):
                y = top + size[0] / bins[0] * (i + (a + 0.5) / counts[0])
                x = left + size[1] / bins[1] * (j + (b + 0.5) / counts[1])
                total += _bilinear(maps[image, 0], y, x)
        return total / (counts[0] * counts[1])

    return [[mean(i, j) for j in range(bins[1])] for i in range(bins[0])]


def _bilinear(plane: Tensor, y: float, x: float) -> float:
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    down, along = y - top, x - left
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = (1 - along) * plane[top, left] + along * plane[top, right]
    lower = (1 - along) * plane[bottom, left] + along * plane[bottom, right]
    return float((1 - down) * upper + down * lower)
