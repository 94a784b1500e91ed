"""Masks as polygons, and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["edge_polygons", "fill_polygons", "join_rings", "polygon_parts", "polygons", "yolo_polygon"]

BoolArray = NDArray[np.bool_]
FAR_PX = 1_000_000
_MANY_CORNERS = 500  # of one ring; OpenCV's time grows with their square if its edges cross
_AT_ONCE = 1 << 20  # crossings of edges and rows


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
