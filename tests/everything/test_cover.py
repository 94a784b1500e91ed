"""Less sure masks fill what surer ones leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.config import SegmentConfig, override
from fastsam.errors import ConfigError
from fastsam.everything.cover import covered_cells, filling
from fastsam.everything.decode import decode
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.stores.grid import GridStore

GRID_HW = (32, 40)  # of an image of 128 x 160 pixels, which the network sees as it is
LETTERBOX = Letterbox.fit((128, 160), 160)


def store(*boxes: tuple[int, int, int, int]) -> GridStore:
    """Masks that fill their boxes, which are given in cells."""
    return GridStore(
        np.ones((len(boxes), 1), np.float32),
        np.ones((1, *GRID_HW), np.float32),
        4 * np.array(boxes, np.float32).reshape(-1, 4),
        GridMap(LETTERBOX, GRID_HW),
    )


LEFT, RIGHT, ALL = (0, 0, 20, 32), (20, 0, 40, 32), (0, 0, 40, 32)


@pytest.mark.parametrize(
    ("boxes", "sure", "wanted"),
    [
        pytest.param([LEFT, RIGHT], 1, [1], id="what is missing"),
        pytest.param([LEFT, (0, 0, 18, 32), RIGHT], 1, [2], id="not what is there"),
        pytest.param([LEFT, RIGHT, ALL], 1, [1], id="not what is there by then"),
        pytest.param([LEFT, (0, 0, 21, 32)], 1, [], id="hardly anything new"),
        pytest.param([LEFT, ALL, RIGHT], 1, [1], id="the surest first"),
        pytest.param([LEFT, (30, 10, 31, 11)], 1, [], id="too small"),
        pytest.param([ALL, LEFT, RIGHT], 1, [], id="nothing is missing"),
        pytest.param([LEFT, RIGHT], 0, [0, 1], id="nothing is sure"),
        pytest.param([LEFT, RIGHT], 2, [], id="all are sure"),
        pytest.param([], 0, [], id="none"),
    ],
)
def test_what_fills(boxes: list[tuple[int, int, int, int]], sure: int, wanted: list[int]) -> None:
    assert filling(store(*boxes), sure).tolist() == wanted


def test_many_masks_fill_like_few() -> None:
    """What is looked at in one go makes no difference."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 30, (150, 2))
    boxes = [
        (x, y, x + int(w), y + int(h))
        for (x, y), w, h in zip(corners, *rng.integers(2, 10, (2, 150)), strict=True)
    ]
    made = store(*boxes)
    covered = covered_cells(made.take(np.arange(5)))
    wanted = []
    for k in range(5, 150):
        mask = made.cells(np.array([k]))[0]
        new = (mask & ~covered).sum()
        if new >= max(0.15 * mask.sum(), 4):
            wanted.append(k)
            covered |= mask
    assert filling(made, 5).tolist() == wanted
    assert len(wanted) > 10


def outputs(scores: list[float]) -> tuple[NDArray[np.float32], NDArray[np.float32], Letterbox]:
    """Network outputs of masks side by side, each a quarter of the image wide."""
    x = 20 + 40 * np.arange(len(scores))
    boxes = np.stack([x, np.full(len(scores), 64), np.full(len(scores), 40), np.full(len(scores), 128)])
    predictions = np.concatenate([boxes, [scores], np.ones((1, len(scores)))]).astype(np.float32)
    return predictions, np.ones((1, *GRID_HW), np.float32), LETTERBOX


def test_the_decoder_fills() -> None:
    raw = outputs([0.9, 0.05, 0.5, 0.001])
    assert decode(*raw, SegmentConfig(conf=0.4)).scores.tolist() == pytest.approx([0.9, 0.5])
    filled = decode(*raw, SegmentConfig(conf=0.4, fill_conf=0.003))
    assert filled.scores.tolist() == pytest.approx([0.9, 0.5, 0.05])
    assert np.asarray(filled).any(axis=0).mean() == 0.75
    everything = decode(*raw, SegmentConfig(conf=0.4, fill_conf=0.0))
    assert np.asarray(everything).any(axis=0).all()
    most = decode(*raw, SegmentConfig(conf=0.4, fill_conf=0.0, max_det=3))
    assert most.scores.tolist() == pytest.approx([0.9, 0.5, 0.05])
    assert len(decode(*raw, SegmentConfig(conf=0.4, fill_conf=0.0, max_det=1))) == 1


@pytest.mark.parametrize("given", [{"conf": 0.2}, {"conf": 0.2, "fill_conf": 1.0}])
def test_a_least_confidence_that_is_asked_for_is_that_of_all(given: dict[str, Any]) -> None:
    weights = SegmentConfig(conf=0.1, fill_conf=0.003)
    assert override(weights, given) == SegmentConfig(conf=0.2)
    assert override(weights, {**given, "fill_conf": 0.01}).fill_conf == 0.01
    assert override(weights, {"imgsz": 320}).fill_conf == 0.003
    assert override(weights, {"conf": None}).fill_conf == 0.003
    with pytest.raises(ConfigError, match="fill_conf"):
        override(weights, {"fill_conf": 2.0})
