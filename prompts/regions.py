"""Where in an image: boxes and clicks, as frozen prompt objects that are checked when made.

Coordinates are image pixels, ``(x, y)`` and xyxy. What depends on the image (inside it or not) is
checked when the prompt meets its masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError, check_one_of
from fastsam.masks.coordinates import as_floats, as_text, check_box_order
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts.base import Marks, Prompt
from fastsam.prompts.drawn import Mask, MaskLike, as_share, is_number
from fastsam.untrusted import at_most, length, short

__all__ = ["Box", "ClickLevel", "Mask", "MaskLike", "ObjectPoints", "Point", "Points", "as_share"]


@dataclass(frozen=True, init=False)
class Box(Prompt):
    """One box or several; each is answered by the mask that overlaps it best.

    Args:
        xyxy: ``x1, y1, x2, y2``, ``(x1, y1, x2, y2)`` or an (n, 4) array of them.
        iou_threshold: a box whose best mask overlaps it less gets no answer.

    Raises:
        PromptError: the shape is wrong, a number is not finite, or x2 <= x1 or y2 <= y1.

    >>> Box(10, 20, 30, 40).xyxy
    ((10.0, 20.0, 30.0, 40.0),)
    """

    xyxy: tuple[tuple[float, ...], ...]
    iou_threshold: float = 0.1

    @overload
    def __init__(self, xyxy: Any, iou_threshold: float = ...) -> None: ...

    @overload
    def __init__(
        self, x1: float, y1: float, x2: float, y2: float, /, *, iou_threshold: float = ...
    ) -> None: ...

    def __init__(self, *edges: Any, xyxy: Any = None, iou_threshold: float = 0.1) -> None:
        if len(edges) == 2 and not is_number(edges[0]) and is_number(edges[1]):
            given, iou_threshold = edges
            edges = (given,)
        xyxy = _edges(edges, xyxy)
        at_most(length(xyxy), "boxes", "boxes", PromptError)
        array = as_floats(xyxy, "box", "(x1, y1, x2, y2) or shape (n, 4)")
        array = array[None] if array.shape == (4,) else array
        if array.ndim != 2 or array.shape[1] != 4 or len(array) == 0:
            raise PromptError(f"box: expected (x1, y1, x2, y2) or shape (n, 4), got shape {array.shape}")
        check_box_order(array)
        object.__setattr__(self, "xyxy", tuple(tuple(float(v) for v in box) for box in array))
        object.__setattr__(self, "iou_threshold", as_share(iou_threshold, "iou_threshold"))

    def marks(self) -> Marks:
        """Return the boxes."""
        return Marks(boxes=self.xyxy)


@dataclass(frozen=True)
class ObjectPoints:
    """The clicks on one object.

    Attributes:
        foreground: (x, y) of those inside it.
        background: (x, y) of those that are not.
        clicks: all of them as (x, y, label), in the order in which they were made.
    """

    foreground: tuple[tuple[float, float], ...]
    background: tuple[tuple[float, float], ...]
    clicks: tuple[tuple[float, float, int], ...] = ()

    @classmethod
    def of(cls, clicks: Sequence[tuple[float, float, int]]) -> ObjectPoints:
        """Return (x, y, label) clicks, sorted into foreground and background."""
        ordered = tuple((float(x), float(y), int(mark)) for x, y, mark in clicks if mark >= 0)
        foreground, background = (sorted((x, y) for x, y, mark in ordered if mark == k) for k in (1, 0))
        return cls(tuple(foreground), tuple(background), ordered)


ClickLevel = Literal["auto", "whole", "part", "subpart"]


@dataclass(frozen=True, init=False)
class Points(Prompt):
    """Clicks, grouped by object: the first foreground point chooses a mask, further ones correct the answer.

    Foreground points lie inside the answer, background points outside. Give them in the order in which they
    were made (:mod:`fastsam.prompts.solve.clicks`).

    Args:
        points: ``(x, y)``, or (P, 2) for one object, or (objects, P, 2); objects may have different
            numbers of points (a list of lists).
        labels: 1 foreground, 0 background, -1 ignored (padding); same shape as ``points`` without its
            last axis. Default: all foreground.
        multimask: give up to three answers for an object (whole, part, subpart), best first, as SAM's
            ``multimask_output``; otherwise only the best.
        level: which of those answers is wanted: ``"auto"`` (the best), ``"whole"`` (the largest),
            ``"part"`` or ``"subpart"``; where a click has fewer answers, the next larger one.
        previous: an earlier answer about the same object, or any mask as :class:`MaskLike` takes it, to
            correct; the clicks of an earlier answer come before the points. An answer without masks counts
            as none.

    Raises:
        PromptError: shapes do not match, a coordinate is not finite, a label is not 1, 0 or -1, or options
            contradict each other: ``previous`` gives one answer about one object, a ``level`` is one answer.

    >>> Points([(5, 5), (9, 9)], labels=[1, 0]).objects[0].background
    ((9.0, 9.0),)
    """

    objects: tuple[ObjectPoints, ...]
    multimask: bool = False
    level: ClickLevel = "auto"
    previous: Mask | None = None

    def __init__(
        self,
        points: Any,
        labels: Any = None,
        multimask: bool = False,
        level: ClickLevel = "auto",
        previous: Any = None,
    ) -> None:
        if is_number(points) and is_number(labels):
            raise PromptError(
                f"points: expected (x, y) as one argument, got {points!r} and {labels!r}; write "
                f"Point({points!r}, {labels!r}) or Points(({points!r}, {labels!r}))"
            )
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
            pairs = zip(group.tolist(), mark.tolist(), strict=True)
            objects.append([(x, y, int(label)) for (x, y), label in pairs])
        if not isinstance(multimask, (bool, np.bool_)):
            raise PromptError(f"multimask: expected True or False, got {multimask!r}")
        check_one_of(level, get_args(ClickLevel), "level", PromptError)
        if multimask and level != "auto":
            raise PromptError(f"level: expected 'auto' with multimask, which gives all levels, got {level!r}")
        before = _previous(previous)
        if before is not None and (multimask or level != "auto" or len(objects) != 1):
            raise PromptError(
                "previous: expected the points of one object, without multimask or level; "
                f"got {len(objects)} objects, multimask {bool(multimask)}, level {level!r}"
            )
        if isinstance(previous, Selection) and len(previous):  # earlier clicks are not forgotten
            before_them = [click for click in previous.clicks if click not in objects[0]]
            objects[0] = [*before_them, *objects[0]]
        object.__setattr__(self, "objects", tuple(ObjectPoints.of(clicks) for clicks in objects))
        object.__setattr__(self, "multimask", bool(multimask))
        object.__setattr__(self, "level", level)
        object.__setattr__(self, "previous", before)

    def marks(self) -> Marks:
        """Return the clicks, foreground first."""
        clicks = [(x, y, 1) for one in self.objects for x, y in one.foreground]
        clicks += [(x, y, 0) for one in self.objects for x, y in one.background]
        return Marks(clicks=tuple(clicks))


def Point(x: float, y: float, *, level: ClickLevel = "auto", multimask: bool = False) -> Points:  # noqa: N802
    """Return one click on an object, as a prompt: ``Points((x, y))``.

    >>> Point(30, 40) == Points((30, 40))
    True
    """
    for value in (x, y):
        if not is_number(value):
            raise PromptError(f"point: expected two numbers x, y, got {x!r:.60}, {y!r:.60}")
    return Points((x, y), level=level, multimask=multimask)


def _edges(edges: tuple[Any, ...], xyxy: Any) -> Any:
    """Return what a box was given as, of the forms that it takes."""
    if xyxy is not None:
        if edges:
            raise PromptError(f"box: expected its corners once, got {edges!r:.60} and xyxy={xyxy!r:.60}")
        return xyxy
    if len(edges) == 1:
        return edges[0]
    if len(edges) == 2 and not is_number(edges[0]):
        raise PromptError(
            f"box: expected one argument or the four x1, y1, x2, y2, got {edges!r:.80}; "
            "several boxes go into a list"
        )
    return edges


def _previous(value: Any) -> Mask | None:
    """Return an earlier answer as a mask, None where there is nothing of it."""
    if value is None or (isinstance(value, (Selection, MaskSet)) and len(value) == 0):
        return None
    return value if isinstance(value, Mask) else Mask(value)


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
        raise PromptError(f"points: expected {wanted} with at least one point, got {short(points)}")
    raw = [[points]] if depth == 1 else [points] if depth == 2 else list(points)
    count = sum(max(length(group), 1) for group in raw)
    at_most(max(count, len(raw)), "points", "points", PromptError)
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
            values = [
                as_floats(row, "labels", "one list of numbers per object").reshape(-1) for row in labels
            ]
        except TypeError as error:
            raise PromptError(
                f"labels: expected one list of numbers per object, got {short(labels)}"
            ) from error
    if len(values) != len(groups):
        raise PromptError(f"labels: expected {len(groups)} objects as in points, got {len(values)}")
    return values
