"""A region of an image to compare masks with: a box or a mask, with its summed areas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.letterbox import _centres

__all__ = ["Region"]


@dataclass(frozen=True)
class Region:
    """A set of image pixels: a rectangle, or a bitmap inside one.

    ``x0, y0, x1, y1`` are whole pixel edges; ``bitmap`` is (y1 - y0, x1 - x0), or None for all of it.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    bitmap: NDArray[np.bool_] | None = None

    @classmethod
    def from_box(cls, box_xyxy: NDArray[Any], size_hw: tuple[int, int]) -> Region:
        """Return the pixels whose centres a box covers; where it covers none, the ones it lies in.

        >>> Region.from_box(np.array([0.4, 0.0, 2.6, 1.0]), (4, 4)).area_px
        3
        """
        left, top, right, bottom = (float(value) for value in box_xyxy)
        x0, x1 = _centres(left, right, size_hw[1])
        y0, y1 = _centres(top, bottom, size_hw[0])
        return cls(x0, y0, x1, y1)

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> Region:
        """Return the pixels of an (H, W) mask, cut to their box; an empty mask gives an empty region."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            return cls(0, 0, 0, 0, np.zeros((0, 0), bool))
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        return cls(x0, y0, x1, y1, np.ascontiguousarray(mask[y0:y1, x0:x1]))

    @cached_property
    def area_px(self) -> int:
        """Number of pixels."""
        if self.bitmap is None:
            return (self.x1 - self.x0) * (self.y1 - self.y0)
        return int(np.count_nonzero(self.bitmap))

    def shared_px(self, x0: int, y0: int, patch: NDArray[np.bool_]) -> int:
        """Return how many pixels of a mask, given as a patch at (x0, y0), lie in the region."""
        left, top = max(self.x0, x0), max(self.y0, y0)
        right, bottom = min(self.x1, x0 + patch.shape[1]), min(self.y1, y0 + patch.shape[0])
        if right <= left or bottom <= top:
            return 0
        part = patch[top - y0 : bottom - y0, left - x0 : right - x0]
        if self.bitmap is None:
            return int(np.count_nonzero(part))
        mine = self.bitmap[top - self.y0 : bottom - self.y0, left - self.x0 : right - self.x0]
        return int(np.count_nonzero(part & mine))
