"""The group: masks that explain a drawn region together, where no single one does.

A region drawn over three people is best answered by three masks. The numbers were chosen on training images
(docs/evaluation.md). Masks are compared on the lattice of
:mod:`fastsam.masks.levels`, so a large region costs no more than a small one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.levels import samples_of
from fastsam.masks.maskset import MaskSet
from fastsam.prompts.ranking import ranked_rows

__all__ = ["MARGIN", "STROKE_SHARE", "masks_inside"]

MARGIN = 0.05
"""A group has to fit so much better than its best mask alone."""
STROKE_SHARE = 0.2
"""Each mask of a group has to hold so much of a scribble."""

_INSIDE = (0.8, 0.5)  # of a mask, for it to be one that was drawn over; what explains the region better
_GAIN = 0.02  # of IoU that a further mask has to add
_SAMPLES = 4  # of a mask, for it to count


def masks_inside(masks: MaskSet, drawn: NDArray[np.bool_]) -> list[int]:
    """Return the masks that explain a region together, the one that explains most first.

    Args:
        masks: to choose from.
        drawn: (H, W), the region.
    """
    if len(masks) == 0:
        return []
    samples = samples_of(masks).reshape(len(masks), -1)
    region = samples_of(MaskSet.from_dense(drawn[None])).ravel()
    shared, counts = np.count_nonzero(samples & region, axis=1), np.count_nonzero(samples, axis=1)
    found: list[tuple[list[int], float]] = []
    for inside in _INSIDE:
        rows = np.flatnonzero((counts >= _SAMPLES) & (shared >= inside * counts))
        found.append(_one_by_one(masks, samples, region, rows))
    return max(found, key=lambda one: one[1])[0]


def _one_by_one(
    masks: MaskSet, samples: NDArray[np.bool_], region: NDArray[np.bool_], rows: NDArray[np.int64]
) -> tuple[list[int], float]:
    """Return masks of ``rows``, one after another what makes the IoU of their union best, and that IoU."""
    chosen: list[int] = []
    free, outside = region.copy(), ~region
    total, covered, wrong, reached = int(np.count_nonzero(region)), 0, 0, 0.0
    while len(rows):
        new_in = np.count_nonzero(samples[rows] & free, axis=1)
        new_out = np.count_nonzero(samples[rows] & outside, axis=1)
        ious = ((covered + new_in) / (total + wrong + new_out)).astype(np.float32)
        place = ranked_rows(masks[rows], ious)[0]
        if ious[place] < reached + _GAIN:
            break
        best = int(rows[place])
        chosen.append(best)
        reached = float(ious[place])
        covered, wrong = covered + int(new_in[place]), wrong + int(new_out[place])
        free &= ~samples[best]
        outside &= ~samples[best]
        rows = np.delete(rows, place)
    return chosen, reached
