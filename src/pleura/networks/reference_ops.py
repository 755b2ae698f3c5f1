"""Two of torchvision's operators in plain torch, for where its compiled ones do not load.

They follow the compiled operators' definition, so that a network made with either gives the same; they are
slower (`nms` runs on the CPU wherever its boxes are).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression: the best box stays, whatever overlaps it too much goes, and so on.

    Args:
        dets: float (K, 4), boxes as left, top, right, bottom.
        scores: float (K,).
        iou_threshold: boxes whose intersection over union with a kept one is above it are dropped.

    Returns:
        int64, the indices of the boxes kept, best first.
    """
    boxes = dets.detach().float().cpu().numpy()
    order = scores.detach().float().argsort(descending=True, stable=True).cpu().numpy()
    boxes = boxes[order]
    left, top, right, bottom = np.ascontiguousarray(boxes.T)
    areas = (right - left) * (bottom - top)
    standing = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if not standing[i]:
            continue
        rest = i + 1 + np.flatnonzero(standing[i + 1 :])
        width = np.minimum(right[i], right[rest]) - np.maximum(left[i], left[rest])
        height = np.minimum(bottom[i], bottom[rest]) - np.maximum(top[i], top[rest])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore"):  # two boxes without area: no overlap
            overlap = shared / (areas[i] + areas[rest] - shared)
        standing[rest[overlap > iou_threshold]] = False
    return torch.from_numpy(order[standing]).to(dets.device)


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """RoIAlign: means of bilinear samples in a grid of bins laid over each box (He et al., ICCV 2017).

    Args:
        input: float (N, C, H, W), feature maps.
        rois: float (K, 5): the index of the box's map, then left, top, right, bottom in the image.
        spatial_scale: map pixels an image pixel.
        pooled_height, pooled_width: bins.
        sampling_ratio: samples along each side of a bin; where it is not positive, for each box as many as a
            bin has map pixels, rounded up.
        aligned: whether coordinates are those of pixel corners; else boxes are at least a map pixel wide.

    Returns:
        (K, C, pooled_height, pooled_width) of the input's dtype; differentiable in `input`.
    """
    maps, boxes = input.float(), rois.detach().float()
    bins = (pooled_height, pooled_width)
    corners = boxes[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    start = corners[:, [1, 0]]  # (K, 2): y, x, as all pairs below
    length = corners[:, [3, 2]] - start
    if not aligned:
        length = length.clamp(min=1.0)
    samples = torch.full_like(length, sampling_ratio)
    if sampling_ratio < 1:
        samples = (length / length.new_tensor(bins)).ceil()
    alike = torch.cat([boxes[:, :1], samples], dim=1).long()
    pooled = maps.new_zeros(len(boxes), maps.shape[1], *bins)
    for group in torch.unique(alike, dim=0):
        image, rows, columns = (int(n) for n in group)
        if rows < 1 or columns < 1:  # no area, so nothing to sample
            continue
        chosen = (alike == group).all(dim=1).nonzero()[:, 0]
        found = _pooled(maps[image], start[chosen], length[chosen], bins, (rows, columns))
        pooled = pooled.index_copy(0, chosen, found)
    return pooled.to(input.dtype)


def _pooled(
    features: Tensor,
    start: Tensor,
    length: Tensor,
    bins: tuple[int, int],
    samples: tuple[int, int],
) -> Tensor:
    """Boxes (K, 2) and (K, 2) on one map (C, H, W), sampled alike in each bin: (K, C, *bins)."""
    (height, width), count = features.shape[1:], len(start)
    y = _places(start[:, 0], length[:, 0], bins[0] * samples[0])
    x = _places(start[:, 1], length[:, 1], bins[1] * samples[1])
    # Samples farther than a pixel outside of the map are zero; nearer ones are those of its edge.
    inside = _inside(y, height)[:, :, None] & _inside(x, width)[:, None, :]
    # Pixel centres to grid_sample's [-1, 1].
    grid_y, grid_x = (2.0 * y + 1.0) / height - 1.0, (2.0 * x + 1.0) / width - 1.0
    rows, columns = y.shape[1], x.shape[1]
    grid = torch.stack(
        [
            grid_x[:, None, :].expand(-1, rows, -1),
            grid_y[:, :, None].expand(-1, -1, columns),
        ],
        dim=-1,
    ).reshape(1, count * rows, columns, 2)
    found = F.grid_sample(features[None], grid, padding_mode="border", align_corners=False)
    found = found[0].reshape(-1, count, rows, columns).transpose(0, 1)  # (K, C, rows, columns)
    return F.avg_pool2d(found * inside[:, None], samples)


def _places(start: Tensor, length: Tensor, count: int) -> Tensor:
    """(K,) and (K,) to (K, count): the middles of equal shares of each length."""
    shares = torch.arange(count, device=start.device, dtype=start.dtype) + 0.5
    return start[:, None] + length[:, None] * shares / count


def _inside(places: Tensor, size: int) -> Tensor:
    return (places >= -1.0) & (places <= size)
