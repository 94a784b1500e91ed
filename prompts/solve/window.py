"""The part of the image that an answer is made in, as a grid of cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from fastsam.prompts.solve.scene import Scene

__all__ = ["Box", "Cell", "Window", "around"]

Box = tuple[int, int, int, int]
Cell = tuple[int, int]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

SIDE = 96  # cells along the longer side of a window
_LEAST_PX = 48  # side of a window
_MARGIN = 0.3  # around what is known of the object, share of its longer side
_NO_CONTRAST = 2.0  # CIELAB units a cell below which a colour change is hardly seen
_NO_COST = 0.08  # of a step between cells that nothing parts
_FAR = 1e3


def around(known: Box, size_hw: tuple[int, int]) -> Box:
    """Return x0, y0, x1, y1 of the window that an object is looked for in.

    Args:
        known: x0, y0, x1, y1 of the answer so far and of all clicks.
        size_hw: of the image.
    """
    x0, y0, x1, y1 = known
    margin = _MARGIN * max(x1 - x0, y1 - y0, _LEAST_PX)
    reach_x, reach_y = (max(side / 2, _LEAST_PX / 2) + margin for side in (x1 - x0, y1 - y0))
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (
        max(int(x - reach_x), 0),
        max(int(y - reach_y), 0),
        min(int(x + reach_x) + 1, size_hw[1]),
        min(int(y + reach_y) + 1, size_hw[0]),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Window:
    """A box of the image as cells: what is there, sampled once.

    Attributes:
        scene: the photo and its masks.
        box: x0, y0, x1, y1, image pixels.
    """

    scene: Scene
    box: Box

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid; a cell is at least a pixel."""
        width, height = self.box[2] - self.box[0], self.box[3] - self.box[1]
        cell = max(max(width, height) / SIDE, 1.0)
        return max(round(height / cell), 1), max(round(width / cell), 1)

    @property
    def cell_px(self) -> float:
        """Side of a cell, image pixels."""
        return max(self.box[3] - self.box[1], self.box[2] - self.box[0]) / max(self.shape)

    def cell(self, x: float, y: float) -> Cell:
        """Return the row and column of the cell that a pixel lies in."""
        x0, y0, x1, y1 = self.box
        rows, columns = self.shape
        row, column = int((y - y0) / (y1 - y0) * rows), int((x - x0) / (x1 - x0) * columns)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    @cached_property
    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The image rows and columns in the middle of the cells."""
        x0, y0, x1, y1 = self.box
        rows, columns = self.shape
        ys = y0 + ((np.arange(rows) + 0.5) * (y1 - y0) / rows).astype(np.int64)
        xs = x0 + ((np.arange(columns) + 0.5) * (x1 - x0) / columns).astype(np.int64)
        return np.minimum(ys, y1 - 1), np.minimum(xs, x1 - 1)

    def averaged(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return an image's part in the window, each cell the mean of its pixels."""
        x0, y0, x1, y1 = self.box
        part = image[y0:y1, x0:x1]
        if part.shape[:2] == self.shape:
            return part
        return np.asarray(
            cv2.resize(np.ascontiguousarray(part), self.shape[::-1], interpolation=cv2.INTER_AREA)
        )

    @cached_property
    def lab(self) -> FloatArray:
        """(rows, columns, 3) CIELAB, smoothed over neighbouring cells."""
        unit = self.averaged(self.scene.rgb).astype(np.float32) / np.float32(255)
        lab = cv2.cvtColor(unit.reshape(*self.shape, 3), cv2.COLOR_RGB2LAB)
        return np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.8), np.float32)

    def from_whole(self, values: FloatArray) -> FloatArray:
        """Return a (h, w) or (h, w, C) map over the whole image, interpolated at the cells."""
        height, width = self.scene.masks.size_hw
        rows, columns = self.pixels
        y = ((rows + 0.5) / height * values.shape[0] - 0.5).astype(np.float32)
        x = ((columns + 0.5) / width * values.shape[1] - 0.5).astype(np.float32)
        grid_x, grid_y = np.meshgrid(x, y)
        channels = values.reshape(*values.shape[:2], -1)
        parts = [
            cv2.remap(
                np.ascontiguousarray(channels[..., k : k + 4]), grid_x, grid_y, cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ).reshape(*self.shape, -1)
            for k in range(0, channels.shape[2], 4)
        ]  # fmt: skip
        found = np.concatenate(parts, axis=2) if parts else np.zeros((*self.shape, 0), np.float32)
        return np.asarray(found[..., 0] if values.ndim == 2 else found, np.float32)

    @cached_property
    def features(self) -> FloatArray:
        """(rows, columns, D) what the network saw in the cells."""
        return self.from_whole(self.scene.features)

    @cached_property
    def described(self) -> FloatArray:
        """(cells, D) what the network saw, colours with their squares, and 1."""
        colours = self.lab.reshape(-1, 3)
        colours = (colours - colours.mean(axis=0)) / (colours.std(axis=0) + 5)
        parts = [
            self.features.reshape(len(colours), -1),
            colours,
            colours**2 - 1,
            colours[:, :1] * colours[:, 1:],
            np.ones((len(colours), 1)),
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    @cached_property
    def relief(self) -> FloatArray:
        """(rows, columns) what speaks for an edge: masks that end here, the photo's contrast; mean 1."""
        slopes = [cv2.Sobel(self.lab, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))]
        gradient = np.sqrt(np.sum(np.square(slopes), axis=(0, 3)))
        around_it = cv2.GaussianBlur(gradient, (0, 0), 6.0)
        contrast = gradient / (gradient + around_it + _NO_CONTRAST)
        support = self.from_whole(self.scene.votes) * contrast
        relief = support / (1 + support) + 0.5 * contrast
        return np.asarray(relief / max(float(relief.mean()), 1e-3), np.float32)

    def sampled(self, rows: NDArray[np.int64]) -> BoolArray:
        """Return (K, rows, columns): masks at the middle of the cells."""
        ys, xs = self.pixels
        found = np.zeros((len(rows), *self.shape), bool)
        step = max(int(self.cell_px), 1)
        for k, i in enumerate(rows):
            left, top, patch = self.scene.masks.store.crop(int(i), step)
            if patch.size == 0:
                continue
            y, x = (ys - top) // step, (xs - left) // step
            in_y, in_x = (y >= 0) & (y < patch.shape[0]), (x >= 0) & (x < patch.shape[1])
            found[np.ix_([k], in_y, in_x)] = patch[np.ix_(y[in_y], x[in_x])]
        return found

    @cached_property
    def _graph(self) -> csr_matrix:
        """What it costs to walk from a cell to its four neighbours: the higher relief of the two."""
        index = np.arange(self.relief.size).reshape(self.shape)
        start = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
        stop = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
        start, stop = np.concatenate([start, stop]), np.concatenate([stop, start])
        relief = self.relief.ravel()
        cost = np.maximum(relief[start], relief[stop]).astype(np.float64) + _NO_COST
        return csr_matrix((cost, (start, stop)), shape=(index.size, index.size))

    def walked(self, cells: list[Cell]) -> FloatArray:
        """Return (rows, columns) the cheapest walk to each cell from any of ``cells`` (geodesic)."""
        if not cells:
            return np.full(self.shape, _FAR, np.float32)
        columns = self.shape[1]
        indices = [row * columns + column for row, column in cells]
        found = dijkstra(self._graph, directed=True, indices=indices, min_only=True)
        return np.asarray(np.minimum(found, _FAR).reshape(self.shape), np.float32)

    def apart(self, cell: Cell) -> FloatArray:
        """Return (rows, columns) the straight distance to a cell, in cells."""
        rows, columns = (np.arange(side, dtype=np.float32) for side in self.shape)
        return np.asarray(np.hypot(rows[:, None] - cell[0], columns[None] - cell[1]), np.float32)
