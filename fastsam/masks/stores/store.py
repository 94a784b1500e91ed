"""What every store of masks answers, and answers that need nothing but crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop, lookup
from fastsam.masks.region import Region

if TYPE_CHECKING:
    from fastsam.masks.stores.grid import GridStore

__all__ = [
    "Bounds",
    "MaskStore",
    "exact_bounds",
    "hits_in_windows",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


class Bounds(NamedTuple):
    """Per mask, pixel counts between which the truth lies; equal where it is known. Shape (N,)."""

    area_low: NDArray[np.int64]
    area_high: NDArray[np.int64]
    shared_low: NDArray[np.int64]
    shared_high: NDArray[np.int64]


class MaskStore(Protocol):
    """Pixels of N masks of one image."""

    def __len__(self) -> int:
        """Return N."""

    def take(self, index: NDArray[np.int64]) -> MaskStore:
        """Return the masks at ``index``, in that order."""

    def crop(self, i: int, step: int = 1) -> Crop:
        """Return the pixels of mask ``i``; with ``step``, every step-th pixel of each axis."""

    def hits(self, pixels_xy: NDArray[np.int64]) -> BoolArray:
        """Return (N, P): whether each mask holds each (x, y) pixel."""

    def bounds(self, region: Region, index: NDArray[np.int64]) -> Bounds:
        """Return bounds on the area of the masks at ``index`` and on what each shares with a region."""

    def stability(self, i: int, offset: float) -> float:
        """Return the IoU of mask ``i`` cut at the logits ``+offset`` and ``-offset``; 0 for no pixels."""

    @property
    def cells_px(self) -> FloatArray:
        """(N,) side of a cell of the grid that each mask was decoded from, image pixels; 1 without one."""

    # What follows decodes; stores that know something cheaper answer it themselves.

    @property
    def on_grid(self) -> GridStore | None:
        """The same masks on the network's own grid; None for masks that are elsewhere, or on several."""
        return None

    def lattice(self, size_hw: tuple[int, int], step: int) -> BoolArray:
        """Return (N, rows, columns): each mask at every step-th pixel of the image, the same ones for all."""
        rows, columns = lattice_axes(size_hw, step)
        samples = np.zeros((len(self), len(rows), len(columns)), bool)
        for i in range(len(self)):
            x0, y0, patch = self.crop(i)
            y, x = within(rows, y0, y0 + patch.shape[0]), within(columns, x0, x0 + patch.shape[1])
            samples[i, y, x] = patch[np.ix_(rows[y] - y0, columns[x] - x0)]
        return samples

    def pixels_in(self, i: int, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
        """Return (y1 - y0, x1 - x0) the pixels of mask ``i`` in a rectangle of the image."""
        crop = self.crop(i)
        pixels = np.zeros((y1 - y0, x1 - x0), bool)
        left, top, right, bottom = crop.box
        a0, b0, a1, b1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
        if a0 < a1 and b0 < b1:
            pixels[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] = crop.patch[
                b0 - top : b1 - top, a0 - left : a1 - left
            ]
        return pixels


def lattice_axes(size_hw: tuple[int, int], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of the pixels that :func:`lattice` looks at; never none of them."""
    rows, columns = (np.arange(min(step // 2, side - 1), side, step) for side in size_hw)
    return rows, columns


def within(positions: NDArray[np.int64], start: int, stop: int) -> slice:
    """Return which of increasing positions lie in start <= position < stop."""
    first, last = np.searchsorted(positions, (start, max(stop, start)))
    return slice(int(first), int(last))


def hits_in_windows(store: MaskStore, windows: NDArray[np.int64], pixels_xy: NDArray[np.int64]) -> BoolArray:
    """Return (N, P) whether each mask holds each pixel; only masks whose (N, 4) window does are decoded."""
    hits = np.zeros((len(store), len(pixels_xy)), bool)
    if hits.size:
        x, y = pixels_xy[:, 0], pixels_xy[:, 1]
        x0, y0, x1, y1 = (windows[:, k, None] for k in range(4))
        for i in np.flatnonzero(((x >= x0) & (y >= y0) & (x < x1) & (y < y1)).any(axis=1)):
            hits[i] = lookup(store.crop(int(i)), pixels_xy)
    return hits


def exact_bounds(crops: Sequence[Crop], region: Region) -> Bounds:
    """Return the counts of decoded masks."""
    area = np.array([np.count_nonzero(crop.patch) for crop in crops], np.int64)
    shared = np.array([region.shared_px(*crop) for crop in crops], np.int64)
    return Bounds(area, area, shared, shared)
