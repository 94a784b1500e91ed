"""A click on another thing beside the answer: the answer and that thing's mask together, pixel for pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastsam.masks.crop import Crop, lookup
from fastsam.prompts import point
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import Click, State

__all__ = ["composed"]

_MOST_SHARED = 0.1  # of the other thing's pixels; more, and the click speaks of the same thing
_MOST_AREA = 1.5  # of the answer's; a larger mask is what things lie on
_LEAST_SCORE = 0.25


def composed(scene: Scene, state: State, click: Click) -> State | None:
    """Return the answer joined with the mask under a foreground click; None where none is another thing.

    Args:
        scene: the photo and its masks.
        state: the answer so far, which does not hold the click.
        click: the new one.
    """
    if not click.inside:
        return None
    background = np.array([(one.x, one.y) for one in state.clicks if not one.inside], np.float64)
    answers, _ = point.answer_object(
        scene.masks, np.array([[click.x, click.y]], np.float64), background.reshape(-1, 2)
    )
    if not answers or answers[0].crop is not None or scene.masks.scores[answers[0].row] < _LEAST_SCORE:
        return None
    row = answers[0].row
    other, mine = scene.crop(row), state.crop
    pixels = np.array([(one.x, one.y) for one in state.clicks if not one.inside], np.int64).reshape(-1, 2)
    if not lookup(other, np.array([[click.x, click.y]]))[0] or lookup(other, pixels).any():
        return None
    joined, shared = _joined(mine, other)
    area = int(np.count_nonzero(other.patch))
    if shared > _MOST_SHARED * area or area > _MOST_AREA * np.count_nonzero(mine.patch):
        return None
    made = State.of(joined, (*state.clicks, click))
    score = min(state.score, float(scene.masks.scores[row]))
    return replace(
        made, corrections=state.corrections + 1, score=score, masks=max(state.masks, 1) + 1, row=row
    )


def _joined(mine: Crop, other: Crop) -> tuple[Crop, int]:
    """Return the pixels of either of two masks, and how many are of both."""
    x0, y0 = min(mine.x0, other.x0), min(mine.y0, other.y0)
    x1 = max(mine.x0 + mine.patch.shape[1], other.x0 + other.patch.shape[1])
    y1 = max(mine.y0 + mine.patch.shape[0], other.y0 + other.patch.shape[0])
    count = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for x, y, patch in (mine, other):
        count[y - y0 : y - y0 + patch.shape[0], x - x0 : x - x0 + patch.shape[1]] += patch
    return Crop(x0, y0, count > 0), int(np.count_nonzero(count > 1))
