"""Straight sides of masks, and whether a photo shows them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.masks.crop import Crop
from fastsam.masks.sides import Side, count_sides, straight_sides, supported
from tests.drawing import ellipse, rectangle

SIZE = (200, 240)


def whole(mask: NDArray[np.bool_]) -> Crop:
    return Crop(0, 0, mask)


def grey(mask: NDArray[np.bool_], inside: int = 200, outside: int = 60) -> NDArray[np.uint8]:
    """A photo of what a mask shows, with some noise."""
    noise = np.random.default_rng(0).integers(-8, 9, (*SIZE, 3))
    return (np.where(mask, inside, outside)[..., None] + noise).clip(0, 255).astype(np.uint8)


def test_a_rectangle_has_four_sides() -> None:
    found = straight_sides(whole(rectangle(SIZE, 40, 50, 140, 120)), SIZE)
    assert sorted(found) == [
        Side(0, 50, 40, 140),
        Side(0, 120, 40, 140),
        Side(1, 40, 50, 120),
        Side(1, 140, 50, 120),
    ]


def test_where_the_crop_lies_does_not_matter() -> None:
    mask = rectangle(SIZE, 40, 50, 140, 120)
    small = Crop(30, 45, mask[45:130, 30:150])
    assert straight_sides(small, SIZE) == straight_sides(whole(mask), SIZE)


@pytest.mark.parametrize("radius", [12, 20, 35, 60, 90])
def test_a_disc_has_none(radius: int) -> None:
    disc = ellipse(SIZE, 120 - radius, 100 - radius, 120 + radius, 100 + radius)
    assert straight_sides(whole(disc), SIZE) == []


def test_a_cut_disc_has_one() -> None:
    disc = ellipse(SIZE, 40, 20, 180, 160)
    disc[:, 120:] = False
    found = straight_sides(whole(disc), SIZE)
    assert [(side.axis, side.at) for side in found] == [(1, 120)]
    assert count_sides([whole(disc)], grey(ellipse(SIZE, 40, 20, 180, 160))).tolist() == [[1, 1]]


def test_sides_on_the_image_edge_do_not_count() -> None:
    assert straight_sides(whole(np.ones(SIZE, bool)), SIZE) == []
    assert len(straight_sides(whole(rectangle(SIZE, 0, 50, 140, 200)), SIZE)) == 2


def test_a_window_is_supported_and_a_slab_is_not() -> None:
    window = rectangle(SIZE, 40, 50, 140, 120)
    photo = grey(window)
    assert count_sides([whole(window)], photo).tolist() == [[4, 0]]
    slab = rectangle(SIZE, 40, 50, 90, 120)  # its right side is in the middle of the window
    assert count_sides([whole(slab)], photo).tolist() == [[4, 1]]
    assert count_sides([whole(window)], grey(window, 60, 60)).tolist() == [[4, 4]]


def test_texture_is_no_edge() -> None:
    """Stripes change everywhere: a line among them is no more of an edge than those beside it."""
    stripes = np.zeros((*SIZE, 3), np.uint8)
    stripes[:, (np.arange(SIZE[1]) // 4) % 2 == 0] = 200
    lab = np.asarray(cv2.cvtColor(stripes.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    assert not supported(Side(1, 120, 20, 180), lab)
    step = stripes.copy()
    step[:, :120] = 0
    lab = np.asarray(cv2.cvtColor(step.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    assert supported(Side(1, 120, 20, 180), lab) == (bool(step[0, 122, 0]))


@pytest.mark.parametrize(
    "crops",
    [
        [],
        [Crop(0, 0, np.zeros((0, 0), bool))],
        [Crop(5, 5, np.zeros((4, 4), bool))],
        [Crop(100, 100, np.ones((1, 1), bool))],
    ],
)
def test_empty_and_tiny(crops: list[Crop]) -> None:
    assert count_sides(crops, grey(np.zeros(SIZE, bool))).tolist() == [[0, 0]] * len(crops)
