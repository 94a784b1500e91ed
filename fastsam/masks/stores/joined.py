"""Where the pixels live of an image that was segmented in parts: each mask's own logits, and stores joined.

A tile's prototypes take megabytes, whatever its masks are; :class:`LogitStore` keeps only the grid cells
that each mask's box covers, so that a picture of hundreds of tiles takes about as much as its masks packed to
bits, and its masks still have logits. :class:`JoinedStore` makes one store of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.letterbox import GridMap, Region
from fastsam.masks.stores.grid import (
    Bounds,
    Crop,
    GridStore,
    MaskStore,
    Upsampled,
    exact_bounds,
    hits_in_windows,
    span,
)

__all__ = ["JoinedStore", "LogitStore", "pixels_in"]

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LogitStore(Upsampled):
    """Masks of parts of an image, each as the logits of the grid cells in its box.

    All parts are of one size, so that they share the map from the grid to their pixels.

    Attributes:
        patches: per mask, float16 logits on the grid of its part.
        cells: (N, 2) int64, the grid row and column of each patch's first cell.
        windows: (N, 4) int64 x0, y0, x1, y1 of the pixels that each mask may hold, frame of its part.
        offsets_xy: (N, 2) int64, where the part's top left pixel lies in the image.
        grid: maps the grid to the pixels of a part.
    """

    patches: tuple[NDArray[np.float16], ...]
    cells: IntArray
    windows: IntArray
    offsets_xy: IntArray
    grid: GridMap

    @classmethod
    def from_grid(cls, store: GridStore, offset_xy: tuple[int, int], inside: Region) -> LogitStore:
        """Keep what of a part's masks lies in the image.

        Args:
            store: the part's masks.
            offset_xy: where the part's top left pixel lies in the image; may be outside.
            inside: the rectangle of the part that the image covers, frame of the part.
        """
        limits = np.array([inside.x0, inside.y0, inside.x1, inside.y1], np.int64)
        windows = np.array([store.window(i) for i in range(len(store))], np.int64).reshape(-1, 4)
        windows = np.clip(windows, np.tile(limits[:2], 2), np.tile(limits[2:], 2))
        patches: list[NDArray[np.float16]] = []
        cells = np.zeros((len(store), 2), np.int64)
        for i, (x0, y0, x1, y1) in enumerate(windows):
            if x1 <= x0 or y1 <= y0:
                patches.append(np.zeros((0, 0), np.float16))
                continue
            g0, g1 = span(store.grid.row_spans[y0:y1])
            h0, h1 = span(store.grid.column_spans[x0:x1])
            cells[i] = g0, h0
            patches.append(_half(store.logits(i, g0, g1, h0, h1)))
        offsets = np.tile(np.array(offset_xy, np.int64), (len(store), 1))
        return cls(tuple(patches), cells, windows, offsets, store.grid)

    @classmethod
    def joined(cls, stores: Sequence[LogitStore]) -> LogitStore:
        """Return the masks of several stores of one grid, in order.

        Raises:
            RecordError: no store, or their grids differ.
        """
        if not stores or any(store.grid != stores[0].grid for store in stores):
            raise RecordError(f"logit stores: expected one grid for all, got {len(stores)} stores of several")
        return cls(
            tuple(patch for store in stores for patch in store.patches),
            np.concatenate([store.cells for store in stores]),
            np.concatenate([store.windows for store in stores]),
            np.concatenate([store.offsets_xy for store in stores]),
            stores[0].grid,
        )

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.patches)

    def take(self, index: IntArray) -> LogitStore:
        """Return the masks at ``index``."""
        return replace(
            self,
            patches=tuple(self.patches[i] for i in index),
            cells=self.cells[index],
            windows=self.windows[index],
            offsets_xy=self.offsets_xy[index],
        )

    @property
    def cells_px(self) -> FloatArray:
        """(N,) the side of a cell of the grid, image pixels."""
        return np.full(len(self), self.grid.cell_px, np.float32)

    def window(self, i: int) -> tuple[int, int, int, int]:
        """Return the pixels that mask ``i`` may hold, frame of its part."""
        x0, y0, x1, y1 = (int(edge) for edge in self.windows[i])
        return x0, y0, x1, y1

    def factors(self, i: int, rows: slice, columns: slice) -> tuple[FloatArray, FloatArray]:
        """Return two matrices whose product is the logits of mask ``i`` at rows and columns of its part."""
        g, h = (int(first) for first in self.cells[i])
        g0, g1 = span(self.grid.row_spans[rows.start : rows.stop])
        h0, h1 = span(self.grid.column_spans[columns.start : columns.stop])
        logits = self.patches[i][g0 - g : g1 - g, h0 - h : h1 - h].astype(np.float32)
        return self.grid.rows[rows, g0:g1], logits @ self.grid.columns[columns, h0:h1].T

    def crop(self, i: int, step: int = 1) -> Crop:
        """Decode mask ``i``, frame of the image."""
        x0, y0, patch = super().crop(i, step)
        dx, dy = (int(shift) for shift in self.offsets_xy[i])
        return Crop(x0 + dx, y0 + dy, patch)

    def hits(self, pixels_xy: IntArray) -> BoolArray:
        """Decode the masks whose window holds a pixel, and look it up."""
        return hits_in_windows(self, self.windows + np.tile(self.offsets_xy, 2), pixels_xy)

    def bounds(self, region: Region, index: IntArray) -> Bounds:
        """Return exact counts: masks of a part are small."""
        return exact_bounds([self.crop(int(i)) for i in index], region)


def _half(logits: FloatArray) -> NDArray[np.float16]:
    """Return logits as float16; none changes its sign, and none becomes infinite."""
    limited = np.clip(logits, -60_000, 60_000)
    tiny = np.float32(np.finfo(np.float16).smallest_subnormal)
    return np.where((limited > 0) & (limited < tiny), tiny, limited).astype(np.float16)


@dataclass(frozen=True, eq=False)
class JoinedStore:
    """Masks of one image that live in several stores.

    Attributes:
        parts: the stores; all in the frame of the image.
        owners: (N,) int64, which of them holds each mask; their rows are in the order of the masks.
        found_in: (N, 4) int64 xyxy, the part of the image that the network saw when it found each mask.
    """

    parts: tuple[MaskStore, ...]
    owners: IntArray
    found_in: IntArray

    def __post_init__(self) -> None:
        """Check that there are as many owners as masks."""
        counts = np.bincount(self.owners, minlength=len(self.parts)).tolist()
        if counts != [len(part) for part in self.parts] or self.found_in.shape != (len(self.owners), 4):
            raise RecordError(
                f"joined store: expected owners for {[len(part) for part in self.parts]} masks, got {counts} "
                f"and windows of shape {self.found_in.shape}"
            )

    @cached_property
    def _rows(self) -> IntArray:
        """(N,) the row of each mask in its store."""
        rows = np.zeros(len(self.owners), np.int64)
        for number in range(len(self.parts)):
            mine = np.flatnonzero(self.owners == number)
            rows[mine] = np.arange(len(mine))
        return rows

    @classmethod
    def of(cls, parts: Sequence[MaskStore], found_in: IntArray) -> JoinedStore:
        """Return the masks of several stores, one store after the other."""
        owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return cls(tuple(parts), owners.astype(np.int64), found_in)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.owners)

    def _at(self, i: int) -> tuple[MaskStore, int]:
        return self.parts[int(self.owners[i])], int(self._rows[i])

    def take(self, index: IntArray) -> JoinedStore:
        """Return the masks at ``index``; what no other mask needs is let go."""
        owners = self.owners[index]
        parts = tuple(
            part.take(self._rows[index[owners == number]]) for number, part in enumerate(self.parts)
        )
        return JoinedStore(parts, owners, self.found_in[index])

    @property
    def cells_px(self) -> FloatArray:
        """(N,) each store's own."""
        found = np.zeros(len(self), np.float32)
        for number, part in enumerate(self.parts):
            found[self.owners == number] = part.cells_px
        return found

    def crop(self, i: int, step: int = 1) -> Crop:
        """Decode mask ``i``."""
        part, row = self._at(i)
        return part.crop(row, step)

    def pixels(self, i: int, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
        """Return mask ``i`` in a rectangle of the image; no more than that is decoded where it has logits."""
        part, row = self._at(i)
        return pixels_in(part, row, x0, y0, x1, y1)

    def hits(self, pixels_xy: IntArray) -> BoolArray:
        """Ask each store."""
        found = np.zeros((len(self), len(pixels_xy)), bool)
        for number, part in enumerate(self.parts):
            found[self.owners == number] = part.hits(pixels_xy)
        return found

    def bounds(self, region: Region, index: IntArray) -> Bounds:
        """Ask each store."""
        counts = np.zeros((4, len(index)), np.int64)
        for number, part in enumerate(self.parts):
            mine = self.owners[index] == number
            counts[:, mine] = part.bounds(region, self._rows[index[mine]])
        return Bounds(*counts)

    def stability(self, i: int, offset: float) -> float:
        """Ask the mask's store."""
        part, row = self._at(i)
        return part.stability(row, offset)


def pixels_in(store: MaskStore, i: int, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    """Return (y1 - y0, x1 - x0) the pixels of mask ``i`` in a rectangle of the image.

    Of masks that have logits no more than the rectangle is decoded.
    """
    found = np.zeros((y1 - y0, x1 - x0), bool)
    if isinstance(store, (GridStore, LogitStore)):
        left, top, right, bottom = store.window(i)
        dx, dy = (int(v) for v in store.offsets_xy[i]) if isinstance(store, LogitStore) else (0, 0)
        left, top, right, bottom = left + dx, top + dy, right + dx, bottom + dy
    elif isinstance(store, JoinedStore):
        return store.pixels(i, x0, y0, x1, y1)
    else:
        left, top, patch = store.crop(i)
        right, bottom, dx, dy = left + patch.shape[1], top + patch.shape[0], left, top
    a0, b0, a1, b1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    if a1 > a0 and b1 > b0:
        rows, columns = slice(b0 - dy, b1 - dy), slice(a0 - dx, a1 - dx)
        part = (
            store.pixels(i, rows, columns)
            if isinstance(store, (GridStore, LogitStore))
            else patch[rows, columns]
        )
        found[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] = part
    return found
