"""What scripts use of SAM's ``utils.amg``: masks, boxes and RLE of its records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError

__all__ = [
    "MaskData",
    "area_from_rle",
    "batch_iterator",
    "batched_mask_to_box",
    "box_xyxy_to_xywh",
    "build_all_layer_point_grids",
    "build_point_grid",
    "calculate_stability_score",
    "coco_encode_rle",
    "generate_crop_boxes",
    "is_box_near_crop_edge",
    "mask_to_rle_pytorch",
    "remove_small_regions",
    "rle_to_mask",
    "uncrop_boxes_xyxy",
    "uncrop_masks",
    "uncrop_points",
]


def batched_mask_to_box(masks: Any) -> Any:
    """Return (..., 4) xyxy boxes of (..., H, W) boolean masks, last pixels included; zeros for empty ones."""
    import torch

    shape = masks.shape
    if masks.numel() == 0:
        return torch.zeros(*shape[:-2], 4, device=masks.device)
    flat = masks.reshape(-1, *shape[-2:]).bool()
    edges = []
    for axis in (1, 2):  # rows hold x, columns hold y
        held = flat.any(dim=axis).int()
        count = held.shape[1]
        first = held.argmax(dim=1)
        last = count - 1 - held.flip(1).argmax(dim=1)
        edges.append((first, last))
    (left, right), (top, bottom) = edges
    boxes = torch.stack([left, top, right, bottom], dim=1) * flat.any(dim=(1, 2))[:, None]
    return boxes.reshape(*shape[:-2], 4)


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """Return boxes as (x, y, width, height)."""
    box = box_xyxy.clone() if hasattr(box_xyxy, "clone") else np.array(box_xyxy)
    box[2] = box[2] - box[0]
    box[3] = box[3] - box[1]
    return box


def mask_to_rle_pytorch(tensor: Any) -> list[dict[str, Any]]:
    """Return (B, H, W) masks as COCO's uncompressed RLE."""
    return [uncompressed_rle(mask) for mask in np.asarray(tensor.detach().cpu(), bool)]


def uncompressed_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return COCO's uncompressed RLE of a mask: run lengths down the columns, the first of zeros."""
    flat = mask.ravel(order="F")
    turns = np.flatnonzero(np.diff(flat, prepend=False))
    return {"size": list(mask.shape), "counts": np.diff(turns, prepend=0, append=flat.size).tolist()}


def rle_to_mask(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the (H, W) mask of an uncompressed RLE."""
    height, width = rle["size"]
    counts = np.asarray(rle["counts"], np.int64)
    if counts.sum() != height * width:
        raise InputError(f"rle: expected counts of {height * width} pixels in all, got {int(counts.sum())}")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def area_from_rle(rle: dict[str, Any]) -> int:
    """Return how many pixels an uncompressed RLE holds."""
    return int(sum(rle["counts"][1::2]))


def coco_encode_rle(uncompressed: dict[str, Any]) -> dict[str, Any]:
    """Return an uncompressed RLE in COCO's compressed form."""
    from pycocotools import mask as coco

    height, width = uncompressed["size"]
    found = coco.frPyObjects(uncompressed, height, width)
    return {**found, "counts": found["counts"].decode()}


def remove_small_regions(
    mask: NDArray[np.bool_], area_thresh: float, mode: Literal["holes", "islands"]
) -> tuple[NDArray[np.bool_], bool]:
    """Return a mask without small holes or islands, and whether it had any.

    Where all islands are small the largest stays.
    """
    if mode not in ("holes", "islands"):
        raise InputError(f"mode: expected 'holes' or 'islands', got {mode!r}")
    looked_for = np.asarray(mask, bool) ^ (mode == "holes")
    _, labels, stats, _ = cv2.connectedComponentsWithStats(looked_for.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    small = areas < area_thresh
    if not small.any():
        return mask, False
    if mode == "islands" and small.all():
        small[int(areas.argmax())] = False
    gone = np.concatenate([[False], small])[labels]
    return (mask | gone if mode == "holes" else mask & ~gone), True


def calculate_stability_score(masks: Any, mask_threshold: float, threshold_offset: float) -> Any:
    """Return (...) the IoU of (..., H, W) logits cut above and below the threshold."""
    import torch

    high = (masks > mask_threshold + threshold_offset).flatten(-2).sum(-1, dtype=torch.int32)
    low = (masks > mask_threshold - threshold_offset).flatten(-2).sum(-1, dtype=torch.int32)
    return high / low


def build_point_grid(n_per_side: int) -> NDArray[np.float64]:
    """Return (n * n, 2) points, evenly over a square of side 1."""
    ticks = (np.arange(n_per_side) + 0.5) / n_per_side
    x, y = np.meshgrid(ticks, ticks)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def build_all_layer_point_grids(
    n_per_side: int, n_layers: int, scale_per_layer: int
) -> list[NDArray[np.float64]]:
    """Return the grid of each layer of crops."""
    return [build_point_grid(int(n_per_side / scale_per_layer**layer)) for layer in range(n_layers + 1)]


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """Return the xyxy crops of all layers, the whole image first, and the layer of each."""
    height, width = im_size[:2]
    boxes, layers = [[0, 0, width, height]], [0]
    for layer in range(n_layers):
        sides = 2 ** (layer + 1)
        overlap = int(overlap_ratio * min(height, width) * (2 / sides))
        crop_h, crop_w = (math.ceil((overlap * (sides - 1) + side) / sides) for side in (height, width))
        lefts = [int((crop_w - overlap) * k) for k in range(sides)]
        tops = [int((crop_h - overlap) * k) for k in range(sides)]
        for left, top in product(lefts, tops):
            boxes.append([left, top, min(left + crop_w, width), min(top + crop_h, height)])
            layers.append(layer + 1)
    return boxes, layers


def is_box_near_crop_edge(boxes: Any, crop_box: list[int], orig_box: list[int], atol: float = 20.0) -> Any:
    """Return (N,) whether a box, in its crop's frame, ends at an edge of the crop that is not the image's."""
    import torch

    crop, whole = (
        torch.as_tensor(box, dtype=torch.float, device=boxes.device) for box in (crop_box, orig_box)
    )
    placed = boxes.float() + crop[[0, 1, 0, 1]]
    at_crop = torch.isclose(placed, crop[None], atol=atol, rtol=0)
    at_image = torch.isclose(placed, whole[None], atol=atol, rtol=0)
    return (at_crop & ~at_image).any(dim=1)


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:
    """Yield the arguments in slices of ``batch_size``."""
    if not args or any(len(arg) != len(args[0]) for arg in args):
        raise InputError("batch_iterator: expected arguments of one length")
    for start in range(0, len(args[0]), batch_size):
        yield [arg[start : start + batch_size] for arg in args]


def uncrop_boxes_xyxy(boxes: Any, crop_box: list[int]) -> Any:
    """Return (N, 4) boxes of a crop's frame in the image's."""
    return boxes + boxes.new_tensor([crop_box[0], crop_box[1], crop_box[0], crop_box[1]])


def uncrop_points(points: Any, crop_box: list[int]) -> Any:
    """Return (..., 2) points of a crop's frame in the image's."""
    return points + points.new_tensor(crop_box[:2])


def uncrop_masks(masks: Any, crop_box: list[int], orig_h: int, orig_w: int) -> Any:
    """Return (N, h, w) masks of a crop as (N, H, W) masks of the image."""
    left, top, right, bottom = crop_box
    whole = masks.new_zeros((*masks.shape[:-2], orig_h, orig_w))
    whole[..., top:bottom, left:right] = masks
    return whole


class MaskData:
    """Columns of one length (lists, arrays or tensors), filtered and joined together."""

    def __init__(self, **columns: Any) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> Any:
        """Return a column."""
        return self._columns[name]

    def __setitem__(self, name: str, column: Any) -> None:
        """Set a column."""
        self._columns[name] = column

    def __delitem__(self, name: str) -> None:
        """Drop a column."""
        del self._columns[name]

    def items(self) -> Any:
        """Return names and columns."""
        return self._columns.items()

    def filter(self, keep: Any) -> None:
        """Keep some rows.

        Args:
            keep: a tensor of row numbers, or of one bool a row.
        """
        rows = np.asarray(keep.detach().cpu())
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        for name, column in self._columns.items():
            if isinstance(column, list):
                self[name] = [column[row] for row in rows]
            else:
                self[name] = column[rows] if isinstance(column, np.ndarray) else column[keep]

    def cat(self, other: MaskData) -> None:
        """Add the rows of another."""
        import torch

        for name, more in other.items():
            mine = self._columns.get(name)
            if mine is None:
                self[name] = more.copy() if isinstance(more, (list, np.ndarray)) else more.clone()
            elif isinstance(mine, list):
                self[name] = mine + list(more)
            else:
                join = np.concatenate if isinstance(mine, np.ndarray) else torch.cat
                self[name] = join([mine, more])

    def to_numpy(self) -> None:
        """Turn tensors into arrays."""
        for name, column in self._columns.items():
            if hasattr(column, "detach"):
                self[name] = column.detach().cpu().numpy()
