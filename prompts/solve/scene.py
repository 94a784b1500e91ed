"""What clicks are answered from besides the masks: the photo, the network's features, where masks end."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.crop import Crop
from fastsam.masks.levels import samples_of
from fastsam.masks.maskset import MaskSet
from fastsam.masks.stores.grid import GridStore

__all__ = ["Scene"]

FloatArray = NDArray[np.float32]
_DIRECTIONS = 8  # principal directions that are kept of each feature map
_REMEMBERED = 64  # states of clicks that are kept


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """One photo and its masks, as clicks need them; what is costly is found once and kept.

    Attributes:
        rgb: (H, W, 3) uint8, the photo.
        masks: N masks of it, that clicks choose among.
        shown: the same masks as they are handed out, where their edges are refined.

    Raises:
        PromptError: the masks are not of the photo's size.
    """

    rgb: NDArray[np.uint8]
    masks: MaskSet
    shown: MaskSet | None = None
    _states: OrderedDict[Any, Any] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        """Check that these belong together."""
        if self.rgb.shape[:2] != self.masks.size_hw:
            raise PromptError(
                f"scene: expected masks of the photo's size {self.rgb.shape[:2]} (H, W), "
                f"got {self.masks.size_hw}"
            )

    def __repr__(self) -> str:
        """Return the size and how many masks there are."""
        return f"Scene({self.rgb.shape[1]}x{self.rgb.shape[0]}, {len(self.masks)} masks)"

    def take(self, index: NDArray[np.int64]) -> Scene:
        """Return the photo with some of the masks."""
        return Scene(self.rgb, self.masks[index], None if self.shown is None else self.shown[index])

    def crop(self, row: int) -> Crop:
        """Return the pixels of a mask as it is handed out."""
        return (self.masks if self.shown is None else self.shown).crop(row)

    def recall(self, key: Any) -> Any:
        """Return what was remembered under a key, or None."""
        return self._states.get(key)

    def remember(self, key: Any, value: Any) -> None:
        """Keep a value, and forget the oldest where there are many."""
        self._states[key] = value
        while len(self._states) > _REMEMBERED:
            self._states.popitem(last=False)

    @cached_property
    def votes(self) -> FloatArray:
        """(rows, columns) on a coarse lattice of the image: how many masks end here, each counted by the root
        of its score, blurred over the cells around.
        """
        height, width = self.masks.size_hw
        if len(self.masks) == 0:
            return np.zeros((min(height, 2), min(width, 2)), np.float32)
        samples = samples_of(self.masks)
        rows, columns = samples.shape[1:]
        votes = np.zeros((rows, columns), np.float32)
        for sample, score in zip(samples, np.sqrt(self.masks.scores), strict=True):
            border = cv2.morphologyEx(sample.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
            votes += score * border
        return np.asarray(cv2.GaussianBlur(votes, (0, 0), 0.8), np.float32)

    @cached_property
    def features(self) -> FloatArray:
        """(rows, columns, D) what the network saw, over the whole image: the main directions of each of its
        feature maps and of its prototypes, whitened; D is 0 for masks that come from elsewhere.
        """
        pyramid = self.masks.pyramid
        if pyramid is None:
            return np.zeros((1, 1, 0), np.float32)
        height, width = self.masks.size_hw
        whole = np.array([[0, 0, width, height]], np.float32)
        box = pyramid.letterbox.boxes_to_net(whole)[0] / np.tile(pyramid.letterbox.net_hw[::-1], 2)
        maps = [values.astype(np.float32) for values in pyramid.maps]
        if isinstance(self.masks.store, GridStore):
            maps.append(self.masks.store.prototypes)
        if not maps:
            return np.zeros((1, 1, 0), np.float32)
        size = maps[0].shape[1:]
        return np.concatenate([_directions(_content(values, box), size) for values in maps], axis=2)


def _content(values: FloatArray, box: FloatArray) -> FloatArray:
    """Return the part of a (C, h, w) map that shows the image, without the padding around it."""
    rows, columns = values.shape[1:]
    x1, y1, x2, y2 = np.rint(box * np.array([columns, rows, columns, rows])).astype(int)
    x1, y1 = min(max(x1, 0), columns - 1), min(max(y1, 0), rows - 1)
    return values[:, y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def _directions(values: FloatArray, size_hw: tuple[int, ...]) -> FloatArray:
    """Return (rows, columns, D) the whitened principal components of a (C, h, w) map, at another size."""
    cells = values.reshape(len(values), -1).T
    centred = cells - cells.mean(axis=0)
    power, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = slice(max(len(power) - _DIRECTIONS, 0), None)
    scale = np.sqrt(np.maximum(power[kept], 0) + 0.01 * max(power[-1], 0) + 1e-9)
    found = np.asarray(centred @ (vectors[:, kept] / scale), np.float32).reshape(*values.shape[1:], -1)
    grown = cv2.resize(found, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.float32).reshape(*size_hw, -1)
