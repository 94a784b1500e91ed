"""Regions that somebody drew and masks from elsewhere, as a prompt that says which of them it is."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.coordinates import as_floats
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts.base import Prompt
from fastsam.untrusted import at_most, length

__all__ = ["Mask", "MaskKind", "MaskLike", "as_share", "is_number"]

_MAX_WIDTH_PX = 10_000  # of a stroke; OpenCV draws no thicker lines than 32767
MaskKind = Literal["bitmap", "rle", "polygon", "scribble"]
_MASK_FORMS = "Mask.bitmap(array), Mask.rle(...), Mask.polygon(points) or Mask.scribble(points)"


@dataclass(frozen=True, eq=False)
class Mask(Prompt):
    """A region that somebody drew or a mask from elsewhere; the mask that fits it best answers.

    :meth:`bitmap`, :meth:`rle`, :meth:`polygon` and :meth:`scribble` say what is given. Without them it has
    to be plain: a picture of booleans (or of 8-bit numbers, 0 and 1 or 0 and 255), a COCO RLE mapping, a
    list of points or an array of decimal numbers (a polygon), or a previous answer (Selection or MaskSet:
    their union).

    Args:
        value: the region. Bitmaps and RLE must have the image's size, which is checked when the prompt meets
            its masks.
        threshold: least IoU (least covered share, for a scribble) of an answer.
        group: where several masks together explain the region clearly better than the best one does, they
            answer together, as rows of one group; False: always one mask.

    Attributes:
        kind: what the value is.
        width_px: how thick a scribble is.

    Raises:
        PromptError: it is none of these, or could be a bitmap and a polygon.

    >>> Mask.polygon([(0, 0), (9, 0), (9, 9)]).kind
    'polygon'
    """

    value: Any
    threshold: float = 0.1
    group: bool = field(default=True, kw_only=True)
    kind: MaskKind = field(default="bitmap", init=False)
    width_px: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        """Find out what was given, and check it."""
        self._set_options()
        value: Any = self.value
        if isinstance(value, Selection):
            value = value.masks
        if isinstance(value, MaskSet):
            self._set("bitmap", _bitmap(value.union()))
        elif isinstance(value, Mapping):
            self._set("rle", dict(value))
        elif isinstance(value, np.ndarray) and _is_picture(value):
            self._set("bitmap", _bitmap(value))
        else:
            self._set("polygon", _ring(value))

    @classmethod
    def bitmap(cls, pixels: Any, threshold: float = 0.1, *, group: bool = True) -> Self:
        """Return an (H, W) picture of false and true (or 0 and 1, or 0 and 255), of the image's size."""
        return cls._made("bitmap", _bitmap(np.asarray(pixels)), threshold, group)

    @classmethod
    def rle(cls, rle: Mapping[str, Any], threshold: float = 0.1, *, group: bool = True) -> Self:
        """Return a mask as COCO's RLE: ``{"size": [H, W], "counts": ...}``."""
        if not isinstance(rle, Mapping):
            raise PromptError(f"rle: expected a mapping with 'size' and 'counts', got {str(rle)[:80]}")
        return cls._made("rle", dict(rle), threshold, group)

    @classmethod
    def polygon(cls, points: Any, threshold: float = 0.1, *, group: bool = True) -> Self:
        """Return what lies inside the (K, 2) image points of a ring."""
        return cls._made("polygon", _ring(points), threshold, group)

    @classmethod
    def scribble(cls, points: Any, width_px: float = 1.0, threshold: float = 0.5, group: bool = True) -> Self:
        """Return a stroke along (K, 2) image points; the mask that holds most of it answers."""
        return cls._made("scribble", _line(points), threshold, group, _width(width_px))

    @classmethod
    def _made(cls, kind: MaskKind, value: Any, threshold: float, group: bool, width_px: float = 1.0) -> Self:
        made = cls.__new__(cls)
        object.__setattr__(made, "threshold", threshold)
        object.__setattr__(made, "group", group)
        made._set_options()
        made._set(kind, value, width_px)
        return made

    def _set(self, kind: MaskKind, value: Any, width_px: float = 1.0) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "width_px", width_px)

    def _set_options(self) -> None:
        object.__setattr__(self, "threshold", as_share(self.threshold, "threshold"))
        if not isinstance(self.group, (bool, np.bool_)):
            raise PromptError(f"group: expected True or False, got {self.group!r}")
        object.__setattr__(self, "group", bool(self.group))


MaskLike = Mask
"""The older name of :class:`Mask`."""


def _is_picture(array: NDArray[Any]) -> bool:
    """Tell whether an array is a bitmap rather than the points of a polygon.

    Raises:
        PromptError: it could be both: whole numbers in two columns, and none but 0 and 1 or 0 and 255.
    """
    if array.dtype in (np.bool_, np.uint8) or array.ndim != 2 or array.shape[1] != 2:
        return array.ndim == 2 or array.dtype in (np.bool_, np.uint8)
    if array.dtype.kind in "iu" and len(array) and np.isin(array, (0, 1, 255)).all():
        raise PromptError(
            f"mask: an array of whole numbers of shape {array.shape} could be a bitmap or a polygon; "
            f"say which: {_MASK_FORMS}"
        )
    return False


def _ring(points: Any) -> NDArray[np.float64]:
    """Return the (K, 2) points of a polygon, checked."""
    wanted = "a bitmap (H, W), COCO RLE, a polygon (K, 2) or a previous answer"
    at_most(length(points), "corners", "corners", PromptError)
    ring = as_floats(points, "mask", wanted)
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not np.isfinite(ring).all():
        raise PromptError(
            "mask: expected a bitmap (H, W), COCO RLE, a polygon of at least 3 finite (x, y) points "
            f"or a previous answer, got shape {ring.shape}; {_MASK_FORMS} say which it is"
        )
    return ring


def _line(points: Any) -> NDArray[np.float64]:
    """Return the (K, 2) points of a stroke, checked."""
    at_most(length(points), "corners", "points of a stroke", PromptError)
    line = as_floats(points, "scribble", "(x, y) points, shape (K, 2)")
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 1 or not np.isfinite(line).all():
        raise PromptError(
            f"scribble: expected at least one finite (x, y) point, shape (K, 2), got {line.shape}"
        )
    return line


def _width(width_px: Any) -> float:
    """Return the width of a stroke, checked."""
    if not is_number(width_px) or not 0 < width_px <= _MAX_WIDTH_PX:
        raise PromptError(
            f"scribble: expected width_px above 0 and at most {_MAX_WIDTH_PX}, got {width_px!r}"
        )
    return float(width_px)


def _bitmap(value: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a read-only boolean copy; the caller's array may change later."""
    if value.ndim != 2:
        raise PromptError(f"mask: expected a bitmap of shape (H, W), got {value.shape}")
    if value.dtype != bool and not np.isin(value, (0, 1, 255)).all():
        raise PromptError(
            "mask: expected a bitmap of false and true (or 0 and 1, or 0 and 255), got other values"
        )
    copy = value.astype(bool)
    copy.flags.writeable = False
    return copy


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def as_share(value: Any, name: str) -> float:
    """Return a number from 0 to 1 as a float, or raise PromptError."""
    if not is_number(value) or not 0 <= value <= 1:
        raise PromptError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)
