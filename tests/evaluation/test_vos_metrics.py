"""DAVIS's measures: known answers, the conventions for empty masks, and a slow twin."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastsam.errors import InputError
from fastsam.evaluation.vos_metrics import (
    contour_accuracy,
    contours,
    identity_switches,
    lost_frames,
    region_similarity,
    sequence_statistics,
)
from tests.evaluation import oracles
from tests.oracles import iou

EMPTY = np.zeros((40, 60), bool)


def square(x: int, y: int = 10, side: int = 16, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.mark.parametrize(
    ("found", "truth", "j", "f"),
    [
        pytest.param(square(10), square(10), 1, 1, id="the same"),
        pytest.param(EMPTY, EMPTY, 1, 1, id="both empty: nothing was there, nothing said"),
        pytest.param(EMPTY, square(10), 0, 0, id="lost"),
        pytest.param(square(10), EMPTY, 0, 0, id="something where nothing is"),
        pytest.param(square(10), square(30), 0, 0, id="elsewhere"),
        pytest.param(square(10), square(11), 15 / 17, 1, id="one pixel off: within 0.6 px rounded up"),
        pytest.param(np.ones((40, 60), bool), np.ones((40, 60), bool), 1, 1, id="all: no contour in either"),
        pytest.param(np.ones((40, 60), bool), square(10), 256 / 2400, 0, id="all: no contour to compare"),
        pytest.param(np.zeros((0, 0), bool), np.zeros((0, 0), bool), 1, 1, id="no pixels"),
    ],
)
def test_known_answers(found: np.ndarray, truth: np.ndarray, j: float, f: float) -> None:
    assert region_similarity(found, truth) == pytest.approx(j)
    assert contour_accuracy(found, truth) == pytest.approx(f)


def test_two_pixels_off_leaves_the_edges_along_the_shift() -> None:
    """A 4 x 4 square moved right by two, tolerance of one pixel: a pixel and its four neighbours.

    Each contour has 16 pixels: rows 9..13, columns x - 1..x + 3, less the 3 x 3 in the middle. Of the left
    one, four pixels of the top and four of the bottom side meet the other, and two
    corners of the right side.
    """
    a, b = square(10, side=4), square(12, side=4)
    edge = contours(a)
    assert edge.sum() == 16
    assert not edge[10:13, 10:13].any()
    assert contour_accuracy(a, b) == pytest.approx(10 / 16)


def test_a_wider_tolerance_forgives_more() -> None:
    values = [contour_accuracy(square(10), square(14), share) for share in (0.008, 0.03, 0.06)]
    assert values == sorted(values)
    assert values[0] < 0.7
    assert values[-1] == 1.0


MASKS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: st.tuples(arrays(bool, size), arrays(bool, size))
)


@given(MASKS, st.sampled_from([Fraction(8, 1000), Fraction(1, 10), Fraction(1, 4)]))
def test_contours_and_f_are_those_of_the_slow_twin(
    masks: tuple[np.ndarray, np.ndarray], tolerance: Fraction
) -> None:
    found, truth = masks
    assert list(map(tuple, np.argwhere(contours(found)).tolist())) == oracles.contour_pixels(found)
    wanted = oracles.contour_f(found, truth, tolerance)
    assert contour_accuracy(found, truth, float(tolerance)) == pytest.approx(float(wanted))
    assert region_similarity(found, truth) == pytest.approx(
        float(iou(found, truth)) if (found | truth).any() else 1.0
    )


@pytest.mark.parametrize(
    ("found", "truth", "tolerance", "message"),
    [
        (EMPTY, EMPTY[:20], 0.008, "two of one size"),
        (EMPTY.astype(np.uint8), EMPTY, 0.008, r"\(H, W\) boolean mask, got uint8"),
        (EMPTY, EMPTY[None], 0.008, r"truth: expected a \(H, W\)"),
        (EMPTY, EMPTY, 0.0, "tolerance"),
        (EMPTY, EMPTY, float("nan"), "tolerance"),
    ],
)
def test_mistakes(found: np.ndarray, truth: np.ndarray, tolerance: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        contour_accuracy(found, truth, tolerance)


@pytest.mark.parametrize(
    ("values", "mean", "recall", "decay"),
    [
        ([], None, None, None),
        ([0.7], 0.7, 1.0, 0.0),
        ([0.5, 0.5], 0.5, 0.0, 0.0),
        # cut at 1, 3, 5, 7, 9: the first quarter is frames 1..3, the last 7..9
        ([0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3], 5.1 / 9, 3 / 9, 0.6),
        # cut at 1, 4, 6, 9, 11: 3.5 and 8.5 are both rounded up
        (np.linspace(1, 0, 11).tolist(), 0.5, 5 / 11, 0.75),
    ],
)
def test_statistics_of_a_sequence(
    values: list[float], mean: float | None, recall: float | None, decay: float | None
) -> None:
    found = sequence_statistics(np.array(values))
    for name, wanted in (("mean", mean), ("recall", recall), ("decay", decay)):
        assert found[name] == (None if wanted is None else pytest.approx(wanted)), name


@pytest.mark.parametrize(
    ("ious", "found_px", "switches"),
    [
        ([], [], 0),
        ([0.9, 0.9, 0.9], [5, 5, 5], 0),
        ([0.9, 0.0, 0.0], [5, 0, 0], 0),  # lost, not switched
        ([0.9, 0.3, 0.05], [5, 5, 5], 1),  # drifting away counts where it is wrong
        ([0.9, 0.0, 0.0, 0.05], [5, 0, 0, 5], 1),  # lost, then found on something else
        ([0.05, 0.0, 0.0], [5, 5, 5], 0),  # never right
        ([0.9, 0.0, 0.9, 0.0], [5, 5, 5, 5], 2),
    ],
)
def test_switches(ious: list[float], found_px: list[int], switches: int) -> None:
    assert identity_switches(np.array(ious), np.array(found_px, np.int64)) == switches


def test_lost_frames_are_those_with_an_object_and_no_answer() -> None:
    assert lost_frames(np.array([0, 0, 3, 3]), np.array([0, 3, 0, 3])) == 1
    assert lost_frames(np.zeros(0, np.int64), np.zeros(0, np.int64)) == 0
