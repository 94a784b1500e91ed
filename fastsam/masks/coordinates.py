"""Points and boxes of users: checked, in pixels of the image, ``(x, y)`` and ``xyxy``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.untrusted import short

__all__ = ["as_floats", "as_text", "check_box_order", "check_boxes", "check_points", "clip_boxes"]

FloatArray = NDArray[np.float32]


def as_floats(values: Any, what: str, wanted: str) -> NDArray[np.float64]:
    """Return values as float64.

    Raises:
        PromptError: they are no numbers; ``what`` and ``wanted`` say what they should have been.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # RuntimeError: a tensor with grad
        raise PromptError(f"{what}: expected {wanted}, got {short(values)}") from error


def as_text(coordinates: NDArray[np.float64]) -> str:
    """Return coordinates as messages show them.

    >>> as_text(np.array([1.0, 2.5]))
    '(1, 2.5)'
    """
    return "(" + ", ".join(f"{value:g}" for value in coordinates) + ")"


def _rows(values: Any, what: str, wanted: str, width: int) -> NDArray[np.float64]:
    """Return values as an (n, width) array; a single row may come without its outer list."""
    array = as_floats(values, what, wanted)
    array = array.reshape(0, width) if array.size == 0 else array
    array = array[None] if array.shape == (width,) else array
    if array.ndim != 2 or array.shape[1] != width:
        raise PromptError(f"{what}: expected {wanted}, got shape {array.shape}")
    return array


def check_box_order(boxes_xyxy: NDArray[np.float64]) -> None:
    """Raise PromptError unless all (n, 4) boxes are finite, with x1 < x2 and y1 < y2."""
    for box in boxes_xyxy:
        if not np.isfinite(box).all():
            raise PromptError(f"box {as_text(box)}: coordinates must be finite numbers")
        if box[2] <= box[0] or box[3] <= box[1]:
            raise PromptError(f"box {as_text(box)}: expected x1 < x2 and y1 < y2 (xyxy, not xywh)")


def check_points(points: Any, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return points as a (P, 2) float array of (x, y) image pixels, checked.

    Raises:
        PromptError: the shape is wrong, a coordinate is not a number, or lies outside the image.

    >>> check_points([3, 4], (10, 10)).tolist()
    [[3.0, 4.0]]
    """
    array = _rows(points, "points", "(x, y) pairs, shape (P, 2)", 2)
    height, width = size_hw
    inside = ((array >= 0) & (array < np.array([width, height]))).all(axis=1)
    for x, y in array[~inside][:1]:
        if not (math.isfinite(x) and math.isfinite(y)):
            raise PromptError(f"point ({x:g}, {y:g}): coordinates must be finite numbers")
        raise PromptError(
            f"point ({x:g}, {y:g}) is outside the {width}x{height} image; "
            f"points are (x, y) in image pixels, 0 <= x < {width}, 0 <= y < {height}"
        )
    return array


def check_boxes(boxes: Any, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes as an (n, 4) float xyxy array in image pixels, checked.

    Raises:
        PromptError: the shape is wrong, a number is not finite, x2 <= x1 or y2 <= y1, or the box
            leaves the image.

    >>> check_boxes([0, 0, 5, 5], (10, 10)).shape
    (1, 4)
    """
    array = _rows(boxes, "boxes", "xyxy boxes, shape (n, 4)", 4)
    check_box_order(array)
    height, width = size_hw
    for box in array[((array < 0) | (array > np.array([width, height, width, height]))).any(axis=1)][:1]:
        raise PromptError(
            f"box {as_text(box)} leaves the {width}x{height} image; boxes are xyxy in image pixels, "
            f"0 <= x <= {width}, 0 <= y <= {height}"
        )
    return array


def clip_boxes(boxes_xyxy: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Return a copy of (N, 4) xyxy boxes cut to the image."""
    height, width = size_hw
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limits)
