"""One frame as tracking sees it: masks as cells of a grid over the image, and where the pixels came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import unit_rows
from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid, coarser, coverage, pool
from fastsam.masks.stores.grid import GridStore

__all__ = ["GridFrame", "flow_between", "follow_flow", "grown", "shared_cells", "to_size"]

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
_NET_PX = 640  # longer side of the frame that masks without feature maps are laid on
_CELL_PX = 4  # net pixels a cell: that of the prototypes
_CHANNELS_AT_ONCE = 64  # OpenCV takes 128 at most
_SOFT_LOGIT = 2.0  # from which on a cell is as sure as can be
_FLOW_SHORT_PX, _FLOW_LONG_PX = 32, 96  # least sides of pictures that motion is looked for in
_GREY_PER_CELL = 2  # pixels of the grey picture that motion is found on


@dataclass(frozen=True, eq=False)
class GridFrame:
    """One frame with all its masks.

    Attributes:
        frame: the image.
        masks: N masks of it.
        like: the letterbox of an earlier scene, whose grid to take over.

    The grid covers exactly the image; a cell is 4 pixels of the network's input.
    """

    frame: Frame
    masks: MaskSet
    like: Letterbox | None = None

    @cached_property
    def letterbox(self) -> Letterbox:
        """How the image lies in the frame of the grid."""
        if self.like is not None:
            return self.like
        pyramid = self.masks.pyramid
        return pyramid.letterbox if pyramid is not None else Letterbox.fit(self.frame.size_hw, _NET_PX)

    @cached_property
    def window(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the image on the letterbox's grid."""
        height, width = self.frame.size_hw
        whole = self.letterbox.boxes_to_net(np.array([[0, 0, width, height]], np.float32))[0]
        x0, y0, x1, y1 = (int(v) for v in np.rint(whole / _CELL_PX))
        if x1 <= x0:  # an image narrower than a cell: all cells that it touches
            x0, x1 = int(whole[0] / _CELL_PX), int(np.ceil(whole[2] / _CELL_PX))
        if y1 <= y0:
            y0, y1 = int(whole[1] / _CELL_PX), int(np.ceil(whole[3] / _CELL_PX))
        return x0, y0, x1, y1

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Rows and columns of the grid over the image."""
        x0, y0, x1, y1 = self.window
        return y1 - y0, x1 - x0

    @property
    def _on_own_grid(self) -> GridStore | None:
        """The masks, if they lie on the very grid that this is a window of."""
        store = self.masks.store.on_grid
        if store is None or store.grid.letterbox != self.letterbox:
            return None
        return store if store.grid.grid_hw[0] * _CELL_PX == self.letterbox.net_hw[0] else None

    @cached_property
    def cells(self) -> BoolArray:
        """(N, rows, columns): the cells that each mask holds."""
        x0, y0, x1, y1 = self.window
        store = self._on_own_grid
        if store is not None:
            return np.ascontiguousarray(store.cells(np.arange(len(store)))[:, y0:y1, x0:x1])
        covered = self._covered
        # What is smaller than a cell, or lies between two, is where it covers most.
        most = covered.max(axis=(1, 2), keepdims=True, initial=0)
        return np.asarray((covered > 0.5) | ((most <= 0.5) & (most > 0) & (covered >= 0.9 * most)))

    @cached_property
    def _covered(self) -> FloatArray:
        """(N, rows, columns) in 0..1: how much of each cell each mask covers."""
        x0, y0, x1, y1 = self.window
        net = self.letterbox.net_hw
        covered = coverage(self.masks.store, self.letterbox, (net[0] // _CELL_PX, net[1] // _CELL_PX))
        return np.ascontiguousarray(covered[:, y0:y1, x0:x1])

    def soft_cells(self, rows: NDArray[np.int64]) -> FloatArray:
        """Return (rows, columns) in 0..1 the union of some masks, soft at its edge where logits are known."""
        store = self._on_own_grid
        if store is None:
            return np.asarray(self._covered[rows].max(axis=0))
        inside = self.cells[rows]
        x0, y0, x1, y1 = self.window
        flat = store.prototypes.reshape(len(store.prototypes), -1)
        logits = (store.coefficients[rows] @ flat).reshape(len(rows), *store.grid.grid_hw)[:, y0:y1, x0:x1]
        soft = np.clip(logits / (2 * _SOFT_LOGIT) + 0.5, 0, 1)
        # A mask ends at its box, whatever its logits say beyond.
        return np.asarray(np.where(inside | (logits <= 0), soft, 0).max(axis=0), np.float32)

    @cached_property
    def flat_cells(self) -> FloatArray:
        """(N, rows x columns) float32 :attr:`cells`, for products."""
        return self.cells.reshape(len(self.masks), int(np.prod(self.grid_hw))).astype(np.float32)

    @cached_property
    def coarse_cells(self) -> FloatArray:
        """(N, coarse cells) float32: the coarse cells whose first cell each mask holds."""
        rows, columns = self.coarse_hw
        part = self.cells[:, : 2 * rows : 2, : 2 * columns : 2]
        return np.asarray(part.reshape(len(self.masks), rows * columns), np.float32)

    @cached_property
    def areas(self) -> FloatArray:
        """(N,) float32, in cells."""
        return np.asarray(self.flat_cells.sum(axis=1))

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """The photo's brightness, two pixels a cell."""
        rows, columns = (_GREY_PER_CELL * side for side in self.grid_hw)
        small = cv2.resize(self.frame.rgb, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)

    @cached_property
    def maps(self) -> list[FloatArray]:
        """(h, w, C) float32 each: colours, and what the network saw, over the image, coarse cells or larger.

        Two levels of the network's maps, a cell's features as a unit vector times 8, which makes them count
        as much as the colours.
        """
        rows, columns = self.coarse_hw
        small = cv2.resize(self.frame.rgb, (columns, rows), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / np.float32(64) - np.float32(2)
        found: list[FloatArray] = [np.concatenate([lab, lab * lab], axis=2)]
        if self.masks.pyramid is not None:
            found += [self._level(self.masks.pyramid, k) for k in range(min(2, len(self.masks.pyramid.maps)))]
        return found

    def deep(self, cells: BoolArray) -> FloatArray:
        """Return (K, C) unit vectors: what the network's backbone saw under (K, rows, columns) cells.

        (K, 0) where the masks carry no such maps; zeros for a region without cells.
        """
        pyramid = self.masks.pyramid
        if pyramid is None or not pyramid.backbone:
            return np.zeros((len(cells), 0), np.float32)
        x0, y0, x1, y1 = self.window
        rows, columns = (side // _CELL_PX for side in self.letterbox.net_hw)
        padded = np.zeros((len(cells), rows, columns), np.float32)
        padded[:, y0:y1, x0:x1] = cells[:, : rows - y0, : columns - x0]
        found = []
        for values in pyramid.backbone:
            hw = (values.shape[1], values.shape[2])
            shares = np.array([coarser(one, hw) for one in padded], np.float32).reshape(len(cells), *hw)
            found.append(unit_rows(pool(values, shares)) / np.sqrt(np.float32(len(pyramid.backbone))))
        return np.concatenate(found, axis=1)

    @property
    def coarse_hw(self) -> tuple[int, int]:
        """Rows and columns of :attr:`maps`."""
        rows, columns = self.grid_hw
        return max(rows // 2, 1), max(columns // 2, 1)

    def _level(self, pyramid: Pyramid, k: int) -> FloatArray:
        """Return one feature map over the image, unit vectors times 8."""
        values = pyramid.maps[k].astype(np.float32).transpose(1, 2, 0)
        share = np.array(pyramid.letterbox.net_hw) / values.shape[:2] / _CELL_PX  # cells of the grid
        x0, y0, x1, y1 = self.window
        rows = slice(int(y0 / share[0]), max(int(np.ceil(y1 / share[0])), 1))
        columns = slice(int(x0 / share[1]), max(int(np.ceil(x1 / share[1])), 1))
        part = values[rows, columns]
        return np.asarray(part * (8 / (np.linalg.norm(part, axis=2, keepdims=True) + np.float32(1e-6))))


def shared_cells(ours: FloatArray, our_areas: FloatArray, scene: GridFrame) -> tuple[FloatArray, FloatArray]:
    """Return (K, N) how many cells K other masks share with those of a frame, and their IoU.

    Args:
        ours: (K, cells) float32, ones in the cells of each mask.
        our_areas: (K,) cells.
        scene: the frame, on the same grid.
    """
    shared = ours @ scene.flat_cells.T
    union = our_areas[:, None] + scene.areas[None] - shared
    return shared, np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def grown(values: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Return an (h, w, C) map at another size, bilinear."""
    if values.shape[:2] == tuple(size_hw):
        return values
    parts = [values[..., k : k + _CHANNELS_AT_ONCE] for k in range(0, values.shape[2], _CHANNELS_AT_ONCE)]
    resized = [cv2.resize(part, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR) for part in parts]
    return np.concatenate([part.reshape(*size_hw, -1) for part in resized], axis=2)


def to_size(values: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Return a grid at another size: averaged where it shrinks, bilinear where it grows."""
    if values.shape == tuple(size_hw):
        return values
    way = cv2.INTER_AREA if size_hw[0] < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (size_hw[1], size_hw[0]), interpolation=way), np.float32)


def flow_between(before: GridFrame, after: GridFrame) -> FloatArray | None:
    """Return (rows, columns, 2): how many cells to the right and down the content of each cell of ``after``
    was in ``before``; None where the frames have different shapes, as after a change of resolution.

    Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it.
    """
    if before.grid_hw != after.grid_hw:
        return None
    rows, columns = after.grid_hw
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(1)  # the preset's own is too coarse for two pixels a cell
    # its stub asks for the array to fill, which it makes itself
    flow = search.calc(_at_least(after.grey), _at_least(before.grey), None)  # type: ignore[call-overload]
    flow = flow[: _GREY_PER_CELL * rows, : _GREY_PER_CELL * columns]
    small = cv2.resize(flow, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small / _GREY_PER_CELL, np.float32)


def _at_least(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture grown by its edge until the search does not end the process (OpenCV 5.0 and before).

    Below these sizes it chooses scales by the width alone, and reads beyond long, narrow pictures.
    """
    rows, columns = grey.shape
    down, right = max(_FLOW_SHORT_PX - rows, 0), max(_FLOW_SHORT_PX - columns, 0)
    if max(rows + down, columns + right) < _FLOW_LONG_PX:
        right = _FLOW_LONG_PX - columns
    if not down and not right:
        return grey
    return np.asarray(cv2.copyMakeBorder(grey, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def follow_flow(
    values: FloatArray,
    flow: FloatArray | None,
    grid_hw: tuple[int, int],
    beyond: int = cv2.BORDER_CONSTANT,
) -> FloatArray:
    """Return a (rows, columns) grid of the frame before as it lies in the frame after.

    ``beyond`` is OpenCV's name for what comes in from outside, zeros by default.
    """
    if flow is None:
        return to_size(values, grid_hw)
    rows, columns = grid_hw
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    moved = cv2.remap(values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=beyond)
    return np.asarray(moved, np.float32)
