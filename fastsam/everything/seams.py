"""What different views of one image found -> one set: halves joined across seams, duplicates dropped.

Everything is decided in mask space. A mask that an inner edge of its view cuts is half of something: it is
joined with the other half where the two agree in the strip that both views show, and dropped where there is
none, as then either another view has the whole of it, or nobody has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop
from fastsam.masks.stores.joined import JoinedStore

__all__ = ["NetworkView", "Pieces", "distinct", "join_halves", "margin_px"]

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_SEAM_IOU = 0.6  # two halves agree in the strip that both views show
_OPEN_SHARE = 0.2  # of what one edge cuts, so much may be without a mask beyond
_STRIP_SAMPLES = 1 << 16  # pixels of a strip that are compared; of a larger one every n-th


@dataclass(frozen=True)
class NetworkView:
    """A rectangle that the network sees by itself: x0, y0, x1, y1 in image pixels; it may leave the image.

    Views of one layer share the image among them.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """The rectangle."""
        return self.x0, self.y0, self.x1, self.y1

    def inside(self, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return what of it the image covers."""
        return max(self.x0, 0), max(self.y0, 0), min(self.x1, size_hw[1]), min(self.y1, size_hw[0])


def margin_px(side: int) -> int:
    """Return how near an edge of a view a mask counts as cut by it."""
    return max(math.ceil(side / 32), 2)


@dataclass(frozen=True, eq=False)
class Pieces:
    """All masks of all views, in the frame of the image.

    Attributes:
        size_hw: of the image.
        store: their pixels.
        boxes_xyxy: (N, 4) float32.
        scores: (N,) float32.
        areas_px: (N,) int64.
        of_view: (N,) int64, which view found each.
        views: the views.
        class_ids: (N,) int64, as the network has them; -1 for none.
    """

    size_hw: tuple[int, int]
    store: JoinedStore
    boxes_xyxy: FloatArray
    scores: FloatArray
    areas_px: IntArray
    of_view: IntArray
    views: tuple[NetworkView, ...]
    class_ids: IntArray

    @cached_property
    def _edges(self) -> IntArray:
        """(V, 4) the views."""
        return np.array([view.xyxy for view in self.views], np.int64).reshape(-1, 4)

    @cached_property
    def cut(self) -> BoolArray:
        """(N, 4): at its left, top, right, bottom a mask comes to an edge beyond which the image goes on."""
        height, width = self.size_hw
        edges = self._edges
        crossed = np.concatenate([edges[:, :2] > 0, edges[:, 2:] < [width, height]], axis=1)
        margins = np.array([margin_px(min(v.x1 - v.x0, v.y1 - v.y0)) for v in self.views], np.int64)
        distance = np.abs(self.boxes_xyxy - edges[self.of_view])
        return np.asarray(crossed[self.of_view] & (distance <= margins[self.of_view, None]))

    def off_centre(self) -> NDArray[np.float64]:
        """Return (N,) how far the middle of each mask's box lies from that of its view; 1 is at the edge."""
        edges = self._edges[self.of_view].astype(np.float64)
        middles = (self.boxes_xyxy[:, :2] + self.boxes_xyxy[:, 2:]) / 2
        half = (edges[:, 2:] - edges[:, :2]) / 2
        return np.asarray((np.abs(middles - edges[:, :2] - half) / half).max(axis=1, initial=0.0))

    def view_px(self) -> IntArray:
        """Return (N,) the pixels of each mask's view."""
        edges = self._edges[self.of_view]
        return np.asarray((edges[:, 2:] - edges[:, :2]).prod(axis=1))


# --- halves -----------------------------------------------------------------------------------------


def join_halves(pieces: Pieces) -> Iterator[tuple[Crop, float, IntArray]]:
    """Yield each mask that was put together of cut ones: its pixels, its score, the rows that it was made of.

    Of each pair of neighbouring views, every cut mask has at most one other half: pairs are taken by their
    IoU in the strip that both views show, best first. The score is the mean of the parts', by area. What is
    not continued beyond an edge that cuts it is no whole mask, and is not yielded.
    """
    groups: dict[int, int] = {}

    def root(i: int) -> int:
        while groups.setdefault(i, i) != i:
            i = groups[i]
        return i

    for i, j in _halves(pieces):
        groups[root(i)] = root(j)
    members: dict[int, list[int]] = {}
    for i in sorted(groups):
        members.setdefault(root(i), []).append(i)
    for rows in members.values():
        index = np.array(rows, np.int64)
        crop = _joined(pieces, index)
        if crop is not None:
            weights = pieces.areas_px[index]
            yield crop, float(np.average(pieces.scores[index], weights=weights)), index


def _halves(pieces: Pieces) -> Iterator[tuple[int, int]]:
    """Yield the rows of cut masks that are one thing, seen from two views."""
    cut = pieces.cut.any(axis=1)
    rows = [np.flatnonzero(cut & (pieces.of_view == number)) for number in range(len(pieces.views))]
    for a, first in enumerate(pieces.views):
        for b in range(a + 1, len(pieces.views)):
            second = pieces.views[b]
            if second.layer != first.layer or not len(rows[a]) or not len(rows[b]):
                continue
            strip = _strip(first, second, pieces.size_hw)
            if strip is None:
                continue
            some = rows[a][(pieces.cut[rows[a]] & _edges_within(first, second)).any(axis=1)]
            others = rows[b][(pieces.cut[rows[b]] & _edges_within(second, first)).any(axis=1)]
            yield from _matched(pieces, some, others, strip)


def _strip(
    first: NetworkView, second: NetworkView, size_hw: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the part of the image that two views show."""
    a, b = first.inside(size_hw), second.inside(size_hw)
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _edges_within(view: NetworkView, other: NetworkView) -> BoolArray:
    """Return (4,) which edges of a view run through another one."""
    return np.array(
        [
            other.x0 < view.x0 < other.x1,
            other.y0 < view.y0 < other.y1,
            other.x0 < view.x1 < other.x1,
            other.y0 < view.y1 < other.y1,
        ]
    )


def _matched(
    pieces: Pieces, some: IntArray, others: IntArray, strip: tuple[int, int, int, int]
) -> Iterator[tuple[int, int]]:
    """Yield pairs that agree in a strip, each row at most once."""
    some, others = (_reaching(pieces, rows, strip) for rows in (some, others))
    if not len(some) or not len(others):
        return
    first, second = (_sampled(pieces, rows, strip) for rows in (some, others))
    shared = first @ second.T
    union = first.sum(axis=1)[:, None] + second.sum(axis=1)[None] - shared
    ious = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    order = np.argsort(-ious, axis=None, kind="stable")
    used: set[int] = set()
    for i, j in zip(*np.unravel_index(order, ious.shape), strict=True):
        if ious[i, j] < _SEAM_IOU:
            return
        pair = int(some[i]), int(others[j])
        if used.isdisjoint(pair):
            used.update(pair)
            yield pair


def _reaching(pieces: Pieces, rows: IntArray, strip: tuple[int, int, int, int]) -> IntArray:
    """Return those rows whose box reaches into a strip."""
    boxes = pieces.boxes_xyxy[rows]
    reach = (boxes[:, 0] < strip[2]) & (boxes[:, 2] > strip[0])
    return rows[reach & (boxes[:, 1] < strip[3]) & (boxes[:, 3] > strip[1])]


def _sampled(pieces: Pieces, rows: IntArray, strip: tuple[int, int, int, int]) -> FloatArray:
    """Return (K, samples) float32, 1 where a mask holds a pixel of the strip."""
    x0, y0, x1, y1 = strip
    step = max(math.ceil(math.sqrt((x1 - x0) * (y1 - y0) / _STRIP_SAMPLES)), 1)
    return np.stack(
        [
            pieces.store.pixels_in(int(i), x0, y0, x1, y1)[::step, ::step].ravel().astype(np.float32)
            for i in rows
        ]
    )


def _joined(pieces: Pieces, rows: IntArray) -> Crop | None:
    """Return the union of some masks; None where it ends at an edge that cuts one and none saw it end."""
    boxes = pieces.boxes_xyxy[rows]
    low, high = _around(boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0))
    (left, top), (right, bottom) = low, high
    whole = np.zeros((bottom - top, right - left), bool)
    for i in rows:
        x0, y0, patch = pieces.store.crop(int(i))
        whole[y0 - top : y0 - top + patch.shape[0], x0 - left : x0 - left + patch.shape[1]] |= patch
    for i in rows:
        for side in np.flatnonzero(pieces.cut[i]):
            touched, settled = _at_edge(pieces, rows, int(i), int(side), Crop(left, top, whole))
            loose = np.count_nonzero(touched & ~settled)
            if loose > _OPEN_SHARE * np.count_nonzero(touched):
                return None
    return Crop(left, top, whole)


def _around(low_xy: NDArray[Any], high_xy: NDArray[Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the whole pixels of a box, and one more: far out, float32 moves a box's edge over a pixel's."""
    (x0, y0), (x1, y1) = np.floor(low_xy) - 1, np.ceil(high_xy) + 1
    return (max(int(x0), 0), max(int(y0), 0)), (int(x1), int(y1))


def _at_edge(pieces: Pieces, rows: IntArray, i: int, side: int, whole: Crop) -> tuple[BoolArray, BoolArray]:
    """Return, along an edge of the view of mask ``i``, where the mask touches it, and where it is known how
    it goes on: the joined mask does, or another of its parts, whose view shows more, ends there.
    """
    view = pieces.views[int(pieces.of_view[i])]
    margin = margin_px(min(view.x1 - view.x0, view.y1 - view.y0))
    edge = view.xyxy[side]
    near, far = (edge, edge - margin) if side < 2 else (edge - margin, edge)
    height, width = whole.patch.shape
    upright = side % 2 == 0  # left, right
    axis = 1 if upright else 0
    if upright:
        inner, outer = ((start, whole.y0, start + margin, whole.y0 + height) for start in (near, far))
    else:
        inner, outer = ((whole.x0, start, whole.x0 + width, start + margin) for start in (near, far))
    touched = cast(BoolArray, pieces.store.pixels_in(i, *inner).any(axis=axis))
    beyond = whole.patch[
        max(outer[1] - whole.y0, 0) : max(outer[3] - whole.y0, 0),
        max(outer[0] - whole.x0, 0) : max(outer[2] - whole.x0, 0),
    ]
    settled = cast(BoolArray, beyond.any(axis=axis))
    for j in rows:
        other = pieces.views[int(pieces.of_view[j])]
        low, high = (other.x0, other.x1) if upright else (other.y0, other.y1)
        if j != i and low <= far and far + margin <= high:
            settled = settled | pieces.store.pixels_in(int(j), *inner).any(axis=axis)
    return touched, settled


# --- duplicates -------------------------------------------------------------------------------------


def distinct(
    store: JoinedStore,
    boxes_xyxy: FloatArray,
    areas_px: IntArray,
    sources: IntArray,
    order: IntArray,
    iou_threshold: float,
) -> IntArray:
    """Return the rows that survive greedy non-maximum suppression of masks.

    A mask is dropped when its IoU with one before it in ``order`` is above the threshold; masks of one source
    do not drop each other. Pixels are compared only where boxes and areas leave it open, and only where the
    two boxes overlap.

    Args:
        store: N masks.
        boxes_xyxy: (N, 4).
        areas_px: (N,).
        sources: (N,) which view found each.
        order: the rows to try, preferred ones first.
        iou_threshold: of masks.
    """
    boxes, areas = boxes_xyxy.astype(np.float64), areas_px.astype(np.float64)
    kept = np.zeros(len(order), np.int64)
    kept_boxes, kept_areas = np.zeros((4, len(order))), np.zeros(len(order))
    count = 0
    for i in order:
        x0, y0, x1, y1 = kept_boxes[:, :count]
        width = np.minimum(x1, boxes[i, 2]) - np.maximum(x0, boxes[i, 0])
        height = np.minimum(y1, boxes[i, 3]) - np.maximum(y0, boxes[i, 1])
        most = (np.maximum(width, 0) + 2) * (np.maximum(height, 0) + 2)  # masks lie on whole pixels
        most = np.minimum(np.minimum(most, areas[i]), kept_areas[:count])
        close = (width > 0) & (height > 0) & (most > iou_threshold * (areas[i] + kept_areas[:count] - most))
        close &= sources[kept[:count]] != sources[i]
        rows = kept[:count][close]
        if any(_iou(store, boxes, areas, int(i), int(k)) > iou_threshold for k in rows):
            continue
        kept[count], kept_areas[count], kept_boxes[:, count] = i, areas[i], boxes[i]
        count += 1
    return kept[:count]


def _iou(store: JoinedStore, boxes: NDArray[np.float64], areas: NDArray[np.float64], i: int, k: int) -> float:
    """Return the IoU of two masks, decoded where their boxes overlap."""
    low, high = _around(np.maximum(boxes[i, :2], boxes[k, :2]), np.minimum(boxes[i, 2:], boxes[k, 2:]))
    rectangle = (*low, *high)
    shared = int(np.count_nonzero(store.pixels_in(i, *rectangle) & store.pixels_in(k, *rectangle)))
    return shared / float(areas[i] + areas[k] - shared) if shared else 0.0
