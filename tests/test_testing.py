"""The stand-in for the network."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam.config import SegmentConfig
from fastsam.errors import RecordError
from fastsam.records import Frame
from fastsam.testing import FixedSegmenter
from tests.drawing import ellipse, rectangle

SIZE = (20, 30)
FRAME = Frame(np.zeros((*SIZE, 3), np.uint8))
MASKS = np.stack([rectangle(SIZE, 1, 1, 9, 9), ellipse(SIZE, 10, 2, 28, 18), rectangle(SIZE, 0, 0, 30, 20)])


@pytest.mark.parametrize(
    ("conf", "max_det", "rows"), [(0.0, 300, [1, 2, 0]), (0.3, 300, [1, 2]), (0.0, 1, [1]), (1.0, 300, [])]
)
def test_it_finds_its_masks_as_a_network_would(conf: float, max_det: int, rows: list[int]) -> None:
    segmenter = FixedSegmenter(MASKS, [0.2, 0.9, 0.5])
    found = segmenter.segment(FRAME, SegmentConfig(conf=conf, max_det=max_det))
    assert np.array_equal(np.asarray(found), MASKS[rows])
    assert (np.diff(found.scores) <= 0).all()
    assert set(segmenter.times_ms) == {"prepare", "network", "decode"}


def test_without_scores_all_are_sure_and_keep_their_order() -> None:
    found = FixedSegmenter(MASKS).segment(FRAME, SegmentConfig())
    assert np.array_equal(np.asarray(found), MASKS)
    assert len(FixedSegmenter(np.zeros((0, *SIZE), bool)).segment(FRAME, SegmentConfig())) == 0


def test_another_image_size_is_an_error() -> None:
    with pytest.raises(RecordError, match=r"expected the masks' size \(20, 30\), got \(5, 6\)"):
        FixedSegmenter(MASKS).segment(Frame(np.zeros((5, 6, 3), np.uint8)), SegmentConfig())
