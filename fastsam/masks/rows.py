"""What every answer about one image is: rows of masks with scores, one object each.

Photos (:class:`fastsam.Result`) and frames of videos (:class:`fastsam.Tracked`) share it, so that one loop
serves both::

    for thing in result:
        print(thing.box, thing.score, thing.label, thing.area_px)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.polygons import edge_polygons
from fastsam.masks.rle import Rle

if TYPE_CHECKING:
    from fastsam.masks.maskset import MaskSet

__all__ = ["MaskRows"]


class MaskRows(ABC):
    """K masks of one image, one an object, with scores and perhaps names.

    On one row, ``result[0]`` or the variable of a loop, ``mask``, ``box``, ``score``, ``label``, ``area_px``,
    ``polygon`` and ``rle`` are those of that object; on others they raise :class:`RecordError`.
    """

    masks: MaskSet
    scores: NDArray[np.float32]
    labels: tuple[str, ...] | None

    @abstractmethod
    def __getitem__(self, key: Any) -> Self:
        """Return the chosen rows: an int, a slice, a list of ints or a boolean array."""

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.masks)

    def __iter__(self) -> Iterator[Self]:
        """Yield one object at a time: one row, as ``self[i]``."""
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the (K, H, W) boolean stack of masks."""
        return self.masks.__array__(dtype, copy)

    def row_facts(self, i: int) -> dict[str, Any]:
        """Return what tells a row from others, in plain JSON types."""
        return {"row": i}

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """(K, 4) float32 boxes of the masks, image frame."""
        return self.masks.boxes_xyxy

    def only_row(self, name: str) -> None:
        """Raise where this is not one object.

        Raises:
            RecordError: it has no row, or several.
        """
        if len(self) != 1:
            kind = type(self).__name__.lower()
            several = f"take one of them ({kind}[0].{name}), loop over them, or use {kind}.masks"
            raise RecordError(
                f"{name}: expected one object, this {kind} has {len(self)}; "
                + (several if len(self) else f"look whether there is one first: if {kind}: ...")
            )

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The (H, W) boolean mask of the one object."""
        self.only_row("mask")
        return self.masks.mask(0)

    @property
    def box(self) -> NDArray[np.float32]:
        """The (4,) box ``x1, y1, x2, y2`` of the one object, image pixels."""
        self.only_row("box")
        return np.asarray(self.masks.boxes_xyxy[0])

    @property
    def score(self) -> float:
        """How well the one object fits what was asked, 0 to 1; ``masks.scores[0]`` is its mask's quality."""
        self.only_row("score")
        return float(self.scores[0])

    @property
    def label(self) -> str:
        """What the one object is; ``""`` where nothing tells."""
        self.only_row("label")
        return self.labels[0] if self.labels else ""

    @property
    def area_px(self) -> int:
        """How many pixels the one object has."""
        self.only_row("area_px")
        return int(self.masks.areas_px[0])

    @property
    def polygon(self) -> list[NDArray[np.float32]]:
        """The outlines of the one object: (K, 2) rings of ``(x, y)`` along pixel edges, holes last."""
        self.only_row("polygon")
        parts = edge_polygons(self.masks.mask(0))
        rings = [part[0] for part in parts] + [hole for part in parts for hole in part[1:]]
        return [ring.astype(np.float32) for ring in rings]

    @property
    def rle(self) -> Rle:
        """The mask of the one object as COCO's compressed RLE."""
        self.only_row("rle")
        return self.masks.rle(0)
