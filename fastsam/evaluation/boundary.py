"""The BSDS500 boundary benchmark (Arbelaez et al., PAMI 2011), for the boundaries of masks.

The boundary map of an image follows SAM's zero-shot edge protocol (arXiv 2304.02643, section 7.2): every
mask's boundary, weighted by its confidence, the highest value at each pixel, thinned by non-maximum
suppression. A pixel above a threshold is right when it can be paired with an annotator's boundary pixel
within 0.75 % of the image diagonal; each pixel is paired at most once.

Differences from the official Matlab code:

- Pairs are found by maximum-cardinality matching on the exact graph of pixels in reach. The official code
  solves a sparse min-cost assignment with a few random outlier edges a pixel, which finds the same number
  of pairs up to a few in a thousand, but prefers near ones: the pixels counted as right by *any*
  annotator can differ slightly.
- 33 thresholds by default; the official number is 99 (``boundary_thresholds``). The curve is interpolated
  between them as officially.
- The map is the square root of confidence, which no threshold-free figure depends on, so that evenly
  spaced thresholds also sample the many masks of low confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError
from fastsam.optional import require
from fastsam.records import MaskSet

__all__ = [
    "MAX_DISTANCE",
    "BoundaryCounts",
    "boundary_figures",
    "count_boundaries",
    "edge_nms",
    "even_thresholds",
    "match_boundaries",
    "soft_boundaries",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

MAX_DISTANCE = 0.0075  # share of the image diagonal within which two boundary pixels are the same
_BLUR_PX = 1.0  # boundaries of near-duplicate masks differ by a pixel or so: they are one ridge


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


def soft_boundaries(masks: MaskSet) -> NDArray[np.float32]:
    """Return the thinned (H, W) boundary map of a set of masks, in 0..1.

    A boundary pixel is one whose right, lower or lower right neighbour is on the other side, as in BSDS;
    the image's edge is no boundary.
    """
    strength = np.zeros(masks.size_hw, np.float32)
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
        border = border[max(1 - y0, 0) :, max(1 - x0, 0) :]
        top, left = max(y0 - 1, 0), max(x0 - 1, 0)
        part = strength[top : top + border.shape[0], left : left + border.shape[1]]
        np.maximum(part, np.where(border, math.sqrt(float(masks.scores[i])), 0), out=part)
    return edge_nms(strength)


def edge_nms(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thin an (H, W) edge map: a pixel stays where it is no weaker than both neighbours across the edge.

    Ridges are found on the slightly blurred map; what stays keeps the strongest value beside it.
    """
    if not strength.any():
        return np.zeros_like(strength)
    ridge = cv2.GaussianBlur(strength, (0, 0), _BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    wide = cv2.GaussianBlur(strength, (0, 0), 2 * _BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    gxx, gyy, gxy = (cv2.Sobel(wide, cv2.CV_32F, *order, ksize=3) for order in ((2, 0), (0, 2), (1, 1)))
    # The eigenvector of the most negative curvature points across the ridge.
    steepest = 0.5 * np.arctan2(2 * gxy, gxx - gyy)
    dx, dy = -np.sin(steepest), np.cos(steepest)
    y, x = np.mgrid[: strength.shape[0], : strength.shape[1]].astype(np.float32)
    keep = ridge > 0
    for sign in (1, -1):
        beside = cv2.remap(
            ridge, x + sign * dx, y + sign * dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        keep &= ridge >= beside
    strongest = cv2.dilate(strength, np.ones((3, 3), np.uint8))
    return np.where(keep, strongest, 0).astype(np.float32)


def match_boundaries(
    found: BoolArray, truth: BoolArray, max_distance_px: float
) -> tuple[BoolArray, BoolArray]:
    """Pair boundary pixels one to one, as many as possible, within a distance.

    Returns:
        the (H, W) pixels of ``found`` and of ``truth`` that have a partner.

    Raises:
        InputError: the maps are of different sizes.
        MissingPackageError: scipy is not installed.
    """
    if found.shape != truth.shape:
        raise InputError(f"boundaries: expected two maps of one size, got {found.shape} and {truth.shape}")
    found_hit, truth_hit = np.zeros(found.shape, bool), np.zeros(truth.shape, bool)
    ys, xs = np.nonzero(found)
    true_ys, true_xs = np.nonzero(truth)
    if len(ys) == 0 or len(true_ys) == 0:
        return found_hit, truth_hit
    sparse = require("scipy.sparse", "match boundaries")
    graph = require("scipy.sparse.csgraph", "match boundaries")
    reach = math.floor(max_distance_px)
    numbers = np.full((found.shape[0] + 2 * reach, found.shape[1] + 2 * reach), -1, np.int32)
    numbers[true_ys + reach, true_xs + reach] = np.arange(len(true_ys), dtype=np.int32)
    steps = np.arange(-reach, reach + 1)
    near = [(dy, dx) for dy in steps for dx in steps if dy * dy + dx * dx <= max_distance_px**2]
    partners = np.stack([numbers[ys + reach + dy, xs + reach + dx] for dy, dx in near], axis=1)
    rows, _ = np.nonzero(partners >= 0)
    columns = partners[partners >= 0]
    edges = sparse.csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(ys), len(true_ys)))
    match = graph.maximum_bipartite_matching(edges, perm_type="column")
    paired = match >= 0
    found_hit[ys[paired], xs[paired]] = True
    truth_hit[true_ys[match[paired]], true_xs[match[paired]]] = True
    return found_hit, truth_hit


def count_boundaries(
    strength: NDArray[np.float32], truths: Sequence[BoolArray], thresholds: FloatArray
) -> BoundaryCounts:
    """Compare one image's boundary map with every annotator's boundaries.

    Args:
        strength: (H, W) in 0..1; at each threshold it is thinned once more, as officially.
        truths: an (H, W) boundary map an annotator.
        thresholds: (K,) rising.
    """
    thin = require("skimage.morphology", "thin boundaries").thin
    reach = MAX_DISTANCE * math.hypot(*strength.shape)
    total = sum(int(np.count_nonzero(truth)) for truth in truths)
    counts = np.zeros((len(thresholds), 4), np.int64)
    last = -1
    for k, threshold in enumerate(thresholds):
        above = strength >= max(threshold, np.finfo(np.float32).eps)
        size = int(np.count_nonzero(above))
        if size == last:  # sets of one map are nested: as many pixels are the same pixels
            counts[k] = counts[k - 1]
            continue
        last = size
        thinned = thin(above) if size else above
        hit = np.zeros(above.shape, bool)
        matched = 0
        for truth in truths:
            found_hit, truth_hit = match_boundaries(thinned, truth, reach)
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
