"""Drawn masks and a photo of their size that the tests of the call shapes share."""

from __future__ import annotations

from typing import Any

import numpy as np
import skimage.data

import fastsam
from fastsam.testing import FixedSegmenter

SIZE = (60, 80)  # H, W
BIG, INNER, BAR = (10, 10, 70, 50), (14, 14, 34, 34), (72, 5, 79, 55)  # xyxy; INNER lies in BIG
PHOTO = np.ascontiguousarray(skimage.data.astronaut()[100:160, 200:280])


def rect(box: tuple[int, int, int, int], size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


MASKS = np.stack([rect(box) for box in (BIG, INNER, BAR)])
NOTHING = np.zeros((0, *SIZE), bool)


def core(masks: np.ndarray = MASKS, scores: Any = (0.9, 0.8, 0.7)) -> fastsam.FastSAM:
    return fastsam.FastSAM(segmenter=FixedSegmenter(masks, scores[: len(masks)]))
