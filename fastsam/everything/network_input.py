"""Image -> network input: the pixels of the letterbox (its coordinates are in fastsam.masks.letterbox)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.letterbox import Letterbox

__all__ = ["PADDING_GREY", "letterbox_image", "network_input"]

PADDING_GREY = 114  # what YOLO networks were trained with


def letterbox_image(rgb: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.uint8]:
    """Return the (net height, net width, 3) uint8 image: scaled bilinearly, centred on grey."""
    height, width = letterbox.content_hw
    top, left = letterbox.offset_yx
    canvas = np.full((*letterbox.net_hw, 3), PADDING_GREY, np.uint8)
    inner = canvas[top : top + height, left : left + width]
    if rgb.shape[:2] == (height, width):
        inner[:] = rgb
    else:
        inner[:] = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas


def network_input(rgb: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.float32]:
    """Return the (1, 3, net height, net width) float32 input in 0..1, RGB."""
    image = letterbox_image(rgb, letterbox).transpose(2, 0, 1)[None]
    return np.multiply(image, np.float32(1 / 255), dtype=np.float32)
