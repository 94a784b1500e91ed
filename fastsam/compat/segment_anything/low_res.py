"""SAM's low-resolution logits: masks in a square of 256, the longer side of the image across it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.compat.arguments import as_array
from fastsam.errors import PromptError

__all__ = ["LOGIT", "LOW_RES", "from_low_res", "to_low_res"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

LOW_RES = 256
"""Side of the square."""
LOGIT = 10.0
"""What stands for "inside" in a mask given as logits; minus that outside."""


def _content_hw(size_hw: tuple[int, ...]) -> tuple[int, int]:
    """Return the part of the square that an image fills."""
    scale = LOW_RES / max(size_hw)
    height, width = (max(int(side * scale + 0.5), 1) for side in size_hw)
    return height, width


def to_low_res(mask: BoolArray) -> FloatArray:
    """Return an (H, W) mask as (256, 256) logits; a mask with pixels stays one."""
    height, width = _content_hw(mask.shape)
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    logits = np.full((LOW_RES, LOW_RES), -LOGIT, np.float32)
    if mask.any():
        # Half covered is the edge, but a mask thinner than a low-res pixel reaches that nowhere.
        edge = min(0.5, float(covered.max()) / 2)
        logits[:height, :width] = np.clip(2 * LOGIT * (covered - edge), -LOGIT, LOGIT)
    return logits


def from_low_res(mask_input: Any, size_hw: tuple[int, int]) -> BoolArray | None:
    """Return logits as an (H, W) mask; None where none is above 0: such an answer asks for nothing.

    Raises:
        PromptError: these are no logits of that shape, or not finite.
    """
    logits = np.asarray(as_array(mask_input))
    shapes = ((1, 1, LOW_RES, LOW_RES), (1, LOW_RES, LOW_RES), (LOW_RES, LOW_RES))
    if logits.shape not in shapes or logits.dtype.kind not in "fiu":
        raise PromptError(
            f"mask_input: expected logits of shape (1, {LOW_RES}, {LOW_RES}), such as low_res[:1] of an "
            f"earlier predict, got {logits.dtype} {logits.shape}"
        )
    logits = logits.reshape(LOW_RES, LOW_RES).astype(np.float32)
    if not np.isfinite(logits).all():
        raise PromptError("mask_input: expected finite logits, got NaN or infinity")
    height, width = _content_hw(size_hw)
    full = cv2.resize(logits[:height, :width], size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full > 0) if (full > 0).any() else None
