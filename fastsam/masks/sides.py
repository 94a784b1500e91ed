"""Straight sides of masks, and whether the photo shows an edge there (numpy, cv2).

A mask that is cut at a box ends in a ruler-straight line where the thing goes on. A window does so too, but
there the photo changes across the line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop

__all__ = ["Side", "count_sides", "straight_sides", "supported"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
_LEAST_SHARE = 1 / 8  # of the outline that lies on one side of the box
_LEAST_PX = 16
_TOLERANCE_PX = 2  # edges may have been moved onto the photo's by about this
_TOLERANCE_SHARE = 0.02  # of the box's extent across the side: curves touch their box, too
_STRIP_PX = 3  # what is compared on either side of the line
_GAP_PX = 1  # left out beside the line: it may be off by a pixel
_ALONG_PX = 7  # colours are averaged along the line
_BESIDE_PX = (-12, -8, 8, 12)  # lines beside it, which show how much the photo changes anyway
_LEAST_CONTRAST = 5.0  # in CIELAB, where about 2 is just seen
_LEAST_RATIO = 1.25  # to the lines beside it


class Side(NamedTuple):
    """A straight side: the line between pixels ``at - 1`` and ``at``, from pixel ``start`` to ``stop``.

    ``axis`` is 0 where it runs across (a top or bottom side), 1 where it runs down.
    """

    axis: int
    at: int
    start: int
    stop: int


def straight_sides(crop: Crop, size_hw: tuple[int, int]) -> list[Side]:
    """Return the sides of a mask's tight box along which an eighth of its outline runs.

    Sides on the image's edge do not count: there nothing else can be.

    Args:
        crop: the mask.
        size_hw: of the image.
    """
    rows, columns = np.flatnonzero(crop.patch.any(axis=1)), np.flatnonzero(crop.patch.any(axis=0))
    if len(rows) == 0:
        return []
    patch = crop.patch[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    x0, y0 = crop.x0 + int(columns[0]), crop.y0 + int(rows[0])
    outlines, _ = cv2.findContours(patch.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = max(_LEAST_SHARE * sum(cv2.arcLength(ring, True) for ring in outlines), _LEAST_PX)
    sides: list[Side] = []
    for axis, first, along in ((0, y0, x0), (1, x0, y0)):
        across = patch if axis == 0 else patch.T
        depth = max(1, round(min(_TOLERANCE_PX, _TOLERANCE_SHARE * len(across))))
        for end, at in ((across[:depth], first), (across[-depth:], first + len(across))):
            run = np.flatnonzero(end.any(axis=0))
            if len(run) >= least and 0 < at < size_hw[axis]:
                sides.append(Side(axis, at, along + int(run[0]), along + int(run[-1]) + 1))
    return sides


def supported(side: Side, lab: FloatArray) -> bool:
    """Return whether the photo changes across a side, and more than beside it.

    Args:
        side: a straight side.
        lab: (H, W, 3) the photo in CIELAB.
    """
    image = lab if side.axis == 0 else lab.transpose(1, 0, 2)
    band = image[:, side.start : side.stop]
    here = _change(band, side.at)
    beside = [_change(band, side.at + step) for step in _BESIDE_PX]
    known = [value for value in beside if np.isfinite(value)]
    return bool(here >= max(_LEAST_CONTRAST, _LEAST_RATIO * float(np.mean(known)) if known else 0.0))


def _change(band: FloatArray, at: int) -> float:
    """Return the mean difference of colour across row ``at`` of a (H, length, 3) band; NaN outside."""
    above = band[max(at - _GAP_PX - _STRIP_PX, 0) : max(at - _GAP_PX, 0)]
    below = band[at + _GAP_PX : at + _GAP_PX + _STRIP_PX]
    if len(above) == 0 or len(below) == 0:
        return float("nan")
    difference = (below.mean(axis=0) - above.mean(axis=0))[None]
    smooth = cv2.blur(difference, (_ALONG_PX, 1), borderType=cv2.BORDER_REPLICATE)
    return float(np.linalg.norm(smooth, axis=2).mean())


def count_sides(crops: Iterable[Crop], rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (N, 2): how many straight sides each mask has, and how many of them the photo does not show.

    Args:
        crops: N masks.
        rgb: (H, W, 3) uint8, the photo.
    """
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    size_hw = (rgb.shape[0], rgb.shape[1])
    counts = []
    for crop in crops:
        sides = straight_sides(crop, size_hw)
        counts.append((len(sides), sum(not supported(side, np.asarray(lab, np.float32)) for side in sides)))
    return np.array(counts, np.int64).reshape(-1, 2)
