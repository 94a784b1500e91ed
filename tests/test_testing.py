"""The stand-ins for the networks."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam.config import SegmentConfig
from fastsam.errors import RecordError
from fastsam.images.frame import Frame
from fastsam.testing import ColourWordEncoder, FixedSegmenter
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
    assert set(found.times_ms) == {"prepare", "network", "decode"}


def test_without_scores_all_are_sure_and_keep_their_order() -> None:
    found = FixedSegmenter(MASKS).segment(FRAME, SegmentConfig())
    assert np.array_equal(np.asarray(found), MASKS)
    assert len(FixedSegmenter(np.zeros((0, *SIZE), bool)).segment(FRAME, SegmentConfig())) == 0


def test_another_image_size_is_an_error() -> None:
    with pytest.raises(RecordError, match=r"expected the masks' size \(20, 30\), got \(5, 6\)"):
        FixedSegmenter(MASKS).segment(Frame(np.zeros((5, 6, 3), np.uint8)), SegmentConfig())


@pytest.mark.parametrize("colour", ["black", "red", "green", "blue", "yellow", "magenta", "cyan", "white"])
@pytest.mark.parametrize("pale", [1.0, 0.3])
def test_colours_are_found_by_their_words(colour: str, pale: float) -> None:
    encoder = ColourWordEncoder()
    names = ["black", "red", "green", "blue", "yellow", "magenta", "cyan", "white"]
    words = encoder.encode_texts([f"a {name} thing" for name in names])
    corner = {"black": "", "red": "0", "green": "1", "blue": "2", "yellow": "01", "magenta": "02",
              "cyan": "12", "white": "012"}[colour]  # fmt: skip
    shade = [120 + pale * (120 if str(k) in corner else -115) for k in range(3)]
    seen = encoder.encode_images([np.full((5, 6, 3), shade, np.uint8)])
    assert np.allclose(np.linalg.norm(seen, axis=1), 1)
    assert names[int((seen @ words.T).argmax())] == colour
    assert (seen @ words.T).max() > (seen @ encoder.encode_texts(["a thing"]).T)[0, 0]
    assert encoder.calls == {"pictures": 1, "texts": 9}


def test_no_pictures_no_texts_and_two_colours() -> None:
    encoder = ColourWordEncoder()
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, 4)
    both, red, green = encoder.encode_texts(["red and green", "red", "Green."])
    assert both @ red == pytest.approx(both @ green)
