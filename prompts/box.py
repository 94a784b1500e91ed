"""Box prompts: the IoU of each mask with each box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.coordinates import check_boxes
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.selection import Selection
from fastsam.prompts.ranking import best_row
from fastsam.prompts.spec import Box
from fastsam.prompts.wording import counted

__all__ = ["answer", "score"]


def score(masks: MaskSet, prompt: Box, *, decided: bool = True) -> NDArray[np.float32]:
    """Return (boxes, N): the IoU of each mask with each box.

    Exact for the best mask of each box and its rivals, and with ``decided`` for all that reach the
    prompt's threshold. The others are estimates below.

    Raises:
        PromptError: a box leaves the image.
    """
    boxes = check_boxes(prompt.xyxy, masks.size_hw)
    threshold = prompt.iou_threshold if decided else None
    rows = [masks.ious(Region.from_box(box, masks.size_hw), threshold) for box in boxes]
    return np.stack(rows) if len(masks) else np.zeros((len(boxes), 0), np.float32)


def answer(masks: MaskSet, prompt: Box) -> Selection:
    """Return for each box, in order, the mask that overlaps it best; ties go to the better mask score.

    A box whose best IoU is under ``prompt.iou_threshold`` has no row; ``selection.groups`` tells which
    boxes were answered, and ``reason`` which were not.
    """
    ious = score(masks, prompt, decided=False)
    rows, groups, notes = [], [], []
    for number, values in enumerate(ious):
        best = best_row(masks, values)
        if best is None or values[best] < prompt.iou_threshold or values[best] <= 0:
            reached = (
                f"no answer, the best IoU {values[best]:.2f} is below {prompt.iou_threshold:g}"
                if best is not None
                else "no masks to choose from"
            )
            notes.append(f"box {number}: {reached}")
        else:
            rows.append(best)
            groups.append(number)
    reason = "; ".join([f"{len(rows)} of {counted(len(ious), 'box')} answered, by IoU", *notes])
    return Selection.of(masks, rows, [ious[g, r] for g, r in zip(groups, rows, strict=True)], reason, groups)
