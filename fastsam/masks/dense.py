"""Pure functions on binary masks: area, boxes, overlap, RLE, polygons, islands and holes.

Masks are ``(H, W)`` or ``(N, H, W)`` boolean arrays in the image frame. Boxes are ``xyxy``: the
left, top, right and bottom edges of the pixels, so a mask of the single pixel (x, y) has the box
``(x, y, x + 1, y + 1)``. Each function takes N = 0.
"""

from __future__ import annotations

import operator
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
    "decode_crop",
    "decode_rle",
    "edge_polygons",
    "encode_crop",
    "encode_rle",
    "farthest_point",
    "fill_polygons",
    "iou_matrix",
    "join_rings",
    "polygon_parts",
    "polygons",
    "rle_iou_matrix",
    "yolo_polygon",
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


def boxes_from_masks(masks: BoolArray) -> FloatArray:
    """Return the tight xyxy boxes of (N, H, W) masks, shape (N, 4); zeros where a mask is empty."""
    return np.array([box_from_mask(mask) for mask in masks], np.float32).reshape(-1, 4)


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


def encode_crop(patch: BoolArray, x0: int, y0: int, size_hw: tuple[int, int]) -> Rle:
    """Encode a mask given as a patch at (x0, y0) as COCO's RLE of the whole image.

    The work grows with the patch, not with the image.

    >>> decode_rle(encode_crop(np.ones((1, 2), bool), 3, 0, (2, 6))).sum(axis=0).tolist()
    [0, 0, 0, 1, 1, 0]
    """
    height, width = size_hw
    rows = patch.shape[0]
    columns = np.zeros((patch.shape[1], rows + 1), bool)  # a false one after each column ends its last run
    columns[:, :rows] = patch.T
    flat = columns.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1  # a run's start, its end, the next one's start, ...
    if flat.size and flat[0]:
        turns = np.concatenate([[0], turns])
    turns = turns // (rows + 1) * height + turns % (rows + 1) + (x0 * height + y0)
    joined = np.flatnonzero(turns[1:-1:2] == turns[2::2]) * 2 + 1
    if len(joined):  # a run that goes on at the top of the next column is one run
        turns = np.delete(turns, np.concatenate([joined, joined + 1]))
    counts = np.diff(turns, prepend=0, append=height * width).tolist()
    if counts[-1] == 0:
        counts.pop()
    raw = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": raw["counts"].decode("ascii")}


def decode_rle(rle: Any) -> BoolArray:
    """Decode COCO RLE, compressed or with a list of counts, to an (H, W) mask.

    Raises:
        InputError: ``rle`` is not COCO RLE, or its counts do not fill its size.
    """
    height, width, counts = _checked_rle(rle)
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((width, height)).T


def _checked_rle(rle: Any) -> tuple[int, int, NDArray[np.int64]]:
    """Return height, width and run lengths of an RLE, checked."""
    if not isinstance(rle, dict) or "size" not in rle or "counts" not in rle:
        raise InputError(
            "rle: expected a mapping with 'size' [H, W] and 'counts', "
            f"got {type(rle).__name__}{sorted(map(str, rle)) if isinstance(rle, dict) else ''}"
        )
    height, width = _rle_size(rle["size"])
    counts = _rle_counts(rle["counts"])
    total = int(counts.sum())
    if (counts < 0).any() or total != height * width:
        raise InputError(
            f"rle: counts add up to {total}, expected {height * width} for {height}x{width} (H x W), "
            "none negative"
        )
    return height, width, counts


def decode_crop(rle: Any) -> tuple[int, int, BoolArray]:
    """Decode COCO RLE to the left and top edge of the mask's tight box, and its pixels in there.

    The work grows with the mask's columns, not with the image. An empty mask gives (0, 0) and no pixels.

    Raises:
        InputError: as :func:`decode_rle`.

    >>> decode_crop({"size": [2, 6], "counts": [6, 1, 1, 1, 3]})[:2]
    (3, 0)
    """
    height, _, counts = _checked_rle(rle)
    edges = counts.cumsum()
    starts, ends = edges[: len(edges) // 2 * 2 : 2], edges[1::2]  # of the runs of ones, down the columns
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return 0, 0, np.zeros((0, 0), bool)
    x0, x1 = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    flat = np.zeros((x1 - x0) * height + 1, np.int8)
    np.add.at(flat, starts - x0 * height, 1)
    np.add.at(flat, ends - x0 * height, -1)
    columns = flat[:-1].cumsum(dtype=np.int8).astype(bool).reshape(x1 - x0, height)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return x0, y0, np.ascontiguousarray(columns[:, y0:y1].T)


def _rle_size(size: Any) -> tuple[int, int]:
    """Return the (H, W) of an RLE, checked."""
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError) as error:
        raise InputError(f"rle: expected size [H, W] as two whole numbers, got {size!r}") from error
    if height < 0 or width < 0:
        raise InputError(f"rle: expected size [H, W] of at least 0, got {size!r}")
    return height, width


def _rle_counts(counts: Any) -> NDArray[np.int64]:
    """Return the run lengths of an RLE, listed or compressed (pycocotools would read damaged text as
    whatever the memory held).
    """
    if isinstance(counts, (list, tuple)):
        try:
            return np.array([operator.index(count) for count in counts], np.int64)
        except (TypeError, OverflowError) as error:
            raise InputError(f"rle: expected counts to be whole numbers, got {str(counts)[:80]}") from error
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else bytes(memoryview(counts))
    except (TypeError, UnicodeEncodeError) as error:
        raise InputError(f"rle: expected counts as text or a list, got {str(counts)[:80]!r}") from error
    # Base 32 digits from "0" on, lowest first; 32 marks that more follow, 16 in the last one a minus.
    digits = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    last = digits & 32 == 0
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]])) if len(digits) else np.zeros(0, np.int64)
    place = np.arange(len(digits)) - np.repeat(starts, np.diff(starts, append=len(digits)))
    bad = len(digits) and (digits.min() < 0 or digits.max() > 63 or not last[-1] or place.max() > 6)
    if bad:
        raise InputError(f"rle: counts are not COCO's compressed form, got {str(counts)[:80]!r}")
    if not len(digits):
        return np.zeros(0, np.int64)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    minus = digits[last] & 16 > 0
    values -= np.where(minus, np.int64(1) << (5 * (place[last] + 1)), 0)
    # From the fourth on, each is the difference to the one before the last.
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def rle_iou_matrix(a: list[Rle], b: list[Rle]) -> NDArray[np.float64]:
    """Return the (N, M) IoU of two lists of RLE masks (pycocotools).

    Raises:
        InputError: the masks have different image sizes.
    """
    sizes = {tuple(rle["size"]) for rle in (*a, *b)}
    if len(sizes) > 1:
        raise InputError(f"rle: expected masks of one image size, got {sorted(sizes)}")
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


def polygon_parts(mask: BoolArray, tolerance_px: float = 0.0) -> list[list[NDArray[np.float32]]]:
    """Return each island of a mask as ``[outer ring, hole, hole, ...]``, rings as in :func:`polygons`.

    Islands are 8-connected; one without a ring of three points is left out.
    """
    found, hierarchy = cv2.findContours(
        np.ascontiguousarray(mask, dtype=np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    if tolerance_px > 0:
        found = [cv2.approxPolyDP(ring, tolerance_px, True) for ring in found]
    rings = [ring.reshape(-1, 2).astype(np.float32) for ring in found]
    parents = hierarchy[0, :, 3] if rings else np.zeros(0, np.int64)
    parts = {i: [rings[i]] for i in np.flatnonzero(parents < 0) if len(rings[i]) >= 3}
    for i in np.flatnonzero(parents >= 0):
        if parents[i] in parts and len(rings[i]) >= 3:
            parts[parents[i]].append(rings[i])
    return list(parts.values())


def edge_polygons(mask: BoolArray) -> list[list[NDArray[np.int64]]]:
    """Return each 4-connected island of a mask as ``[outer ring, hole, ...]`` along pixel edges.

    These cover the mask exactly: the areas add up to its pixels. Rings are (K, 2) of (x, y), closed
    implicitly, without self-contact; in numbers, outer rings turn counter-clockwise and holes clockwise
    (which looks the other way round where y points down).

    >>> [ring.tolist() for ring in edge_polygons(np.ones((1, 2), bool))[0]]
    [[[2, 0], [2, 1], [0, 1], [0, 0]]]
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask, dtype=np.uint8), connectivity=4
    )
    parts = []
    for i in range(1, count):
        x, y, width, height = (int(value) for value in stats[i, :4])
        piece = (labels[y : y + height, x : x + width] == i).astype(np.uint8)
        # OpenCV's contours run through pixel centres. In a doubled image, the centre of each half
        # tells which edge of its pixel is meant: even -> the lower one, odd -> the upper one.
        doubled = piece.repeat(2, axis=0).repeat(2, axis=1)
        found, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        rings = []
        for j in np.argsort(hierarchy[0, :, 3] >= 0, kind="stable"):
            ring = (found[j].reshape(-1, 2).astype(np.int64) + 1) >> 1
            ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
            rings.append(ring[::-1] + np.array([x, y]))  # OpenCV turns the other way
        parts.append(rings)
    return parts


def yolo_polygon(
    mask: BoolArray, origin_xy: tuple[int, int] = (0, 0), size_hw: tuple[int, int] | None = None
) -> str | None:
    """Return a mask as the coordinates of a YOLO segmentation label, ``"x1 y1 x2 y2 ..."`` in 0..1.

    Islands and holes are kept by zero-width bridges (:func:`join_rings`).

    Args:
        mask: (H, W), or a patch of it.
        origin_xy: the top left pixel of the patch.
        size_hw: image size, where ``mask`` is a patch.

    Returns:
        None where nothing is left of it: an empty mask, or one that is nowhere two pixels thick.
    """
    ring = join_rings(polygons(mask, tolerance_px=0.7))
    if len(ring) < 3:
        return None
    height, width = mask.shape if size_hw is None else size_hw
    centres = ring + np.array(origin_xy, np.float32) + np.float32(0.5)
    scaled = centres / np.array([width, height], np.float32)
    return " ".join(f"{value:.5f}" for value in scaled.clip(0, 1).ravel())


def join_rings(rings: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join rings into one ring by zero-width bridges between nearest points.

    Filled by the even-odd rule (as OpenCV and YOLO trainers do) the result covers what the separate
    rings cover: islands stay, holes stay open. Returns (0, 2) for no rings.
    """
    if not rings:
        return np.zeros((0, 2), np.float32)
    joined = rings[0]
    for ring in rings[1:]:
        i, j = _nearest(joined, ring)
        loop = np.roll(ring, -j, axis=0)
        joined = np.concatenate([joined[: i + 1], loop, loop[:1], joined[i:]])
    return joined


def _nearest(a: NDArray[Any], b: NDArray[Any]) -> tuple[int, int]:
    """Return the rows of the two points, one of each array, that are nearest to each other."""
    best, found = np.inf, (0, 0)
    b = b.astype(np.float64)  # exact for whole pixels
    step = max(65_536 // len(b), 1)  # keeps the distance matrix in the cache
    for start in range(0, len(a), step):
        some = a[start : start + step].astype(np.float64)
        distance = some @ (-2.0 * b.T) + (some**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)
        i, j = np.unravel_index(int(distance.argmin()), distance.shape)
        if distance[i, j] < best:
            best, found = distance[i, j], (start + int(i), int(j))
    return found


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
    if not mask.any():
        raise InputError("mask: expected at least one true pixel to click on, got an empty mask")
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), mask.shape)
    return int(x), int(y)
