"""Points, boxes, and the one place that maps between the image and the network (pure numpy).

Frames: *image* is the original photo in pixels as a viewer sees it, ``(x, y)`` with the pixel
``(x, y)`` covering ``[x, x + 1) x [y, y + 1)``; *net* is the letterboxed network input; *grid* is the
network's prototype grid. Sizes are ``(height, width)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError
from fastsam.masks.coordinates import clip_boxes

__all__ = ["GridMap", "Letterbox"]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Letterbox:
    """How an image lies in the network's input: scaled to fit, centred, padded.

    The rounding rules are those of ultralytics' ``LetterBox`` and ``scale_boxes``.

    >>> Letterbox.fit((1080, 810), 640).net_hw
    (640, 480)
    """

    image_hw: tuple[int, int]
    net_hw: tuple[int, int]

    @classmethod
    def fit(
        cls, image_hw: tuple[int, int], imgsz: int, *, stride: int = 32, square: bool = False
    ) -> Letterbox:
        """Return the letterbox of an image whose longer side becomes ``imgsz``.

        Args:
            image_hw: image size.
            imgsz: network size; rounded up to a multiple of ``stride``.
            stride: the network's largest stride.
            square: pad to ``imgsz`` x ``imgsz`` (fixed-size exports) instead of to the next stride.
        """
        if min(image_hw) < 1:
            raise InputError(f"image size {image_hw}: expected at least 1x1 pixel")
        imgsz = math.ceil(imgsz / stride) * stride
        gain = min(imgsz / image_hw[0], imgsz / image_hw[1])
        content = [round(side * gain) for side in image_hw]
        if square:
            return cls(image_hw, (imgsz, imgsz))
        height, width = (max(side, 1) + (imgsz - max(side, 1)) % stride for side in content)
        return cls(image_hw, (height, width))

    @cached_property
    def gain(self) -> float:
        """Net pixels per image pixel, before rounding."""
        return min(self.net_hw[0] / self.image_hw[0], self.net_hw[1] / self.image_hw[1])

    @cached_property
    def content_hw(self) -> tuple[int, int]:
        """Size of the scaled image inside the net frame."""
        height, width = (max(round(side * self.gain), 1) for side in self.image_hw)
        return height, width

    @cached_property
    def offset_yx(self) -> tuple[int, int]:
        """Top and left padding in the net frame."""
        (height, width), (inner_h, inner_w) = self.net_hw, self.content_hw
        return round((height - inner_h) / 2 - 0.1), round((width - inner_w) / 2 - 0.1)

    def boxes_to_image(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Map (N, 4) boxes from the net frame to the image frame and cut them to the image."""
        gains, offset = self._gains_and_offset
        return clip_boxes((boxes_xyxy - offset) / gains, self.image_hw)

    def boxes_to_net(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Map (N, 4) boxes from the image frame to the net frame."""
        gains, offset = self._gains_and_offset
        return np.asarray(boxes_xyxy * gains + offset, np.float32)

    @cached_property
    def _gains_and_offset(self) -> tuple[FloatArray, FloatArray]:
        """Two (4,) arrays: a box in the net frame is its box in the image frame times one plus the other."""
        top, left = self.offset_yx
        gain_y = self.content_hw[0] / self.image_hw[0]
        gain_x = self.content_hw[1] / self.image_hw[1]
        gains = np.array([gain_x, gain_y, gain_x, gain_y], np.float32)
        return gains, np.array([left, top, left, top], np.float32)


def _resize_matrix(n_out: int, n_in: int) -> FloatArray:
    """Return the (n_out, n_in) matrix of a 1-D bilinear resize with half-pixel centres."""
    centres = np.maximum((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0.0)
    low = np.minimum(centres.astype(np.int64), n_in - 1)
    high = np.minimum(low + 1, n_in - 1)
    share = (centres - low).astype(np.float32)
    matrix = np.zeros((n_out, n_in), np.float32)
    rows = np.arange(n_out)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, high), share)
    return matrix


@dataclass(frozen=True)
class GridMap:
    """The linear map from the prototype grid to image pixels, one banded matrix an axis.

    ``logits_image = rows @ logits_grid @ columns.T``. The reference is ultralytics'
    ``process_mask_native``: where the padding is no whole number of grid cells, the grid is first
    upsampled 2x or 4x so that it can be cut on whole pixels, then resized to the image.
    """

    letterbox: Letterbox
    grid_hw: tuple[int, int]

    @property
    def cell_px(self) -> float:
        """Side of a cell, image pixels."""
        return self.letterbox.net_hw[0] / self.grid_hw[0] / self.letterbox.gain

    @cached_property
    def rows(self) -> FloatArray:
        """(H, grid height) weights; each row adds up to 1."""
        return self._axis(0)

    @cached_property
    def columns(self) -> FloatArray:
        """(W, grid width) weights; each row adds up to 1."""
        return self._axis(1)

    @cached_property
    def _upsample(self) -> int:
        """1, 2 or 4: the smallest upsampling that cuts the padding on whole pixels."""
        gain, (rows, columns) = self._gain(4), self.grid_hw
        height, width = (max(round(side * gain), 1) for side in self.letterbox.image_hw)
        pad = (4 * rows - height) | (4 * columns - width)
        return 4 // math.gcd(4, pad | pad // 2)

    def _gain(self, factor: int) -> float:
        (height, width), (rows, columns) = self.letterbox.image_hw, self.grid_hw
        return min(factor * rows / height, factor * columns / width)

    def _axis(self, axis: int) -> FloatArray:
        factor = self._upsample
        fine = factor * self.grid_hw[axis]
        side = self.letterbox.image_hw[axis]
        content = max(round(side * self._gain(factor)), 1)
        start = round((fine - content) / 2 - 0.1)
        cut = _resize_matrix(fine, self.grid_hw[axis])[start : start + content]
        return np.ascontiguousarray(_resize_matrix(side, len(cut)) @ cut, dtype=np.float32)

    @cached_property
    def row_spans(self) -> NDArray[np.int64]:
        """(H, 2) first and last grid row that each image row draws from."""
        return _spans(self.rows)

    @cached_property
    def column_spans(self) -> NDArray[np.int64]:
        """(W, 2) first and last grid column that each image column draws from."""
        return _spans(self.columns)


def _centres(low: float, high: float, side: int) -> tuple[int, int]:
    """Return the half-open range of pixels whose centres lie in low..high; never empty."""
    first, last = max(math.ceil(low - 0.5), 0), min(math.ceil(high - 0.5), side)
    if first < last:
        return first, last
    middle = min(max(math.floor((low + high) / 2), 0), side - 1)
    return middle, middle + 1


def _spans(matrix: FloatArray) -> NDArray[np.int64]:
    """Return the first and last non-zero column of each row."""
    used = matrix > 0
    first = used.argmax(axis=1)
    last = matrix.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    return np.stack([first, last], axis=1)
