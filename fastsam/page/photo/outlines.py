"""Mask -> outlines, as the browser draws them."""

from __future__ import annotations

import cv2
import numpy as np

from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.page.photo.protocol import MaskRecord

__all__ = ["mask_record", "middle_of", "rings_of"]

_TOLERANCE = 0.6  # of outlines, pixels of the display


def mask_record(masks: MaskSet, i: int, row: int, crop: Crop, step: int) -> MaskRecord:
    """Return one mask as the browser draws it.

    Args:
        masks: masks of the photo.
        i: which of them.
        row: its number among everything.
        crop: its pixels, every step-th of them.
        step: the distance of those pixels.
    """
    area = int(np.count_nonzero(crop.patch)) * step * step
    return {
        "row": row,
        "rings": rings_of(crop, step),
        "score": round(float(masks.scores[i]), 4),
        "share": round(area / (masks.size_hw[0] * masks.size_hw[1]), 5),
        "box": [round(float(edge), 1) for edge in masks.boxes_xyxy[i]],
        "at": middle_of(crop, step),
    }


def rings_of(crop: Crop, step: int = 1) -> list[list[int]]:
    """Return the outlines of a mask and of its holes as x, y, x, y, ..., image pixels.

    Args:
        crop: the mask, every step-th pixel of it.
        step: the distance of those pixels.

    >>> rings_of(Crop(10, 20, np.ones((2, 3), bool)))
    [[10, 20, 10, 22, 13, 22, 13, 20]]
    """
    if not crop.patch.any():
        return []
    # Twice as large, and half a pixel wider on all sides: outlines run along the edges of pixels.
    doubled = np.pad(np.repeat(np.repeat(crop.patch.astype(np.uint8), 2, axis=0), 2, axis=1), 1)
    edges = cv2.dilate(doubled, np.ones((2, 2), np.uint8), anchor=(1, 1))
    contours, _ = cv2.findContours(edges, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = []
    for contour in contours:
        simple = cv2.approxPolyDP(contour, 2 * _TOLERANCE, True)[:, 0].astype(np.float64) - 1
        if len(simple) < 3:
            continue
        xy = np.rint(simple / 2 * step + (crop.x0, crop.y0)).astype(int)
        rings.append([int(value) for value in xy.reshape(-1)])
    return rings


def middle_of(crop: Crop, step: int) -> list[int]:
    """Return a point deep inside a mask, for its name."""
    x, y = Crop(0, 0, crop.patch).deepest(max(max(crop.patch.shape) // 96, 1)) or (0, 0)
    return [crop.x0 + x * step, crop.y0 + y * step]
