"""What the page's widgets do: a visitor's request in, a message for the browser out. No widgets."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastsam.config import RenderConfig
from fastsam.errors import PromptError
from fastsam.images.frame import Frame
from fastsam.page.photo.actions import ACTIONS, point_of, sign_of
from fastsam.page.photo.answer import Answer, answer_of
from fastsam.page.photo.effects import Effect
from fastsam.page.photo.messages import answer_message, closed_message, peek_message, scene_message
from fastsam.page.photo.state import Edits, Mark, PhotoState, Sign
from fastsam.page.photo.uploads import read_photo, refused
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.prompts import MaskLike, Reference, Text

__all__ = [
    "act",
    "ask",
    "carry",
    "change",
    "effect_of",
    "name_masks",
    "open_photo",
    "peek",
    "render_of",
    "resend",
    "segment_again",
    "set_up",
]

_MAX_SHOTS = 12  # of one reference
_MAX_CARRIED = 8  # references that wait for the next photo
Options = dict[str, Any]


def open_photo(visitor: PageSession, model: SharedModel, frame: Frame, segment: Options, **keep: Any) -> str:
    """Find everything in a photo and return its scene; prompts and objects of the photo before are gone.

    Args:
        visitor: whose.
        model: what finds everything.
        frame: the photo.
        segment: fields of SegmentConfig.
        keep: what else is set, fields of :class:`PhotoState`.
    """
    session = model.open(frame, segment)
    start = time.perf_counter()
    state = visitor.act(
        lambda before: PhotoState(
            session=session,
            scene=uuid.uuid4().hex,
            **{
                "threshold": before.threshold,
                "combine": before.combine,
                "of_level": before.of_level,
                "disjoint": before.disjoint,
                "render": before.render,
                "effect": before.effect,
                **_taken_along(before),
                **keep,
            },
        )
    )
    answer = answer_of(state)
    times = {**session.times_ms, "answer": 1e3 * (time.perf_counter() - start)}
    return scene_message(state, answer, times)


def _taken_along(before: PhotoState) -> Options:
    """Return the references, numbered anew; undo takes them back."""
    marks = [*(mark for mark in before.marks if mark.kind == "reference"), *before.carried]
    numbered = tuple(replace(mark, number=number) for number, mark in enumerate(marks, start=1))
    return {"marks": numbered, "past": (Edits(),) if numbered else ()}


def segment_again(visitor: PageSession, model: SharedModel, segment: Options) -> str:
    """Find the masks of the same photo with other options; prompts stay, removed masks come back."""
    frame = visitor.state.opened.frame
    session = model.open(frame, segment)

    def step(before: PhotoState) -> PhotoState:
        marks = tuple(mark for mark in before.marks if mark.kind != "remove")
        # Rows of earlier steps are other masks now.
        fresh = replace(before, past=(), future=(), session=session, marks=marks)
        return replace(fresh, scene=uuid.uuid4().hex, put_away=False)

    return _whole(visitor.act(step), dict(session.times_ms))


def resend(visitor: PageSession) -> str:
    """Return all that the browser has to know, whatever it knew."""
    state = visitor.state
    if state.session is None:
        return closed_message("")
    return _whole(state, {})


def _whole(state: PhotoState, times_ms: dict[str, float]) -> str:
    return scene_message(state, answer_of(state), times_ms)


def change(visitor: PageSession, step: Callable[[PhotoState], PhotoState]) -> str:
    """Take a step and return the answer; if the new state has no answer, nothing changes."""
    start = time.perf_counter()
    answers: list[Answer] = []

    def checked(before: PhotoState) -> PhotoState:
        after = step(before)
        answers.append(answer_of(after))
        return after

    state = visitor.act(checked)
    return answer_message(state, answers[0], {"answer": 1e3 * (time.perf_counter() - start)})


def set_up(visitor: PageSession, **values: Any) -> str | None:
    """Change fields of the state, also before a photo is open; return the answer if there is one."""
    if visitor.state.session is None:
        visitor.act(lambda before: replace(before, **values))
        return None
    return change(visitor, lambda before: replace(before, **values))


# --- what the canvas asks for ---------------------------------------------------------------------


def act(visitor: PageSession, what: Mapping[str, Any]) -> str:
    """Do what the canvas asks: a mark, undo, keep, ...; what the browser sent is checked.

    Raises:
        PromptError: it cannot be done, in words for the visitor.
    """
    name = what.get("do")
    if name == "refuse":
        raise PromptError(refused(str(what.get("what")), str(what.get("name", ""))))
    if name == "sync":
        return resend(visitor)
    if not isinstance(name, str) or name not in ACTIONS:
        raise PromptError(f"page: no such action as {name!r}")
    if visitor.state.opened is not None and what.get("scene") != visitor.state.scene:
        return resend(visitor)  # the browser shows another photo, or other masks of it
    return change(visitor, lambda before: ACTIONS[name](before, what))


def peek(visitor: PageSession, what: Mapping[str, Any]) -> str | None:
    """Return what a click would select, without changing anything; None if that cannot be said.

    Raises:
        PromptError: the browser sent no point.
    """
    state = visitor.state
    if state.session is None or what.get("scene") != state.scene:
        return None
    xy = point_of(state, what.get("xy"))
    after = answer_of(state.with_mark(Mark("point", sign_of(what), (xy,))))
    return peek_message(state, xy, after.result.masks)


def ask(visitor: PageSession, what: Mapping[str, Any]) -> str:
    """Look for a text.

    Raises:
        PromptError: there is no photo, or no word.
    """
    if what.get("carry"):
        return carry(visitor, sign_of(what))
    text = " ".join(str(what.get("text", "")).split())[:200]
    if not text:
        raise PromptError("Type what to look for, such as: a person")
    # The first text takes seconds, outside the step below, so that the visitor's clicks go on meanwhile.
    visitor.state.opened.prepare(Text(text))
    return change(visitor, lambda before: before.with_mark(Mark("text", sign_of(what), text=text)))


def carry(visitor: PageSession, sign: Sign = "add", threshold: float = 0.2) -> str:
    """Remember what is selected as a reference: the next photos are searched for the same.

    Args:
        visitor: whose.
        sign: whether to add what looks like it there, or to take it away.
        threshold: minimum score of what looks like it.

    Raises:
        PromptError: there is no photo, nothing is selected, or too much.
    """
    state = visitor.state
    session, shown = state.opened, answer_of(state)
    if shown.everything or len(shown.result) == 0:
        raise PromptError("Select an object first; then it is found in the next photo that you open.")
    if len(shown.result) > _MAX_SHOTS:
        raise PromptError(
            f"{len(shown.result)} masks are selected; select up to {_MAX_SHOTS} of the same kind of object."
        )
    masks = shown.result.masks
    shots = [session.reference(MaskLike(masks.mask(k))) for k in range(len(masks))]  # may take seconds
    reference = Reference.of(*shots, threshold=threshold)
    mark = Mark("reference", sign, text=session.frame.name, reference=reference)
    return change(visitor, lambda before: before.edited(carried=(*before.carried, mark)[-_MAX_CARRIED:]))


def name_masks(visitor: PageSession, vocabulary: str) -> str:
    """Name every mask from a vocabulary; an empty one removes the names.

    Raises:
        PromptError: there is no photo, or no such vocabulary.
    """
    session = visitor.state.opened
    named = session.label(vocabulary) if vocabulary else replace(session, labels=None)  # takes seconds

    def step(before: PhotoState) -> PhotoState:
        if before.session is not session:
            raise PromptError("Another photo is open now; name its masks again.")
        return replace(before, session=named)

    return change(visitor, step)


# --- what the widgets say -------------------------------------------------------------------------


def effect_of(kind: str, soft: bool, strength: float, color: str, background: bytes | None) -> Effect:
    """Return what the widgets say is made of the selection.

    Raises:
        ImageError: the background cannot be read.
    """
    picture = None if background is None or kind != "replace" else read_photo(background, "background").rgb
    return Effect(kind, float(strength), _rgb(color), picture, bool(soft))  # type: ignore[arg-type]  # checked there


def _rgb(color: str) -> tuple[int, int, int]:
    """Return a color picker's value, ``"#rrggbb"`` or ``"rgba(r, g, b, a)"``."""
    try:
        if color.startswith("#"):
            return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
        red, green, blue = (round(float(part)) for part in color.partition("(")[2].rstrip(")").split(",")[:3])
    except ValueError as error:
        raise PromptError(f"color: expected #rrggbb, got {color!r}") from error
    return min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255)


def render_of(options: Options) -> RenderConfig:
    """Return how masks are drawn; what a widget left empty is the default."""
    return RenderConfig(**{name: value for name, value in options.items() if value is not None})
