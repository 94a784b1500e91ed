"""A click on another thing that has a mask: the answer with that mask, or without it, pixel for pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastsam.masks.crop import Crop, lookup
from fastsam.prompts import point
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import Click, State

__all__ = ["composed"]

_MOST_SHARED = 0.1  # of the other thing's pixels; more, and a foreground click speaks of the same thing
_MOST_AREA = 1.5  # of the answer's; a larger mask is what things lie on
_LEAST_SHARED = 0.5  # of the other thing's pixels, for a background click to take them away
_MOST_CUT = 0.5  # of the answer's pixels; more, and the mask is the answer itself
_LEAST_SCORE = 0.25


def composed(scene: Scene, state: State, click: Click) -> State | None:
    """Return the answer joined with the mask under a foreground click beside it, or cut by the mask under a
    background click in it; None where no such mask is another thing.

    Args:
        scene: the photo and its masks.
        state: the answer so far, which does not suit the click.
        click: the new one.
    """
    against = [one for one in state.clicks if one.inside != click.inside]
    answers, _ = point.answer_object(scene.masks, _xy([click]), _xy(against))
    if not answers or answers[0].crop is not None:
        return None
    row = answers[0].row
    other, mine = scene.crop(row), state.crop
    if scene.masks.scores[row] < _LEAST_SCORE or not _fits(other, click, against):
        return None
    count, corner = _counted(mine, other)
    shared, area = np.count_nonzero(count == 3), np.count_nonzero(other.patch)
    if click.inside:
        another = shared <= _MOST_SHARED * area and area <= _MOST_AREA * np.count_nonzero(mine.patch)
    else:
        another = shared >= _LEAST_SHARED * area and shared <= _MOST_CUT * np.count_nonzero(mine.patch)
    if not another:
        return None
    made = State.of(Crop(*corner, count > 0 if click.inside else count == 1), (*state.clicks, click))
    score = min(state.score, float(scene.masks.scores[row]))
    masks = max(state.masks, 1) + 1
    return replace(
        made,
        corrections=state.corrections + 1,
        score=score,
        masks=masks,
        row=row if click.inside else state.row,
    )


def _xy(clicks: Sequence[Click]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([(one.x, one.y) for one in clicks], np.float64).reshape(-1, 2)


def _fits(other: Crop, click: Click, against: Sequence[Click]) -> bool:
    """Return whether a mask, as it is handed out, holds the click and none of those against it."""
    held = lookup(other, _xy([click, *against]).astype(np.int64))
    return bool(held[0] and not held[1:].any())


def _counted(
    mine: Crop, other: Crop
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.uint8]], tuple[int, int]]:
    """Return 1 where the answer is, plus 2 where the other mask is, and the corner of both."""
    x0, y0 = min(mine.x0, other.x0), min(mine.y0, other.y0)
    x1 = max(mine.x0 + mine.patch.shape[1], other.x0 + other.patch.shape[1])
    y1 = max(mine.y0 + mine.patch.shape[0], other.y0 + other.patch.shape[0])
    count = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for weight, (x, y, patch) in ((1, mine), (2, other)):
        count[y - y0 : y - y0 + patch.shape[0], x - x0 : x - x0 + patch.shape[1]] += np.uint8(weight) * patch
    return count, (x0, y0)
