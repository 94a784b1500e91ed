"""Thinning and pairing against scikit-image, scipy's maximum flow and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import cKDTree
from skimage import data
from skimage.morphology import thin

from fastsam.errors import InputError
from fastsam.evaluation.lines import LineMatcher, thin_lines

SIZE = (160, 240)


def column(x: int, top: int = 0, bottom: int = 160) -> np.ndarray:
    lines = np.zeros(SIZE, bool)
    lines[top:bottom, x] = True
    return lines


def most_pairs(found: np.ndarray, truth: np.ndarray, reach: float) -> int:
    """The size of a maximum matching: scipy's maximum flow, on the whole graph of pixels in reach."""
    a, b = np.argwhere(found), np.argwhere(truth)
    if len(a) == 0 or len(b) == 0:
        return 0
    close = cKDTree(a).query_ball_tree(cKDTree(b), reach + 1e-9)
    left = np.arange(len(a))
    right = len(a) + np.arange(len(b))
    source, sink = len(a) + len(b), len(a) + len(b) + 1
    starts = [np.repeat(left, [len(one) for one in close]), np.full(len(a), source), right]
    ends = [right[np.concatenate([np.array(one, int) for one in close])], left, np.full(len(b), sink)]
    rows, columns = np.concatenate(starts), np.concatenate(ends)
    edges = (np.ones(len(rows), np.int32), (rows, columns))
    graph = sparse.csr_matrix(edges, shape=(sink + 1, sink + 1))
    return int(maximum_flow(graph, source, sink).flow_value)


def check(found: np.ndarray, truth: np.ndarray, reach: float) -> int:
    """Compare the pairs with maximum flow's; return their number."""
    found_hit, truth_hit = LineMatcher(truth, reach).match(found)
    assert not (found_hit & ~found).any()
    assert not (truth_hit & ~truth).any()
    pairs = int(found_hit.sum())
    assert pairs == truth_hit.sum() == most_pairs(found, truth, reach)
    assert most_pairs(found_hit, truth_hit, reach) == pairs  # the marked pixels are pairs indeed
    return pairs


def photo_lines(levels: tuple[int, ...], sigma: float = 0.0) -> np.ndarray:
    """The outlines of a photo's bright regions, moved about a little."""
    grey = data.astronaut()[40:200, 100:340].mean(axis=2)
    if sigma:
        grey = grey + np.random.default_rng(3).normal(0, sigma, grey.shape)
    lines = np.zeros(SIZE, bool)
    for level in levels:
        bright = grey > level
        lines[:-1, :-1] |= (bright[:-1, :-1] != bright[1:, 1:]) | (bright[:-1, :-1] != bright[:-1, 1:])
    return lines


@pytest.mark.parametrize(
    ("found", "truth", "reach", "pairs"),
    [
        pytest.param(column(50), column(50), 2, 160, id="the same"),
        pytest.param(column(50), column(52), 2, 160, id="within reach"),
        pytest.param(column(50), column(53), 2, 0, id="out of reach"),
        pytest.param(column(50), column(50), 0.5, 160, id="reach below a pixel"),
        pytest.param(column(50) | column(51), column(50), 2, 160, id="each true pixel once"),
        pytest.param(column(50), column(50, 0, 40), 2, 40, id="half missing in truth"),
        pytest.param(column(50) & False, column(50), 2, 0, id="nothing found"),
        pytest.param(column(50), column(50) & False, 2, 0, id="nothing drawn"),
        pytest.param(column(0) | column(239), column(1) | column(238), 2, 320, id="at the image edge"),
        pytest.param(column(0), column(239), 2, 0, id="rows do not wrap around"),
    ],
)
def test_pairs(found: np.ndarray, truth: np.ndarray, reach: float, pairs: int) -> None:
    assert check(found, truth, reach) == pairs


def test_a_long_row_gives_way() -> None:
    """The nearest pairs leave both ends alone; one path through all thirty puts that right."""
    found, truth = np.zeros((1, 220), bool), np.zeros((1, 220), bool)
    found[0, 0:210:7] = True
    truth[0, 4:214:7] = True
    for one, other in ((found, truth), (truth, found)):
        assert check(one, other, 4) == 30


def test_near_pixels_are_preferred() -> None:
    found, truth = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    found[4, [1, 4, 5]] = True
    truth[4, 4] = True
    hit, _ = LineMatcher(truth, 4).match(found)
    assert np.argwhere(hit).tolist() == [[4, 4]]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    density=st.tuples(st.floats(0, 0.6), st.floats(0, 0.6)),
    reach=st.sampled_from([0.0, 1.0, 1.5, 2.3, 4.4]),
)
def test_as_many_pairs_as_maximum_flow(
    seed: int, size: tuple[int, int], density: tuple[float, float], reach: float
) -> None:
    rng = np.random.default_rng(seed)
    check(rng.random(size) < density[0], rng.random(size) < density[1], reach)


@pytest.mark.parametrize("reach", [1.0, 2.16, 4.34])
@pytest.mark.parametrize(
    ("found", "truth"),
    [
        pytest.param(photo_lines((90, 150)), np.roll(photo_lines((90, 150)), (1, 2), (0, 1)), id="shifted"),
        pytest.param(photo_lines((80, 120, 160)), photo_lines((100,)), id="too much"),
        pytest.param(photo_lines((100,)), photo_lines((80, 120, 160)), id="too little"),
        pytest.param(thin_lines(photo_lines((90, 150), 4.0)), photo_lines((90, 150)), id="noisy and thinned"),
    ],
)
def test_as_many_pairs_on_photos(found: np.ndarray, truth: np.ndarray, reach: float) -> None:
    assert check(found, truth, reach) > 0


def test_a_matcher_serves_many_maps() -> None:
    """What it found for one map does not change what it finds for the next."""
    truth = photo_lines((100,))
    matcher = LineMatcher(truth, 2.16)
    for level in (80, 100, 120):
        found = photo_lines((level,))
        first, again = matcher.match(found), LineMatcher(truth, 2.16).match(found)
        assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match="one size"):
        LineMatcher(column(5)[1:], 2).match(column(5))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(np.zeros((4, 5), bool), id="nothing"),
        pytest.param(np.ones((1, 1), bool), id="one pixel"),
        pytest.param(np.ones((30, 40), bool), id="everything"),
        pytest.param(photo_lines((90, 150)), id="outlines of a photo"),
        pytest.param(data.astronaut()[:, :, 0] > 120, id="regions of a photo"),
    ],
)
def test_thinned_as_scikit_image_does(lines: np.ndarray) -> None:
    before = lines.copy()
    assert (thin_lines(lines) == thin(lines)).all()
    assert (lines == before).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0, 1))
def test_random_maps_are_thinned_as_scikit_image_does(seed: int, density: float) -> None:
    lines = np.random.default_rng(seed).random((40, 50)) < density
    assert (thin_lines(lines) == thin(lines)).all()
