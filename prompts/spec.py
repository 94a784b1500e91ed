"""What a caller can ask for: frozen prompt objects, checked when made.

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
from fastsam.geometry import as_floats, as_text, check_box_order
from fastsam.records import MaskSet, Selection

__all__ = [
    "AllOf",
    "AnyOf",
    "Box",
    "ButNot",
    "ClickLevel",
    "MaskLike",
    "ObjectPoints",
    "Points",
    "Position",
    "Prompt",
    "Text",
    "all_of",
    "any_of",
    "as_share",
    "but_not",
]


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


CropStyle = Literal["masked", "blurred", "context"]


@dataclass(frozen=True, init=False)
class Text:
    """A phrase or several; each is answered by all masks that show it.

    Args:
        texts: what to look for, such as ``"a red car"``; a list asks several at once, each as if alone.
        threshold: least score of an answer: the probability that the mask shows the text, in competition with
            ``negatives`` and with a vocabulary of anything else, times the mask's own score.
        negatives: what it must not be taken for.
        templates: average each text over sentences such as ``"a photo of {}."``.
        crops: how a mask is shown to the encoder: ``"masked"`` (grey around it), ``"blurred"`` (its
            surroundings blurred) or ``"context"`` (a larger window, nothing hidden).

    Raises:
        PromptError: no text, an empty one, one that is also a negative, or an unknown kind of crop.

    >>> Text("a dog").texts
    ('a dog',)
    """

    texts: tuple[str, ...]
    threshold: float = 0.3
    negatives: tuple[str, ...] = ()
    templates: bool = True
    crops: CropStyle = "masked"

    def __init__(
        self,
        texts: Any,
        threshold: float = 0.3,
        negatives: Any = (),
        templates: bool = True,
        crops: CropStyle = "masked",
    ) -> None:
        wanted, unwanted = _phrases(texts, "text"), _phrases(negatives, "negatives")
        if not wanted:
            raise PromptError("text: expected at least one text, such as 'a dog'")
        both = {text.casefold() for text in wanted} & {text.casefold() for text in unwanted}
        if both:
            raise PromptError(
                f"negatives: {min(both)!r} is a text and a negative at once; leave it out of one"
            )
        if not isinstance(templates, (bool, np.bool_)):
            raise PromptError(f"templates: expected True or False, got {templates!r}")
        if crops not in get_args(CropStyle):
            raise PromptError(f"crops: expected one of {', '.join(get_args(CropStyle))}, got {crops!r}")
        object.__setattr__(self, "texts", wanted)
        object.__setattr__(self, "threshold", as_share(threshold, "threshold"))
        object.__setattr__(self, "negatives", unwanted)
        object.__setattr__(self, "templates", bool(templates))
        object.__setattr__(self, "crops", crops)


Where = Literal["leftmost", "rightmost", "topmost", "bottommost", "largest", "smallest", "centre"]


@dataclass(frozen=True)
class Position:
    """The masks at one end of an order: the leftmost, the two largest, the most central of the dogs.

    Args:
        where: ``"leftmost"``, ``"rightmost"``, ``"topmost"``, ``"bottommost"`` and ``"centre"`` go by the
            middle of a mask's box, ``"largest"`` and ``"smallest"`` by its pixels.
        of: choose among what this prompt selects; among all masks by default.
        count: how many.

    Raises:
        PromptError: unknown ``where``, ``of`` is no prompt, or ``count`` is not a whole number above 0.

    >>> Position("leftmost", of=Text("a dog")).count
    1
    """

    where: Where
    of: Prompt | None = None
    count: int = 1

    def __post_init__(self) -> None:
        """Check the order, the prompt and the count."""
        if self.where not in get_args(Where):
            raise PromptError(f"position: expected one of {', '.join(get_args(Where))}, got {self.where!r}")
        if self.of is not None:
            _members((self.of,), "position of")
        object.__setattr__(self, "count", _count(self.count))


@dataclass(frozen=True)
class AnyOf:
    """What any of the prompts selects."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        object.__setattr__(self, "prompts", _members(self.prompts, "any_of"))


@dataclass(frozen=True)
class AllOf:
    """What satisfies all of the prompts."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        object.__setattr__(self, "prompts", _members(self.prompts, "all_of"))


@dataclass(frozen=True)
class ButNot:
    """What ``prompt`` selects once the masks that ``unwanted`` selects are out of the race."""

    prompt: Prompt
    unwanted: Prompt

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        _members((self.prompt, self.unwanted), "but_not")


Prompt = Box | Points | MaskLike | Text | Position | AnyOf | AllOf | ButNot


def any_of(*prompts: Prompt) -> AnyOf:
    """Return a prompt that selects what any of the given ones selects."""
    return AnyOf(prompts)


def all_of(*prompts: Prompt) -> AllOf:
    """Return a prompt that selects what satisfies all of the given ones."""
    return AllOf(prompts)


def but_not(prompt: Prompt, unwanted: Prompt) -> ButNot:
    """Return a prompt that selects what ``prompt`` does, without what ``unwanted`` selects."""
    return ButNot(prompt, unwanted)


def _phrases(texts: Any, what: str) -> tuple[str, ...]:
    """Return one text or several, each without spaces around it."""
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, (list, tuple)):
        raise PromptError(f"{what}: expected a text or a list of texts, got {texts!r}")
    for text in given:
        if not isinstance(text, str) or not text.strip():
            raise PromptError(f"{what}: expected words, such as 'a dog', got {text!r}")
    return tuple(" ".join(text.split()) for text in given)


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


def _members(prompts: Any, what: str) -> tuple[Prompt, ...]:
    """Check that there are prompts, and that they are prompts."""
    if not isinstance(prompts, (list, tuple)):
        raise PromptError(f"{what}: expected a tuple of prompts, got {type(prompts).__name__}")
    if not prompts:
        raise PromptError(f"{what}: expected at least one prompt")
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            raise PromptError(
                f"{what}: expected prompts such as Box(...) or Points(...), got {type(prompt).__name__}"
            )
    return tuple(prompts)


def _is_number(value: Any) -> bool:
    """Tell whether a value is a real number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _count(value: Any) -> int:
    """Return a number of masks, checked."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise PromptError(f"count: expected a whole number above 0, got {value!r}")
    return int(value)


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
