"""Positions: geometry among all masks, or among those of another prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Box, Points, Position, all_of, any_of, but_not, select
from fastsam.prompts.position import score
from tests.drawing import mask_set, rectangle, scenes

SIZE = (40, 60)
BOXES = {
    "left": (1, 18, 7, 22),
    "right": (50, 10, 58, 20),
    "top": (20, 1, 26, 6),
    "bottom": (28, 33, 34, 39),
    "middle": (25, 15, 35, 25),
    "dot": (40, 30, 42, 32),
    "wide": (8, 8, 48, 30),
}
NAMES = list(BOXES)
MASKS = MaskSet.from_dense(
    np.stack([rectangle(SIZE, *box) for box in BOXES.values()] + [np.zeros(SIZE, bool)])
)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("leftmost", ["left", "top", "wide"]),
        ("rightmost", ["right", "dot", "bottom"]),
        ("topmost", ["top", "right", "wide"]),
        ("bottommost", ["bottom", "dot", "left"]),
        ("largest", ["wide", "middle", "right"]),
        ("smallest", ["dot", "left", "top"]),
        ("centre", ["middle", "wide", "dot"]),
    ],
)
def test_the_first_three(where: Any, wanted: list[str]) -> None:
    for count in (1, 2, 3):
        found = select(MASKS, Position(where, count=count))
        assert [NAMES[i] for i in found.indices] == wanted[:count]
        assert (np.diff(found.scores) <= 0).all()
        assert f"{where}: {count} mask" in found.reason


def test_more_than_there_are_gives_all_but_the_empty_mask() -> None:
    assert sorted(select(MASKS, Position("leftmost", count=99)).indices.tolist()) == list(range(7))
    assert select(MASKS, Position("smallest")).indices.tolist() == [5]


@given(st.data())
def test_it_agrees_with_the_definition(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24, min_masks=1))
    where = data.draw(
        st.sampled_from(["leftmost", "rightmost", "topmost", "bottommost", "largest", "smallest"])
    )
    masks = mask_set(scene)
    found = select(masks, Position(where))
    middles = {}
    for i, mask in enumerate(scene.masks):
        if mask.any():
            ys, xs = np.nonzero(mask)
            middles[i] = {
                "leftmost": -(xs.min() + xs.max()), "rightmost": xs.min() + xs.max(),
                "topmost": -(ys.min() + ys.max()), "bottommost": ys.min() + ys.max(),
                "largest": mask.sum(), "smallest": -mask.sum(),
            }[where]  # fmt: skip
    if not middles:
        assert len(found) == 0
    else:
        assert middles[int(found.indices[0])] == max(middles.values())
        assert 0 < found.scores[0] <= 1


def test_among_the_answers_of_another_prompt() -> None:
    boxes = Box([BOXES["right"], BOXES["middle"], BOXES["dot"]])
    assert select(MASKS, Position("leftmost", of=boxes)).indices.tolist() == [4]
    assert select(MASKS, Position("bottommost", of=boxes)).groups.tolist() == [2]
    rest = Points([(30, 20)], [0])
    found = select(MASKS, Position("largest", of=rest, count=2))
    assert [NAMES[i] for i in found.indices] == ["right", "bottom"]
    assert "largest of (" in found.reason
    twice = Position("leftmost", of=Box([BOXES["dot"], BOXES["dot"]]), count=2)
    assert select(MASKS, twice).indices.tolist() == [5]
    assert len(select(MASKS, Position("leftmost", of=Box((0, 0, 2, 2))))) == 0


def test_cut_masks_have_their_own_place() -> None:
    joined = select(MASKS, Position("rightmost", of=Points([(2, 20), (55, 15)])))
    assert (len(joined), joined.edited.tolist()) == (1, [True])
    assert joined.scores[0] == pytest.approx((1 + 58) / 2 / 60)


def test_combinations() -> None:
    left, box = Position("leftmost", count=2), Box(BOXES["left"])
    assert select(MASKS, all_of(left, box)).indices.tolist() == [0]
    assert select(MASKS, all_of(Position("rightmost"), box)).indices.tolist() == []
    assert select(MASKS, but_not(Position("leftmost"), box)).indices.tolist() == [2]
    assert select(MASKS, any_of(Position("leftmost"), Position("largest"))).indices.tolist() == [0, 6]
    assert select(MASKS, all_of(left, Position("topmost", count=3))).indices.tolist() == [2]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Position("left"), "expected one of leftmost, rightmost"),  # type: ignore[arg-type]
        (lambda: Position(None), "position None: expected one of"),  # type: ignore[arg-type]
        (lambda: Position("leftmost", of="dog"), "got str"),  # type: ignore[arg-type]
        (lambda: Position("leftmost", count=0), "got 0"),
        (lambda: Position("leftmost", count=True), "got True"),
        (lambda: Position("leftmost", count=1.5), "got 1.5"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_position(make: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        make()


def test_no_masks_at_all() -> None:
    none = MaskSet.none(SIZE)
    assert score(none, Position("centre")).shape == (0,)
    found = select(none, Position("largest"))
    assert (len(found), found.reason) == (0, "largest: no masks")
