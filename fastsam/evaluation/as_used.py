"""What a user gets: coverage, dead clicks, straight sides and prompts with the weights' own defaults.

The protocol measures recall far below the confidence that anybody uses, and prompts among masks down to .05.
This measures the masks that ``FastSAM().open(photo)`` has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import EvalConfig, SegmentConfig
from fastsam.evaluation.metrics import mean
from fastsam.evaluation.prompting import prompt_objects
from fastsam.evaluation.shards import Arrays
from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import refine
from fastsam.masks.rle import Rle, decode_rle, rle_iou_matrix
from fastsam.masks.sides import count_sides
from fastsam.prompts.solve.scene import Scene

__all__ = ["covered", "figures_as_used", "measure_as_used"]

KINDS = ("point", "box")


def covered(crops: Sequence[Crop], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (H, W) whether a pixel lies under some mask."""
    union = np.zeros(size_hw, bool)
    for crop in crops:
        crop.paste(union)
    return union


def measure_as_used(
    masks: MaskSet, frame: Frame, objects: Sequence[Rle], settings: SegmentConfig, config: EvalConfig
) -> Arrays:
    """Measure one image.

    Args:
        masks: what stage one finds with ``settings``.
        frame: the image.
        objects: G true masks.
        settings: the weights' own.
        config: least object area.

    Returns:
        ``used_covered`` (1,) share of pixels under some mask; ``used_sides`` (N, 2) straight sides of each
        mask, and those of them that the photo does not show; ``used_iou`` (2, G) of the answers to a click
        and to a box, ``used_answered`` (G,) whether a click had an answer; NaN for objects that are too
        small.
    """
    refined = refine(masks, frame.rgb, settings)
    crops = [refined.crop(i) for i in range(len(refined))]
    pixels = MaskSet.from_crops(crops, masks.size_hw, masks.scores)
    ious = rle_iou_matrix([pixels.rle(i) for i in range(len(pixels))], list(objects))
    scene = Scene(frame.rgb, masks, refined)
    targets = [decode_rle(rle) for rle in objects]
    prompted = prompt_objects(masks, targets, ious, config, kinds=KINDS, scene=scene)
    return {
        "used_covered": np.array([covered(crops, masks.size_hw).mean()]),
        "used_sides": count_sides(crops, frame.rgb).T,
        "used_iou": prompted.ious,
        "used_answered": prompted.answered,
    }


def figures_as_used(measured: Sequence[Arrays]) -> dict[str, Any]:
    """Pool what :func:`measure_as_used` measured on all images; a mean over images, masks or objects each."""
    pooled = {
        name: np.concatenate([arrays[name] for arrays in measured], axis=-1)
        for name in ("used_covered", "used_sides", "used_iou", "used_answered")
    }
    straight, unsupported = (pooled["used_sides"] > 0).astype(np.float64)
    answered = mean(pooled["used_answered"])
    return {
        "used_masks_per_image": float(np.mean([arrays["used_sides"].shape[1] for arrays in measured])),
        "used_coverage": mean(pooled["used_covered"]),
        "used_dead_clicks": None if answered is None else 1 - answered,
        "used_straight": mean(straight),
        "used_unsupported": mean(unsupported),
        **{f"used_{kind}_mIoU": mean(row) for kind, row in zip(KINDS, pooled["used_iou"], strict=True)},
    }
