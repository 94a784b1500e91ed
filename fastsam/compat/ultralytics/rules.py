"""ultralytics' rules for prompts: which of an image's masks its FastSAM keeps.

Kinds of prompts together are a union, and each mask is kept once, in the order of the results. A box keeps
the mask of the highest IoU with it, however low; points keep the masks that hold any foreground point and no
background point, all that hold none where only background is given; a text keeps the mask that shows it best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import MaskSet, Text
from fastsam.compat.arguments import as_array
from fastsam.errors import PromptError
from fastsam.prompts import ImageFeatures
from fastsam.prompts.text.matching import score

__all__ = ["chosen_rows", "points_and_labels", "text_list"]

BoolArray = NDArray[np.bool_]
_LEAST_TEXT_PX = 100  # smaller masks are not shown to the text-image model


def chosen_rows(
    masks: MaskSet,
    features: Callable[[], ImageFeatures | None],
    bboxes: Any = None,
    points: Any = None,
    labels: Any = None,
    texts: Any = None,
) -> NDArray[np.int64]:
    """Return the rows of ``masks`` that the prompts keep, in order.

    Args:
        masks: what to choose among.
        features: gives the masks as a text-image model sees them; called for texts only.
        bboxes: one xyxy box or (n, 4), pixels; cut to the image and to whole pixels.
        points: (x, y) or (n, 2), pixels; moved into the image.
        labels: a number or (n,), 1 foreground, 0 background; all foreground by default. Without points
            they say nothing.
        texts: a phrase or several.

    Raises:
        PromptError: a prompt has another form, or there is not one label for each point.
    """
    kept = np.zeros(len(masks), bool)
    if len(masks) and bboxes is not None:
        kept |= _by_boxes(masks, bboxes)
    if points is not None:
        coords, marks = points_and_labels(points, labels)
        if len(masks):
            kept |= _by_points(masks, coords, marks)
    if texts is not None:
        phrases = text_list(texts)
        if len(masks):
            kept |= _by_texts(masks, features(), phrases)
    return np.flatnonzero(kept)


def points_and_labels(points: Any, labels: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (n, 2) points and their (n,) labels.

    Raises:
        PromptError: these are no points, or there is not one label for each.
    """
    coords = _numbers(points, "points")
    coords = coords[None] if coords.ndim == 1 else coords
    if coords.ndim == 3 and len(coords) == 1:
        coords = coords[0]
    if coords.ndim != 2 or coords.shape[1] != 2 or not np.isfinite(coords).all():
        raise PromptError(f"points: expected finite (x, y) or (n, 2), got shape {coords.shape}")
    marks = np.ones(len(coords)) if labels is None else _numbers(labels, "labels").reshape(-1)
    if len(marks) != len(coords):
        raise PromptError(f"labels: expected {len(coords)}, one for each point, got {len(marks)}")
    if not np.isin(marks, (0, 1)).all():
        raise PromptError(f"labels: expected 1 (foreground) or 0 (background), got {marks.tolist()}")
    return coords, marks.astype(np.int64)


def text_list(texts: Any) -> list[str]:
    """Return the phrases.

    Raises:
        PromptError: these are none.
    """
    phrases = [texts] if isinstance(texts, str) else list(texts) if isinstance(texts, Sequence) else texts
    return list(Text(phrases).texts)


def box_array(bboxes: Any) -> NDArray[np.float64]:
    """Return (n, 4) boxes; none of an empty list.

    Raises:
        PromptError: these are none.
    """
    boxes = _numbers(bboxes, "bboxes")
    if boxes.size == 0:  # of a detector that found nothing
        return np.zeros((0, 4))
    boxes = boxes[None] if boxes.ndim == 1 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise PromptError(f"bboxes: expected finite (x1, y1, x2, y2) or (n, 4), got shape {boxes.shape}")
    return boxes


def _numbers(values: Any, what: str) -> NDArray[np.float64]:
    try:
        return np.asarray(as_array(values), np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{what}: expected numbers, got {str(values)[:80]}") from error


def _by_boxes(masks: MaskSet, bboxes: Any) -> BoolArray:
    height, width = masks.size_hw
    boxes = np.clip(np.trunc(box_array(bboxes)), 0, [width, height, width, height]).astype(np.int64)
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    inside = np.zeros((len(boxes), len(masks)))
    for i in range(len(masks)):
        x0, y0, patch = masks.crop(i)
        for k, (left, top, right, bottom) in enumerate(boxes.tolist()):
            cut = patch[max(top - y0, 0) : max(bottom - y0, 0), max(left - x0, 0) : max(right - x0, 0)]
            inside[k, i] = np.count_nonzero(cut)
    union = box_areas[:, None] + masks.areas_px[None] - inside
    kept = np.zeros(len(masks), bool)
    if len(boxes):
        kept[np.argmax(inside / np.maximum(union, 1), axis=1)] = True
    return kept


def _by_points(masks: MaskSet, coords: NDArray[np.float64], marks: NDArray[np.int64]) -> BoolArray:
    height, width = masks.size_hw
    pixels = np.clip(np.trunc(coords), 0, [width - 1, height - 1])
    held = masks.hits(pixels)
    wanted = held[:, marks == 1].any(axis=1) if marks.any() else np.ones(len(masks), bool)
    return np.asarray(wanted & ~held[:, marks == 0].any(axis=1))


def _by_texts(masks: MaskSet, features: ImageFeatures | None, phrases: list[str]) -> BoolArray:
    """Return (N,) which masks show a text best; tiny masks are not shown to the model."""
    kept = np.zeros(len(masks), bool)
    rows = np.flatnonzero(masks.areas_px > _LEAST_TEXT_PX)
    if len(rows):
        shown = None if features is None else features.take(rows)
        scores = score(masks[rows], Text(phrases, threshold=0.0), shown)
        kept[rows[scores.argmax(axis=1)]] = True
    return kept
