"""Position prompts: the masks at one end of an order. Geometry only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts.ranking import ranked_rows
from fastsam.prompts.spec import Position
from fastsam.prompts.wording import counted

__all__ = ["answer", "score"]

FloatArray = NDArray[np.float32]
_LEAST = np.finfo(np.float32).tiny  # a mask that is there is never scored 0


def score(masks: MaskSet, prompt: Position) -> FloatArray:
    """Return (N,) in 0..1 how far each mask is on the side that is asked for; 0 for masks without a pixel.

    The place of the middle of its box, as a share of the image's side (for ``"centre"``: one less the
    distance from the image's middle, as a share of the half diagonal), or its share of the image's pixels.
    """
    height, width = masks.size_hw
    x = masks.boxes_xyxy[:, [0, 2]].mean(axis=1) / width
    y = masks.boxes_xyxy[:, [1, 3]].mean(axis=1) / height
    area = masks.areas_px / (height * width)
    if prompt.where == "centre":
        away = np.hypot((x - 0.5) * width, (y - 0.5) * height) / (0.5 * np.hypot(width, height))
        values = 1 - away
    else:
        values = {
            "leftmost": 1 - x,
            "rightmost": x,
            "topmost": 1 - y,
            "bottommost": y,
            "largest": area,
            "smallest": 1 - area,
        }[prompt.where]
    return np.where(area > 0, np.clip(values, _LEAST, 1), 0).astype(np.float32)


def answer(candidates: Selection, prompt: Position) -> Selection:
    """Return the first ``prompt.count`` of the candidates, in order; ties go to the better mask.

    Args:
        candidates: what ``prompt.of`` selects, or all masks.
        prompt: which of them.
    """
    values = score(candidates.masks, prompt)
    among = f" of ({candidates.reason})" if prompt.of is not None else ""
    seen: set[int] = set()
    rows: list[int] = []
    for row in ranked_rows(candidates.masks, values):
        again = not candidates.edited[row] and int(candidates.indices[row]) in seen
        if values[row] > 0 and not again and len(rows) < prompt.count:
            rows.append(row)
            seen.update([] if candidates.edited[row] else [int(candidates.indices[row])])
    chosen = candidates[np.array(rows, np.int64)]
    reason = f"{prompt.where}{among}: {counted(len(rows), 'mask') if rows else 'no masks'}"
    return replace(chosen, scores=values[rows], reason=reason)
