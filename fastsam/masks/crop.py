"""A mask cut to a rectangle, and the arithmetic of such rectangles."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Crop", "edge_distance", "lookup"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


class Crop(NamedTuple):
    """A mask inside a rectangle: ``patch`` is (h, w), its top left pixel is (x0, y0) in the image.

    >>> crop = Crop(2, 1, np.array([[0, 1], [0, 1]], bool))
    >>> crop.box, crop.tight().box
    ((2, 1, 4, 3), (3, 1, 4, 3))
    """

    x0: int
    y0: int
    patch: BoolArray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the rectangle, image pixels."""
        height, width = self.patch.shape
        return self.x0, self.y0, self.x0 + width, self.y0 + height

    def cut(self, canvas: NDArray[Any]) -> NDArray[Any]:
        """Return the view of an image (H, W, ...) that lies under the rectangle."""
        x0, y0, x1, y1 = self.box
        return canvas[y0:y1, x0:x1]

    def paste(self, canvas: NDArray[Any], value: Any = True) -> None:
        """Set the mask's pixels of an image (H, W, ...) to a value, in place."""
        self.cut(canvas)[self.patch] = value

    def grown(self, margin_px: int, size_hw: tuple[int, int]) -> Crop:
        """Return the same mask in a rectangle that is larger on all sides, as far as the image goes.

        >>> Crop(1, 0, np.ones((1, 1), bool)).grown(2, (2, 9)).box
        (0, 0, 4, 2)
        """
        x0, y0, x1, y1 = self.box
        left, top = max(x0 - margin_px, 0), max(y0 - margin_px, 0)
        right, bottom = min(x1 + margin_px, size_hw[1]), min(y1 + margin_px, size_hw[0])
        patch = np.pad(self.patch, ((y0 - top, bottom - y1), (x0 - left, right - x1)))
        return Crop(left, top, patch)

    def within(self, x0: int, y0: int, x1: int, y1: int) -> Crop:
        """Return the part of the mask that lies in a rectangle of the image; it may be empty.

        >>> Crop(2, 1, np.ones((3, 3), bool)).within(0, 0, 3, 9).box
        (2, 1, 3, 4)
        """
        left, top = max(x0 - self.x0, 0), max(y0 - self.y0, 0)
        patch = self.patch[top : max(y1 - self.y0, 0), left : max(x1 - self.x0, 0)]
        return Crop(self.x0 + left, self.y0 + top, patch)

    def tight(self) -> Crop:
        """Return the same mask in the smallest rectangle; a mask without pixels gets a patch of (0, 0)."""
        rows, columns = np.flatnonzero(self.patch.any(axis=1)), np.flatnonzero(self.patch.any(axis=0))
        if rows.size == 0:
            return Crop(self.x0, self.y0, np.zeros((0, 0), bool))
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        return Crop(self.x0 + x0, self.y0 + y0, np.ascontiguousarray(self.patch[y0:y1, x0:x1]))

    def minus(self, other: Crop) -> Crop:
        """Return the mask without the pixels of another one; the rectangle stays.

        >>> Crop(0, 0, np.ones((1, 3), bool)).minus(Crop(1, 0, np.ones((5, 1), bool))).patch.tolist()
        [[True, False, True]]
        """
        rest = self.patch.copy()
        (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = self.box, other.box
        x0, y0, x1, y1 = max(ax0, bx0), max(ay0, by0), min(ax1, bx1), min(ay1, by1)
        if x0 < x1 and y0 < y1:
            taken = other.patch[y0 - by0 : y1 - by0, x0 - bx0 : x1 - bx0]
            rest[y0 - ay0 : y1 - ay0, x0 - ax0 : x1 - ax0] &= ~taken
        return Crop(self.x0, self.y0, rest)

    def deepest(self, step: int = 1) -> tuple[int, int] | None:
        """Return the (x, y) image pixel of the mask that is farthest from its edge; None without pixels.

        The patch's edge counts as the mask's. This is the click of SAM's single-point protocol
        (arXiv 2304.02643, section 7.1).

        Args:
            step: look at every step-th pixel only, which is faster; at all if those miss the mask.
        """
        small = self.patch[::step, ::step]
        if not small.any():
            return self.deepest() if step > 1 else None
        y, x = np.unravel_index(int(edge_distance(small).argmax()), small.shape)
        return self.x0 + int(x) * step, self.y0 + int(y) * step


def edge_distance(mask: BoolArray, *, exact: bool = True) -> FloatArray:
    """Return (H, W) how far each pixel of a mask is from the nearest pixel outside; 0 outside.

    What lies beyond the array counts as outside.

    Args:
        mask: (H, W).
        exact: Euclidean distances; else up to 5 % off, several times faster.

    >>> edge_distance(np.ones((3, 3), bool)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    size = cv2.DIST_MASK_PRECISE if exact else cv2.DIST_MASK_3
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, size)[1:-1, 1:-1], np.float32)


def lookup(crop: Crop, pixels_xy: NDArray[np.int64]) -> BoolArray:
    """Return (P,) whether each (x, y) pixel is in a mask.

    >>> lookup(Crop(2, 1, np.ones((1, 1), bool)), np.array([[2, 1], [3, 1]])).tolist()
    [True, False]
    """
    x, y = pixels_xy[:, 0] - crop.x0, pixels_xy[:, 1] - crop.y0
    height, width = crop.patch.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    hits = np.zeros(len(pixels_xy), bool)
    hits[inside] = crop.patch[y[inside], x[inside]]
    return hits
