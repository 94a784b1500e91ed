"""Where in an image: boxes, clicks, drawn regions, as frozen prompt objects that are checked when made.

Coordinates are image pixels, ``(x, y)`` and xyxy. What depends on the image (inside it or not) is
checked when the prompt meets its masks.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.coordinates import as_floats, as_text, check_box_order
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection

__all__ = ["Box", "ClickLevel", "MaskLike", "ObjectPoints", "Points", "as_share"]


@dataclass(frozen=True, init=False)
class Box:
    """One box or several; each is answered by the mask that overlaps it best.

    Args:
        xyxy: ``(x1, y1, x2, y2)`` or an (n, 4) array of them.
        iou_threshold: a box whose best mask overlaps it less gets no answer.

    Raises:
        PromptError: the shape is wrong, a number is not finite, or x2 <= x1 or y2 <= y1.

    >>> Box([10, 20, 30, 40]).xyxy
    ((10.0, 20.0, 30.0, 40.0),)
    """

    xyxy: tuple[tuple[float, ...], ...]
    iou_threshold: float = 0.1

    def __init__(self, xyxy: Any, iou_threshold: float = 0.1) -> None:
        array = as_floats(xyxy, "box", "(x1, y1, x2, y2) or shape (n, 4)")
        array = array[None] if array.shape == (4,) else array
        if array.ndim != 2 or array.shape[1] != 4 or len(array) == 0:
            raise PromptError(f"box: expected (x1, y1, x2, y2) or shape (n, 4), got shape {array.shape}")
        check_box_order(array)
        object.__setattr__(self, "xyxy", tuple(tuple(float(v) for v in box) for box in array))
        object.__setattr__(self, "iou_threshold", as_share(iou_threshold, "iou_threshold"))


@dataclass(frozen=True)
class ObjectPoints:
    """The clicks on one object: (x, y) foreground points and background points."""

    foreground: tuple[tuple[float, float], ...]
    background: tuple[tuple[float, float], ...]


ClickLevel = Literal["auto", "whole", "part", "subpart"]


@dataclass(frozen=True, init=False)
class Points:
    """Clicks, grouped by object: foreground points add the masks they hit, background points subtract.

    Args:
        points: ``(x, y)``, or (P, 2) for one object, or (objects, P, 2); objects may have different
            numbers of points (a list of lists).
        labels: 1 foreground, 0 background, -1 ignored (padding); same shape as ``points`` without its
            last axis. Default: all foreground.
        multimask: give up to three answers for an object (whole, part, subpart), best first, as SAM's
            ``multimask_output``; otherwise only the best.
        level: which of those answers is wanted: ``"auto"`` (the best), ``"whole"`` (the largest),
            ``"part"`` or ``"subpart"``; where a click has fewer answers, the next larger one.
        previous: an earlier answer about the same object, or any mask as :class:`MaskLike` takes it: points
            outside add to it, background points inside cut from it, the rest of it stays. An answer
            without masks counts as none.

    Raises:
        PromptError: shapes do not match, a coordinate is not finite, a label is not 1, 0 or -1, or options
            contradict each other: ``previous`` gives one answer about one object, a ``level`` is one answer.

    >>> Points([(5, 5), (9, 9)], labels=[1, 0]).objects[0].background
    ((9.0, 9.0),)
    """

    objects: tuple[ObjectPoints, ...]
    multimask: bool = False
    level: ClickLevel = "auto"
    previous: MaskLike | None = None

    def __init__(
        self,
        points: Any,
        labels: Any = None,
        multimask: bool = False,
        level: ClickLevel = "auto",
        previous: Any = None,
    ) -> None:
        groups = _point_groups(points)
        marks = _label_groups(labels, groups, _depth(points))
        objects = []
        for number, (group, mark) in enumerate(zip(groups, marks, strict=True)):
            if len(group) != len(mark):
                raise PromptError(
                    f"labels of object {number}: expected {len(group)}, one for each point, got {len(mark)}"
                )
            bad = sorted(set(mark.tolist()) - {-1, 0, 1})
            if bad:
                raise PromptError(
                    f"labels: expected 1 (foreground), 0 (background) or -1 (ignore), got {bad[0]:g}"
                )
            pairs = [(float(x), float(y)) for x, y in group]
            objects.append(
                ObjectPoints(
                    tuple(sorted(p for p, m in zip(pairs, mark, strict=True) if m == 1)),
                    tuple(sorted(p for p, m in zip(pairs, mark, strict=True) if m == 0)),
                )
            )
        if not isinstance(multimask, (bool, np.bool_)):
            raise PromptError(f"multimask: expected True or False, got {multimask!r}")
        if level not in get_args(ClickLevel):
            raise PromptError(f"level: expected one of {', '.join(get_args(ClickLevel))}, got {level!r}")
        if multimask and level != "auto":
            raise PromptError(f"level: expected 'auto' with multimask, which gives all levels, got {level!r}")
        before = _previous(previous)
        if before is not None and (multimask or level != "auto" or len(objects) != 1):
            raise PromptError(
                "previous: expected the points of one object, without multimask or level; "
                f"got {len(objects)} objects, multimask {bool(multimask)}, level {level!r}"
            )
        object.__setattr__(self, "objects", tuple(objects))
        object.__setattr__(self, "multimask", bool(multimask))
        object.__setattr__(self, "level", level)
        object.__setattr__(self, "previous", before)


_MAX_WIDTH_PX = 10_000  # of a stroke; OpenCV draws no thicker lines than 32767
MaskKind = Literal["bitmap", "rle", "polygon", "scribble"]


@dataclass(frozen=True, eq=False)
class MaskLike:
    """A region that somebody drew or a mask from elsewhere; the mask that fits it best answers.

    Args:
        value: an (H, W) boolean bitmap of the image's size, a COCO RLE mapping, a polygon as (K, 2)
            image points, or a previous answer (Selection or MaskSet: their union).
        threshold: least IoU (least covered share, for a scribble) of an answer.
        group: where several masks together explain the region clearly better than the best one does, they
            answer together, as rows of one group; False: always one mask.

    Use :meth:`scribble` for a stroke. Bitmaps and RLE must have the image's size, which is checked
    when the prompt meets its masks.
    """

    value: Any
    threshold: float = 0.1
    kind: MaskKind = "bitmap"
    width_px: float = 1.0
    group: bool = True

    def __post_init__(self) -> None:
        """Find out what was given, and check it."""
        object.__setattr__(self, "threshold", as_share(self.threshold, "threshold"))
        if not isinstance(self.group, (bool, np.bool_)):
            raise PromptError(f"group: expected True or False, got {self.group!r}")
        object.__setattr__(self, "group", bool(self.group))
        if self.kind == "scribble":
            object.__setattr__(self, "value", _line(self.value))
            object.__setattr__(self, "width_px", _width(self.width_px))
            return
        object.__setattr__(self, "kind", "bitmap")
        value: Any = self.value
        if isinstance(value, Selection):
            value = value.masks
        if isinstance(value, MaskSet):
            value = value.union()
        if isinstance(value, Mapping):
            value = dict(value)
            object.__setattr__(self, "kind", "rle")
        elif (isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] != 2) or (
            isinstance(value, np.ndarray) and value.dtype == bool
        ):
            value = _bitmap(value)
        else:
            ring = as_floats(
                value, "mask", "a bitmap (H, W), COCO RLE, a polygon (K, 2) or a previous answer"
            )
            if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not np.isfinite(ring).all():
                raise PromptError(
                    "mask: expected a bitmap (H, W), COCO RLE, a polygon of at least 3 finite (x, y) points "
                    f"or a previous answer, got shape {ring.shape}"
                )
            value = ring
            object.__setattr__(self, "kind", "polygon")
        object.__setattr__(self, "value", value)

    @classmethod
    def scribble(
        cls, points: Any, width_px: float = 1.0, threshold: float = 0.5, group: bool = True
    ) -> MaskLike:
        """Return a stroke along (K, 2) image points; the mask that holds most of it answers."""
        return cls(points, threshold, "scribble", width_px, group)


def _previous(value: Any) -> MaskLike | None:
    """Return an earlier answer as a mask, None where there is nothing of it."""
    if value is None or (isinstance(value, (Selection, MaskSet)) and len(value) == 0):
        return None
    return value if isinstance(value, MaskLike) else MaskLike(value)


def _line(points: Any) -> NDArray[np.float64]:
    """Return the (K, 2) points of a stroke, checked."""
    line = as_floats(points, "scribble", "(x, y) points, shape (K, 2)")
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 1 or not np.isfinite(line).all():
        raise PromptError(
            f"scribble: expected at least one finite (x, y) point, shape (K, 2), got {line.shape}"
        )
    return line


def _width(width_px: Any) -> float:
    """Return the width of a stroke, checked."""
    if not _is_number(width_px) or not 0 < width_px <= _MAX_WIDTH_PX:
        raise PromptError(f"scribble: expected a width_px above 0, {_MAX_WIDTH_PX} at most, got {width_px!r}")
    return float(width_px)


def _is_number(value: Any) -> bool:
    """Tell whether a value is a real number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def as_share(value: Any, name: str) -> float:
    """Return a number from 0 to 1 as a float, or raise PromptError."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise PromptError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)


def _depth(points: Any) -> int:
    """Return 1 for (x, y), 2 for one object's points, 3 for several objects'."""
    depth = 0
    while isinstance(points, (list, tuple, np.ndarray)) and len(points):
        depth, points = depth + 1, points[0]
    return depth


def _point_groups(points: Any) -> list[NDArray[np.float64]]:
    """Return one (P, 2) array an object."""
    wanted = "(x, y), (P, 2), or (objects, P, 2)"
    depth = _depth(points)
    if depth not in (1, 2, 3):
        raise PromptError(f"points: expected {wanted} with at least one point, got {str(points)[:80]}")
    raw = [[points]] if depth == 1 else [points] if depth == 2 else list(points)
    groups = [as_floats(group, "points", wanted) for group in raw]
    for group in groups:
        if group.ndim != 2 or group.shape[1] != 2:
            raise PromptError(f"points: expected {wanted}, got an object of shape {group.shape}")
        if not np.isfinite(group).all():
            bad = group[~np.isfinite(group).all(axis=1)][0]
            raise PromptError(f"point {as_text(bad)}: coordinates must be finite numbers")
    return groups


def _label_groups(labels: Any, groups: list[NDArray[np.float64]], depth: int) -> list[NDArray[np.float64]]:
    """Return one (P,) array of labels an object."""
    if labels is None:
        return [np.ones(len(group)) for group in groups]
    if depth < 3:
        values = [as_floats(labels, "labels", "one number for each point").reshape(-1)]
    else:
        try:
            values = [as_floats(row, "labels", "one list of numbers an object").reshape(-1) for row in labels]
        except TypeError as error:
            raise PromptError(f"labels: expected one list of numbers an object, got {labels!r}") from error
    if len(values) != len(groups):
        raise PromptError(f"labels: expected {len(groups)} objects as in points, got {len(values)}")
    return values


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
