"""Marks -> prompt -> answer: what a visitor's clicks, boxes, drawings and words select."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import edge_distance
from fastsam.masks.maskset import MaskSet
from fastsam.page.photo.state import Combine, KeptObject, Mark, PhotoState
from fastsam.prompts import Box, MaskLike, Points, Prompt, Text, all_of, any_of, but_not
from fastsam.result import Result
from fastsam.session import Session

__all__ = ["Answer", "answer_of", "brush_px", "names_of", "prompt_of", "shown_masks"]

LEVELS = ("whole", "part", "subpart")
UNNAMED = "object"


# --- marks -> prompt ------------------------------------------------------------------------------


def prompt_of(state: PhotoState) -> Prompt | None:
    """Return what the marks ask for; None for everything.

    All clicks are about one object. Prompts of several kinds combine as ``state.combine`` says; what is to
    be taken away is removed from the answer.

    >>> marks = (Mark("point", xy=((3, 4),)), Mark("point", "take", xy=((9, 9),)))
    >>> prompt_of(PhotoState(marks=marks)) == Points([(3, 4), (9, 9)], [1, 0])
    True
    """
    wanted, unwanted, spared = _sides(state)
    base = _together(wanted, state.combine)
    if spared is not None:
        base = spared if base is None else all_of(base, spared)
    if base is None or not unwanted:
        return base
    return but_not(base, any_of(*unwanted))


def _sides(state: PhotoState) -> tuple[list[Prompt], list[Prompt], Points | None]:
    """Return what to add, what to take away, and clicks that only say what is not meant."""
    points = [mark for mark in state.marks if mark.kind == "point"]
    others = [mark for mark in state.marks if mark.kind not in ("point", "remove")]
    wanted = _prompts([mark for mark in others if mark.sign == "add"], state)
    unwanted = _prompts([mark for mark in others if mark.sign == "take"], state)
    if not points:
        return wanted, unwanted, None
    alone = not others
    # The first click may mean a whole or its part; the clicks after it correct the answer.
    first = alone and len(points) == 1 and points[0].sign == "add"
    xy, labels = [mark.xy[0] for mark in points], [int(mark.sign == "add") for mark in points]
    if alone and state.previous is not None:
        return [Points(xy, labels, previous=state.previous)], unwanted, None
    level = state.level if state.level in LEVELS else "auto"
    clicks = Points(xy, labels, multimask=True) if first else Points(xy, labels, level=level)  # type: ignore[arg-type]
    if clicks.objects[0].foreground:
        return [clicks, *wanted], unwanted, None
    return wanted, unwanted, Points([mark.xy[0] for mark in points], [0] * len(points))


def _deepest(mask: NDArray[np.bool_]) -> tuple[tuple[float, float], float]:
    """Return the point of a mask that is farthest from its edge, and how far that is."""
    depth = edge_distance(mask, exact=False)
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return (float(x), float(y)), float(depth[y, x])


def _prompts(marks: Sequence[Mark], state: PhotoState) -> list[Prompt]:
    """Return prompts of the same sign; boxes go into one prompt, and so do texts."""
    prompts: list[Prompt] = []
    boxes = [mark.box for mark in marks if mark.kind == "box"]
    if boxes:
        prompts.append(Box(boxes))
    for mark in marks:
        if mark.kind == "scribble":
            prompts.append(MaskLike.scribble(np.array(mark.xy), _brush(state)))
        elif mark.kind == "outline":
            prompts.append(MaskLike(np.array(mark.xy, np.float64)))
        elif mark.reference is not None:
            prompts.append(mark.reference)
    texts: dict[float, list[str]] = {}
    for mark in marks:
        if mark.kind == "text":
            threshold = state.threshold if mark.threshold is None else mark.threshold
            texts.setdefault(threshold, []).append(mark.text)
    prompts += [Text(words, threshold) for threshold, words in texts.items()]
    return prompts


def _brush(state: PhotoState) -> float:
    """Return the width of a scribble, image pixels."""
    return brush_px(state.session.frame.size_hw) if state.session is not None else 1.0


def brush_px(size_hw: tuple[int, int]) -> float:
    """Return how wide a scribble is drawn on a photo."""
    return max(round(min(size_hw) / 60), 1)


def _together(prompts: Sequence[Prompt], combine: Combine) -> Prompt | None:
    if len(prompts) < 2:
        return prompts[0] if prompts else None
    return all_of(*prompts) if combine == "all" else any_of(*prompts)


# --- prompt -> answer -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answer:
    """What a visitor sees.

    Attributes:
        result: the masks that the marks select, in order; everything if nothing was asked for.
        levels: whole, part, subpart, as far as the click has them.
        level: which of them is shown.
        everything: whether nothing was asked for.
        objects: the finished objects, shown beside the result.
        corrected: whether the clicks correct what the marks before them select.
    """

    result: Result
    levels: tuple[str, ...]
    level: str
    everything: bool
    objects: tuple[KeptObject, ...] = ()
    corrected: bool = False


def answer_of(state: PhotoState) -> Answer:
    """Return what the marks mean among the masks of the photo.

    Raises:
        PromptError: no photo is open.
    """
    session = state.opened
    prompt = prompt_of(state)
    if prompt is None and state.previous is not None:
        return Answer(_unchanged(session, state.previous, state.about), (), "", False, state.objects)
    everything, corrected = prompt is None, False
    if prompt is None:
        result = session.everything(state.of_level or None, disjoint=state.disjoint)
    else:
        made = _corrected(state)
        corrected, result = made is not None, session.select(prompt) if made is None else made
    if prompt is None:
        _, unwanted, _ = _sides(state)
        if unwanted:  # everything but that
            out = session.select(any_of(*unwanted)).indices
            result = result[~np.isin(result.indices, out)]
            everything = False
    result, levels, level = _level(result, prompt, state.level)
    removed = [mark.row for mark in state.marks if mark.kind == "remove"]
    if removed:
        result = result[~np.isin(result.indices, removed)]
    if (
        state.objects and not state.marks and state.previous is None
    ):  # the objects are seen alone, and the next one is to be marked
        result, everything = result[np.zeros(len(result), bool)], False
    return Answer(result, levels, level, everything, state.objects, corrected)


def _corrected(state: PhotoState) -> Result | None:
    """Return the one mask that a box, a drawing or a text selects, corrected by the clicks after it.

    None where the marks are none such: clicks alone, clicks first, or several masks.
    """
    kinds = [mark.kind == "point" for mark in state.marks if mark.kind != "remove"]
    first = kinds.index(True) if True in kinds else 0
    if first == 0 or not all(kinds[first:]) or state.combine != "any" or state.previous is not None:
        return None
    others = [mark for mark in state.marks if mark.kind not in ("point", "remove")]
    if any(mark.sign == "take" for mark in others):
        return None
    base = _together(_prompts(others, state), state.combine)
    found = state.opened.select(base)
    if len(found) != 1:
        return None
    points = [mark for mark in state.marks if mark.kind == "point"]
    xy, labels = [mark.xy[0] for mark in points], [int(mark.sign == "add") for mark in points]
    return state.opened.select(Points(xy, labels, previous=found))


def _unchanged(session: Session, mask: NDArray[np.bool_], about: str) -> Result:
    """Return a mask that clicks are about to change, as it is: what a click inside it leaves of it."""
    kept = session.select(Points([_deepest(mask)[0]], previous=mask))
    return replace(kept, reason=f"{about}; click what to add, right-click what to remove")


def _level(result: Result, prompt: Any, wanted: str) -> tuple[Result, tuple[str, ...], str]:
    """Return the wanted one of a click's nested answers, and which there are; by default the best."""
    if not (isinstance(prompt, Points) and prompt.multimask) or not any(result.levels):
        return result, (), ""
    names = tuple(name for name in LEVELS if name in result.levels)
    level = wanted if wanted in names else result.levels[0]
    return result[result.levels.index(level)], names, level


# --- answer -> what is exported -------------------------------------------------------------------


def names_of(state: PhotoState, result: Result) -> tuple[str, ...] | None:
    """Return the name of each mask of a result, if there are any: its label, or the one text asked for."""
    if result.labels is not None:
        return tuple(result.labels)
    texts = {mark.text for mark in state.marks if mark.kind == "text" and mark.sign == "add"}
    return tuple(texts) * len(result) if len(texts) == 1 else None


@dataclass(frozen=True, eq=False)
class ShownMasks:
    """All masks on show, for a file: finished objects first, then the selection.

    Attributes:
        masks: N masks.
        labels: N names, or None if nothing has one.
        levels: N levels, or None if none makes sense.
        numbers: N colour numbers.
    """

    masks: MaskSet
    labels: tuple[str, ...] | None
    levels: tuple[str, ...] | None
    numbers: tuple[int, ...]


def shown_masks(state: PhotoState, answer: Answer) -> ShownMasks:
    """Return the finished objects and the selection as one set of masks."""
    result, objects = answer.result, answer.objects
    names, levels = names_of(state, result), tuple(result.levels)
    numbers = tuple(max(int(row), 0) for row in result.indices)
    if not objects:
        return ShownMasks(result.masks, names, levels if any(levels) else None, numbers)
    masks = MaskSet.concatenate([*(one.masks for one in objects), result.masks], result.masks.size_hw)
    each = [one for one in objects for _ in range(len(one.masks))]
    all_levels = (*(one.level for one in each), *levels)
    return ShownMasks(
        masks,
        (*(one.name for one in each), *(names or (UNNAMED,) * len(result))),
        all_levels if any(all_levels) else None,
        (*(one.number for one in each), *numbers),
    )
