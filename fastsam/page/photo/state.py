"""What one visitor asks of a photo. Values only: no widgets, nothing shared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig
from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.page.photo.effects import Effect
from fastsam.prompts import Reference, Text
from fastsam.session import Session

__all__ = ["Combine", "Edits", "KeptObject", "Mark", "MarkKind", "PhotoState", "Sign"]

MarkKind = Literal["point", "box", "scribble", "outline", "text", "reference", "remove"]
Sign = Literal["add", "take"]
Combine = Literal["any", "all"]
MAX_MARKS = 200  # of one photo
MAX_OBJECTS = 200  # of one photo
_MAX_XY = 500  # of one stroke
_MAX_STEPS = 200  # that can be undone
_WORDS = {"point": "click", "box": "box", "scribble": "scribble", "outline": "outline"}


@dataclass(frozen=True)
class Mark:
    """One thing that a visitor did.

    Attributes:
        kind: a prompt, or the removal of a mask.
        sign: whether to add what it means, or to take it away.
        xy: points, image pixels: one of a point, two corners of a box, those of a stroke.
        text: the words of a text; the name of a reference's photo.
        row: the mask that is removed.
        number: identifies the mark among those of a photo.
        reference: what to look for, of a reference.
        threshold: minimum score of this text; None for that of the page.
    """

    kind: MarkKind
    sign: Sign = "add"
    xy: tuple[tuple[float, float], ...] = ()
    text: str = ""
    row: int = -1
    number: int = 0
    reference: Reference | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Check what came from the browser.

        Raises:
            PromptError: it is no mark.
        """
        if self.kind not in get_args(MarkKind) or self.sign not in get_args(Sign):
            raise PromptError(f"mark: expected one of {', '.join(get_args(MarkKind))}, got {self.kind!r}")
        least = {"point": 1, "box": 2, "scribble": 1, "outline": 3}.get(self.kind, 0)
        if not least <= len(self.xy) <= _MAX_XY:
            raise PromptError(f"That {_WORDS.get(self.kind, self.kind)} is too small; draw it larger.")

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box between two corners, xyxy."""
        (x1, y1), (x2, y2) = self.xy[0], self.xy[-1]
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    @property
    def words(self) -> str:
        """What the list of prompts calls it."""
        if self.kind == "remove":
            return f"without mask {self.row}"
        if self.kind in ("text", "reference"):
            what = f"“{self.text}”" if self.kind == "text" else f"like in “{self.text}”"
            return f"not {what}" if self.sign == "take" else what
        return f"remove {_WORDS[self.kind]}" if self.sign == "take" else _WORDS[self.kind]


@dataclass(frozen=True, eq=False)
class KeptObject:
    """One finished object.

    Attributes:
        number: identifies it in the photo, counted from 1; it also chooses the colour.
        name: its class, as exports write it.
        masks: its mask; several if one request means several.
        level: ``"whole"``, ``"part"``, ``"subpart"``, or empty.
    """

    number: int
    name: str
    masks: MaskSet
    level: str = ""


@dataclass(frozen=True, eq=False)
class Edits:
    """What undo and redo bring back."""

    marks: tuple[Mark, ...] = ()
    objects: tuple[KeptObject, ...] = ()
    carried: tuple[Mark, ...] = ()
    level: str = ""


@dataclass(frozen=True, eq=False)
class PhotoState:
    """One visitor's photo with its masks, and what was asked so far.

    Attributes:
        session: the photo and everything in it; None before one is open.
        of_video: it is a frame of a video.
        scene: identifies this opening of the photo.
        version: counts the answers, so that a late one does not replace a newer one.
        marks: prompts and removals, oldest first.
        objects: finished objects, which later prompts do not change.
        combine: how prompts of several kinds combine.
        level: which answer to an ambiguous click; empty for the best one.
        of_level: which of everything is shown: ``"whole"``, ``"part"``, ``"subpart"``, or empty for all.
        disjoint: everything is cut so that each pixel has one mask at most.
        carried: references to look for in the next photo.
        previous: the (H, W) mask that clicks change, in a frame of a video.
        about: what that mask is called.
        threshold: minimum score of a text.
        render: how masks are drawn.
        effect: what is made of the selection.
        put_away: the photo was dropped because others needed the memory.
        past: what undo goes back to, oldest first.
        future: what redo goes forward to, farthest first.
    """

    session: Session | None = None
    of_video: bool = False
    scene: str = ""
    version: int = 0
    marks: tuple[Mark, ...] = ()
    objects: tuple[KeptObject, ...] = ()
    combine: Combine = "any"
    level: str = ""
    of_level: Literal["", "whole", "part", "subpart"] = ""
    disjoint: bool = False
    carried: tuple[Mark, ...] = ()
    previous: NDArray[np.bool_] | None = None
    about: str = ""
    threshold: float = Text.threshold
    render: RenderConfig = field(default_factory=RenderConfig)
    effect: Effect = field(default_factory=Effect)
    put_away: bool = False
    past: tuple[Edits, ...] = ()
    future: tuple[Edits, ...] = ()

    @property
    def opened(self) -> Session:
        """The photo.

        Raises:
            PromptError: none is open, or it was dropped.
        """
        if self.session is not None:
            return self.session
        if self.put_away:
            raise PromptError("This page ran out of memory and closed your photo. Open it again.")
        raise PromptError("Open a photo first.")

    # --- edits: each can be undone

    @property
    def edits(self) -> Edits:
        """What undo would come back to after the next edit."""
        return Edits(self.marks, self.objects, self.carried, self.level)

    def edited(self, **changes: Any) -> PhotoState:
        """Return the state after one step that undo takes back: fields of :class:`Edits`."""
        return replace(self, past=(*self.past, self.edits)[-_MAX_STEPS:], future=(), **changes)

    def undone(self) -> PhotoState:
        """Return the state before the last edit; itself if there is none."""
        if not self.past:
            return self
        return replace(
            self, past=self.past[:-1], future=(*self.future, self.edits), **vars(self.past[-1])
        )  # fmt: skip

    def redone(self) -> PhotoState:
        """Return the state after the edit that was undone last; itself if there is none."""
        if not self.future:
            return self
        return replace(
            self, past=(*self.past, self.edits), future=self.future[:-1], **vars(self.future[-1])
        )  # fmt: skip

    def with_mark(self, mark: Mark) -> PhotoState:
        """Return the state after one more mark.

        Raises:
            PromptError: there are too many.
        """
        if len(self.marks) >= MAX_MARKS:
            raise PromptError(f"There are {MAX_MARKS} prompts already; clear some first.")
        number = max((one.number for one in self.marks), default=0) + 1
        return self.edited(marks=(*self.marks, replace(mark, number=number)))

    def without_mark(self, number: int) -> PhotoState:
        """Return the state without one of its marks."""
        return self.edited(marks=tuple(one for one in self.marks if one.number != number))

    def cleared(self) -> PhotoState:
        """Return the state without marks; finished objects stay."""
        return self.edited(marks=(), level="")

    def with_objects(self, objects: tuple[KeptObject, ...]) -> PhotoState:
        """Return the state after keeping objects; the marks that selected them are done.

        Raises:
            PromptError: there are too many.
        """
        if len(self.objects) + len(objects) > MAX_OBJECTS:
            raise PromptError(f"A photo can have {MAX_OBJECTS} objects here; remove some first.")
        first = max((one.number for one in self.objects), default=0) + 1
        numbered = tuple(replace(one, number=first + k) for k, one in enumerate(objects))
        return self.edited(objects=(*self.objects, *numbered), marks=(), level="")

    def renamed(self, number: int, name: str) -> PhotoState:
        """Return the state in which one object has another name."""
        return self.edited(
            objects=tuple(replace(o, name=name) if o.number == number else o for o in self.objects)
        )

    def without_object(self, number: int) -> PhotoState:
        """Return the state without one of its objects."""
        return self.edited(objects=tuple(one for one in self.objects if one.number != number))
