"""How much each term of evidence counts: logistic regression on simulated clicks on training images.

Answers to the objects of training images were corrected click by click, and fitted was, cell by cell, whether
the cell is of the object (docs/evaluation.md; ``benchmarks/clicks.py --fit`` does it again). In the n-th
correction a term counts ``first + second / n``: what the answer so far is worth grows.
"""

from __future__ import annotations

__all__ = ["BIAS", "WEIGHTS"]

BIAS = (-1.147, -1.938)
WEIGHTS = {
    "depth_by_3_reaches": (2.245, 0.599),
    "depth_by_radius": (1.29, -0.483),
    "sureness": (1.117, -0.255),
    "new_far": (0.855, 0.323),
    "new_walk": (0.864, 0.523),
    "new_alike": (0.577, -0.225),
    "clicks_close": (0.332, 0.161),
    "clicks_wide": (0.206, 1.874),
    "clicks_nearer": (-0.836, 0.025),
    "clicks_walk": (1.15, 0.556),
    "clicks_colour": (0.819, 0.154),
    "new_masks": (0.439, -0.357),
    "masks_suited": (-0.61, 1.197),
    "masks_alike": (1.155, -0.578),
    "looks": (1.367, -1.126),
}
