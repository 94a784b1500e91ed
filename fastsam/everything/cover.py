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
_LEAST_AREA = 0.0007  # of the image, that it has to add
_LEAST_CELLS = 4
_DONE = 0.998  # of the image: no mask can add anything any more


def covered_cells(store: GridStore) -> BoolArray:
    """Return (grid height, grid width) whether a cell lies in some mask."""
    covered = np.zeros(store.grid.grid_hw, bool)
    for start in range(0, len(store), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(store)))
        covered |= store.cells(rows).any(axis=0)
    return covered


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
    least = max(_LEAST_AREA * total, _LEAST_CELLS)
    covered = covered_cells(store.take(np.arange(sure)))
    kept: list[int] = []
    rows = np.arange(sure, len(store))
    while len(rows) and np.count_nonzero(covered) < _DONE * total:
        # What is missing inside a mask's box is the most that it can add; most masks go by that alone.
        rows = rows[_missing(covered, store.windows_on_grid[rows]) >= least]
        for place, row in enumerate(rows.tolist()):
            left, top, right, bottom = store.windows_on_grid[row].tolist()
            window = np.s_[top:bottom, left:right]
            cells = store.logits(row, top, bottom, left, right) > 0
            new = np.count_nonzero(cells & ~covered[window])
            if new >= max(_LEAST_NEW * np.count_nonzero(cells), least):
                kept.append(row)
                covered[window] |= cells
                rows = rows[place + 1 :]
                break
        else:
            break
    return np.array(kept, np.int64)


def _missing(covered: BoolArray, windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) how many cells of each window are not covered."""
    sums = np.pad((~covered).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    x0, y0, x1, y1 = windows.T
    return np.asarray(sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0])
