"""Masks whose pixels are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = (90, 120)


def drawn() -> NDArray[np.bool_]:
    """A ring, three islands of which one has a hole, a slab at the corner, one pixel, nothing."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    radius = np.hypot(x - 60, y - 45)
    islands = (np.hypot(x - 15, y - 15) < 12) | ((abs(x - 100) < 15) & (abs(y - 70) < 15))
    islands |= np.hypot(x - 30, y - 70) < 8
    islands &= ~((abs(x - 100) < 6) & (abs(y - 70) < 7))
    pixel = (x == 7) & (y == 3)
    return np.stack([(radius < 40) & (radius > 20), islands, (x > 80) & (y < 25), pixel, x < 0])


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())
