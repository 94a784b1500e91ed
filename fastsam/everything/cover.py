"""Less sure masks where surer ones leave a photo uncovered, so that a click is answered there (numpy)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.stores.grid import GridStore

__all__ = ["covered_cells", "filling"]

BoolArray = NDArray[np.bool_]
_AT_ONCE = 32  # masks multiplied out together: bounds the memory, and what is done in vain
# Chosen on training images (docs/experiments.md).
_LEAST_NEW = 0.15  # of a mask, where no surer one is
_LEAST_AREA = 0.002  # of the image, that it has to add
_DONE = 0.998  # of the image: no mask can add anything any more


def covered_cells(store: GridStore) -> BoolArray:
    """Return (grid height, grid width) whether a cell lies in some mask."""
    found = np.zeros(store.grid.grid_hw, bool)
    for start in range(0, len(store), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(store)))
        found |= store.cells(rows).any(axis=0)
    return found


def filling(store: GridStore, sure: int) -> NDArray[np.int64]:
    """Return which of the less sure masks cover what the masks before them leave.

    Args:
        store: N masks, the surest first.
        sure: how many of them are taken anyway.

    Returns:
        (K,) rows from ``sure`` on, rising: each adds enough of the image when its turn comes.
    """
    x0, y0, x1, y1 = store.content_on_grid
    total = (y1 - y0) * (x1 - x0)
    covered = covered_cells(store.take(np.arange(sure)))
    kept: list[int] = []
    for start in range(sure, len(store), _AT_ONCE):
        if np.count_nonzero(covered) >= _DONE * total:
            break
        rows = np.arange(start, min(start + _AT_ONCE, len(store)))
        for row, cells in zip(rows.tolist(), store.cells(rows), strict=True):
            new = np.count_nonzero(cells & ~covered)
            if new >= max(_LEAST_NEW * np.count_nonzero(cells), _LEAST_AREA * total, 1):
                kept.append(row)
                covered |= cells
    return np.array(kept, np.int64)
