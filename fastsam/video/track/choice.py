"""Which of a frame's masks are an object: each mask, and unions of several, against where it should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam.video.track.grid_frame import FloatArray, GridFrame

__all__ = ["Guess", "best_masks"]

BoolArray = NDArray[np.bool_]
# Chosen on clips of DAVIS and clips made from training photographs (docs/experiments.md), never on the clips
# of the evaluation.
_MOTION_SHARE = 0.3  # of the overlap with the moved mask in a candidate's score
_OTHER_FACTOR = 0.2  # for a candidate that was seen beside the object
_SAME_ID = 0.1  # added to the candidate that continues the object's id
_PART = 0.55  # a mask joins a union when so much of it is probable
_GAIN = 0.04  # and the union fits so much better
_OLD_PART, _OLD_GAIN = 0.4, 0.0  # the same of one that was a part of it before
_UNIONS = 40  # candidates tried for a union


@dataclass(eq=False)
class Guess:
    """Where an object may be in a frame, before that is settled.

    Attributes:
        moved: (rows, columns) where motion takes it.
        blurred: the same, softly.
        looks: how much each cell looks like it.
        odds: log odds that it is there.
        beside: (N,) the masks that are known to be something else.
        score: how well the chosen masks fit.
    """

    moved: BoolArray
    blurred: FloatArray
    looks: FloatArray
    odds: FloatArray
    beside: BoolArray
    score: float = 0.0


def best_masks(
    guess: Guess, scene: GridFrame, same: BoolArray, parts: BoolArray
) -> tuple[NDArray[np.int64] | None, float]:
    """Return the rows of the masks that together fit a guess best, and how well; None for no mask.

    Args:
        guess: where the object may be.
        scene: the frame.
        same: (N,) the mask that continues the object's track.
        parts: (N,) those that were parts of it.
    """
    if len(scene.masks) == 0:
        return None, 0.0
    probable = (1 / (1 + np.exp(-np.clip(guess.odds, -30, 30)))).reshape(-1)
    before = guess.moved.reshape(-1).astype(np.float32)
    shared = scene.flat_cells @ np.stack([probable, before], axis=1)
    totals = np.array([probable.sum(), before.sum()])
    fits = shared / np.maximum(scene.areas[:, None] + totals - shared, 1e-6)
    ranks = (1 - _MOTION_SHARE) * fits[:, 0] + _MOTION_SHARE * fits[:, 1]
    ranks = np.where(guess.beside, _OTHER_FACTOR, 1) * ranks
    ranks = ranks + _SAME_ID * (same & (ranks > 0.2))
    best = int(ranks.argmax())
    rows, union = [best], scene.cells[best].reshape(-1)
    fit, rank = float(fits[best, 0]), float(ranks[best])
    share = shared[:, 0] / np.maximum(scene.areas, 1e-6)
    for row in np.argsort(-fits[:, 0])[:_UNIONS].tolist():
        if share[row] < (_OLD_PART if parts[row] else _PART) or row == best or guess.beside[row]:
            continue
        joined = union | scene.cells[row].reshape(-1)
        both = np.array([probable[joined].sum(), before[joined].sum()])
        together = both / np.maximum(joined.sum() + totals - both, 1e-6)
        joined_rank = float((1 - _MOTION_SHARE) * together[0] + _MOTION_SHARE * together[1])
        if together[0] > fit + (_OLD_GAIN if parts[row] else _GAIN) and joined_rank > rank:
            rows.append(row)
            union, fit, rank = joined, float(together[0]), joined_rank
    return np.array(rows, np.int64), rank
