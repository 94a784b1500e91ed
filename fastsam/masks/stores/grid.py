"""Where the pixels of a set of masks live: on the network's grid, or as crops.

All stores answer the same questions (:class:`MaskStore`). :class:`GridStore` keeps prototypes and
coefficients and decodes a mask only when its pixels are needed, inside the mask's own box.
:class:`CropStore` keeps masks that came from elsewhere, packed to bits inside their boxes.
Those of an image that was segmented in parts are in :mod:`fastsam.masks.stores.joined`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.letterbox import GridMap
from fastsam.masks.region import Region
from fastsam.masks.stores.store import Bounds, MaskStore, lattice_axes, within

__all__ = ["GridStore", "Upsampled", "span"]

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
_MASKS_AT_ONCE = 16  # bounds the sign maps in memory: masks x grid cells
_ROWS_AT_ONCE = 1024  # bounds the float buffer of one decode: rows x box width x 4 bytes


class Upsampled(MaskStore):
    """What stores of logits on a grid share: decoding by two small matrix products, inside a window."""

    def window(self, i: int) -> tuple[int, int, int, int]:
        """Return x0, y0, x1, y1: the pixels that mask ``i`` may hold."""
        raise NotImplementedError

    def factors(self, i: int, rows: slice, columns: slice) -> tuple[FloatArray, FloatArray]:
        """Return two matrices whose product is the logits of mask ``i`` at some image rows and columns."""
        raise NotImplementedError

    def crop(self, i: int, step: int = 1) -> Crop:
        """Decode mask ``i`` inside its window: bilinear upsampling of its logits, threshold 0."""
        x0, y0, x1, y1 = self.window(i)
        return Crop(x0, y0, self.pixels(i, slice(y0, y1, step), slice(x0, x1, step)))

    def pixels(self, i: int, rows: slice, columns: slice) -> BoolArray:
        """Return mask ``i`` at some rows and columns of its window."""
        patch = np.zeros(
            (len(range(*rows.indices(rows.stop))), len(range(*columns.indices(columns.stop)))), bool
        )
        if patch.size == 0:
            return patch
        down, across = self.factors(i, rows, columns)
        for start in range(0, len(patch), _ROWS_AT_ONCE):
            stop = start + _ROWS_AT_ONCE
            np.greater(down[start:stop] @ across, 0, out=patch[start:stop])
        return patch

    def origin(self, i: int) -> tuple[int, int]:
        """Return x, y of the pixel of the image that windows of mask ``i`` are counted from."""
        return 0, 0

    def pixels_in(self, i: int, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
        """Decode mask ``i`` in a rectangle of the image, and no more than that."""
        pixels = np.zeros((y1 - y0, x1 - x0), bool)
        (dx, dy), (left, top, right, bottom) = self.origin(i), self.window(i)
        a0, b0, a1, b1 = max(x0, left + dx), max(y0, top + dy), min(x1, right + dx), min(y1, bottom + dy)
        if a0 < a1 and b0 < b1:
            rows, columns = slice(b0 - dy, b1 - dy), slice(a0 - dx, a1 - dx)
            pixels[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] = self.pixels(i, rows, columns)
        return pixels

    def stability(self, i: int, offset: float) -> float:
        """Return how little mask ``i`` depends on its threshold: exact, on the logits at image size."""
        x0, y0, x1, y1 = self.window(i)
        if x1 <= x0 or y1 <= y0:
            return 0.0
        down, across = self.factors(i, slice(y0, y1), slice(x0, x1))
        smaller = larger = 0
        for start in range(0, len(down), _ROWS_AT_ONCE):
            logits = down[start : start + _ROWS_AT_ONCE] @ across
            smaller += int(np.count_nonzero(logits > offset))
            larger += int(np.count_nonzero(logits > -offset))
        return smaller / larger if larger else 0.0


@dataclass(frozen=True, eq=False)
class GridStore(Upsampled):
    """Masks as ``coefficients @ prototypes``, cut to boxes: YOLACT's form (arXiv 1904.02689).

    Attributes:
        coefficients: (N, C) float32.
        prototypes: (C, grid height, grid width) float32, shared by all masks.
        boxes_xyxy: (N, 4) float32, image frame; pixels outside a mask's box are not in it.
        grid: maps the grid to the image.
    """

    coefficients: FloatArray
    prototypes: FloatArray
    boxes_xyxy: FloatArray
    grid: GridMap

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        if self.prototypes.ndim != 3 or self.prototypes.shape[1:] != tuple(self.grid.grid_hw):
            raise RecordError(
                f"prototypes: expected shape (C, {self.grid.grid_hw[0]}, {self.grid.grid_hw[1]}), "
                f"got {self.prototypes.shape}"
            )
        wanted = (len(self.boxes_xyxy), self.prototypes.shape[0])
        if self.coefficients.shape != wanted:
            raise RecordError(f"coefficients: expected shape {wanted}, got {self.coefficients.shape}")

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.boxes_xyxy)

    def take(self, index: NDArray[np.int64]) -> GridStore:
        """Return the masks at ``index``; the prototypes are shared, not copied."""
        return GridStore(self.coefficients[index], self.prototypes, self.boxes_xyxy[index], self.grid)

    @cached_property
    def _windows(self) -> NDArray[np.int64]:
        """(N, 4) x0, y0, x1, y1: the pixel columns and rows x1 <= c < x2 of each box."""
        height, width = self.grid.letterbox.image_hw
        edges = np.ceil(self.boxes_xyxy).astype(np.int64)
        return np.clip(edges, 0, np.array([width, height, width, height]))

    @property
    def cells_px(self) -> FloatArray:
        """(N,) the side of a cell of the prototypes, image pixels."""
        return np.full(len(self), self.grid.cell_px, np.float32)

    def window(self, i: int) -> tuple[int, int, int, int]:
        """Return the pixels of the mask's box."""
        x0, y0, x1, y1 = (int(edge) for edge in self._windows[i])
        return x0, y0, x1, y1

    def factors(self, i: int, rows: slice, columns: slice) -> tuple[FloatArray, FloatArray]:
        """Return two matrices whose product is the logits of mask ``i`` at some image rows and columns."""
        g0, g1 = span(self.grid.row_spans[rows.start : rows.stop])
        h0, h1 = span(self.grid.column_spans[columns.start : columns.stop])
        across = self.logits(i, g0, g1, h0, h1) @ self.grid.columns[columns, h0:h1].T
        return self.grid.rows[rows, g0:g1], across

    def logits(self, i: int, g0: int, g1: int, h0: int, h1: int) -> FloatArray:
        """Return mask ``i`` on grid rows g0..g1 and columns h0..h1."""
        height, width = self.grid.grid_hw
        if 3 * (g1 - g0) * (h1 - h0) < height * width:
            return np.asarray(np.tensordot(self.coefficients[i], self.prototypes[:, g0:g1, h0:h1], axes=1))
        # Of a large part, all is cheaper: the prototypes need no copy then.
        everywhere = self.coefficients[i] @ self.prototypes.reshape(len(self.prototypes), -1)
        return np.asarray(everywhere.reshape(height, width)[g0:g1, h0:h1])

    @cached_property
    def windows_on_grid(self) -> NDArray[np.int64]:
        """(N, 4) x0, y0, x1, y1 of the boxes in grid cells: at least one each, within the image."""
        x0, y0, x1, y1 = self.content_on_grid
        scale = self.grid.grid_hw[0] / self.grid.letterbox.net_hw[0]
        windows = np.rint(self.grid.letterbox.boxes_to_net(self.boxes_xyxy) * scale).astype(np.int64)
        windows[:, :2] = np.clip(windows[:, :2], (x0, y0), (x1 - 1, y1 - 1))
        windows[:, 2:] = np.clip(windows[:, 2:], windows[:, :2] + 1, (x1, y1))
        return np.asarray(windows)

    @cached_property
    def content_on_grid(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the whole image in grid cells."""
        letterbox = self.grid.letterbox
        scale = self.grid.grid_hw[0] / letterbox.net_hw[0]
        whole = np.array([[0, 0, letterbox.image_hw[1], letterbox.image_hw[0]]], np.float32)
        x0, y0, x1, y1 = (int(v) for v in np.rint(letterbox.boxes_to_net(whole)[0] * scale))
        return x0, y0, x1, y1

    def cells(self, index: NDArray[np.int64]) -> BoolArray:
        """Return (K, grid height, grid width): the cells with a positive logit, inside each mask's box."""
        flat = self.prototypes.reshape(len(self.prototypes), -1)
        signs = (self.coefficients[index] @ flat > 0).reshape(len(index), *self.grid.grid_hw)
        for sign, (x0, y0, x1, y1) in zip(signs, self.windows_on_grid[index].tolist(), strict=True):
            sign[:y0], sign[y1:], sign[:, :x0], sign[:, x1:] = False, False, False, False
        return np.asarray(signs)

    @property
    def on_grid(self) -> GridStore:
        """These masks."""
        return self

    def lattice(self, size_hw: tuple[int, int], step: int) -> BoolArray:
        """Evaluate every mask at every step-th pixel: the prototypes are resampled once for all of them."""
        rows, columns = lattice_axes(size_hw, step)
        across = self.grid.columns[columns]
        down = np.tensordot(self.grid.rows[rows], self.prototypes, axes=(1, 1))  # (rows, C, grid width)
        cells = np.ascontiguousarray((down @ across.T).transpose(0, 2, 1))  # (rows, columns, C)
        samples = np.zeros((len(self), len(rows), len(columns)), bool)
        for i, (x0, y0, x1, y1) in enumerate(self._windows):
            y, x = within(rows, y0, y1), within(columns, x0, x1)
            np.greater(cells[y, x] @ self.coefficients[i], 0, out=samples[i, y, x])
        return samples

    def hits(self, pixels_xy: NDArray[np.int64]) -> BoolArray:
        """Evaluate every mask at (P, 2) pixels: a few grid cells each, nothing is decoded."""
        x, y = pixels_xy[:, 0], pixels_xy[:, 1]
        stacked = self._prototypes_at(x, y)
        logits = self.coefficients @ stacked
        x0, y0, x1, y1 = (self._windows[:, k, None] for k in range(4))
        return np.asarray((logits > 0) & (x >= x0) & (x < x1) & (y >= y0) & (y < y1))

    def _prototypes_at(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> FloatArray:
        """Return the (C, P) prototypes interpolated at P pixels; each draws from 3 x 3 cells at most."""
        (rows, down), (columns, across) = (
            _taps(matrix, spans, pixels)
            for matrix, spans, pixels in (
                (self.grid.rows, self.grid.row_spans, y),
                (self.grid.columns, self.grid.column_spans, x),
            )
        )
        cells = self.prototypes[:, rows[:, :, None], columns[:, None, :]]  # (C, P, 3, 3)
        return np.asarray(np.einsum("cpij,pi,pj->cp", cells, down, across), np.float32)

    def bounds(self, region: Region, index: NDArray[np.int64]) -> Bounds:
        """Bound areas and shared pixels from the signs of the grid logits, without decoding.

        An image pixel is a convex combination of the grid cells that it draws from: where those are
        all positive it is in the mask, where none is, it is not, otherwise it is undecided.
        """
        counts: list[tuple[int, int, int, int]] = []
        cells = self.prototypes.reshape(len(self.prototypes), -1)
        for start in range(0, len(index), _MASKS_AT_ONCE):
            some = index[start : start + _MASKS_AT_ONCE]
            signs = (self.coefficients[some] @ cells > 0).reshape(len(some), *self.grid.grid_hw)
            counts += [self._bounds_of(int(i), sign, region) for i, sign in zip(some, signs, strict=True)]
        return Bounds(*np.array(counts, np.int64).reshape(-1, 4).T)

    def _bounds_of(self, i: int, signs: BoolArray, region: Region) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = self._windows[i]
        if x1 <= x0 or y1 <= y0:
            return 0, 0, 0, 0
        rows, columns = self._row_groups, self._column_groups
        row_groups = slice(rows.of_pixel[y0], rows.of_pixel[y1 - 1] + 1)
        column_groups = slice(columns.of_pixel[x0], columns.of_pixel[x1 - 1] + 1)
        r, c = rows.spans[row_groups], columns.spans[column_groups]
        (g0, g1), (h0, h1) = (int(r[0, 0]), int(r[-1, 1]) + 1), (int(c[0, 0]), int(c[-1, 1]) + 1)
        sign = signs[g0:g1, h0:h1]
        every = _reduce(_reduce(sign, r - g0, np.logical_and, 0), c - h0, np.logical_and, 1)
        some = _reduce(_reduce(sign, r - g0, np.logical_or, 0), c - h0, np.logical_or, 1)
        high_rows = rows.count(y0, y1, row_groups)
        high_columns = columns.count(x0, x1, column_groups)
        area_low, area_high = (float(high_rows @ m @ high_columns) for m in (every, some))
        left, top = max(x0, region.x0), max(y0, region.y0)
        right, bottom = min(x1, region.x1), min(y1, region.y1)
        if right <= left or bottom <= top:
            return int(area_low), int(area_high), 0, 0
        if region.bitmap is None:
            in_rows = rows.count(top, bottom, row_groups)
            in_columns = columns.count(left, right, column_groups)
            low, high = (float(in_rows @ m @ in_columns) for m in (every, some))
        else:
            part = region.bitmap[top - region.y0 : bottom - region.y0, left - region.x0 : right - region.x0]
            groups_y, groups_x = rows.of_pixel[top:bottom], columns.of_pixel[left:right]
            tally = _tally(part, groups_y - row_groups.start, groups_x - column_groups.start, every.shape)
            low, high = float((tally * every).sum()), float((tally * some).sum())
        return int(area_low), int(area_high), int(low), int(high)

    @cached_property
    def _row_groups(self) -> _Groups:
        return _Groups.of(self.grid.row_spans)

    @cached_property
    def _column_groups(self) -> _Groups:
        return _Groups.of(self.grid.column_spans)


@dataclass(frozen=True, eq=False)
class _Groups:
    """Neighbouring pixels that draw from the same grid cells, along one axis."""

    spans: NDArray[np.int64]  # (K, 2) first and last cell of each group
    of_pixel: NDArray[np.int64]  # (side,) group of each pixel; never decreases

    @classmethod
    def of(cls, spans: NDArray[np.int64]) -> _Groups:
        fresh = np.ones(len(spans), bool)
        fresh[1:] = (spans[1:] != spans[:-1]).any(axis=1)
        return cls(spans[fresh], np.cumsum(fresh) - 1)

    def count(self, start: int, stop: int, groups: slice) -> NDArray[np.float64]:
        """Return how many of the pixels start..stop fall into each group of the slice."""
        # float64: float32 would round the areas of masks above 2**24 pixels
        inside = self.of_pixel[start:stop] - groups.start
        return np.bincount(inside, minlength=groups.stop - groups.start).astype(np.float64)


def _taps(
    matrix: FloatArray, spans: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the (P, 3) grid cells that pixels draw from along an axis, and their weights."""
    first, last = spans[pixels].T
    cells = first[:, None] + np.arange(3)
    inside = cells <= last[:, None]
    cells = np.minimum(cells, last[:, None])
    return cells, np.where(inside, matrix[pixels[:, None], cells], np.float32(0))


def span(spans: NDArray[np.int64]) -> tuple[int, int]:
    """Return the half-open range of grid cells that neighbouring pixels draw from."""
    return int(spans[0, 0]), int(spans[-1, 1]) + 1


def _reduce(sign: BoolArray, spans: NDArray[np.int64], operation: np.ufunc, axis: int) -> BoolArray:
    """Combine the cells of each span (at most three) along an axis."""
    first, last = spans[:, 0], spans[:, 1]
    middle = np.minimum(first + 1, last)
    outer = operation(sign.take(first, axis), sign.take(last, axis))
    return np.asarray(operation(outer, sign.take(middle, axis)))


def _tally(
    part: BoolArray, groups_y: NDArray[np.int64], groups_x: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return how many true pixels of ``part`` fall into each (row group, column group)."""
    starts_y = np.flatnonzero(np.diff(groups_y, prepend=-1))
    starts_x = np.flatnonzero(np.diff(groups_x, prepend=-1))
    sums = np.add.reduceat(part, starts_y, axis=0, dtype=np.float32)
    sums = np.add.reduceat(sums, starts_x, axis=1)
    full = np.zeros(shape)
    full[np.ix_(groups_y[starts_y], groups_x[starts_x])] = sums
    return full
