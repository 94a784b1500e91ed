"""Prompts made from true objects, and how well their answers fit: clicks and boxes.

The click is SAM's (arXiv 2304.02643): the point of the object farthest from its edge. Further clicks are
those of interactive segmentation (RITM, arXiv 2102.06583): where the answer is most wrong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam.config import EvalConfig
from fastsam.errors import InputError
from fastsam.masks.crop import edge_distance
from fastsam.masks.dense import box_from_mask, farthest_point
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, Points, Prompt, select
from fastsam.prompts.solve.scene import Scene

__all__ = ["FIGURES", "jittered_box", "mask_iou", "next_click", "prompt_objects"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

FIGURES = ("point", "point_best3", "box", "box_jitter")


def mask_iou(a: BoolArray, b: BoolArray) -> float:
    """Return the IoU of two (H, W) masks, 0 where both are empty.

    Raises:
        InputError: they are of different sizes.
    """
    if a.shape != b.shape:
        raise InputError(f"masks: expected one image size, got {a.shape} and {b.shape}")
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


def jittered_box(
    box_xyxy: NDArray[np.float32], size_hw: tuple[int, int], share: float, seed: Sequence[int]
) -> FloatArray:
    """Return a box whose edges are each moved by up to ``share`` of its sides, inside the image.

    The same seed gives the same box, whatever else is evaluated beside it.

    >>> jittered_box(np.array([2, 2, 6, 6], np.float32), (9, 9), 0.0, [1]).tolist()
    [2.0, 2.0, 6.0, 6.0]
    """
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    side = np.array([x2 - x1, y2 - y1] * 2)
    moved = np.array([x1, y1, x2, y2]) + np.random.default_rng(list(seed)).uniform(-share, share, 4) * side
    height, width = size_hw
    return np.asarray(np.clip(moved, 0, [width, height, width, height]), np.float64)


@dataclass(frozen=True, eq=False)
class PromptFigures:
    """How prompts for each object of one image were answered; NaN for objects that are too small.

    Attributes:
        ious: (K, G): IoU of the answers with the object, a row for each kind of prompt.
        answered: (G,): 1 where a mask answered the first kind of prompt, 0 where none was there.
        prompt_ms: mean time of a box or point prompt, its answer's pixels included; NaN without objects.
    """

    ious: FloatArray
    answered: FloatArray
    prompt_ms: float


def prompt_objects(
    masks: MaskSet,
    objects: Sequence[BoolArray],
    mask_ious: FloatArray,
    config: EvalConfig,
    seed: Sequence[int] = (0,),
    kinds: Sequence[str] = FIGURES,
    scene: Scene | None = None,
) -> PromptFigures:
    """Prompt for every object of an image by its click and its box.

    Args:
        masks: N masks to choose from.
        objects: G true (H, W) masks.
        mask_ious: (N, G) IoU of each mask with each object, so that unedited answers need no pixels.
        config: least object area, jitter.
        seed: of the image; the jitter of object g is seeded with ``(*seed, g)``.
        kinds: which of :data:`FIGURES`.
        scene: the masks and their photo, for answers that are made.
    """
    ious = np.full((len(kinds), len(objects)), np.nan)
    answered = np.full(len(objects), np.nan)
    spent_ms: list[float] = []
    for g, target in enumerate(objects):
        if np.count_nonzero(target) < max(config.min_area_px, 1):
            continue
        prompts = _prompts(target, config, (*seed, g))
        fits = []
        masked = []
        for kind in kinds:
            start = time.perf_counter()
            answer = select(masks, prompts[kind], scene=scene)
            if len(answer):
                answer.masks.crop(0)
            if kind != "point_best3":  # three levels cost more than one answer: reported are single answers
                spent_ms.append(1e3 * (time.perf_counter() - start))
            fits.append(_fits(answer, target, mask_ious[:, g]))
            masked.append(bool((answer.indices >= 0).any()))
        ious[:, g] = [max(found, default=0.0) for found in fits]
        answered[g] = masked[0]
    return PromptFigures(ious, answered, float(np.mean(spent_ms)) if spent_ms else float("nan"))


def _prompts(target: BoolArray, config: EvalConfig, seed: Sequence[int]) -> dict[str, Prompt]:
    """Return what :data:`FIGURES` ask for an object with."""
    box = box_from_mask(target)
    x, y = farthest_point(target)
    size_hw = (target.shape[0], target.shape[1])
    return {
        "point": Points((x + 0.5, y + 0.5)),
        "point_best3": Points((x + 0.5, y + 0.5), multimask=True),
        # No threshold: an abstention would score 0, and peers never abstain.
        "box": Box(box, iou_threshold=0.0),
        "box_jitter": Box(jittered_box(box, size_hw, config.jitter, seed), iou_threshold=0.0),
    }


def _fits(answer: Selection, target: BoolArray, mask_ious: FloatArray) -> list[float]:
    """Return the IoU of each answered mask with the object."""
    return [
        mask_iou(answer.masks.mask(k), target) if answer.edited[k] else float(mask_ious[answer.indices[k]])
        for k in range(len(answer))
    ]


def next_click(answer: BoolArray, target: BoolArray, clicked: BoolArray) -> tuple[int, int, int] | None:
    """Return (x, y, label) of the click that a user would make next, None where nothing is wrong.

    It lies in the larger error region (missed or wrongly covered, by the radius of the largest circle
    that fits in), at its farthest point from the edge; the image's edge counts as edge.

    Args:
        answer: (H, W) mask so far.
        target: (H, W) true mask.
        clicked: (H, W) pixels that were clicked already.
    """
    best: tuple[float, int, int, int] | None = None
    for wrong, label in ((target & ~answer, 1), (answer & ~target, 0)):
        depth = np.where(clicked, 0, edge_distance(wrong))
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[y, x] > 0 and (best is None or depth[y, x] > best[0]):
            best = (float(depth[y, x]), int(x), int(y), label)
    return None if best is None else best[1:]
