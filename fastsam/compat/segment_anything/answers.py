"""One object's prompts, as SAM takes them -> masks and scores of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam import Box, MaskLike, MaskSet, Points, Selection, Session, all_of, select
from fastsam.compat.arguments import as_array, boxes_inside, points_inside
from fastsam.compat.segment_anything.low_res import from_low_res
from fastsam.errors import PromptError
from fastsam.prompts import Prompt
from fastsam.prompts.box import score as box_ious
from fastsam.prompts.mask import score as mask_ious

__all__ = ["Answer", "answer"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
Kind = Literal["click", "box", "mask"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What one object's prompts mean.

    Attributes:
        masks: (C, H, W), best first; empty masks where fewer answer.
        scores: (C,) how well each answers, 0..1; 0 for the empty ones.
        kind: the prompt that the scores are of.
    """

    masks: BoolArray
    scores: FloatArray
    kind: Kind


def answer(
    session: Session,
    point_coords: Any = None,
    point_labels: Any = None,
    box: Any = None,
    mask_input: Any = None,
    *,
    multimask: bool,
    stacklevel: int = 4,
) -> Answer:
    """Return three answers, or one, to the prompts about one object.

    Args:
        session: the image.
        point_coords: (P, 2) of (x, y) image pixels; moved into the image.
        point_labels: (P,) 1 foreground, 0 background, -1 none; all foreground by default.
        box: xyxy; cut to the image. One without area, there or before, is a click at its middle.
        mask_input: logits as :func:`fastsam.compat.segment_anything.low_res.from_low_res` takes them.
        multimask: three instead of one.
        stacklevel: of warnings.

    Raises:
        PromptError: there is no prompt, or one does not fit.
    """
    if point_coords is None and point_labels is not None:
        raise PromptError("point_labels: expected point_coords with them, got labels alone")
    if point_coords is None and box is None and mask_input is None:
        raise PromptError("predict: expected point_coords, box or mask_input, got no prompt")
    size_hw = session.masks.size_hw
    coords, labels = _points(point_coords, point_labels, size_hw, stacklevel)
    regions: list[Box | MaskLike] = []
    if box is not None:
        found = _box(box, size_hw)
        if isinstance(found, Box):
            regions.append(found)
        else:  # SAM answers these, too: with what is there
            coords, labels = np.concatenate([coords, found[None]]), np.append(labels, 1)
    if mask_input is not None:
        drawn = from_low_res(mask_input, size_hw)
        if drawn is not None:
            regions.append(MaskLike(drawn, group=False))
    boxes = [region for region in regions if isinstance(region, Box)]
    points = Points(coords, labels, multimask) if (labels >= 0).any() else None
    kind: Kind = "box" if boxes else "click" if points is not None or not regions else "mask"
    count = 3 if multimask else 1
    if points is None and not regions:
        return Answer(np.zeros((count, *size_hw), bool), np.zeros(count, np.float32), kind)
    chosen = _select(session, points, regions)
    if boxes and points is not None and regions == boxes:
        alone = session.select(boxes[0])  # a box decides, where its own mask suits the points
        if len(alone) and _suits(alone.masks.mask(0), coords, labels):
            chosen = alone if not multimask else _first(alone, chosen)
    scores = box_ious(chosen.masks, boxes[0])[0] if boxes and len(chosen) else chosen.scores
    return Answer(*_stacked(chosen, scores, count), kind)


def _points(
    coords: Any, labels: Any, size_hw: tuple[int, int], stacklevel: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points of one object and their labels, none where there are none."""
    if coords is None:
        return np.zeros((0, 2)), np.zeros(0)
    shape = np.shape(as_array(coords))
    if len(shape) != 2 or shape[1] != 2:
        raise PromptError(
            f"point_coords: expected (P, 2), the points of one object, got shape {shape}; "
            "for several objects use fastsam.Points"
        )
    placed = points_inside(coords, size_hw, stacklevel + 1)
    marks = np.ones(len(placed)) if labels is None else np.asarray(as_array(labels), np.float64).reshape(-1)
    if len(marks) != len(placed):
        raise PromptError(f"labels: expected {len(placed)}, one for each point, got {len(marks)}")
    return placed, marks


def _box(box: Any, size_hw: tuple[int, int]) -> Box | NDArray[np.float64]:
    """Return the one box, cut to the image; its middle, in the image, where nothing of it is left."""
    array = np.asarray(as_array(box))
    if array.shape == (1, 4):
        array = array[0]
    if array.shape == (4,) and array.dtype.kind in "fiu" and np.isfinite(array).all():
        low, high = array[:2].astype(np.float64), array[2:].astype(np.float64)
        height, width = size_hw
        limits = np.array([width, height], np.float64)
        inner_low, inner_high = np.clip(low, 0, limits), np.clip(high, 0, limits)
        if (high >= low).all() and (inner_high <= inner_low).any():
            return np.clip((inner_low + inner_high) / 2, 0, limits - 1)
    prompt = Box(boxes_inside(array if array.shape == (4,) else box, size_hw))
    if len(prompt.xyxy) != 1:
        raise PromptError(f"box: expected one box, (4,), got {len(prompt.xyxy)}; for several use fastsam.Box")
    return prompt


def _select(session: Session, points: Points | None, regions: Sequence[Box | MaskLike]) -> Selection:
    """Return what fits all prompts; where no mask does, what the points make of those that fit the rest."""
    prompts: list[Prompt] = [*regions, *([points] if points is not None else [])]
    found: Selection = session.select(prompts[0] if len(prompts) == 1 else all_of(*prompts))
    if points is None:
        return found
    if len(found) == 0 and regions:
        found = select(session.masks[_fitting(session.masks, regions)], points)
    boxes = [region for region in regions if isinstance(region, Box)]
    if len(found) == 0 and len(boxes) < len(regions) and points.objects[0].foreground:
        return _select(session, points, boxes)  # an earlier mask is a hint: clicks elsewhere outweigh it
    return found if points.objects[0].foreground else _joined(found)


def _suits(mask: BoolArray, coords: NDArray[np.float64], labels: NDArray[np.float64]) -> bool:
    """Tell whether a mask holds all foreground points and no background point."""
    held = mask[coords[:, 1].astype(int), coords[:, 0].astype(int)]
    return bool(held[labels == 1].all() and not held[labels == 0].any())


def _first(one: Selection, others: Selection) -> Selection:
    """Return a mask before those of the others that are not the same."""
    mask = one.masks.mask(0)
    rows = [k for k in range(len(others)) if not np.array_equal(others.masks.mask(k), mask)]
    stack = np.stack([mask, *(others.masks.mask(k) for k in rows)])
    scores = np.array([one.scores[0], *others.scores[rows]], np.float32)
    return Selection.of(MaskSet.from_dense(stack, scores), np.arange(len(stack)), scores, one.reason)


def _fitting(masks: MaskSet, regions: Sequence[Box | MaskLike]) -> BoolArray:
    """Return (N,) which masks overlap every region enough to answer it."""
    fits = np.ones(len(masks), bool)
    for region in regions:
        if isinstance(region, Box):
            fits &= box_ious(masks, region)[0] >= region.iou_threshold
        else:
            fits &= mask_ious(masks, region)[0] >= region.threshold
    return fits


def _joined(found: Selection) -> Selection:
    """Return the union of several answers as one: SAM's shape has no room for "everything but"."""
    if len(found) < 2:
        return found
    score = found.scores.min(keepdims=True)
    return Selection.of(MaskSet.from_dense(found.masks.union()[None], score), [0], score, found.reason)


def _stacked(found: Selection, scores: Any, count: int) -> tuple[BoolArray, FloatArray]:
    """Return ``count`` masks and scores, best first, filled up with empty masks."""
    order = np.argsort(-scores, kind="stable")[:count]
    masks, kept = np.zeros((count, *found.masks.size_hw), bool), np.zeros(count, np.float32)
    masks[: len(order)] = np.asarray(found.masks[order])
    kept[: len(order)] = scores[order]
    return masks, kept
