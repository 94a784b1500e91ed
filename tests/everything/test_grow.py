"""Boxes that are moved out to where their masks end."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.everything.grow import grown_boxes
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.stores.grid import GridStore

GRID_HW = (32, 40)  # of an image of 128 x 160 pixels, which the network sees as it is


def store(logits: NDArray[np.float32], *boxes: tuple[float, float, float, float]) -> GridStore:
    """One mask a box, all with the same logits on the grid."""
    letterbox = Letterbox.fit((128, 160), 160)
    assert letterbox.net_hw == (128, 160)
    return GridStore(
        np.ones((len(boxes), 1), np.float32),
        logits[None].astype(np.float32),
        np.array(boxes, np.float32).reshape(-1, 4),
        GridMap(letterbox, GRID_HW),
    )


def rectangle(*parts: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Logits of 4 in some rectangles of cells (x0, y0, x1, y1), of -4 elsewhere."""
    logits = np.full(GRID_HW, -4, np.float32)
    for x0, y0, x1, y1 in parts:
        logits[y0:y1, x0:x1] = 4
    return logits


def test_without_growth_nothing_moves() -> None:
    cut = store(rectangle((5, 5, 30, 25)), (40, 40, 80, 80))
    assert np.array_equal(grown_boxes(cut, 0.0), cut.boxes_xyxy)


def test_a_side_moves_to_the_end_of_the_mask() -> None:
    # The object is cells 8..20 by 8..16, pixels 32..80 by 32..64; the box misses its right fifth.
    found = grown_boxes(store(rectangle((8, 8, 20, 16)), (32, 32, 70, 64)), 0.4)
    assert found[0, [0, 1, 3]].tolist() == [32, 32, 64]  # three sides stay to the pixel
    assert 80 <= found[0, 2] <= 82


def test_the_mask_then_has_no_straight_cut() -> None:
    logits = np.zeros(GRID_HW, np.float32)
    y, x = np.mgrid[: GRID_HW[0], : GRID_HW[1]]
    logits = (64 - (x - 20.0) ** 2 - (y - 16.0) ** 2).astype(np.float32)  # a disc of radius 8 cells
    whole = MaskSet.from_grid(store(logits, (0, 0, 160, 128)), np.ones(1, np.float32)).mask(0)
    small = store(logits, (60, 40, 100, 90))
    grown = GridStore(small.coefficients, small.prototypes, grown_boxes(small, 0.5), small.grid)
    cut, mended = (MaskSet.from_grid(s, np.ones(1, np.float32)).mask(0) for s in (small, grown))
    assert cut.sum() < 0.75 * whole.sum()
    assert np.array_equal(mended, whole)


def test_growth_ends_where_it_was_learnt() -> None:
    everywhere = store(rectangle((0, 0, 40, 32)), (60, 50, 100, 80))
    found = grown_boxes(everywhere, 0.25)[0]
    assert np.allclose(found, [60 - 12, 50 - 8, 100 + 12, 80 + 8], atol=4)  # a quarter, in whole cells


def test_a_neighbour_moves_nothing() -> None:
    beside = rectangle((8, 8, 16, 16), (18, 8, 22, 16))
    found = grown_boxes(store(beside, (32, 32, 64, 64)), 0.5)
    assert found.tolist() == [[32, 32, 64, 64]]


def test_small_boxes_may_move_by_two_cells() -> None:
    found = grown_boxes(store(rectangle((10, 10, 13, 12)), (40, 40, 48, 48)), 0.05)
    assert 52 <= found[0, 2] <= 54


def test_boxes_stay_in_the_image() -> None:
    found = grown_boxes(store(rectangle((0, 0, 40, 32)), (4, 4, 150, 120), (0, 0, 160, 128)), 1.0)
    assert (found >= 0).all()
    assert (found <= [160, 128, 160, 128]).all()


@pytest.mark.parametrize("growth", [0.0, 0.3])
def test_no_masks(growth: float) -> None:
    assert grown_boxes(store(rectangle()), growth).shape == (0, 4)


def test_every_mask_is_inside_its_box() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        logits = rng.normal(size=GRID_HW).astype(np.float32)
        for axis in (0, 1, 0, 1):
            logits = logits + np.roll(logits, 1, axis) + np.roll(logits, -1, axis)
        corners = rng.uniform(0, [120, 96], (6, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(8, 40, (6, 2))], axis=1)
        plain = store(logits, *[tuple(box) for box in boxes])
        grown = grown_boxes(plain, 0.3)
        assert (grown[:, :2] <= plain.boxes_xyxy[:, :2] + 1e-4).all(), seed
        assert (grown[:, 2:] >= plain.boxes_xyxy[:, 2:] - 1e-4).all(), seed
