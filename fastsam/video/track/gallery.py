"""Looks of one object that are remembered: whether a region is the object at all, not only where it ends.

A classifier of cells tells an object from *its* background (:mod:`fastsam.video.track.appearance`); in
another scene something always looks most like it. A gallery tells how much: the largest cosine with what the
object has looked like, the frame that was pointed at for good, later ones where they are sure and new.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam.video.track.grid_frame import FloatArray

__all__ = ["Gallery"]

_MOST = 12  # looks of one object, the first ones included
_NEW = 0.92  # a look that is less alike to all others is worth keeping
_KNOWN = 0.6  # and more than this: else it may be of something else
_DEEP_ZERO = 0.5  # cosine of the backbone's features of two things that have nothing in common


class Gallery:
    """Looks of one object: mean features of its cells in the basis of the video, and of the backbone."""

    def __init__(self) -> None:
        self._near = np.zeros((0, 0), np.float32)
        self._deep = np.zeros((0, 0), np.float32)
        self._shown = 0

    def add(self, near: FloatArray, deep: FloatArray, shown: bool) -> None:
        """Remember a look.

        Args:
            near: (D,) mean features of its cells in the video's basis.
            deep: (C,) mean features of the backbone; (0,) where there are none.
            shown: the object was pointed at: the look is kept for good.
        """
        if not near.any():
            return
        if self._near.shape[1:] != near.shape or self._deep.shape[1:] != deep.shape:
            # The first look, or the network is another one: what was known cannot be compared.
            self._near, self._deep = (np.zeros((0, len(one)), np.float32) for one in (near, deep))
            self._shown, shown = 0, True
        at = self._shown if shown else len(self._near)
        self._near, self._deep = np.insert(self._near, at, near, 0), np.insert(self._deep, at, deep, 0)
        self._shown += shown
        if self._shown > _MOST // 2:  # the very first stays
            self._drop(1)
            self._shown -= 1
        elif len(self._near) > _MOST:  # of those that were not shown, the one that tells least
            alike = self._near @ self._near.T - 2 * np.eye(len(self._near), dtype=np.float32)
            self._drop(self._shown + int(alike[self._shown :].max(axis=1).argmax()))

    def is_new(self, near: FloatArray) -> bool:
        """Tell whether a look is like the object, and yet tells something more of it."""
        return bool(near.any() and _KNOWN < self.near(near[None])[0] < _NEW)

    def _drop(self, row: int) -> None:
        self._near, self._deep = np.delete(self._near, row, 0), np.delete(self._deep, row, 0)

    def near(self, vectors: FloatArray) -> FloatArray:
        """Return (N,) how much (N, D) features of cells look like the object, -1..1; ones before any look."""
        if len(self._near) == 0 or self._near.shape[1] != vectors.shape[1]:
            return np.ones(len(vectors), np.float32)
        return np.asarray((vectors @ self._near.T).max(axis=1), np.float32)

    def likeness(self, near: FloatArray, deep: FloatArray) -> NDArray[np.float32]:
        """Return (N,) how much regions look like the object by both features, about 0..1.

        Args:
            near: (N, D).
            deep: (N, C).
        """
        found = self.near(near)
        if self._deep.shape[1] == 0 or deep.shape[1] != self._deep.shape[1]:
            return found
        far = ((deep @ self._deep.T).max(axis=1) - _DEEP_ZERO) / (1 - _DEEP_ZERO)
        return np.asarray((found + far) / 2, np.float32)
