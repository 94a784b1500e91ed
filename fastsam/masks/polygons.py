"""Masks as polygons, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastsam.masks.crop import Crop
from fastsam.masks.rle import decode_rle

__all__ = ["edge_polygons", "fill_polygons", "join_rings", "outlines", "rasterise", "yolo_polygon"]

BoolArray = NDArray[np.bool_]
FAR_PX = 1_000_000
_TOLERANCE_PX = 1.0  # takes the stairs out of outlines
_AREA_SHARE = 0.01  # of its area that an outline may lose or gain with its stairs
_MOST_CORNERS = 512  # of an exact YOLO polygon
INSET_PX = 0.001  # of outlines for readers that cut off decimals
_MANY_CORNERS = 500  # of one ring; OpenCV's time grows with their square if its edges cross
_AT_ONCE = 1 << 20  # crossings of edges and rows


def edge_polygons(mask: BoolArray) -> list[list[NDArray[np.int64]]]:
    """Return each 4-connected island of a mask as ``[outer ring, hole, ...]`` along pixel edges.

    These cover the mask exactly: the areas add up to its pixels. Rings are (K, 2) of (x, y), closed
    implicitly, without self-contact; in numbers, outer rings turn counter-clockwise and holes clockwise
    (which looks the other way round where y points down).

    >>> [ring.tolist() for ring in edge_polygons(np.ones((1, 2), bool))[0]]
    [[[2, 0], [2, 1], [0, 1], [0, 0]]]
    """
    parts = []
    for x, y, island in _islands(mask, 4):
        # OpenCV's contours run through pixel centres. In a doubled image, the centre of each half
        # tells which edge of its pixel is meant: even -> the lower one, odd -> the upper one.
        doubled = island.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
        found, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        rings = []
        for j in np.argsort(hierarchy[0, :, 3] >= 0, kind="stable"):
            ring = (found[j].reshape(-1, 2).astype(np.int64) + 1) >> 1
            ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
            rings.append(ring[::-1] + np.array([x, y]))  # OpenCV turns the other way
        parts.append(rings)
    return parts


def outlines(
    mask: BoolArray, tolerance_px: float = _TOLERANCE_PX, *, inset_px: float = 0.0
) -> list[NDArray[np.float64]]:
    """Return the outline of each island of a mask as one (K, 2) ring of (x, y) along pixel edges.

    A ring of 10 x 10 pixels has an area of 100, and one of a line a pixel wide is a pixel wide. Islands are
    8-connected; holes are bridged (:func:`join_rings`). :func:`rasterise` gives the pixels back.

    Args:
        mask: (H, W).
        tolerance_px: leave out corners that stand out by less, where that keeps the area within 1 %; 0 keeps
            the outline exact.
        inset_px: move the outline inwards. A thousandth is enough for readers that cut off decimals and draw
            the outline, too (OpenCV, PIL): they find the same pixels.

    >>> [ring.tolist() for ring in outlines(np.ones((1, 2), bool))]
    [[[2.0, 0.0], [2.0, 1.0], [0.0, 1.0], [0.0, 0.0]]]
    """
    found = []
    for x, y, island in _islands(mask, 8):
        parts = edge_polygons(island)
        rings = [_simplified(ring, tolerance_px, inset_px) for part in parts for ring in part]
        found.append(join_rings([ring + np.array([x, y]) for ring in rings]))
    return found


def _islands(mask: BoolArray, connectivity: int) -> Iterator[Crop]:
    """Yield each connected part of a mask, cut to its box."""
    if not mask.size:  # OpenCV does not take it
        return
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask, dtype=np.uint8), connectivity=connectivity
    )
    for i in range(1, count):
        x, y, width, height = (int(value) for value in stats[i, :4])
        yield Crop(x, y, labels[y : y + height, x : x + width] == i)


def _simplified(ring: NDArray[np.int64], tolerance_px: float, inset_px: float) -> NDArray[np.float64]:
    """Return a ring without the corners of its stairs; what is thin or small keeps them."""
    moved = ring + inset_px * _inwards(ring)
    if tolerance_px <= 0 or len(ring) <= 4:
        return moved
    area = _area(ring)
    for tolerance in (tolerance_px, 0.75 * tolerance_px):
        fewer = cv2.approxPolyDP(ring.astype(np.int32).reshape(-1, 1, 2), tolerance, True).reshape(-1, 2)
        if len(fewer) >= 3 and abs(_area(fewer) - area) <= _AREA_SHARE * area:
            place = {corner: i for i, corner in enumerate(map(tuple, ring.tolist()))}
            return moved[[place[corner] for corner in map(tuple, fewer.tolist())]]
    return moved


def _inwards(ring: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (K, 2) which way the mask lies from each corner: to the left of both of its edges."""
    step = np.sign(np.roll(ring, -1, axis=0) - ring)
    left = np.stack([-step[:, 1], step[:, 0]], axis=1)
    return np.asarray(left + np.roll(left, 1, axis=0), np.int64)


def _area(ring: NDArray[Any]) -> float:
    x, y = ring.T.astype(np.float64)
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def rasterise(rings: Sequence[NDArray[Any]], size_hw: tuple[int, int]) -> BoolArray:
    """Return the (H, W) pixels of rings of (x, y) along pixel edges, by COCO's rule; rings add up.

    Bridges cancel out, so that what :func:`outlines` gives comes back. Corners must be finite.
    """
    usable = [np.asarray(ring, np.float64).clip(-FAR_PX, FAR_PX).ravel().tolist() for ring in rings]
    usable = [ring for ring in usable if len(ring) >= 6]
    if not usable:
        return np.zeros(size_hw, bool)
    raw = coco_mask.merge(coco_mask.frPyObjects(usable, *size_hw))
    return decode_rle({"size": [int(side) for side in raw["size"]], "counts": raw["counts"].decode("ascii")})


def yolo_polygon(
    mask: BoolArray, origin_xy: tuple[int, int] = (0, 0), size_hw: tuple[int, int] | None = None
) -> str | None:
    """Return a mask as the coordinates of a YOLO segmentation label, ``"x1 y1 x2 y2 ..."`` in 0..1.

    The outline runs along pixel edges; islands and holes are kept by zero-width bridges
    (:func:`join_rings`). One of many corners is simplified.

    Args:
        mask: (H, W), or a patch of it.
        origin_xy: the top left pixel of the patch.
        size_hw: image size, where ``mask`` is a patch.

    Returns:
        None for an empty mask.
    """
    exact = join_rings(outlines(mask, 0, inset_px=INSET_PX))
    ring = exact if len(exact) <= _MOST_CORNERS else join_rings(outlines(mask, inset_px=INSET_PX))
    if not len(ring):
        return None
    height, width = mask.shape if size_hw is None else size_hw
    scaled = (ring + origin_xy) / [width, height]
    return " ".join(f"{value:.7f}" for value in scaled.clip(0, 1).ravel())


def join_rings(rings: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Join rings into one ring by zero-width bridges between nearest points.

    Filled by the even-odd rule (as OpenCV and YOLO trainers do) the result covers what the separate
    rings cover: islands stay, holes stay open. Returns (0, 2) for no rings.
    """
    if not rings:
        return np.zeros((0, 2))
    joined = np.asarray(rings[0], np.float64)
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
    """Rasterise rings of (x, y) image coordinates by the even-odd rule to an (H, W) mask.

    Corners more than ``FAR_PX`` pixels away count as that far: OpenCV's whole numbers would wrap around.
    """
    canvas = np.zeros(size_hw, np.uint8)
    rounded = [np.round(np.nan_to_num(np.asarray(ring, np.float64)).clip(-FAR_PX, FAR_PX)) for ring in rings]
    usable = [ring.astype(np.int32).reshape(-1, 2) for ring in rounded]
    usable = [ring for ring in usable if len(ring) >= 3]
    if any(len(ring) > _MANY_CORNERS for ring in usable):
        return _fill_by_rows(usable, size_hw)
    if usable:
        cv2.fillPoly(canvas, usable, 1)
    return canvas.astype(bool)


def _fill_by_rows(rings: list[NDArray[np.int32]], size_hw: tuple[int, int]) -> BoolArray:
    """Rasterise as ``cv2.fillPoly`` does, in time that grows with the length of the outline.

    Each edge turns the parity of what is right of it in its rows; the outline itself belongs to the mask.
    """
    height, width = size_hw
    turns = np.zeros(height * (width + 1), np.uint8)  # in one row, which numpy counts faster
    canvas = np.zeros(size_hw, np.uint8)
    for ring in rings:
        cv2.polylines(canvas, [ring], True, 1)
        start, end = ring.astype(np.float64), np.roll(ring, -1, axis=0).astype(np.float64)
        down = start[:, 1] > end[:, 1]
        start[down], end[down] = end[down], start[down]
        first = np.clip(start[:, 1], 0, height).astype(np.int64)
        count = np.clip(end[:, 1], 0, height).astype(np.int64) - first
        crossed = np.flatnonzero(count > 0)
        for some in np.split(
            crossed, np.searchsorted(np.cumsum(count[crossed]), np.arange(1, 65) * _AT_ONCE)
        ):
            rows, x = _crossings(start[some], end[some], first[some], count[some])
            # The first pixel whose centre is not left of the edge.
            columns = np.clip(np.ceil(x), 0, width).astype(np.int64)
            np.add.at(turns, rows * (width + 1) + columns, np.uint8(1))
    inside = np.bitwise_xor.accumulate(turns.reshape(height, -1) & 1, axis=1)[:, :width]
    return np.asarray((inside | canvas).astype(bool))


def _crossings(
    start: NDArray[np.float64], end: NDArray[np.float64], first: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows that edges cross, and where they cross them."""
    edge = np.repeat(np.arange(len(count)), count)
    begun = np.repeat(np.cumsum(count) - count, count)
    rows = first[edge] + np.arange(len(edge)) - begun
    slope = (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
    return rows, start[edge, 0] + (rows - start[edge, 1]) * slope[edge]
