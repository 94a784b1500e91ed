"""How an object looks, learnt from the frames in which it was seen: a linear classifier of cells.

After FRTM (Robinson et al., "Learning Fast and Robust Target Models for Video Object Segmentation", CVPR
2020): a small discriminative model of the target is fitted to the features of a network that stays as it is.
Here it is ridge regression, solved in closed form, on what the segmentation network computed anyway: no
second network runs, and a frame costs some milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import unit_rows
from fastsam.video.track.grid_frame import FloatArray, GridFrame, grown, to_size

__all__ = ["Basis", "Projector", "TargetModel"]

_DIMENSIONS = 64
_RIDGE = 3e-3
_FIRST_SHARE = 0.7  # of the frames that a user pointed at, against what was learnt since
_NEWEST_SHARE = 0.1  # of the newest frame in what was learnt since
_FAR_WEIGHT = 0.2  # of background far from the object, against 1 at its edge


@dataclass(frozen=True, eq=False)
class Basis:
    """The main directions in which the cells of a frame differ: features that are fewer, and of one scale.

    Attributes:
        mean: (C,).
        directions: (C, D).
    """

    mean: FloatArray
    directions: FloatArray

    @classmethod
    def fit(cls, scene: GridFrame) -> Basis:
        """Return the principal components of a frame, whitened."""
        whole = np.concatenate([grown(values, scene.coarse_hw) for values in scene.maps], axis=2)
        cells = whole.reshape(-1, whole.shape[2])
        mean = cells.mean(axis=0)
        centred = cells - mean
        power, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        kept = slice(max(len(power) - _DIMENSIONS, 0), None)
        scale = np.sqrt(np.maximum(power[kept], 0) + 0.01 * power[-1] + 1e-9)
        return cls(mean, np.asarray(vectors[:, kept] / scale, np.float32))

    def fits(self, scene: GridFrame) -> bool:
        """Tell whether a frame has the features that this is a basis of."""
        channels = sum(values.shape[2] for values in scene.maps)
        return bool(channels == len(self.mean))

    def project(self, scene: GridFrame) -> FloatArray:
        """Return (coarse cells, D + 1): each cell in this basis, and a constant 1."""
        rows, columns = scene.coarse_hw
        projected = np.ones((rows, columns, self.directions.shape[1] + 1), np.float32)
        projected[..., :-1] = -(self.mean @ self.directions)
        start = 0
        for values in scene.maps:  # each at its own size: growing what is left of its channels is cheaper
            stop = start + values.shape[2]
            projected[..., :-1] += grown(values @ self.directions[start:stop], scene.coarse_hw)
            start = stop
        return projected.reshape(rows * columns, -1)


class Projector:
    """Frames -> the features of their cells, all in the basis of the first frame; each is projected once."""

    def __init__(self) -> None:
        self._basis: Basis | None = None
        self._last: tuple[GridFrame, FloatArray] | None = None
        self._means: tuple[GridFrame, FloatArray] | None = None

    def __call__(self, scene: GridFrame) -> FloatArray:
        """Return (coarse cells, D + 1) :meth:`Basis.project`; anew where the features are others."""
        if self._basis is None or not self._basis.fits(scene):
            self._basis = Basis.fit(scene)
        if self._last is None or self._last[0] is not scene:
            self._last = (scene, self._basis.project(scene))
        return self._last[1]

    def appearance(self, scene: GridFrame) -> FloatArray:
        """Return (N, D) unit vectors: the mean features of each mask; zeros for a mask without cells."""
        if self._means is None or self._means[0] is not scene:
            self._means = (scene, unit_rows(scene.coarse_cells @ self(scene)[:, :-1]))
        return self._means[1]

    def look(self, scene: GridFrame, cells: NDArray[np.bool_]) -> FloatArray:
        """Return (D,) the unit mean of the features of (rows, columns) cells; zeros for none."""
        rows, columns = scene.coarse_hw
        part = np.asarray(cells[: 2 * rows : 2, : 2 * columns : 2], np.float32).reshape(1, -1)
        return np.asarray(unit_rows(part @ self(scene)[:, :-1])[0], np.float32)


class TargetModel:
    """Tells the cells of one object from all others."""

    def __init__(self) -> None:
        self._shown: tuple[FloatArray, FloatArray] | None = None
        self._seen: tuple[FloatArray, FloatArray] | None = None
        self._weights: FloatArray | None = None

    def learn(self, features: FloatArray, soft: FloatArray, coarse_hw: tuple[int, int], shown: bool) -> None:
        """Take in one frame.

        Args:
            features: (coarse cells, D + 1) :meth:`Basis.project`.
            soft: (rows, columns) in 0..1, the object on the fine grid.
            coarse_hw: shape of the coarse grid.
            shown: the object was pointed at in this frame, which is remembered for good.
        """
        terms = self._terms(features, to_size(soft, coarse_hw))
        if terms is None:
            return
        if shown:
            self._shown = terms if self._shown is None else _mixed(self._shown, terms, 0.5)
        self._seen = terms if self._seen is None or shown else _mixed(self._seen, terms, _NEWEST_SHARE)
        if self._shown is None:
            return
        products, targets = _mixed(self._seen, self._shown, _FIRST_SHARE)
        ridge = np.eye(len(products), dtype=np.float32) * np.float32(_RIDGE)
        self._weights = np.asarray(np.linalg.solve(products + ridge, targets), np.float32)

    def score(self, features: FloatArray, coarse_hw: tuple[int, int], grid_hw: tuple[int, int]) -> FloatArray:
        """Return (rows, columns) about 1 where the object is, -1 where it is not; zeros before any frame."""
        if self._weights is None or len(self._weights) != features.shape[1]:
            return np.zeros(grid_hw, np.float32)
        return to_size(np.asarray((features @ self._weights).reshape(coarse_hw), np.float32), grid_hw)

    def _terms(self, features: FloatArray, soft: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the normal equations of one frame; object and background count alike."""
        inside = soft > 0.5
        if np.count_nonzero(inside) < 2:  # an object of a cell or two
            inside = (soft > 0) & (soft >= 0.9 * soft.max())
        edge = (soft > 0.1) & ~inside
        far = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
        near = np.exp(-far / (0.5 * np.sqrt(np.count_nonzero(inside)) + 3))
        weights = np.where(inside | edge, 0, _FAR_WEIGHT + near).reshape(-1)
        ours, others = np.flatnonzero(inside), np.flatnonzero(weights)
        if len(ours) == 0 or len(others) == 0:
            return None
        shares = weights[others] / weights[others].sum()
        object_cells, other_cells = features[ours], features[others]
        weighted = other_cells * (0.5 * shares[:, None]).astype(np.float32)
        products = object_cells.T @ object_cells * np.float32(0.5 / len(ours)) + weighted.T @ other_cells
        targets = 0.5 * object_cells.mean(axis=0) - weighted.sum(axis=0)
        return np.asarray(products, np.float32), np.asarray(targets, np.float32)


def _mixed(
    first: tuple[NDArray[np.float32], NDArray[np.float32]],
    second: tuple[NDArray[np.float32], NDArray[np.float32]],
    share: float,
) -> tuple[FloatArray, FloatArray]:
    """Return (1 - share) of the first and share of the second; of the second alone where the sizes differ."""
    if first[0].shape != second[0].shape:
        return second
    kept = np.float32(1 - share)
    taken = np.float32(share)
    return kept * first[0] + taken * second[0], kept * first[1] + taken * second[1]
