"""Answer -> the line below the photo: what was found, what to do next, and ways out if nothing was."""

from __future__ import annotations

from fastsam.page.photo.answer import Answer
from fastsam.page.photo.protocol import Way
from fastsam.page.photo.state import Mark, PhotoState
from fastsam.prompts import Text
from fastsam.session import Session

__all__ = ["alt_text", "counted", "hint", "kinds_wanted", "ways_out"]

_LEVEL_WORDS = {"whole": "whole objects", "part": "parts", "subpart": "parts of parts"}


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "mask"), counted(0, "mask")
    ('1 mask', '0 masks')
    """
    return f"{count} {noun if count == 1 else noun + 's'}"


def alt_text(session: Session, answer: Answer) -> str:
    """Return what a screen reader says of the photo."""
    height, width = session.frame.size_hw
    objects = f", {counted(len(answer.objects), 'object')} kept" if answer.objects else ""
    shown = counted(len(answer.result), "mask")
    return f"Photo {session.frame.name}, {width} by {height} pixels, {shown} shown{objects}"


def kinds_wanted(state: PhotoState) -> int:
    """Return how many prompts a visitor's marks make that could combine in two ways."""
    wanted = [mark for mark in state.marks if mark.sign == "add" and mark.kind != "remove"]
    alone = {mark.kind for mark in wanted} & {"point", "box", "text"}
    return len(alone) + sum(mark.kind in ("scribble", "outline", "reference") for mark in wanted)


def hint(state: PhotoState, answer: Answer) -> str:
    """Return what there is to say of an answer, or to do next."""
    count = len(answer.result)
    if state.carried:
        return "Now open another photo to find the same there."
    if answer.everything and not count and state.of_level:
        return f"This photo has no {_LEVEL_WORDS[state.of_level]}."
    if answer.everything:
        if count:
            return "Click an object to select it."
        return "Lower the minimum confidence to find more."
    if state.objects and not state.marks and state.previous is None:
        kept = counted(len(state.objects), "object")
        if state.of_video:
            return f"{kept} in this frame. Mark another one, or press Follow."
        return f"{kept} kept. Mark the next one, or download them."
    if count == 0:
        return _nothing_found(state, answer)
    if _made_from_one_click(state, answer):
        return "No mask was found here; this one is made from your click. Add clicks, or draw the object."
    if kinds_wanted(state) > 1 and not answer.corrected:
        if state.combine == "any":
            return "Everything that any of the prompts selects."
        return "Only what all of the prompts select."
    return _sentence(answer.result.reason)


def _made_from_one_click(state: PhotoState, answer: Answer) -> bool:
    """Return whether the only click is where no mask lies."""
    one = len(state.marks) == 1 and state.marks[0].kind == "point"
    return one and len(answer.result) == 1 and int(answer.result.indices[0]) < 0


def _nothing_found(state: PhotoState, answer: Answer) -> str:
    kinds = {mark.kind for mark in state.marks}
    if kinds == {"point"}:
        return "No mask here. Draw the object instead, or mark it with a box."
    if kinds == {"text"}:
        words = " or ".join(f"“{mark.text}”" for mark in state.marks)
        best = _best_score(state, state.marks[-1])
        if best is None:
            return f"{words} was not found."
        return f"{words} was not found: the best match scores {best:.2f}, below {state.threshold:.2f}."
    return _sentence(answer.result.reason)


def _sentence(reason: str) -> str:
    """Return a reason as a sentence; all clicks on the page are about one object."""
    reason = reason.replace("object 0: ", "")
    return f"{reason[:1].upper()}{reason[1:]}."


def _best_score(state: PhotoState, mark: Mark) -> float | None:
    """Return the best score of a text in the photo, below the threshold."""
    if len(state.opened.masks) == 0:
        return None
    matches = state.opened.select(Text(mark.text, 0.0))
    return float(matches.scores.max()) if len(matches) else None


def ways_out(state: PhotoState, answer: Answer) -> list[Way]:
    """Return what a visitor can do if the last prompt selects nothing, or a guess."""
    if not state.marks or answer.everything or state.previous is not None:
        return []
    if len(answer.result) and not _made_from_one_click(state, answer):
        return []
    last = state.marks[-1]
    if last.kind == "point":
        return [
            {"words": "Draw its outline", "do": "tool", "tool": "outline"},
            {"words": "Draw a box", "do": "tool", "tool": "box"},
        ]
    if last.kind == "text" and last.sign == "add" and len(state.marks) == 1:
        best = _best_score(state, last)
        if best is not None:
            words = f"Show the best match ({best:.2f})"
            return [{"words": words, "do": "loosen", "id": last.number, "value": round(best - 5e-5, 4)}]
    return []
