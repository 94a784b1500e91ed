"""How well an object is followed through a video: the measures of DAVIS, and how it is lost.

J and F are those of Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation" (CVPR 2016), as the official code computes them (davis2017-evaluation, ``db_eval_iou``,
``db_eval_boundary``, ``db_statistics``). Nothing here knows of networks or files.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError
from fastsam.evaluation.metrics import mean

__all__ = [
    "TOLERANCE",
    "contour_accuracy",
    "contours",
    "identity_switches",
    "lost_frames",
    "region_similarity",
    "sequence_statistics",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

TOLERANCE = 0.008  # of the image diagonal: how far two contours may be apart and still agree
_RECALL_AT = 0.5
_DECAY_PARTS = 4
_RIGHT, _WRONG = 0.5, 0.1


def _check(found: BoolArray, truth: BoolArray) -> None:
    for name, mask in (("found", found), ("truth", truth)):
        if mask.ndim != 2 or mask.dtype != bool:
            raise InputError(f"{name}: expected a (H, W) boolean mask, got {mask.dtype} {mask.shape}")
    if found.shape != truth.shape:
        raise InputError(f"masks: expected two of one size, got {found.shape} and {truth.shape} (H, W)")


def region_similarity(found: BoolArray, truth: BoolArray) -> float:
    """Return J, the IoU of two (H, W) masks; 1 where both are empty, as DAVIS counts it.

    Raises:
        InputError: the masks differ in size, or are no (H, W) boolean arrays.

    >>> region_similarity(np.eye(2, dtype=bool), np.ones((2, 2), bool))
    0.5
    """
    _check(found, truth)
    union = int(np.count_nonzero(found | truth))
    return int(np.count_nonzero(found & truth)) / union if union else 1.0


def contours(mask: BoolArray) -> BoolArray:
    """Return the (H, W) pixels that differ from the one right, below, or right below of them.

    That is the Berkeley benchmark's ``seg2bmap``: the contour lies half a pixel towards the origin, and the
    frame's own edge is none.

    >>> contours(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    if mask.size == 0:
        return np.zeros(mask.shape, bool)
    # Beyond the last row and column the mask goes on as it ends, so that nothing differs there.
    wide = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = wide[:-1, 1:], wide[1:, :-1], wide[1:, 1:]
    return np.asarray((mask != right) | (mask != below) | (mask != both))


def contour_accuracy(found: BoolArray, truth: BoolArray, tolerance: float = TOLERANCE) -> float:
    """Return F, the F-measure of the contours of two (H, W) masks.

    A contour pixel agrees where the other contour has one within ``tolerance`` times the image diagonal,
    rounded up to whole pixels. 1 where neither has a contour, 0 where only one has.

    Raises:
        InputError: the masks differ in size, or are no (H, W) boolean arrays; ``tolerance`` is not in 0..1.
    """
    _check(found, truth)
    if not 0 < tolerance < 1:
        raise InputError(
            f"tolerance: expected a share of the diagonal above 0 and below 1, got {tolerance!r}"
        )
    found_edge, truth_edge = contours(found), contours(truth)
    count, wanted = int(np.count_nonzero(found_edge)), int(np.count_nonzero(truth_edge))
    if count == 0 or wanted == 0:
        return float(count == wanted)
    near = _disk(math.ceil(tolerance * math.hypot(*found.shape)))
    matched = int(np.count_nonzero(found_edge & _dilated(truth_edge, near)))
    covered = int(np.count_nonzero(truth_edge & _dilated(found_edge, near)))
    precision, recall = matched / count, covered / wanted
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _disk(radius: int) -> NDArray[np.uint8]:
    """Return the pixels within ``radius`` of the middle, as skimage's ``disk``."""
    steps = np.arange(-radius, radius + 1)
    return np.asarray(steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)


def _dilated(edge: BoolArray, near: NDArray[np.uint8]) -> BoolArray:
    return np.asarray(cv2.dilate(edge.astype(np.uint8), near)).astype(bool)


def sequence_statistics(values: FloatArray) -> dict[str, float | None]:
    """Return DAVIS's mean, recall and decay of one measure over the frames of one object; None for no frames.

    Recall is the share of frames above 0.5. Decay is the mean of the first quarter less that of the last,
    quarters as the official code cuts them: neighbours share a frame.

    >>> sequence_statistics(np.array([1.0, 0.8, 0.6, 0.4]))
    {'mean': 0.7, 'recall': 0.75, 'decay': 0.4}
    >>> sequence_statistics(np.zeros(0))
    {'mean': None, 'recall': None, 'decay': None}
    """
    values = np.asarray(values, np.float64)
    if len(values) == 0:
        return {"mean": None, "recall": None, "decay": None}
    edges = np.round(np.linspace(1, len(values), _DECAY_PARTS + 1) + 1e-10).astype(int) - 1
    first, last = values[edges[0] : edges[1] + 1], values[edges[-2] : edges[-1] + 1]
    return {
        "mean": mean(values),
        "recall": mean((values > _RECALL_AT).astype(float)),
        "decay": float(first.mean() - last.mean()),
    }


def identity_switches(ious: FloatArray, found_px: NDArray[np.int64]) -> int:
    """Return how often the answer goes over from the object to something else.

    It was right (IoU above .5), and the next time that it is neither empty nor somewhere between, it is
    wrong (IoU below .1). Coming back to the object and leaving it again counts again; an answer that goes
    on where the object is hidden or gone is wrong too.

    Args:
        ious: (T,) of the answer with the object, in order of time.
        found_px: (T,) pixels of the answer.

    >>> identity_switches(np.array([0.9, 0.0, 0.0, 0.8, 0.05]), np.array([5, 5, 5, 5, 5]))
    2
    """
    switches, right = 0, False
    for iou, pixels in zip(ious.tolist(), found_px.tolist(), strict=True):
        if iou > _RIGHT and pixels:
            right = True
        elif iou < _WRONG and pixels:
            switches, right = switches + right, False
    return switches


def lost_frames(found_px: NDArray[np.int64], truth_px: NDArray[np.int64]) -> int:
    """Return in how many frames the object is there and the answer is empty.

    >>> lost_frames(np.array([0, 4, 0]), np.array([4, 4, 0]))
    1
    """
    return int(np.count_nonzero((found_px == 0) & (truth_px > 0)))
