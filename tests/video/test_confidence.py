"""What ``conf`` and ``follow_conf`` mean in a stream: which masks become objects, and which continue them."""

from __future__ import annotations

from typing import Any

import pytest

from fastsam import Box, MaskLike, Text
from fastsam.config import VideoConfig
from fastsam.errors import PromptError
from tests.video.drawn import Drawn, Shape, model_of, names, still, stream_of

PAIR = Drawn(Shape("red", still(30, 30), score=0.9), Shape("blue", still(95, 70), score=0.3))


def colours(**options: Any) -> list[set[str]]:
    with stream_of(PAIR, 3, **options) as stream:
        return [set(names(PAIR, masks)) for _, masks in stream]


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, {"red", "blue"}),
        ({"conf": 0.29}, {"red", "blue"}),
        ({"conf": 0.8}, {"red"}),
        ({"conf": 0.95}, set()),
        ({"conf": 0.35, "follow_conf": 0.5}, {"red"}),
        ({"conf": 0.05, "follow_conf": 0.05}, {"red", "blue"}),
    ],
)
def test_conf_is_the_minimum_confidence_of_a_new_object(options: dict[str, Any], seen: set[str]) -> None:
    assert colours(**options) == [seen] * 3


def test_conf_says_the_same_by_name_and_by_config() -> None:
    with model_of(PAIR).stream(PAIR.frames(2), config=VideoConfig(conf=0.8)) as stream:
        assert [set(names(PAIR, masks)) for _, masks in stream] == [{"red"}] * 2


def test_a_text_selects_no_new_object_below_conf() -> None:
    for conf, seen in ((0.25, [1, 1]), (0.8, [0, 0])):
        with stream_of(PAIR, 2, conf=conf) as stream:
            stream.select(0, Text("blue", threshold=0.1))
            assert [len(masks) for _, masks in stream] == seen


def test_a_box_selects_whatever_can_be_followed() -> None:
    """Who points at a thing wants that thing; only below follow_conf no mask is known of it."""
    height, width = PAIR.masks(0)[1].nonzero()
    box = Box([width.min(), height.min(), width.max() + 1, height.max() + 1])
    with stream_of(PAIR, 2, conf=0.8) as stream:
        stream.select(0, box)
        assert [set(names(PAIR, masks)) for _, masks in stream] == [{"blue"}] * 2
    with stream_of(PAIR, 2, conf=0.8, follow_conf=0.5) as stream:
        stream.select(0, MaskLike(PAIR.masks(0)[1]))
        with pytest.raises(PromptError, match="nothing to follow"):
            next(iter(stream))
