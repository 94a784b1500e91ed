"""What is written: the masks of one image, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import outlines
from fastsam.masks.rle import Rle, encode_crop
from fastsam.masks.stores.crops import CropStore

__all__ = ["DEFAULT_LABEL", "Annotations", "Row", "all_classes", "one_line"]

DEFAULT_LABEL = "object"


@dataclass(frozen=True, eq=False)
class Annotations:
    """The masks of one image and what is known of each.

    Attributes:
        name: what to call the files; made safe by the exporter.
        masks: N masks.
        file_name: the image file as COCO, SA-1B and LabelMe name it; by default that of ``source``.
        source: path of the image; empty where there is none.
        labels: N class names; all ``"object"`` by default.
        classes: names to list in this order, found or not; other labels follow them.
        levels: N names such as ``"whole"``; left out by default.
        stability_scores: (N,) as SAM defines them; left out by default.
        points_xy: (N, 2) the point that each mask was prompted by; left out by default.
        rgb: (H, W, 3) uint8, the photo, for formats that show it.
        crowds: (N,) bool, which are regions of objects that are not told apart; COCO has those, the other
            formats of datasets leave them out.
    """

    name: str
    masks: MaskSet
    file_name: str = ""
    source: str = ""
    labels: Sequence[str] | None = None
    classes: Sequence[str] = ()
    levels: Sequence[str] | None = None
    stability_scores: Any = None
    points_xy: Any = None
    rgb: NDArray[np.uint8] | None = None
    crowds: Sequence[bool] | None = None

    def __post_init__(self) -> None:
        """Check that there is one of each for every mask."""
        count = len(self.masks)
        for name in ("labels", "levels"):
            values = getattr(self, name)
            if isinstance(values, str) or (values is not None and len(values) != count):
                got = repr(values) if isinstance(values, str) else len(values)
                raise RecordError(f"{name}: expected {count} texts for {count} masks, got {got}")
        object.__setattr__(self, "classes", tuple(dict.fromkeys(one_line(name) for name in self.classes)))
        for name, shape in (("stability_scores", (count,)), ("points_xy", (count, 2))):
            if getattr(self, name) is not None:
                array = _numbers(getattr(self, name), name)
                if array.shape != shape:
                    raise RecordError(f"{name}: expected shape {shape} for {count} masks, got {array.shape}")
                object.__setattr__(self, name, array)
        if self.crowds is not None and len(self.crowds) != count:
            raise RecordError(f"crowds: expected {count} for {count} masks, got {len(self.crowds)}")
        if self.rgb is not None and self.rgb.shape != (*self.masks.size_hw, 3):
            raise RecordError(f"rgb: expected the photo of the masks, got shape {self.rgb.shape}")

    def renamed(self, name: str) -> Annotations:
        """Return the same annotations for files of another name; the image keeps its own."""
        return replace(self, name=name, file_name=self.image_name)

    @property
    def image_name(self) -> str:
        """The image's file name."""
        return self.file_name or Path(self.source).name or self.name

    @cached_property
    def store(self) -> CropStore:
        """The pixels, decoded once and packed to bits inside their tight boxes."""
        return CropStore.of(self.masks.store, self.masks.size_hw)

    def objects(self) -> Iterator[Row]:
        """Yield the masks that have pixels and are no crowds: what formats of datasets can say."""
        return (row for row in self.rows() if row.area_px and not row.crowd)

    def rows(self) -> Iterator[Row]:
        """Yield the masks one by one."""
        for i in range(len(self.masks)):
            label = DEFAULT_LABEL if self.labels is None else one_line(self.labels[i])
            measured: dict[str, Any] = {}
            if self.stability_scores is not None:
                measured["stability_score"] = _decimal(self.stability_scores[i])
            if self.levels is not None:
                measured["level"] = str(self.levels[i])
            x0, y0, patch = self.store.crop(i)
            score = _decimal(self.masks.scores[i])
            crowd = self.crowds is not None and bool(self.crowds[i])
            yield Row(i, x0, y0, patch, self.masks.size_hw, label or DEFAULT_LABEL, score, measured, crowd)


@dataclass(frozen=True, eq=False)
class Row:
    """One mask, cut to its tight box."""

    number: int  # position in the set
    x0: int
    y0: int
    patch: NDArray[np.bool_]
    size_hw: tuple[int, int]
    label: str
    score: float
    measured: dict[str, Any]
    crowd: bool = False

    @cached_property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.patch))

    @cached_property
    def box_xywh(self) -> list[int]:
        """Left, top, width, height; zeros for an empty mask."""
        height, width = self.patch.shape
        return [self.x0, self.y0, width, height] if self.area_px else [0, 0, 0, 0]

    def outlines(self, most_corners: int = 512, inset_px: float = 0.0) -> list[NDArray[np.float64]]:
        """Return a ring along pixel edges for each island, in image coordinates; holes are bridged.

        Rings of more corners are simplified (:func:`fastsam.masks.polygons.outlines`).
        """
        corner = np.array([self.x0, self.y0])
        exact = outlines(self.patch, 0, inset_px=inset_px)
        few = max(map(len, exact), default=0) <= most_corners
        rings = exact if few else outlines(self.patch, inset_px=inset_px)
        return [ring + corner for ring in rings]

    def rle(self) -> Rle:
        """Return COCO's RLE of the whole image."""
        return encode_crop(self.patch, self.x0, self.y0, self.size_hw)


def one_line(label: Any) -> str:
    """Return a class name without line breaks and runs of spaces."""
    return " ".join(str(label).split())


def all_classes(known: Sequence[str], found: Iterable[str]) -> list[str]:
    """Return the names of classes in the order of their ids: the known ones, then the others by alphabet.

    >>> all_classes(["dog", "cat"], ["zebra", "cat", "ant"])
    ['dog', 'cat', 'ant', 'zebra']
    """
    return [*dict.fromkeys(known), *sorted(set(found) - set(known))] or [DEFAULT_LABEL]


def _numbers(values: Any, name: str) -> NDArray[np.float32]:
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{name}: expected numbers, got {str(values)[:80]}") from error


def _decimal(value: Any) -> float:
    """Return a float32 as the shortest decimal that reads back as the same float32."""
    return float(str(np.float32(value)))
