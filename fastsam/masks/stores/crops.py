"""Masks kept as crops: masks from elsewhere, edited ones, decoded ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.region import Region
from fastsam.masks.stores.store import Bounds, MaskStore, exact_bounds, hits_in_windows

__all__ = ["CropStore"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CropStore(MaskStore):
    """Masks from elsewhere, each packed to bits inside its box.

    Attributes:
        size_hw: image size.
        packed: per mask, ``np.packbits`` of its flattened patch.
        windows: (N, 4) int64 x0, y0, x1, y1 of each patch.
        cell_px: side of a cell of the grid that the masks were decoded from; 1 for others.
    """

    size_hw: tuple[int, int]
    packed: tuple[NDArray[np.uint8], ...]
    windows: NDArray[np.int64]
    cell_px: float = 1.0

    @classmethod
    def from_crops(cls, crops: Iterable[Crop], size_hw: tuple[int, int], cell_px: float = 1.0) -> CropStore:
        """Pack crops; each is first cut to its own tight box.

        Raises:
            RecordError: a crop's pixels leave the image.
        """
        packed: list[NDArray[np.uint8]] = []
        windows: list[tuple[int, int, int, int]] = []
        for x0, y0, patch in crops:
            tight = Region.from_mask(patch)
            window = (x0 + tight.x0, y0 + tight.y0, x0 + tight.x1, y0 + tight.y1)
            if min(window) < 0 or window[2] > size_hw[1] or window[3] > size_hw[0]:
                raise RecordError(
                    f"crop {len(packed)}: its pixels cover x {window[0]}..{window[2]}, "
                    f"y {window[1]}..{window[3]}, "
                    f"outside the {size_hw[1]}x{size_hw[0]} image"
                )
            packed.append(np.packbits(patch[tight.y0 : tight.y1, tight.x0 : tight.x1]))
            windows.append(window)
        return cls(size_hw, tuple(packed), np.array(windows, np.int64).reshape(-1, 4), cell_px)

    @classmethod
    def of(cls, store: MaskStore, size_hw: tuple[int, int]) -> CropStore:
        """Return the masks of any store, decoded; a CropStore is returned unchanged."""
        if isinstance(store, CropStore):
            return store
        return cls.from_crops((store.crop(i) for i in range(len(store))), size_hw)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.packed)

    def take(self, index: NDArray[np.int64]) -> CropStore:
        """Return the masks at ``index``."""
        return replace(self, packed=tuple(self.packed[i] for i in index), windows=self.windows[index])

    @property
    def cells_px(self) -> FloatArray:
        """(N,) the same for all."""
        return np.full(len(self), self.cell_px, np.float32)

    def crop(self, i: int, step: int = 1) -> Crop:
        """Unpack mask ``i``."""
        x0, y0, x1, y1 = (int(value) for value in self.windows[i])
        height, width = y1 - y0, x1 - x0
        bits = np.unpackbits(self.packed[i], count=height * width)
        return Crop(x0, y0, bits.astype(bool).reshape(height, width)[::step, ::step])

    def hits(self, pixels_xy: NDArray[np.int64]) -> BoolArray:
        """Look up each pixel in each mask."""
        return hits_in_windows(self, self.windows, pixels_xy)

    def bounds(self, region: Region, index: NDArray[np.int64]) -> Bounds:
        """Return exact counts: these masks have nothing cheaper."""
        return exact_bounds([self.crop(int(i)) for i in index], region)

    def stability(self, i: int, offset: float) -> float:
        """Return 1 for a mask with pixels: without logits, no threshold can change it."""
        return 1.0 if self.crop(i).patch.any() else 0.0
