"""Pure functions on binary masks: area, boxes, overlap, RLE, polygons, islands and holes.

Masks are ``(H, W)`` or ``(N, H, W)`` boolean arrays in the image frame. Boxes are ``xyxy``: the
left, top, right and bottom edges of the pixels, so a mask of the single pixel (x, y) has the box
``(x, y, x + 1, y + 1)``. Each function takes N = 0.
"""

from __future__ import annotations

from typing import Any, TypedDict, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastsam.errors import InputError

__all__ = [
    "Rle",
    "area_px",
    "box_from_mask",
    "boxes_from_masks",
    "clean",
    "containment_matrix",
    "decode_rle",
    "encode_rle",
    "farthest_point",
    "fill_polygons",
    "iou_matrix",
    "join_rings",
    "polygons",
    "rle_iou_matrix",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


class Rle(TypedDict):
    """COCO's compressed run-length encoding: ``size`` is ``[H, W]``, ``counts`` is ASCII."""

    size: list[int]
    counts: str


def area_px(masks: BoolArray) -> NDArray[np.int64]:
    """Return the number of true pixels of each mask, shape (N,).

    >>> area_px(np.ones((2, 3, 4), bool)).tolist()
    [12, 12]
    """
    return np.count_nonzero(masks, axis=(-2, -1)).astype(np.int64).reshape(masks.shape[:-2])


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


def boxes_from_masks(masks: BoolArray) -> FloatArray:
    """Return the tight xyxy boxes of (N, H, W) masks, shape (N, 4); zeros where a mask is empty."""
    return np.array([box_from_mask(mask) for mask in masks], np.float32).reshape(-1, 4)


def _intersections(a: BoolArray, b: BoolArray) -> NDArray[np.float32]:
    """Return the (N, M) shared pixel counts of (N, H, W) and (M, H, W) masks."""
    # float32 counts are exact up to 2**24 px; beyond that the error is under one part in 1e7.
    flat_a = a.reshape(len(a), -1).astype(np.float32)
    flat_b = b.reshape(len(b), -1).astype(np.float32)
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
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def containment_matrix(masks: BoolArray) -> FloatArray:
    """Return (N, N): the share of mask i that lies inside mask j; 0 for an empty mask i."""
    shared = _intersections(masks, masks)
    areas = area_px(masks).astype(np.float32)[:, None]
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def encode_rle(mask: BoolArray) -> Rle:
    """Encode an (H, W) mask as COCO's compressed RLE (pycocotools).

    >>> decode_rle(encode_rle(np.eye(3, dtype=bool))).sum()
    np.int64(3)
    """
    raw = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in raw["size"]], "counts": raw["counts"].decode("ascii")}


def decode_rle(rle: Any) -> BoolArray:
    """Decode COCO RLE, compressed or with a list of counts, to an (H, W) mask.

    Raises:
        InputError: ``rle`` is not COCO RLE, or its counts do not fill its size.
    """
    if not isinstance(rle, dict) or "size" not in rle or "counts" not in rle:
        raise InputError(
            "rle: expected a mapping with 'size' [H, W] and 'counts', "
            f"got {type(rle).__name__}{sorted(rle) if isinstance(rle, dict) else ''}"
        )
    height, width = (int(n) for n in rle["size"])
    counts = rle["counts"]
    if isinstance(counts, (list, tuple)):
        if sum(counts) != height * width or any(n < 0 for n in counts):
            raise InputError(
                f"rle: counts add up to {sum(counts)}, expected {height * width} for {height}x{width}"
            )
        values = np.arange(len(counts)) % 2 == 1
        return np.repeat(values, counts).reshape((width, height)).T
    raw = {"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else counts}
    try:
        return cast(BoolArray, coco_mask.decode(raw).astype(bool))
    except Exception as error:  # pycocotools raises bare errors of its C layer
        raise InputError(f"rle: counts are not COCO's compressed form ({error})") from error


def rle_iou_matrix(a: list[Rle], b: list[Rle]) -> NDArray[np.float64]:
    """Return the (N, M) IoU of two lists of RLE masks (pycocotools)."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return np.asarray(coco_mask.iou(a, b, [0] * len(b)))


def polygons(mask: BoolArray, tolerance_px: float = 0.0) -> list[NDArray[np.float32]]:
    """Return the outlines of a mask as (K, 2) rings of (x, y): outer rings, then holes, each closed
    implicitly.

    Rings run through pixel centres; ``tolerance_px`` simplifies them (Douglas-Peucker). Rings of
    under three points are left out.
    """
    found, _ = cv2.findContours(
        np.ascontiguousarray(mask, dtype=np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    if tolerance_px > 0:
        found = [cv2.approxPolyDP(ring, tolerance_px, True) for ring in found]
    return [ring.reshape(-1, 2).astype(np.float32) for ring in found if len(ring) >= 3]


def join_rings(rings: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join rings into one ring by zero-width bridges between nearest points.

    Filled by the even-odd rule (as OpenCV and YOLO trainers do) the result covers what the separate
    rings cover: islands stay, holes stay open. Returns (0, 2) for no rings.
    """
    if not rings:
        return np.zeros((0, 2), np.float32)
    joined = rings[0]
    for ring in rings[1:]:
        distance = ((joined[:, None] - ring[None]) ** 2).sum(axis=2)
        i, j = np.unravel_index(int(distance.argmin()), distance.shape)
        loop = np.roll(ring, -int(j), axis=0)
        joined = np.concatenate([joined[: i + 1], loop, loop[:1], joined[i:]])
    return joined


def fill_polygons(rings: list[NDArray[np.float32]], size_hw: tuple[int, int]) -> BoolArray:
    """Rasterise rings of (x, y) image coordinates by the even-odd rule to an (H, W) mask."""
    canvas = np.zeros(size_hw, np.uint8)
    usable = [np.round(np.asarray(ring)).astype(np.int32).reshape(-1, 2) for ring in rings]
    usable = [ring for ring in usable if len(ring) >= 3]
    if usable:
        cv2.fillPoly(canvas, usable, 1)
    return canvas.astype(bool)


def clean(mask: BoolArray, min_area_px: int) -> BoolArray:
    """Fill holes and drop islands of under ``min_area_px`` pixels; the largest island always stays.

    4-connected islands and 8-connected holes, as in SAM's ``remove_small_regions``.
    """
    if min_area_px <= 0 or not mask.any():
        return mask.copy()
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=8)
    small_holes = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] < min_area_px]
    filled = mask | np.isin(labels, small_holes) if small_holes else mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(filled.astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = [i for i in range(1, count) if areas[i] >= min_area_px] or [int(areas.argmax())]
    return cast(BoolArray, np.isin(labels, keep))


def farthest_point(mask: BoolArray) -> tuple[int, int]:
    """Return the (x, y) pixel of a mask that is farthest from its edge (the image edge counts).

    This is the click of SAM's single-point protocol (arXiv 2304.02643, section 7.1).

    Raises:
        InputError: the mask is empty.
    """
    if not mask.any():
        raise InputError("mask: expected at least one true pixel to click on, got an empty mask")
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), mask.shape)
    return int(x), int(y)
