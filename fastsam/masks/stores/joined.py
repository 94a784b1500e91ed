"""Where the pixels live of an image that was segmented in parts: each mask's own logits, and stores joined.

A tile's prototypes take megabytes, whatever its masks are; :class:`LogitStore` keeps only the grid cells
that each mask's box covers, so that a picture of hundreds of tiles takes about as much as its masks packed to
bits, and its masks still have logits. :class:`JoinedStore` makes one store of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.region import Region
from fastsam.masks.stores.store import Bounds, MaskStore

__all__ = ["JoinedStore"]

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class JoinedStore(MaskStore):
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
    def join(cls, parts: Sequence[MaskStore], found_in: IntArray) -> JoinedStore:
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
        sizes = np.zeros(len(self), np.float32)
        for number, part in enumerate(self.parts):
            sizes[self.owners == number] = part.cells_px
        return sizes

    def crop(self, i: int, step: int = 1) -> Crop:
        """Decode mask ``i``."""
        part, row = self._at(i)
        return part.crop(row, step)

    def pixels_in(self, i: int, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
        """Ask the mask's store."""
        part, row = self._at(i)
        return part.pixels_in(row, x0, y0, x1, y1)

    def hits(self, pixels_xy: IntArray) -> BoolArray:
        """Ask each store."""
        inside = np.zeros((len(self), len(pixels_xy)), bool)
        for number, part in enumerate(self.parts):
            inside[self.owners == number] = part.hits(pixels_xy)
        return inside

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
