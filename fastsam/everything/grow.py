"""Boxes that end where masks end: the network's, moved out where its mask goes on beyond (numpy, cv2).

A network that was trained on masks beyond their boxes (:mod:`fastsam.training.mask_loss`) knows what it sees
there. Its checkpoint says how far; others are cut at their boxes, as YOLO does.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.stores.grid import GridStore

__all__ = ["LEAST_GROWTH_CELLS", "MOST_GROWTH", "grown_boxes"]

FloatArray = NDArray[np.float32]
LEAST_GROWTH_CELLS = 2  # a small box may grow by this much at least: a quarter of it would be no cell
MOST_GROWTH = 1.0
_REACH = 0.5  # cells from the centre of the last cell of a mask beyond which it ends, at most
_SPREAD = 1.25  # times wider than its crossing of the box's side: a leak; chosen on training images
_AT_ONCE = 64  # masks multiplied out together: bounds the memory


def grown_boxes(store: GridStore, growth: float) -> FloatArray:
    """Return the boxes of masks, each side moved out to where the mask ends, if it ends beyond.

    What counts is the part of the mask that hangs together with what is inside the network's box; another
    object beside the box moves nothing. A mask that does not end within the growth is cut there.

    Args:
        store: N masks, with the network's boxes.
        growth: how far a side may move, as a share of the box's width or height; two cells at least.

    Returns:
        (N, 4) float32, image frame, within the image.
    """
    boxes = store.boxes_xyxy.copy()
    if growth <= 0 or len(store) == 0:
        return boxes
    letterbox = store.grid.letterbox
    height, width = store.grid.grid_hw
    inner = store.windows_on_grid
    content = np.array(store.content_on_grid)
    sides = (inner[:, 2:] - inner[:, :2]) * growth
    margin = np.maximum(np.ceil(sides).astype(np.int64), LEAST_GROWTH_CELLS)
    outer = np.concatenate([inner[:, :2] - margin, inner[:, 2:] + margin], axis=1)
    outer = np.clip(outer, np.tile(content[:2], 2), np.tile(content[2:], 2))
    cells = store.prototypes.reshape(len(store.prototypes), -1)
    scale, outwards = letterbox.net_hw[0] / height, np.array([-1, -1, 1, 1])
    for start in range(0, len(store), _AT_ONCE):
        signs = (store.coefficients[start : start + _AT_ONCE] @ cells > 0).reshape(-1, height, width)
        for k, sign in enumerate(signs, start):
            ends = _ends(sign, inner[k], outer[k])
            moved = outwards * (ends - inner[k]) > 0
            if moved.any():
                low, high = outer[k, [0, 1, 0, 1]], outer[k, [2, 3, 2, 3]]
                reach = np.clip(ends + _REACH * outwards, low, high) * scale
                there = letterbox.boxes_to_image(reach.astype(np.float32)[None])[0]
                boxes[k, moved] = there[moved]
    return boxes


def _ends(sign: NDArray[np.bool_], inner: NDArray[np.int64], outer: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return x0, y0, x1, y1, cells: the inner window and what of the mask hangs together with it."""
    x0, y0, x1, y1 = (int(v) for v in outer)
    part = sign[y0:y1, x0:x1]
    u0, v0, u1, v1 = (int(v) for v in inner - outer[[0, 1, 0, 1]])
    ring = np.count_nonzero(part) - np.count_nonzero(part[v0:v1, u0:u1])
    if ring == 0:
        return inner
    count, labels = cv2.connectedComponents(part.astype(np.uint8), connectivity=4)
    keep = np.zeros(count, bool)
    keep[np.unique(labels[v0:v1, u0:u1])] = True
    keep[0] = False
    mine = keep[labels]
    columns, rows = np.flatnonzero(mine.any(axis=0)), np.flatnonzero(mine.any(axis=1))
    if len(columns) == 0:
        return inner
    ends = np.array([columns[0] + x0, rows[0] + y0, columns[-1] + 1 + x0, rows[-1] + 1 + y0])
    ends = np.concatenate([np.minimum(ends[:2], inner[:2]), np.maximum(ends[2:], inner[2:])])
    return np.where(_leaks(mine, (u0, v0, u1, v1)), inner, ends)


def _leaks(mask: NDArray[np.bool_], inner: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return (4,) whether a mask is much wider beyond a side of the inner window than where it crosses it.

    What a box cuts off narrows towards its end; what runs into a neighbour starts at a gap and spreads.

    Args:
        mask: (h, w) cells of the outer window.
        inner: x0, y0, x1, y1 of the inner one in it, not empty.
    """
    x0, y0, x1, y1 = inner
    sides = (
        (mask.T[:x0][::-1], mask.T[x0]),
        (mask[:y0][::-1], mask[y0]),
        (mask.T[x1:], mask.T[x1 - 1]),
        (mask[y1:], mask[y1 - 1]),
    )
    leaks = np.zeros(4, bool)
    for k, (beyond, last) in enumerate(sides):
        if len(beyond) and beyond.any():
            crossing = max(int(np.count_nonzero(beyond[0] & last)), 1)
            leaks[k] = np.count_nonzero(beyond, axis=1).max() > _SPREAD * crossing
    return leaks
