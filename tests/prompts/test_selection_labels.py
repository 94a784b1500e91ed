"""Names of what texts select survive every combination."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsam import FastSAM, Session
from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, Point, Position, Prompt, Text
from fastsam.testing import ColourWordEncoder, FixedSegmenter

SIZE = (60, 120)
RED, BLUE = Text("a red box"), Text("a blue box")
LEFT, RIGHT = Box(5, 20, 25, 40), Box(95, 20, 115, 40)


@pytest.fixture(scope="module")
def session() -> Session:
    """Three squares from left to right: red, blue, red."""
    photo, masks = np.full((*SIZE, 3), 255, np.uint8), np.zeros((3, *SIZE), bool)
    for mask, x, colour in zip(
        masks, (5, 50, 95), ((220, 20, 20), (20, 20, 220), (220, 20, 20)), strict=True
    ):
        mask[20:40, x : x + 20] = True
        photo[mask] = colour
    return FastSAM(segmenter=FixedSegmenter(masks), text_model=ColourWordEncoder()).open(photo)


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (RED, {0: "a red box", 2: "a red box"}),
        (RED | BLUE, {0: "a red box", 1: "a blue box", 2: "a red box"}),
        (RED - RIGHT, {0: "a red box"}),
        (Position("leftmost", of=RED | BLUE), {0: "a red box"}),
        (Position("rightmost", of=BLUE), {1: "a blue box"}),
        (RED & LEFT, {0: "a red box"}),
        (LEFT & RED, {0: "a red box"}),
        ((RED | BLUE) & Box(50, 20, 70, 40), {1: "a blue box"}),
        (RED & Position("rightmost"), {2: "a red box"}),
        (Position("rightmost", of=RED) & RED, {2: "a red box"}),
        (LEFT | BLUE, {0: "", 1: "a blue box"}),
    ],
)
def test_labels_survive(session: Session, prompt: Prompt, wanted: dict[int, str]) -> None:
    found = session.select(prompt)
    assert dict(zip(found.indices.tolist(), found.labels or (), strict=True)) == wanted


@pytest.mark.parametrize("prompt", [LEFT, LEFT | RIGHT, Position("leftmost"), LEFT & Point(10, 30)])
def test_no_words_no_labels(session: Session, prompt: Prompt) -> None:
    found = session.select(prompt)
    assert len(found) > 0
    assert found.labels is None


def test_names_of_a_session_come_first(session: Session) -> None:
    named = session.label(["red", "blue"], 0.0)
    assert named.select(BLUE).labels == ("blue",)
    assert named.everything().labels == ("red", "blue", "red")


def test_selections_join() -> None:
    masks = MaskSet.from_dense(np.eye(4, dtype=bool)[:, None, :].repeat(4, axis=1), [0.9, 0.8, 0.7, 0.6])
    first = Selection.of(masks, [2], [0.5], "one", labels=["a dog"])
    cut = Selection.edited_masks(masks, [Crop(0, 0, np.ones((1, 1), bool))] * 2, [1, -1], [0.4, 0.3], "two")
    joined = Selection.join([first, cut], masks.size_hw, "both")
    assert joined.indices.tolist() == [2, 1, -1]
    assert joined.masks.scores == pytest.approx([0.7, 0.8, 1.0])
    assert joined.edited.tolist() == [False, True, True]
    assert (joined.labels, joined.levels, joined.reason) == (("a dog", "", ""), ("", "", ""), "both")
    nothing = Selection.join([], masks.size_hw, "none")
    assert (len(nothing), nothing.labels, nothing.masks.size_hw) == (0, None, (4, 4))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"labels": ("a",)}, "labels: expected 2 names for 2 masks, got 1"),
        ({"levels": ("a", "b", "c")}, "levels: expected 2 names for 2 masks, got 3"),
        ({"groups": np.zeros(3)}, r"groups: expected \(2,\) for 2 masks, got \(3,\)"),
    ],
)
def test_columns_fit_together(columns: dict[str, Any], said: str) -> None:
    masks = MaskSet.from_dense(np.ones((2, 3, 3), bool))
    with pytest.raises(RecordError, match=said):
        Selection(masks, np.ones(2, np.float32), np.arange(2), **columns)
