"""Masks kept as logits of their own resolution: pieces joined over the seams of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.letterbox import GridMap
from fastsam.masks.region import Region
from fastsam.masks.stores.grid import GridStore, Upsampled, span
from fastsam.masks.stores.store import Bounds, exact_bounds, hits_in_windows

__all__ = ["LogitStore"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
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

    def origin(self, i: int) -> tuple[int, int]:
        """Return where the part of mask ``i`` lies in the image."""
        dx, dy = (int(shift) for shift in self.offsets_xy[i])
        return dx, dy

    def crop(self, i: int, step: int = 1) -> Crop:
        """Decode mask ``i``, frame of the image."""
        x0, y0, patch = super().crop(i, step)
        dx, dy = self.origin(i)
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
