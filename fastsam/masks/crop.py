"""A mask cut to its bounding rectangle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Crop", "lookup"]

BoolArray = NDArray[np.bool_]


class Crop(NamedTuple):
    """A mask inside a rectangle: ``patch`` is (h, w), its top left pixel is (x0, y0) in the image."""

    x0: int
    y0: int
    patch: BoolArray


def lookup(crop: Crop, pixels_xy: NDArray[np.int64]) -> BoolArray:
    """Return (P,) whether each (x, y) pixel is in a mask.

    >>> lookup(Crop(2, 1, np.ones((1, 1), bool)), np.array([[2, 1], [3, 1]])).tolist()
    [True, False]
    """
    x, y = pixels_xy[:, 0] - crop.x0, pixels_xy[:, 1] - crop.y0
    height, width = crop.patch.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    found = np.zeros(len(pixels_xy), bool)
    found[inside] = crop.patch[y[inside], x[inside]]
    return found
