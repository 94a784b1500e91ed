"""How much each term of evidence counts: logistic regression on simulated clicks on training images.

Answers to the objects of training images were corrected click by click, and fitted was, cell by cell, whether
the cell is of the object (docs/evaluation.md; ``benchmarks/clicks.py --fit`` does it again). In the n-th
correction a term counts ``first + second / n``: what the answer so far is worth grows.

:data:`DRAWN` was fitted likewise, to boxes (half of them jittered by a tenth) and rough outlines of training
objects (``benchmarks/drawn.py --fit``).
"""

from __future__ import annotations

__all__ = ["BIAS", "DRAWN", "WEIGHTS"]

BIAS = (-1.04, -1.873)
WEIGHTS = {
    "depth_by_3_reaches": (2.071, 0.774),
    "depth_by_radius": (2.064, -0.657),
    "sureness": (1.219, -0.65),
    "new_far": (0.67, 1.101),
    "new_walk": (0.662, 0.793),
    "new_alike": (0.664, 0.419),
    "clicks_close": (0.459, -0.523),
    "clicks_wide": (0.152, 1.889),
    "clicks_nearer": (-0.648, -0.499),
    "clicks_walk": (1.268, 1.348),
    "clicks_colour": (0.43, 0.302),
    "new_masks": (0.325, -0.068),
    "masks_suited": (-0.345, 1.104),
    "masks_alike": (0.655, 0.096),
    "looks": (1.327, -0.683),
}

DRAWN = {
    "box": {
        "bias": -1.052, "within": 0.0, "middle": 0.456, "best": 1.437, "votes": 0.678, "looks_best": 1.512,
        "looks": 0.676,
    },
    "outline": {
        "bias": 0.489, "within": 6.792, "middle": -0.926, "best": 0.283, "votes": 0.455, "looks_best": 1.083,
        "looks": 0.931,
    },
}  # fmt: skip
