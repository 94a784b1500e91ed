"""How much each term of evidence counts: logistic regression on simulated clicks on training images.

`benchmarks/clicks.py --fit` makes these numbers: it corrects answers to the objects of training images click
by click, and fits, cell by cell, whether the cell is of the object (docs/evaluation.md).
"""

from __future__ import annotations

__all__ = ["BIAS", "WEIGHTS"]

BIAS = -0.55
WEIGHTS = {
    "side": 0.34, "depth_by_reach": 0.44, "depth_by_3_reaches": 0.2, "depth_by_radius": 0.22, "sureness": 0.27,
    "new_disc": 0.37, "new_near": 0.47, "new_far": 0.77, "new_walk_near": 0.43, "new_walk_far": 0.79,
    "new_alike": 0.45, "new_masks": 0.6, "new_mask": 0.4,
    "clicks_close": 0.44, "clicks_wide": 0.32, "clicks_nearer": 0.29, "clicks_walk": 0.45,
    "clicks_colour": 0.19,
    "masks_suited": 0.32, "masks_alike": 0.29, "mask_best": 0.5, "looks": 0.4,
}  # fmt: skip
