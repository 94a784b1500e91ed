"""What the network saw: its feature maps, and masks as shares of their cells."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.stores.store import MaskStore

__all__ = ["Pyramid", "coarser", "coverage", "pool"]

FloatArray = NDArray[np.float32]
_AT_ONCE = 64  # masks multiplied out together: bounds the memory


@dataclass(frozen=True, eq=False)
class Pyramid:
    """The feature maps of one image, finest first.

    Attributes:
        maps: each (C, h, w) float16 over the whole net frame, padding included.
        letterbox: how the image lies in the net frame.
        fingerprint: of the network and its weights: maps of two networks cannot be compared.
        backbone: the coarser maps of the backbone, which tell what things are, where ``maps``, behind the
            neck, tell rather where things end (docs/experiments.md).
    """

    maps: tuple[NDArray[np.float16], ...]
    letterbox: Letterbox
    fingerprint: str = ""
    backbone: tuple[NDArray[np.float16], ...] = ()

    def __post_init__(self) -> None:
        """Check that the maps divide the net frame.

        Raises:
            RecordError: a map has another shape.
        """
        for k, values in enumerate((*self.maps, *self.backbone)):
            if values.ndim != 3 or any(
                side == 0 or net % side
                for net, side in zip(self.letterbox.net_hw, values.shape[1:], strict=True)
            ):
                raise RecordError(
                    f"map {k}: expected (C, h, w) cells that divide the net frame {self.letterbox.net_hw}, "
                    f"got {values.shape}"
                )


def coverage(store: MaskStore, letterbox: Letterbox, cells_hw: tuple[int, int]) -> FloatArray:
    """Return (N, h, w) float32 in 0..1: how much of each cell of a grid over the net frame each mask covers.

    Masks on a prototype grid of the same frame are counted by its cells, which is what the prototypes can
    tell at all; others by their pixels.

    Args:
        store: N masks.
        letterbox: how their image lies in the net frame.
        cells_hw: the grid; its cells divide the net frame.
    """
    covered = np.zeros((len(store), *cells_hw), np.float32)
    on_grid = store.on_grid
    if on_grid is not None and on_grid.grid.letterbox == letterbox:
        parts = [on_grid.grid.grid_hw[axis] // cells_hw[axis] for axis in (0, 1)]
        if all(
            part * side == whole
            for part, side, whole in zip(parts, cells_hw, on_grid.grid.grid_hw, strict=True)
        ):
            for start in range(0, len(store), _AT_ONCE):
                signs = on_grid.cells(np.arange(start, min(start + _AT_ONCE, len(store))))
                for k, sign in enumerate(signs.astype(np.float32), start):
                    covered[k] = coarser(sign, cells_hw)
            return covered
    for i in range(len(store)):
        _paint(covered[i], store, i, letterbox)
    return covered


def _paint(cells: FloatArray, store: MaskStore, i: int, letterbox: Letterbox) -> None:
    """Add what mask ``i`` covers of each cell, in place."""
    x0, y0, patch = store.crop(i)
    if not patch.any():
        return
    per_cell = np.array(letterbox.net_hw) / cells.shape  # net pixels
    box = np.array([[x0, y0, x0 + patch.shape[1], y0 + patch.shape[0]]], np.float32)
    x1, y1, x2, y2 = letterbox.boxes_to_net(box)[0] / np.tile(per_cell[::-1], 2)
    left, top = max(int(np.floor(x1)), 0), max(int(np.floor(y1)), 0)
    right = min(max(int(np.ceil(x2)), left + 1), cells.shape[1])
    bottom = min(max(int(np.ceil(y2)), top + 1), cells.shape[0])
    # The patch is stretched to whole cells of a finer grid, then averaged into the cells that it meets.
    fine = 4
    width, height = max(round((x2 - x1) * fine), 1), max(round((y2 - y1) * fine), 1)
    small = cv2.resize(patch.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    canvas = np.zeros(((bottom - top) * fine, (right - left) * fine), np.float32)
    at_x = min(max(round((x1 - left) * fine), 0), canvas.shape[1] - 1)
    at_y = min(max(round((y1 - top) * fine), 0), canvas.shape[0] - 1)
    part = small[: canvas.shape[0] - at_y, : canvas.shape[1] - at_x]
    canvas[at_y : at_y + part.shape[0], at_x : at_x + part.shape[1]] = part
    blocks = canvas.reshape(bottom - top, fine, right - left, fine)
    cells[top:bottom, left:right] = blocks.mean(axis=(1, 3))


def coarser(cells: FloatArray, cells_hw: tuple[int, int]) -> FloatArray:
    """Return an (h, w) grid averaged into fewer cells, which it must be a multiple of."""
    return np.asarray(cv2.resize(cells, (cells_hw[1], cells_hw[0]), interpolation=cv2.INTER_AREA), np.float32)


def pool(values: NDArray[np.floating], shares: FloatArray) -> FloatArray:
    """Return (N, C) float32 the mean of a (C, h, w) map over each of (N, h, w) shares; zeros for none."""
    flat = shares.reshape(len(shares), int(np.prod(shares.shape[1:])))
    total = flat.sum(axis=1, keepdims=True)
    sums = flat @ values.reshape(len(values), -1).T.astype(np.float32)
    return np.asarray(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0), np.float32)
