"""What the canvas asks for by name -> the next state; what the browser sent is checked here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from fastsam.errors import PromptError
from fastsam.page.photo.answer import UNNAMED, answer_of, names_of
from fastsam.page.photo.state import Combine, KeptObject, Mark, PhotoState, Sign

__all__ = ["ACTIONS", "point_of", "sign_of"]

_MAX_NAME = 60
Sent = Mapping[str, Any]


def sign_of(sent: Sent) -> Sign:
    """Return whether a mark adds or takes away."""
    return "take" if sent.get("sign") == "take" else "add"


def point_of(state: PhotoState, sent: Any) -> tuple[float, float]:
    """Return one point inside the photo."""
    return _points(state, [sent])[0]


def _points(state: PhotoState, sent: Any) -> tuple[tuple[float, float], ...]:
    """Return points inside the photo; the very edge counts as its last pixel."""
    height, width = state.opened.frame.size_hw
    try:
        pairs = [(float(x), float(y)) for x, y in sent]
        if not all(math.isfinite(value) for pair in pairs for value in pair):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise PromptError(f"page: expected points (x, y), got {str(sent)[:80]}") from error
    return tuple((min(max(x, 0.0), width - 0.01), min(max(y, 0.0), height - 0.01)) for x, y in pairs)


def _integer(sent: Sent, name: str) -> int:
    value = sent.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PromptError(f"page: expected a whole number as {name}, got {value!r}")
    return value


def _name(sent: Sent) -> str:
    """Return an object's name as exports can hold it: one line, not too long."""
    return " ".join(str(sent.get("name") or "").split())[:_MAX_NAME]


def _mark(state: PhotoState, sent: Sent) -> PhotoState:
    kind = sent.get("kind")
    if kind not in ("point", "box", "scribble", "outline"):
        raise PromptError(f"page: no such tool as {kind!r}")
    return state.with_mark(Mark(kind, sign_of(sent), _points(state, sent.get("xy"))))


def _remove(state: PhotoState, sent: Sent) -> PhotoState:
    row = _integer(sent, "row")
    if not 0 <= row < len(state.opened.masks):
        raise PromptError(f"page: there is no mask {row}")
    return state.with_mark(Mark("remove", "take", row=row))


def _combine(state: PhotoState, sent: Sent) -> PhotoState:
    if sent.get("combine") not in get_args(Combine):
        raise PromptError(f"page: expected any or all, got {sent.get('combine')!r}")
    return replace(state, combine=sent["combine"])


def _loosen(state: PhotoState, sent: Sent) -> PhotoState:
    """Accept a weaker match of one text."""
    number, value = _integer(sent, "id"), sent.get("value")
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise PromptError(f"page: expected a score from 0 to 1, got {value!r}")
    return state.edited(
        marks=tuple(replace(m, threshold=float(value)) if m.number == number else m for m in state.marks)
    )


def _keep(state: PhotoState, sent: Sent) -> PhotoState:
    """Return the state in which every selected mask is a finished object.

    Raises:
        PromptError: nothing is selected.
    """
    answer = answer_of(state)
    result = answer.result
    if answer.everything or not state.marks or len(result) == 0:
        raise PromptError("Select an object first: click it, drag a box around it, or draw it.")
    name, names = _name(sent), names_of(state, result)
    objects = tuple(
        KeptObject(0, name or (names[i] if names else UNNAMED), result.masks[[i]], result.levels[i])
        for i in range(len(result))
    )
    return state.with_objects(objects)


ACTIONS: dict[str, Callable[[PhotoState, Sent], PhotoState]] = {
    "mark": _mark,
    "drop": lambda state, sent: state.without_mark(_integer(sent, "id")),
    "remove": _remove,
    "undo": lambda state, sent: state.undone(),
    "redo": lambda state, sent: state.redone(),
    "leave": lambda state, sent: state.edited(carried=()),
    "clear": lambda state, sent: state.cleared(),
    "level": lambda state, sent: state.edited(level=str(sent.get("level"))),
    "combine": _combine,
    "loosen": _loosen,
    "keep": _keep,
    "rename": lambda state, sent: state.renamed(_integer(sent, "id"), _name(sent) or UNNAMED),
    "drop-object": lambda state, sent: state.without_object(_integer(sent, "id")),
}
"""By the name that the canvas sends."""
