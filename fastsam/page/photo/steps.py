"""What the page's widgets do: a visitor and what was asked in, a message for the browser out. No widgets."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from fastsam.config import RenderConfig
from fastsam.errors import ImageError, PromptError
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.page.photo.effects import View
from fastsam.page.photo.messages import answer_message, closed_message, scene_message
from fastsam.page.photo.state import Answer, Combine, Mark, Sign, Visit, answer_of
from fastsam.page.shared.sessions import SharedModel, Visitor
from fastsam.prompts import MaskLike, Reference, Text

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "act",
    "ask",
    "carry",
    "change",
    "look_of",
    "name_masks",
    "open_photo",
    "read_photo",
    "read_upload",
    "resend",
    "segment_again",
    "set_up",
    "view_of",
]

MAX_BYTES = 50 * 2**20  # of an uploaded file
_MAX_SHOTS = 12  # of one reference
_MAX_CARRIED = 8  # references that wait for the next photo
MAX_PIXELS = 50_000_000  # of a photo: 150 MB of RGB
Options = dict[str, Any]


def read_upload(path: str | Path, name: str = "") -> Frame:
    """Return the photo in an uploaded file.

    Raises:
        ImageError: it cannot be read; said without the names of the server's folders.
    """
    shown = name or Path(path).name
    try:
        size = Path(path).stat().st_size
        content = Path(path).read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise ImageError(f"“{shown}” is not there any more; open it again.") from error
    if size > MAX_BYTES:
        raise ImageError(_TOO_LARGE.format(shown))
    return read_photo(content, shown)


def read_photo(content: bytes, shown: str) -> Frame:
    """Return the photo in the bytes of a file that visitors know as ``shown``.

    Raises:
        ImageError: it cannot be read.
    """
    label = Path(shown.replace("\\", "/")).stem or "photo"
    try:
        return read_frame(content, label, max_pixels=MAX_PIXELS)
    except ImageError as error:
        reason = str(error).removeprefix(f"image {label!r}: ").partition(";")[0]
        raise ImageError(f"“{shown}” {reason}. Choose another photo.") from error


_TOO_LARGE = f"“{{}}” is larger than {MAX_BYTES >> 20} MB. Make it smaller, or choose another photo."
_REFUSED = {
    "size": _TOO_LARGE,
    "empty": "“{}” is empty. Choose another photo.",
    "kind": "“{}” is not an image. Choose a photo: JPEG, PNG, WebP, TIFF, ...",
    "upload": "“{}” could not be sent. Try again, or choose a smaller photo.",
    "camera": "The camera cannot be used. Allow it in the browser, or open a photo from a file.",
}


def open_photo(visitor: Visitor, model: SharedModel, frame: Frame, segment: Options, **keep: Any) -> str:
    """Find everything in a photo and return its scene; prompts of the photo before it are gone.

    Args:
        visitor: whose.
        model: what finds everything.
        frame: the photo.
        segment: fields of SegmentConfig.
        keep: what else is set, fields of :class:`Visit`.
    """
    session = model.open(frame, segment)
    start = time.perf_counter()
    visit = visitor.act(
        lambda before: Visit(
            session=session,
            scene=uuid.uuid4().hex,
            threshold=before.threshold,
            combine=before.combine,
            of_level=before.of_level,
            disjoint=before.disjoint,
            marks=_taken_along(before),
            **keep,
        )
    )
    answer = answer_of(visit)
    times = {**session.times_ms, "answer": 1e3 * (time.perf_counter() - start)}
    return scene_message(visit, answer, times)


def _taken_along(before: Visit) -> tuple[Mark, ...]:
    """Return the references, numbered anew: what they look like is looked for in each photo that follows."""
    marks = [*(mark for mark in before.marks if mark.kind == "reference"), *before.carried]
    return tuple(replace(mark, number=number) for number, mark in enumerate(marks, start=1))


def segment_again(visitor: Visitor, model: SharedModel, segment: Options) -> str:
    """Find the masks of the same photo with other options; prompts stay, removed masks come back."""
    frame = visitor.visit.opened.frame
    session = model.open(frame, segment)

    def step(before: Visit) -> Visit:
        marks = tuple(mark for mark in before.marks if mark.kind != "remove")
        return replace(before, session=session, scene=uuid.uuid4().hex, marks=marks, put_away=False)

    return _whole(visitor.act(step), dict(session.times_ms))


def resend(visitor: Visitor) -> str:
    """Return all that the browser has to know, whatever it knew."""
    visit = visitor.visit
    if visit.session is None:
        return closed_message("")
    return _whole(visit, {})


def _whole(visit: Visit, times_ms: dict[str, float]) -> str:
    return scene_message(visit, answer_of(visit), times_ms)


def change(visitor: Visitor, step: Callable[[Visit], Visit]) -> str:
    """Take a step that must have an answer: where it has none, nothing changes. Return the answer."""
    start = time.perf_counter()
    found: list[Answer] = []

    def checked(before: Visit) -> Visit:
        after = step(before)
        found.append(answer_of(after))
        return after

    visit = visitor.act(checked)
    return answer_message(visit, found[0], {"answer": 1e3 * (time.perf_counter() - start)})


def set_up(visitor: Visitor, **values: Any) -> str | None:
    """Change fields of the visit, also before a photo is open; return the answer where there is one."""
    if visitor.visit.session is None:
        visitor.act(lambda before: replace(before, **values))
        return None
    return change(visitor, lambda before: replace(before, **values))


# --- what the canvas asks for ---------------------------------------------------------------------


def act(visitor: Visitor, what: Mapping[str, Any]) -> str:
    """Do what the canvas asks: a mark, undo, clear, ...; what the browser sent is checked.

    Raises:
        PromptError: it cannot be done, in words for the visitor.
    """
    name = what.get("do")
    if name == "refuse":
        raise PromptError(
            _REFUSED.get(str(what.get("what")), _REFUSED["upload"]).format(what.get("name", ""))
        )
    if name == "sync":
        return resend(visitor)
    if name not in _STEPS:
        raise PromptError(f"page: no such action as {name!r}")
    if visitor.visit.opened is not None and what.get("scene") != visitor.visit.scene:
        return resend(visitor)  # the browser shows another photo, or other masks of it
    return change(visitor, lambda before: _STEPS[name](before, what))


def ask(visitor: Visitor, what: Mapping[str, Any]) -> str:
    """Look for a text.

    Raises:
        PromptError: there is no photo, or no word.
    """
    if what.get("carry"):
        return carry(visitor, _sign(what))
    text = " ".join(str(what.get("text", "")).split())[:200]
    if not text:
        raise PromptError("Type what to look for, such as: a person")
    # The first text takes seconds; what it finds is kept, and the visitor's clicks need not wait for it.
    visitor.visit.opened.select(Text(text))
    return change(visitor, lambda before: before.with_mark(Mark("text", _sign(what), text=text)))


def carry(visitor: Visitor, sign: Sign = "add", threshold: float = 0.2) -> str:
    """Take what is selected along as a reference: the next photos are searched for the same.

    Args:
        visitor: whose.
        sign: whether what looks like it is wanted there.
        threshold: least score of what looks like it.

    Raises:
        PromptError: there is no photo, nothing is selected, or too much.
    """
    visit = visitor.visit
    session, shown = visit.opened, answer_of(visit)
    if shown.everything or len(shown.result) == 0:
        raise PromptError("Select a thing first; then it is found in the next photo that you open.")
    if len(shown.result) > _MAX_SHOTS:
        raise PromptError(
            f"{len(shown.result)} masks are selected; select up to {_MAX_SHOTS} of the same kind of thing."
        )
    masks = shown.result.masks
    shots = [session.reference(MaskLike(masks.mask(k))) for k in range(len(masks))]  # may take seconds
    mark = Mark(
        "reference", sign, text=session.frame.name, reference=Reference.of(*shots, threshold=threshold)
    )

    def step(before: Visit) -> Visit:
        return replace(before, carried=(*before.carried, mark)[-_MAX_CARRIED:])

    return change(visitor, step)


def name_masks(visitor: Visitor, vocabulary: str) -> str:
    """Name every mask out of a vocabulary, or none where it is empty.

    Raises:
        PromptError: there is no photo, or no such vocabulary.
    """
    session = visitor.visit.opened
    named = session.label(vocabulary) if vocabulary else replace(session, labels=None)  # takes seconds

    def step(before: Visit) -> Visit:
        if before.session is not session:
            raise PromptError("Another photo is open now; name its masks again.")
        return replace(before, session=named)

    return change(visitor, step)


def _sign(what: Mapping[str, Any]) -> Sign:
    return "take" if what.get("sign") == "take" else "add"


def _marked(visit: Visit, what: Mapping[str, Any]) -> Visit:
    kind = what.get("kind")
    if kind not in ("point", "box", "scribble", "outline"):
        raise PromptError(f"page: no such tool as {kind!r}")
    return visit.with_mark(Mark(kind, _sign(what), _points(visit, what.get("xy"))))


def _points(visit: Visit, given: Any) -> tuple[tuple[float, float], ...]:
    """Return points inside the photo; the very edge counts as its last pixel."""
    height, width = visit.opened.frame.size_hw
    try:
        pairs = [(float(x), float(y)) for x, y in given]
        return tuple((min(max(x, 0.0), width - 0.01), min(max(y, 0.0), height - 0.01)) for x, y in pairs)
    except (TypeError, ValueError) as error:
        raise PromptError(f"page: expected points (x, y), got {str(given)[:80]}") from error


def _number(what: Mapping[str, Any], name: str) -> int:
    value = what.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PromptError(f"page: expected a whole number as {name}, got {value!r}")
    return value


def _removed(visit: Visit, what: Mapping[str, Any]) -> Visit:
    row = _number(what, "row")
    if not 0 <= row < len(visit.opened.masks):
        raise PromptError(f"page: there is no mask {row}")
    return visit.with_mark(Mark("remove", "take", row=row))


def _combined(visit: Visit, what: Mapping[str, Any]) -> Visit:
    if what.get("combine") not in get_args(Combine):
        raise PromptError(f"page: expected any or all, got {what.get('combine')!r}")
    return replace(visit, combine=what["combine"])


_STEPS: dict[str, Callable[[Visit, Mapping[str, Any]], Visit]] = {
    "mark": _marked,
    "drop": lambda visit, what: visit.without_mark(_number(what, "id")),
    "remove": _removed,
    "undo": lambda visit, what: (
        replace(visit, carried=visit.carried[:-1]) if visit.carried else visit.undone()
    ),
    "leave": lambda visit, what: replace(visit, carried=()),
    "clear": lambda visit, what: visit.cleared(),
    "level": lambda visit, what: replace(visit, level=str(what.get("level"))),
    "combine": _combined,
}


def view_of(kind: str, strength: float, colour: str, background: bytes | None) -> View:
    """Return what the widgets say is made of the selection.

    Raises:
        ImageError: the background cannot be read.
    """
    picture = None if background is None or kind != "replace" else read_photo(background, "background").rgb
    return View(kind, float(strength), _rgb(colour), picture)  # type: ignore[arg-type]  # checked by View


def _rgb(colour: str) -> tuple[int, int, int]:
    """Return a colour picker's value, ``"#rrggbb"`` or ``"rgba(r, g, b, a)"``."""
    try:
        if colour.startswith("#"):
            return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
        red, green, blue = (
            round(float(part)) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]
        )
    except ValueError as error:
        raise PromptError(f"colour: expected #rrggbb, got {colour!r}") from error
    return min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255)


def look_of(options: Options) -> RenderConfig:
    """Return how masks are drawn; what a widget left empty is the default."""
    return RenderConfig(**{name: value for name, value in options.items() if value is not None})
