"""What one visitor of the page asks for, and the answer. Values only: no widgets, nothing shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig
from fastsam.errors import PromptError
from fastsam.page.photo.effects import View
from fastsam.prompts import Box, MaskLike, Points, Prompt, Reference, Text, all_of, any_of, but_not
from fastsam.result import Result
from fastsam.session import Session

__all__ = ["Combine", "Mark", "MarkKind", "Sign", "Visit", "answer_of", "prompt_of"]

MarkKind = Literal["point", "box", "scribble", "outline", "text", "reference", "remove"]
Sign = Literal["add", "take"]
Combine = Literal["any", "all"]
MAX_MARKS = 200  # of one visit
_MAX_XY = 500  # of one stroke
_LEVELS = ("whole", "part", "subpart")


@dataclass(frozen=True)
class Mark:
    """One thing that a visitor did.

    Attributes:
        kind: a prompt, or the removal of a mask.
        sign: whether what it means is wanted.
        xy: points, image pixels: one of a point, two corners of a box, those of a stroke.
        text: the words of a text; the name of a reference's photo.
        row: the mask that is removed.
        number: tells the marks of a visit apart.
        reference: what it looks like, of a reference.
    """

    kind: MarkKind
    sign: Sign = "add"
    xy: tuple[tuple[float, float], ...] = ()
    text: str = ""
    row: int = -1
    number: int = 0
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """Check what came from the browser.

        Raises:
            PromptError: it is no mark.
        """
        if self.kind not in get_args(MarkKind) or self.sign not in get_args(Sign):
            raise PromptError(f"mark: expected one of {', '.join(get_args(MarkKind))}, got {self.kind!r}")
        least = {"point": 1, "box": 2, "scribble": 1, "outline": 3}.get(self.kind, 0)
        if not least <= len(self.xy) <= _MAX_XY:
            raise PromptError(f"That {self.kind} is too short to mean anything; draw it larger.")

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box between two corners, xyxy."""
        (x1, y1), (x2, y2) = self.xy[0], self.xy[-1]
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    @property
    def words(self) -> str:
        """What the list of active prompts calls it."""
        if self.kind == "remove":
            return f"without mask {self.row}"
        if self.kind == "reference":
            return f"{'not ' if self.sign == 'take' else ''}like in “{self.text}”"
        what = f"“{self.text}”" if self.kind == "text" else self.kind
        return f"{'not ' if self.sign == 'take' else ''}{what}"


@dataclass(frozen=True, eq=False)
class Visit:
    """All that is known of one visitor: the photo with its masks, and what was asked so far.

    Attributes:
        session: the photo and everything in it; None before one is open.
        scene: names this opening of the photo.
        version: counts the answers, so that a late one does not replace a newer one.
        marks: prompts and removals, oldest first.
        combine: how prompts of several kinds combine.
        level: which answer to an ambiguous click; empty for the best one.
        of_level: which of everything is shown: ``"whole"``, ``"part"``, ``"subpart"``, or empty for all.
        disjoint: everything is cut so that each pixel has one mask at most.
        carried: references that the next photo is searched for.
        previous: the (H, W) mask that clicks change, in a frame of a video.
        about: what that mask is called.
        threshold: least score of a text.
        look: how masks are drawn.
        view: what is made of the selection.
        put_away: the photo was let go because others needed the memory.
    """

    session: Session | None = None
    scene: str = ""
    version: int = 0
    marks: tuple[Mark, ...] = ()
    combine: Combine = "any"
    level: str = ""
    of_level: Literal["", "whole", "part", "subpart"] = ""
    disjoint: bool = False
    carried: tuple[Mark, ...] = ()
    previous: NDArray[np.bool_] | None = None
    about: str = ""
    threshold: float = Text.threshold
    look: RenderConfig = field(default_factory=RenderConfig)
    view: View = field(default_factory=View)
    put_away: bool = False

    @property
    def opened(self) -> Session:
        """The photo.

        Raises:
            PromptError: none is open, or it was let go.
        """
        if self.session is not None:
            return self.session
        if self.put_away:
            raise PromptError("Many photos are open on this page, and yours was put away. Open it again.")
        raise PromptError("Open a photo first.")

    def with_mark(self, mark: Mark) -> Visit:
        """Return the visit after one more mark."""
        if len(self.marks) >= MAX_MARKS:
            raise PromptError(f"There are {MAX_MARKS} prompts already; clear some first.")
        number = max((one.number for one in self.marks), default=0) + 1
        return replace(self, marks=(*self.marks, replace(mark, number=number)))

    def without_mark(self, number: int) -> Visit:
        """Return the visit without one of its marks."""
        return replace(self, marks=tuple(one for one in self.marks if one.number != number))

    def undone(self) -> Visit:
        """Return the visit without its last mark."""
        return replace(self, marks=self.marks[:-1])

    def cleared(self) -> Visit:
        """Return the visit without marks: everything is shown."""
        return replace(self, marks=(), level="")


# --- marks -> prompt ------------------------------------------------------------------------------


def prompt_of(visit: Visit) -> Prompt | None:
    """Return what the marks ask for; None for everything.

    All clicks are about one object. Prompts of several kinds combine as ``visit.combine`` says; what is
    marked as unwanted leaves the race.

    >>> marks = (Mark("point", xy=((3, 4),)), Mark("point", "take", xy=((9, 9),)))
    >>> prompt_of(Visit(marks=marks)) == Points([(3, 4), (9, 9)], [1, 0], multimask=True)
    True
    """
    wanted, unwanted, spared = _sides(visit)
    base = _together(wanted, visit.combine)
    if spared is not None:
        base = spared if base is None else all_of(base, spared)
    if base is None or not unwanted:
        return base
    return but_not(base, any_of(*unwanted))


def _sides(visit: Visit) -> tuple[list[Prompt], list[Prompt], Points | None]:
    """Return what is wanted, what is not, and clicks that only say what is not meant."""
    points = [mark for mark in visit.marks if mark.kind == "point"]
    others = [mark for mark in visit.marks if mark.kind not in ("point", "remove")]
    wanted = _prompts([mark for mark in others if mark.sign == "add"], visit)
    unwanted = _prompts([mark for mark in others if mark.sign == "take"], visit)
    if not points:
        return wanted, unwanted, None
    alone = not others
    xy, labels = [mark.xy[0] for mark in points], [int(mark.sign == "add") for mark in points]
    if alone and visit.previous is not None:
        return [Points(xy, labels, previous=visit.previous)], unwanted, None
    level = visit.level if visit.level in _LEVELS else "auto"
    clicks = Points(xy, labels, multimask=True) if alone else Points(xy, labels, level=level)  # type: ignore[arg-type]
    if clicks.objects[0].foreground:
        return [clicks, *wanted], unwanted, None
    return wanted, unwanted, Points([mark.xy[0] for mark in points], [0] * len(points))


def _prompts(marks: Sequence[Mark], visit: Visit) -> list[Prompt]:
    """Return prompts of the same sign; boxes, and texts, go into one prompt each."""
    found: list[Prompt] = []
    boxes = [mark.box for mark in marks if mark.kind == "box"]
    if boxes:
        found.append(Box(boxes))
    for mark in marks:
        if mark.kind == "scribble":
            found.append(MaskLike.scribble(np.array(mark.xy), _brush(visit)))
        elif mark.kind == "outline":
            found.append(MaskLike(np.array(mark.xy, np.float64)))
        elif mark.reference is not None:
            found.append(mark.reference)
    texts = [mark.text for mark in marks if mark.kind == "text"]
    if texts:
        found.append(Text(texts, visit.threshold))
    return found


def _brush(visit: Visit) -> float:
    """Return the width of a scribble, image pixels."""
    return brush_px(visit.session.frame.size_hw) if visit.session is not None else 1.0


def brush_px(size_hw: tuple[int, int]) -> float:
    """Return how wide a scribble is drawn on a photo."""
    return max(round(min(size_hw) / 60), 1)


def _together(prompts: Sequence[Prompt], combine: Combine) -> Prompt | None:
    if len(prompts) < 2:
        return prompts[0] if prompts else None
    return all_of(*prompts) if combine == "all" else any_of(*prompts)


# --- the answer -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answer:
    """What a visitor sees.

    Attributes:
        result: the masks, in order.
        levels: whole, part, subpart, as far as the click has them.
        level: which of them is shown.
        everything: whether nothing was asked for.
    """

    result: Result
    levels: tuple[str, ...]
    level: str
    everything: bool


def answer_of(visit: Visit) -> Answer:
    """Return what the marks mean among the masks of the photo.

    Raises:
        PromptError: no photo is open.
    """
    session = visit.opened
    prompt = prompt_of(visit)
    if prompt is None and visit.previous is not None:
        return Answer(_unchanged(session, visit.previous, visit.about), (), "", False)
    everything = prompt is None
    if prompt is None:
        result = session.everything(visit.of_level or None, disjoint=visit.disjoint)
    else:
        result = session.select(prompt)
    if prompt is None:
        _, unwanted, _ = _sides(visit)
        if unwanted:  # everything but that
            out = session.select(any_of(*unwanted)).indices
            result = result[~np.isin(result.indices, out)]
            everything = False
    result, levels, level = _level(result, prompt, visit.level)
    removed = [mark.row for mark in visit.marks if mark.kind == "remove"]
    if removed:
        result = result[~np.isin(result.indices, removed)]
    return Answer(result, levels, level, everything)


def _unchanged(session: Session, mask: NDArray[np.bool_], about: str) -> Result:
    """Return a mask that clicks are about to change, as it is: what a click inside it leaves of it."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    kept = session.select(Points([(float(x), float(y))], previous=mask))
    return replace(kept, reason=f"{about}; click what to add, right-click what to take away")


def _level(result: Result, prompt: Any, wanted: str) -> tuple[Result, tuple[str, ...], str]:
    """Return the wanted one of a click's nested answers, and which there are; by default the best."""
    if not (isinstance(prompt, Points) and prompt.multimask) or not any(result.levels):
        return result, (), ""
    names = tuple(name for name in _LEVELS if name in result.levels)
    level = wanted if wanted in names else result.levels[0]
    return result[result.levels.index(level)], names, level
