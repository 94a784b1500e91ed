"""Prompts are written as JSON and read back; equal prompts are written equally."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.prompts import (
    Appearance,
    Box,
    Mask,
    Points,
    Position,
    Prompt,
    Reference,
    Text,
    prompt_from_json,
    prompt_to_json,
)

BITS = np.zeros((9, 12), bool)
BITS[2:5, 3:8] = True
LOOK = Appearance(np.float32([0.6, 0.8]), np.float32([0, 1]), "net", "text", "a name")
PROMPTS = [
    Box(0, 0, 5.25, 5),
    Box([(0, 0, 5, 5), (1, 1, 2, 2)], iou_threshold=0.5),
    Points((3, 4)),
    Points([(3, 4), (5, 6)], [1, 0], multimask=True),
    Points([[(3, 4)], [(5, 6), (7, 8)]], [[1], [0, 1]], level="part"),
    Points([[(3, 4)], [(5, 6)]], [[1], [-1]]),
    Text("a dog"),
    Text("a dog", "a cat", threshold=0.2, negatives=["a wolf"], templates=False, crops="context"),
    Position("centre", of=Text("a dog"), count=3),
    Position("largest"),
    Text("a dog") | Box(0, 0, 5, 5) & Points((1, 1)) - Text("a cat"),
    Reference("ref.jpg", Box(0, 0, 5, 5), negatives=Points((7, 7)), mode="best", threshold=0.4),
]
MASKS = [
    Mask.bitmap(BITS, 0.3, group=False),
    Mask.rle({"size": [9, 12], "counts": [20, 3, 85]}),
    Mask.polygon([(0, 0), (9, 0), (9, 8.5)]),
    Mask.scribble([(0, 0), (9, 8)], width_px=3),
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_what_is_written_reads_back(prompt: Prompt) -> None:
    again = prompt_from_json(prompt_to_json(prompt))
    assert prompt_to_json(again) == prompt_to_json(prompt)
    assert "\n" not in prompt_to_json(prompt)
    if not isinstance(prompt, Reference):
        assert again == prompt


@pytest.mark.parametrize("mask", MASKS)
def test_masks_read_back(mask: Mask) -> None:
    again = prompt_from_json(prompt_to_json(mask))
    assert isinstance(again, Mask)
    assert (again.threshold, again.group, again.width_px) == (mask.threshold, mask.group, mask.width_px)
    assert prompt_to_json(again) == prompt_to_json(mask)
    inside = Points((3, 4), previous=mask)
    assert prompt_to_json(prompt_from_json(prompt_to_json(inside))) == prompt_to_json(inside)


def test_the_same_pixels_are_written_equally() -> None:
    written = prompt_to_json(Mask.bitmap(BITS))
    assert written == prompt_to_json(Mask.bitmap(BITS.astype(np.uint8) * 255))
    assert written == prompt_to_json(Mask.rle(json.loads(written)["rle"]))


def test_equal_prompts_are_written_equally() -> None:
    assert prompt_to_json(Text("a dog", threshold=0.5)) == prompt_to_json(Text(["a  dog "], np.float32(0.5)))
    assert prompt_to_json(Points([(3, 4), (1, 2)])) == prompt_to_json(Points(np.array([(3, 4), (1, 2)])))
    assert prompt_to_json(Box(0, 0, 5, 5)) != prompt_to_json(Box(0, 0, 5, 5, iou_threshold=0.2))


def test_what_a_model_has_looked_at_reads_back() -> None:
    reference = Reference.made([LOOK], [Appearance(np.float32([1, 0]), np.float32([1, 0]), "net", "text")])
    again = prompt_from_json(prompt_to_json(reference))
    assert isinstance(again, Reference)
    assert again.is_described
    (shot,) = again.shots
    assert isinstance(shot, Appearance)
    assert np.array_equal(shot.seen, LOOK.seen)
    assert np.array_equal(shot.picture, LOOK.picture)
    assert (shot.network, shot.text_model, shot.name) == ("net", "text", "a name")
    assert prompt_to_json(again) == prompt_to_json(reference)


def test_paths_are_written_and_pictures_are_not() -> None:
    region = Box(0, 0, 5, 5)
    assert json.loads(prompt_to_json(Reference(Path("a") / "b.jpg", region)))["reference"][0]["image"]
    with pytest.raises(PromptError, match="an image in memory cannot be written as JSON"):
        prompt_to_json(Reference(np.zeros((9, 9, 3), np.uint8), region))
    with pytest.raises(PromptError, match="got str"):
        prompt_to_json("a dog")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written", ["{}", "3", '{"seen": "x", "picture": "", "network": "", "text_model": "", "name": ""}',
             '{"seen": "AAA=", "picture": "", "network": "", "text_model": "", "name": ""}',
             '{"seen": "", "picture": "", "network": 1, "text_model": "", "name": ""}']
)  # fmt: skip
def test_damaged_appearances(written: str) -> None:
    with pytest.raises(PromptError, match="appearance: expected"):
        prompt_from_json(f'{{"reference": {{"appearance": {written}}}}}')


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.sampled_from([0, 1])), min_size=1, max_size=6)
)
def test_any_clicks_read_back(clicks: list[tuple[float, float, int]]) -> None:
    prompt = Points([(x, y) for x, y, _ in clicks], [label for _, _, label in clicks])
    assert prompt_from_json(prompt_to_json(prompt)) == prompt
