"""The BSDS500 boundary benchmark (Arbelaez et al., PAMI 2011), for the boundaries of masks.

A pixel of an image's boundary map above a threshold is right when it can be paired with an annotator's
boundary pixel within 0.75 % of the image diagonal; each pixel is paired at most once.

The map starts from masks of an everything-run, as SAM's zero-shot edges do (arXiv 2304.02643, section 7.2),
but differs from that protocol:

- Masks vote. SAM takes the strongest mask at each pixel; here the boundaries of all masks add up and are
  blurred to one ridge, so a line on which many masks agree, if only to a few pixels, is strong.
- The votes are multiplied by the contrast of the photo, which also puts the line where the photo changes:
  masks from a coarse grid are a few pixels off. SAM's map does not look at the photo.
- A mask's pixels on the sides of its box count less, for the network cuts masks at their boxes. SAM drops
  masks that touch the sides of a crop of the image.
- The masks are neither prompted by a grid of points nor filtered beyond NMS, and there is no Sobel filter.

Differences from the official Matlab code:

- As many pixels as possible are paired, on the exact graph of pixels in reach, near ones first. The official
  code solves a sparse min-cost assignment with a few random outlier edges a pixel, which finds the same
  number of pairs up to a few in a thousand. Which of several found pixels is paired is free in both, so the
  pixels counted as right by *any* annotator can differ slightly.
- 33 thresholds by default; the official number is 99 (``boundary_thresholds``). The curve is interpolated
  between them as officially.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError
from fastsam.evaluation.lines import LineMatcher, thin_lines
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet

__all__ = [
    "MAX_DISTANCE",
    "BoundaryCounts",
    "boundary_figures",
    "count_boundaries",
    "edge_nms",
    "even_thresholds",
    "soft_boundaries",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Map = NDArray[np.float32]

MAX_DISTANCE = 0.0075  # share of the image diagonal within which two boundary pixels are the same
_VOTE_BLUR = 0.0035  # share of the diagonal by which boundaries of masks that mean the same line differ
_BOX_SIDE = 0.3  # weight of a boundary pixel on a side of its mask's box: a cut more often than an edge
_GRADIENT_BLUR_PX = 1.0  # finer colour changes are noise
_SURROUND = 0.014  # share of the diagonal over which contrast is relative: texture is no boundary
_FLAT = 1e-3  # share by which a ridge must rise above what is beside it: rounding is no ridge
_NO_CONTRAST = 2.0  # CIELAB units a pixel below which a colour change is hardly seen


@dataclass(frozen=True, eq=False)
class BoundaryCounts:
    """Boundary pixels of one image at K thresholds, all (K,) int64.

    Attributes:
        truth_matched: annotators' pixels that were found, summed over annotators.
        truth: annotators' pixels.
        found_matched: found pixels that some annotator drew.
        found: found pixels.
    """

    truth_matched: NDArray[np.int64]
    truth: NDArray[np.int64]
    found_matched: NDArray[np.int64]
    found: NDArray[np.int64]


def even_thresholds(count: int) -> FloatArray:
    """Return ``count`` thresholds inside 0..1, as the benchmark spaces them.

    >>> even_thresholds(3).tolist()
    [0.25, 0.5, 0.75]
    """
    return np.linspace(1 / (count + 1), 1 - 1 / (count + 1), count)


def soft_boundaries(masks: MaskSet, frame: Frame) -> Map:
    """Return the thinned (H, W) boundary map of an image's masks, in 0..1.

    At each pixel: the boundaries of all masks, weighted by the square root of their scores, summed and
    blurred; times the photo's contrast there, 0..1; ``s / (1 + s)`` of that; 0 beside the ridges.

    Raises:
        InputError: the masks are not of the frame's size.
    """
    if masks.size_hw != frame.size_hw:
        raise InputError(
            f"boundaries: expected masks of the frame's size {frame.size_hw} (H, W), got {masks.size_hw}"
        )
    if len(masks) == 0:
        return np.zeros(frame.size_hw, np.float32)
    diagonal = math.hypot(*frame.size_hw)
    sigma = _VOTE_BLUR * diagonal
    # The factor makes the ridge of a straight line as high as the line was before the blur.
    votes = math.sqrt(2 * math.pi) * sigma * _blurred(_votes(masks), sigma)
    ridges = edge_nms(votes * _contrast(frame.rgb, _SURROUND * diagonal))
    return ridges / (1 + ridges)


def _votes(masks: MaskSet) -> Map:
    """Return the (H, W) sum of the weights of the masks that have a boundary at a pixel.

    A boundary pixel is one whose right, lower or lower right neighbour is on the other side, as in BSDS;
    the image's edge is no boundary.
    """
    votes = np.zeros(masks.size_hw, np.float32)
    height, width = masks.size_hw
    for i in range(len(masks)):
        x0, y0, patch = masks.crop(i)
        rows, columns = patch.shape
        if patch.size == 0:
            continue
        around = np.pad(patch, 1)
        if y0 + rows == height:
            around[-1] = around[-2]
        if x0 + columns == width:
            around[:, -1] = around[:, -2]
        here = around[:-1, :-1]
        border = (here != around[1:, :-1]) | (here != around[:-1, 1:]) | (here != around[1:, 1:])
        weight = np.full(border.shape, math.sqrt(float(masks.scores[i])), np.float32)
        weight[[0, -1]] *= _BOX_SIDE
        weight[1:-1, [0, -1]] *= _BOX_SIDE
        border, weight = (part[max(1 - y0, 0) :, max(1 - x0, 0) :] for part in (border, weight))
        top, left = max(y0 - 1, 0), max(x0 - 1, 0)
        votes[top : top + border.shape[0], left : left + border.shape[1]] += border * weight
    return votes


def _contrast(rgb: NDArray[np.uint8], surround_px: float) -> Map:
    """Return the (H, W) colour gradient, relative to that of the surroundings, in 0..1."""
    unit = rgb.astype(np.float32) / np.float32(255)
    smooth = _blurred(np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB), np.float32), _GRADIENT_BLUR_PX)
    slopes = [cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))]
    gradient = np.sqrt(np.sum(np.square(slopes), axis=(0, 3)))
    return np.asarray(gradient / (gradient + _blurred(gradient, surround_px) + _NO_CONTRAST))


def _blurred(image: Map, sigma_px: float) -> Map:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE))


def edge_nms(strength: Map) -> Map:
    """Thin a smooth (H, W) edge map: pixels stay that are no weaker than both neighbours across the edge."""
    gxx, gyy, gxy = (cv2.Sobel(strength, cv2.CV_32F, *order, ksize=3) for order in ((2, 0), (0, 2), (1, 1)))
    # The eigenvector of the most negative curvature points across the ridge.
    steepest = 0.5 * np.arctan2(2 * gxy, gxx - gyy)
    dx, dy = -np.sin(steepest), np.cos(steepest)
    y, x = np.mgrid[: strength.shape[0], : strength.shape[1]].astype(np.float32)
    sides = [
        cv2.remap(strength, x + sign * dx, y + sign * dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for sign in (1, -1)
    ]
    # On the flank of a straight line the curvature is least along the line, where nothing changes: no ridge.
    curved = sides[0] + sides[1] < (2 - _FLAT) * strength
    keep = (strength >= sides[0]) & (strength >= sides[1]) & curved
    return np.where(keep, strength, 0).astype(np.float32)


def count_boundaries(strength: Map, truths: Sequence[BoolArray], thresholds: FloatArray) -> BoundaryCounts:
    """Compare one image's boundary map with every annotator's boundaries.

    Args:
        strength: (H, W) in 0..1; at each threshold it is thinned once more, as officially.
        truths: an (H, W) boundary map an annotator.
        thresholds: (K,) rising.

    Raises:
        InputError: an annotator's map is of another size.
    """
    reach = MAX_DISTANCE * math.hypot(*strength.shape)
    total = sum(int(np.count_nonzero(truth)) for truth in truths)
    matchers = [LineMatcher(truth, reach) for truth in truths]
    counts = np.zeros((len(thresholds), 4), np.int64)
    last = -1
    for k, threshold in enumerate(thresholds):
        above = strength >= max(threshold, np.finfo(np.float32).eps)
        size = int(np.count_nonzero(above))
        if size == last:  # sets of one map are nested: as many pixels are the same pixels
            counts[k] = counts[k - 1]
            continue
        last = size
        thinned = thin_lines(above)
        hit = np.zeros(above.shape, bool)
        matched = 0
        for matcher in matchers:
            found_hit, truth_hit = matcher.match(thinned)
            hit |= found_hit
            matched += int(np.count_nonzero(truth_hit))
        counts[k] = matched, total, np.count_nonzero(hit), np.count_nonzero(thinned)
    return BoundaryCounts(*counts.T)


def boundary_figures(counts: Sequence[BoundaryCounts], thresholds: FloatArray) -> dict[str, float | None]:
    """Pool the counts of many images to the benchmark's figures.

    Returns:
        ``ODS`` (best F over one threshold for all images), ``OIS`` (best threshold for each image),
        ``boundary_AP`` (area under precision over recall), ``R50`` (recall at 50 % precision); None
        without images.
    """
    if not counts:
        return {"ODS": None, "OIS": None, "boundary_AP": None, "R50": None}
    pooled = np.sum([_table(one) for one in counts], axis=0)  # (4, K)
    recall, precision = _ratio(pooled[0], pooled[1]), _ratio(pooled[2], pooled[3])
    best = np.zeros(4)
    for one in counts:
        table = _table(one)
        f = _f_measure(_ratio(table[0], table[1]), _ratio(table[2], table[3]))
        best += table[:, int(f.argmax())]
    ois = _f_measure(_ratio(best[:1], best[1:2]), _ratio(best[2:3], best[3:4]))[0]
    return {
        "ODS": _best_f(recall, precision),
        "OIS": float(ois),
        "boundary_AP": _average_precision(recall, precision),
        "R50": _recall_at(recall, precision, 0.5),
    }


def _table(one: BoundaryCounts) -> FloatArray:
    return np.stack([one.truth_matched, one.truth, one.found_matched, one.found]).astype(np.float64)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _f_measure(recall: FloatArray, precision: FloatArray) -> FloatArray:
    return _ratio(2 * recall * precision, recall + precision)


def _best_f(recall: FloatArray, precision: FloatArray) -> float:
    """Return the best F, with recall and precision interpolated between neighbouring thresholds."""
    share = np.linspace(0, 1, 100)[:, None]
    between = [share * values[1:] + (1 - share) * values[:-1] for values in (recall, precision)]
    f = _f_measure(between[0].reshape(-1), between[1].reshape(-1))
    return float(max(f.max(initial=0.0), _f_measure(recall, precision).max(initial=0.0)))


def _average_precision(recall: FloatArray, precision: FloatArray) -> float:
    """Return the area under the curve, sampled at recalls 0, .01 .. 1; nothing beyond its ends counts."""
    known, index = np.unique(recall, return_index=True)
    if len(known) < 2:
        return 0.0
    samples = np.interp(np.linspace(0, 1, 101), known, precision[index], left=0.0, right=0.0)
    return float(samples.sum() / 100)


def _recall_at(recall: FloatArray, precision: FloatArray, wanted: float) -> float:
    """Return the highest recall on the curve where precision is at least ``wanted``."""
    share = np.linspace(0, 1, 100)[:, None]
    recalls, precisions = (
        np.concatenate([(share * v[1:] + (1 - share) * v[:-1]).reshape(-1), v]) for v in (recall, precision)
    )
    return float(recalls[precisions >= wanted].max(initial=0.0))
