"""Pure functions on binary masks: area, boxes, overlap, RLE, polygons, islands and holes.

Masks are ``(H, W)`` or ``(N, H, W)`` boolean arrays in the image frame. Boxes are ``xyxy``: the
left, top, right and bottom edges of the pixels, so a mask of the single pixel (x, y) has the box
``(x, y, x + 1, y + 1)``. Each function takes N = 0.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError
from fastsam.masks.crop import Crop

__all__ = [
    "area_px",
    "box_from_mask",
    "clean",
    "farthest_point",
    "iou_matrix",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


def area_px(masks: BoolArray) -> NDArray[np.int64]:
    """Return the number of true pixels of each mask, shape (N,).

    >>> area_px(np.ones((2, 3, 4), bool)).tolist()
    [12, 12]
    """
    counts = np.count_nonzero(masks, axis=(-2, -1))
    return np.asarray(counts, np.int64).reshape(masks.shape[:-2])


def box_from_mask(mask: BoolArray) -> FloatArray:
    """Return the tight xyxy box of an (H, W) mask; zeros when the mask is empty.

    >>> m = np.zeros((5, 5), bool); m[1:3, 2:5] = True
    >>> box_from_mask(m).tolist()
    [2.0, 1.0, 5.0, 3.0]
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return np.zeros(4, np.float32)
    cols = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], np.float32)


def _intersections(a: BoolArray, b: BoolArray) -> NDArray[np.float32]:
    """Return the (N, M) shared pixel counts of (N, H, W) and (M, H, W) masks."""
    # float32 counts are exact up to 2**24 px; beyond that the error is under one part in 1e7.
    pixels = a.shape[-2] * a.shape[-1]
    flat_a = a.reshape(len(a), pixels).astype(np.float32)
    flat_b = b.reshape(len(b), pixels).astype(np.float32)
    return cast(NDArray[np.float32], flat_a @ flat_b.T)


def iou_matrix(a: BoolArray, b: BoolArray) -> FloatArray:
    """Return the (N, M) intersection over union of two stacks of masks; 0 where both are empty.

    Raises:
        InputError: the two stacks have different image sizes.
    """
    if a.shape[-2:] != b.shape[-2:]:
        raise InputError(
            f"masks: expected two stacks of one image size, got {a.shape[-2:]} and {b.shape[-2:]}"
        )
    shared = _intersections(a, b)
    union = area_px(a)[:, None] + area_px(b)[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def clean(mask: BoolArray, min_area_px: int) -> BoolArray:
    """Fill holes and drop islands of under ``min_area_px`` pixels; the largest island always stays.

    4-connected islands and 8-connected holes, as in SAM's ``remove_small_regions``.
    """
    if min_area_px <= 0 or not mask.any():
        return mask.copy()
    filled = mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < min_area_px
    small[0] = False  # component 0 is the mask itself
    if small.any():
        filled = mask | small[labels]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(filled.astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = areas >= min_area_px
    if not keep.any():
        keep[areas.argmax()] = True
    return np.asarray(keep[labels], bool)


def farthest_point(mask: BoolArray) -> tuple[int, int]:
    """Return the (x, y) pixel of a mask that is farthest from its edge (the image edge counts).

    This is the click of SAM's single-point protocol (arXiv 2304.02643, section 7.1).

    Raises:
        InputError: the mask is empty.
    """
    point = Crop(0, 0, mask).deepest()
    if point is None:
        raise InputError("mask: expected at least one true pixel to click on, got an empty mask")
    return point
