"""The group: masks that explain a drawn region together, where no single one does.

A region drawn over three people is best answered by three masks. Masks are compared on the lattice of
:mod:`fastsam.levels`, so a large region costs no more than a small one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam.levels import samples_of
from fastsam.records import MaskSet
from prompts.ranking import ranked_rows

__all__ = ["MARGIN", "STROKE_SHARE", "masks_inside"]

MARGIN = 0.05
"""A group has to fit so much better than its best mask alone."""
STROKE_SHARE = 0.2
"""Each mask of a group has to hold so much of a scribble."""

_INSIDE = 0.8  # of a mask, for it to be one that was drawn over
_GAIN = 0.02  # of IoU that a further mask has to add
_SAMPLES = 4  # of a mask, for it to count


def masks_inside(
    masks: MaskSet, drawn: NDArray[np.bool_], inside: float = _INSIDE, gain: float = _GAIN
) -> list[int]:
    """Return the masks that explain a region together, the one that explains most first.

    Args:
        masks: to choose from.
        drawn: (H, W), the region.
        inside: only masks of which this share lies in the region.
        gain: of the union's IoU with the region that a further mask has to add.
    """
    if len(masks) == 0:
        return []
    samples = samples_of(masks).reshape(len(masks), -1)
    region = samples_of(MaskSet.from_dense(drawn[None])).ravel()
    shared, counts = np.count_nonzero(samples & region, axis=1), np.count_nonzero(samples, axis=1)
    rows = np.flatnonzero((counts >= _SAMPLES) & (shared >= inside * counts))
    chosen: list[int] = []
    free, reached, wrong = region.copy(), 0.0, 0
    total = int(np.count_nonzero(region))
    outside = ~region
    while len(rows):
        new_in = np.count_nonzero(samples[rows] & free, axis=1)
        new_out = np.count_nonzero(samples[rows] & outside, axis=1)
        covered = total - int(np.count_nonzero(free))
        ious = ((covered + new_in) / (total + wrong + new_out)).astype(np.float32)
        place = ranked_rows(masks[rows], ious)[0]
        if ious[place] < reached + gain:
            break
        best = int(rows[place])
        chosen.append(best)
        reached, wrong = float(ious[place]), wrong + int(new_out[place])
        free &= ~samples[best]
        outside &= ~samples[best]
        rows = np.delete(rows, place)
    return chosen
