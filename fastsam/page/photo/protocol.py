"""What the canvas in the browser and the server say to each other; ``web/types.js`` has the same in JSDoc.

The server answers with one of the messages below, as JSON. The canvas triggers four events: ``photo`` and
``ask`` may take seconds, ``act`` and ``peek`` are answered at once.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

__all__ = [
    "AnswerMessage",
    "AnswerRecord",
    "ClosedMessage",
    "Hover",
    "MarkRecord",
    "MaskRecord",
    "ObjectRecord",
    "PeekMessage",
    "RenderRecord",
    "Scene",
    "SceneMessage",
    "Way",
]


class MaskRecord(TypedDict):
    """One mask as the browser draws it; coordinates are pixels of the photo."""

    row: int  # its number among everything; -1 if it is none of them
    rings: list[list[int]]  # outlines and holes as x, y, x, y, ...
    score: float  # how good the mask is
    share: float  # of the photo's pixels
    box: list[float]  # xyxy
    at: list[int]  # a point deep inside, for its name
    label: NotRequired[str]
    level: NotRequired[str]


class Hover(TypedDict):
    """Which mask a click at each place means: a coarse grid as runs of (row, length)."""

    width: int
    height: int
    step: int  # pixels of the photo
    runs: list[int]


class Scene(TypedDict):
    """A photo and every mask in it."""

    id: str
    name: str
    width: int
    height: int
    brush: float  # width of a scribble
    image: str  # data: URL
    masks: list[MaskRecord]
    hover: Hover


class MarkRecord(TypedDict):
    """One prompt of the visitor."""

    id: int
    kind: str
    sign: str
    xy: list[list[float]]
    words: str


class ObjectRecord(TypedDict):
    """One finished object."""

    id: int
    name: str
    color: str
    rings: list[list[int]]
    at: list[int]


class Way(TypedDict):
    """A way out that is offered if nothing was found: a button, and the action that it sends."""

    words: str
    do: str
    tool: NotRequired[str]
    id: NotRequired[int]
    value: NotRequired[float]


class AnswerRecord(TypedDict):
    """What is selected now, and by which prompts."""

    scene: str
    version: int
    rows: list[int]
    masks: list[MaskRecord]  # those that are drawn otherwise than in the scene
    objects: list[ObjectRecord]
    labels: list[str] | None  # of all masks of the scene
    carried: list[str]
    captions: bool  # names are written on the masks
    marks: list[MarkRecord]
    levels: list[str]
    level: str
    combine: str
    combinable: bool
    can: list[str]  # of undo, redo, clear, keep, carry
    ways: list[Way]
    picture: str | None  # data: URL of what an effect makes
    text: str
    times: str
    alt: str


class RenderRecord(TypedDict):
    """How masks are drawn."""

    alpha: float
    contours: bool
    boxes: bool
    scores: bool
    colors: list[str]


class ClosedMessage(TypedDict):
    """No photo is open."""

    kind: Literal["closed"]
    text: str


class SceneMessage(TypedDict):
    """Another photo, or other masks of it."""

    kind: Literal["scene"]
    scene: Scene
    answer: AnswerRecord
    render: RenderRecord


class AnswerMessage(TypedDict):
    """Another answer about the same photo."""

    kind: Literal["answer"]
    answer: AnswerRecord
    render: RenderRecord


class PeekMessage(TypedDict):
    """What a click would select; nothing has changed."""

    kind: Literal["peek"]
    scene: str
    version: int
    xy: list[float]
    rings: list[list[int]]
