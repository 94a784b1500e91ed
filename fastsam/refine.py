"""MaskSet -> MaskSet: duplicates, edges that follow the photo, holes and islands.

Every step is a function of its own and off by default; :func:`refine` runs those that a
:class:`fastsam.config.RefineConfig` turns on, in this order. What each is worth on held-out images is in
``docs/evaluation.md``.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import RefineConfig
from fastsam.errors import InputError
from fastsam.masks import clean, rle_iou_matrix
from fastsam.records import Frame, MaskSet
from fastsam.stores import Crop

__all__ = ["drop_duplicates", "fill_and_drop", "follow_edges", "refine"]

_GUIDE_NOISE = 0.01  # std, of a 0..1 image, below which colour changes are noise (He et al.'s epsilon)


def refine(masks: MaskSet, frame: Frame, config: RefineConfig) -> MaskSet:
    """Return the masks after the steps that ``config`` turns on; boxes of changed masks are tight.

    Raises:
        InputError: masks and frame are of different sizes.
    """
    if masks.size_hw != frame.size_hw:
        raise InputError(f"refine: expected masks of the frame's size {frame.size_hw}, got {masks.size_hw}")
    if config.duplicate_iou < 1:
        masks = drop_duplicates(masks, config.duplicate_iou)
    if config.edge_radius > 0:
        masks = follow_edges(masks, frame, config.edge_radius)
    if config.min_region_area > 0:
        masks = fill_and_drop(masks, config.min_region_area)
    return masks


def drop_duplicates(masks: MaskSet, iou_threshold: float) -> MaskSet:
    """Return the masks without those whose IoU with a better one is above the threshold.

    Unlike NMS on boxes it keeps a part that fills its whole's box, and sees that two masks are the same
    though their boxes differ.
    """
    order = np.argsort(-masks.scores, kind="stable")
    rles = [masks.rle(int(i)) for i in order]
    overlaps = rle_iou_matrix(rles, rles)
    kept: list[int] = []
    for k in range(len(order)):
        if not kept or overlaps[k, kept].max() <= iou_threshold:
            kept.append(k)
    return masks[np.sort(order[kept])]


def follow_edges(masks: MaskSet, frame: Frame, radius: int) -> MaskSet:
    """Return the masks with their edges moved onto those of the photo, by at most ``radius`` pixels or so.

    Guided filter (He, Sun and Tang, ECCV 2010) of each mask, guided by the photo's brightness: within a
    window the mask becomes a linear function of the brightness, where that varies.
    """
    grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    height, width = frame.size_hw
    crops = []
    for i in range(len(masks)):
        x0, y0, patch = masks.crop(i)
        if not patch.any():
            crops.append(Crop(x0, y0, patch))
            continue
        margin = 2 * radius
        left, top = max(x0 - margin, 0), max(y0 - margin, 0)
        right = min(x0 + patch.shape[1] + margin, width)
        bottom = min(y0 + patch.shape[0] + margin, height)
        soft = np.zeros((bottom - top, right - left), np.float32)
        soft[y0 - top : y0 - top + patch.shape[0], x0 - left : x0 - left + patch.shape[1]] = patch
        guided = _guided(soft, grey[top:bottom, left:right], radius)
        moved = guided > 0.5
        crops.append(Crop(left, top, moved) if moved.any() else Crop(x0, y0, patch))
    return _changed(masks, crops)


def _guided(soft: NDArray[np.float32], guide: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Return the guided filter of ``soft``."""

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        side = 2 * radius + 1
        return np.asarray(
            cv2.boxFilter(values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT), np.float32
        )

    mean_guide, mean_soft = mean(guide), mean(soft)
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * soft) - mean_guide * mean_soft) / (variance + np.float32(_GUIDE_NOISE**2))
    offset = mean_soft - slope * mean_guide
    return np.asarray(mean(slope) * guide + mean(offset), np.float32)


def fill_and_drop(masks: MaskSet, min_region_area: int) -> MaskSet:
    """Return the masks without holes and islands of under ``min_region_area`` pixels."""
    crops = []
    for i in range(len(masks)):
        x0, y0, patch = masks.crop(i)
        # One empty pixel around, so that a bay at the crop's edge is no hole.
        tidy = clean(np.pad(patch, 1), min_region_area)[1:-1, 1:-1] if patch.size else patch
        crops.append(Crop(x0, y0, tidy))
    return _changed(masks, crops)


def _changed(masks: MaskSet, crops: list[Crop]) -> MaskSet:
    """Return the masks with other pixels, the same scores, and tight boxes."""
    made = MaskSet.from_crops(crops, masks.size_hw, masks.scores)
    return replace(made, boxes_xyxy=made.tight_boxes())
