"""Rings of many corners: the same mask as OpenCV's, in time that does not grow with their square."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.masks.polygons import fill_polygons
from tests import oracles

SIZE = (400, 500)


def by_opencv(ring: NDArray[np.float32]) -> NDArray[np.bool_]:
    canvas = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(canvas, [ring.round().astype(np.int32)], 1)
    return canvas.astype(bool)


def test_outlines_of_many_corners_are_as_before() -> None:
    turn = np.linspace(0, 2 * np.pi, 3_000, endpoint=False)
    wave = 150 * (1 + 0.2 * np.sin(9 * turn))
    ring = np.stack([250 + wave * np.cos(turn), 200 + wave * np.sin(turn)], 1).astype(np.float32)
    assert np.array_equal(fill_polygons([ring], SIZE), by_opencv(ring))


@pytest.mark.parametrize("beyond", [0, 100])
def test_edges_that_cross_follow_the_even_odd_rule(beyond: int) -> None:
    rng = np.random.default_rng(0)
    low, high = -beyond, np.array([SIZE[1] + beyond, SIZE[0] + beyond])
    ring = rng.integers(low, high, (600, 2)).astype(np.float32)
    found = fill_polygons([ring], SIZE)
    assert oracles.iou(found, by_opencv(ring)) > 0.99
    twice = fill_polygons([ring, ring], SIZE)  # what lies in two rings lies in none, but for their outline
    assert twice.sum() < found.sum()


def test_far_corners_take_no_memory() -> None:
    rng = np.random.default_rng(0)
    ring = (rng.random((10_000, 2)) * 2e300 - 1e300).astype(np.float64)
    assert fill_polygons([ring], (60, 80)).shape == (60, 80)  # type: ignore[list-item]
