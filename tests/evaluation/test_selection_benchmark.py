"""The peers in benchmarks/selection.py behave as the peers do, and the ceilings are ceilings."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from benchmarks.selection import SELECTORS, CasiaStyle, Ultralytics, measure
from fastsam.images.frame import Frame
from fastsam.masks.dense import box_from_mask, farthest_point
from fastsam.masks.maskset import MaskSet

SIZE = (90, 120)


def blobs(count: int, seed: int) -> MaskSet:
    """Nested and overlapping rectangles, best score first."""
    rng = np.random.default_rng(seed)
    stack = np.zeros((count, *SIZE), bool)
    for mask in stack:
        height, width = rng.integers(8, 80, 2)
        y, x = rng.integers(0, SIZE[0] - 8), rng.integers(0, SIZE[1] - 8)
        mask[y : y + height, x : x + width] = True
    return MaskSet.from_dense(stack, np.linspace(0.9, 0.1, count))


FRAME = Frame(np.ascontiguousarray(data.astronaut()[: SIZE[0], : SIZE[1]]))


def test_both_peers_join_what_a_click_hits_and_agree_on_boxes() -> None:
    masks, targets = blobs(12, 0), np.asarray(blobs(8, 1))
    dense = np.asarray(masks)
    casia, ultralytics = CasiaStyle(FRAME, masks, dense), Ultralytics(FRAME, masks, dense)
    joined = 0
    for target in targets:
        x, y = farthest_point(target)
        expected = dense[dense[:, y, x]].any(axis=0)
        joined += int(dense[:, y, x].sum() > 1)
        assert (casia.click(x, y, target) == expected).all()
        assert (ultralytics.click(x, y, target) == expected).all()
        box = box_from_mask(target)
        assert (casia.box(box, target) == ultralytics.box(box, target)).all()
    assert joined >= 3


@pytest.mark.parametrize("count", [0, 1, 15])
def test_no_selector_beats_the_ceiling(count: int) -> None:
    masks, targets = blobs(count, 2), np.asarray(blobs(6, 3))
    tables = measure(FRAME, masks, targets)
    assert set(tables) == set(SELECTORS)
    ceiling = tables["oracle (ceiling)"]
    for name, rows in tables.items():
        assert rows.shape == (6, 4), name
        assert (rows[:, 2] <= ceiling[:, 2] + 1e-6).all(), name
        if name not in ("ultralytics", "CASIA style"):  # a union may beat every single mask
            assert (rows[:, 0] <= ceiling[:, 0] + 1e-6).all(), name
    assert (ceiling[:, [0, 2]].max() > 0) == (count > 0)


def test_no_objects() -> None:
    assert all(rows.shape == (0, 4) for rows in measure(FRAME, blobs(3, 0), []).values())
