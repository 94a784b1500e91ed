"""What it means that two backends find the same masks."""

from __future__ import annotations

import numpy as np

from fastsam.masks.maskset import MaskSet

PHOTOGRAPHS = [
    ("bus", 640),
    ("zidane", 320),
    ("coffee", 640),
    ("chelsea", 1024),
    ("bus, odd", 640),
    ("bus, strip", 640),
    ("zidane, column", 640),
    ("coffee, small", 320),
]


def assert_same_masks(found: MaskSet, wanted: MaskSet, conf: float) -> None:
    """Check that masks pair up by box, but for those whose confidence lies at the threshold, with IoU >= .99.

    Both sets are in order of plain confidence.
    """
    sure = [masks.scores > conf + 1e-3 for masks in (found, wanted)]
    pairs = set()
    for mine, other, certain in ((found, wanted, sure[0]), (wanted, found, sure[1])):
        for i in np.flatnonzero(certain):
            distance = np.abs(other.boxes_xyxy - mine.boxes_xyxy[i]).max(axis=1)
            assert distance.size, "one side found nothing"
            k = int((distance + 10 * np.abs(other.scores - mine.scores[i])).argmin())
            assert distance[k] < 0.05, f"mask {i}: the nearest box is {distance[k]} pixels away"
            pairs.add((int(i), k) if mine is found else (k, int(i)))
    assert len({i for i, _ in pairs}) == len({k for _, k in pairs}) == len(pairs)
    for i, k in pairs:
        assert abs(float(found.scores[i] - wanted.scores[k])) < 1e-3
        one, two = found.mask(i), wanted.mask(k)
        if two.sum() > 100:
            assert (one & two).sum() / (one | two).sum() >= 0.99
