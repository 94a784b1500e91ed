"""One order for masks of equal score, so that answers do not depend on the order of the masks."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.maskset import MaskSet

__all__ = ["best_row", "ranked_rows"]


def ranked_rows(masks: MaskSet, values: NDArray[np.float32]) -> list[int]:
    """Return all rows, highest value first.

    Ties go to the better mask score, then the smaller box, then the box further left and up, then to
    the pixels: never to the row number, unless two masks are the same.
    """
    boxes = masks.boxes_xyxy
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    keys = [(-values[i], -masks.scores[i], sizes[i], *boxes[i]) for i in range(len(masks))]
    ordered: list[int] = []
    for _, tied in groupby(sorted(range(len(masks)), key=keys.__getitem__), key=keys.__getitem__):
        rows = list(tied)
        ordered += rows if len(rows) == 1 else sorted(rows, key=lambda i: _pixels(masks, i))
    return ordered


def _pixels(masks: MaskSet, i: int) -> tuple[object, ...]:
    """Return what tells the pixels of a mask from those of any other."""
    x0, y0, patch = masks.crop(i)
    return x0, y0, patch.shape, patch.tobytes()


def best_row(masks: MaskSet, values: NDArray[np.float32]) -> int | None:
    """Return the first row of :func:`ranked_rows`, or None where there are no masks."""
    if len(masks) == 0:
        return None
    top = np.flatnonzero(values == values.max())
    if len(top) == 1:
        return int(top[0])
    return int(top[ranked_rows(masks[top], values[top])[0]])
