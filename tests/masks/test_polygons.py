"""Masks as polygons along pixel edges, and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fastsam.masks.polygons import (
    INSET_PX,
    edge_polygons,
    fill_polygons,
    join_rings,
    outlines,
    rasterise,
    yolo_polygon,
)
from tests import oracles
from tests.drawing import blob, ellipse, rectangle

small_masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def area(ring: NDArray[np.float32]) -> float:
    x, y = ring.T.astype(float)
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


def from_yolo(line: str, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    return np.array(line.split(), np.float32).reshape(-1, 2) * np.float32(size_hw[::-1])


@settings(max_examples=150, deadline=None)
@given(small_masks, st.booleans())
def test_exact_outlines_give_the_mask_back(mask: NDArray[np.bool_], joined: bool) -> None:
    rings = outlines(mask, 0)
    assert np.array_equal(rasterise([join_rings(rings)] if joined else rings, mask.shape), mask)


def test_a_square_has_its_area() -> None:
    mask = rectangle((40, 50), 10, 20, 20, 30)
    (ring,) = outlines(mask)
    assert sorted(ring.tolist()) == [[10, 20], [10, 30], [20, 20], [20, 30]]
    assert area(ring) == 100
    assert area(from_yolo(str(yolo_polygon(mask)), (40, 50))) == pytest.approx(100, abs=0.05)


@pytest.mark.parametrize("thin", ["row", "column", "diagonal", "pixel", "antenna"])
def test_what_is_one_pixel_wide_keeps_its_outline(thin: str) -> None:
    mask = np.zeros((120, 110), bool)
    if thin == "row":
        mask[7, 5:105] = True
    elif thin == "column":
        mask[5:105, 7] = True
    elif thin == "diagonal":
        mask[np.arange(5, 105), np.arange(5, 105)] = True
    elif thin == "pixel":
        mask[3, 4] = True
    else:
        mask[40:80, 40:80], mask[0:40, 60] = True, True
    assert len(outlines(mask)) == 1
    assert np.array_equal(rasterise(outlines(mask), mask.shape), mask)
    assert np.array_equal(rasterise([from_yolo(str(yolo_polygon(mask)), mask.shape)], mask.shape), mask)


@pytest.mark.parametrize("seed", range(5))
def test_simplified_outlines_keep_area_holes_and_islands(seed: int) -> None:
    mask = blob((140, 150), seed, 0.4)
    mask[60:80, 60:80], mask[65:75, 65:75] = True, False
    few, all_of_them = outlines(mask), outlines(mask, 0)
    assert sum(map(len, few)) < sum(map(len, all_of_them))
    back = rasterise(few, mask.shape)
    assert oracles.iou(back, mask) > 0.93
    assert abs(int(back.sum()) - int(mask.sum())) < 0.02 * mask.sum()
    assert not back[66:74, 66:74].any()


def test_stairs_of_a_disc_go() -> None:
    mask = ellipse((200, 200), 10, 10, 190, 190)
    (fine,), (coarse,) = outlines(mask, 0), outlines(mask)
    assert len(coarse) < len(fine) / 3
    assert oracles.iou(rasterise([coarse], mask.shape), mask) > 0.98


@settings(max_examples=150, deadline=None)
@given(small_masks)
def test_readers_that_cut_off_decimals_find_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    rings = outlines(mask, 0, inset_px=INSET_PX)
    assert np.array_equal(rasterise(rings, mask.shape), mask)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    for island in (labels == i for i in range(1, count)):
        if len(edge_polygons(island)[0]) > 1:
            continue  # such readers draw the bridges to holes, too
        line = from_yolo(str(yolo_polygon(island)), mask.shape)
        cut = fill_polygons([line.astype(np.int32).astype(np.float32)], mask.shape)
        assert np.array_equal(cut, island)


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((3, 4), bool)) == []
    assert yolo_polygon(np.zeros((3, 4), bool)) is None
    assert not rasterise([], (3, 4)).any()
    assert not rasterise([np.array([[0, 0], [2, 2]])], (3, 4)).any()
