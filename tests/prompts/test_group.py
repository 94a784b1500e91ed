"""Masks that answer a drawn region together, against their slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from fastsam.masks.maskset import MaskSet
from fastsam.prompts import MaskLike, all_of, any_of, select
from fastsam.prompts.group import masks_inside
from tests import nesting
from tests.drawing import blob, ellipse, mask_set, rectangle, scenes
from tests.oracles import Scene, TooClose, iou
from tests.prompts.agreement import assert_order_does_not_matter

SIZE = (40, 90)


def people() -> Scene:
    """Three people in a row, the shirt of the first, and a wall behind them all."""
    three = [rectangle(SIZE, x, 4, x + 20, 36) for x in (5, 30, 55)]
    return Scene(
        np.stack([*three, ellipse(SIZE, 8, 10, 22, 24), rectangle(SIZE, 0, 0, 90, 40)]), (16, 14, 18, 20, 10)
    )


def drawn_over(count: int) -> Any:
    """Somebody's hand: a bit more than the first people, or less."""
    return rectangle(SIZE, 4, 3, 1 + 25 * count, 37)


@given(st.data())
def test_agrees_with_its_slow_twin(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    region = blob(scene.size_hw, data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0.3, 0.6, 0.9])))
    if len(scene.masks) and data.draw(st.booleans()):
        region = np.logical_or.reduce(scene.masks[: data.draw(st.integers(1, len(scene.masks)))])
    if not region.any():
        reject()
    try:
        wanted = nesting.group(scene, region)
    except TooClose:
        reject()
    assert masks_inside(mask_set(scene), region) == wanted


def test_a_region_over_three_people_is_answered_by_three() -> None:
    region = drawn_over(3)
    found = select(mask_set(people()), MaskLike(region))
    assert sorted(found.indices.tolist()) == [0, 1, 2]
    assert found.groups.tolist() == [0, 0, 0]
    assert not found.edited.any()
    together = float(iou(people().masks[:3].any(axis=0), region))
    assert found.scores.tolist() == pytest.approx([together] * 3)
    assert found.reason.startswith(
        f"mask prompt: 3 masks together (IoU {together:.2f}, the best one alone 0.6"
    )
    alone = select(mask_set(people()), MaskLike(region, group=False))
    assert len(alone) == 1


def test_a_region_over_one_is_answered_by_one() -> None:
    assert select(mask_set(people()), MaskLike(drawn_over(1))).indices.tolist() == [0]


def test_an_earlier_answer_of_several_masks_finds_them_again() -> None:
    masks = mask_set(people())
    first = select(masks, MaskLike(drawn_over(2)))
    assert sorted(first.indices.tolist()) == [0, 1]
    assert sorted(select(masks, MaskLike(first)).indices.tolist()) == [0, 1]


def test_a_group_has_to_reach_the_threshold() -> None:
    together = float(iou(people().masks[:3].any(axis=0), drawn_over(3)))
    assert len(select(mask_set(people()), MaskLike(drawn_over(3), threshold=together - 0.01))) == 3
    found = select(mask_set(people()), MaskLike(drawn_over(3), threshold=together + 0.01))
    assert len(found) == 0
    assert "is below" in found.reason


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ([(6, 30), (74, 30)], [0, 1, 2]),  # through all three
        ([(12, 30), (44, 30)], [0, 1]),
        ([(6, 30), (24, 30)], [0]),
        ([(6, 30), (30, 30)], [0]),  # hardly into the second
    ],
)
def test_a_scribble_through_several(line: Any, rows: list[int]) -> None:
    scene = people()
    masks = mask_set(Scene(scene.masks[:3], scene.twentieths[:3]))
    found = select(masks, MaskLike.scribble(line, threshold=0.5))
    assert sorted(found.indices.tolist()) == rows
    if len(rows) > 1:
        assert "of the scribble" in found.reason
        assert len(select(masks, MaskLike.scribble(line, threshold=0.6, group=False))) == 0
    walled = select(mask_set(scene), MaskLike.scribble([(6, 38), (74, 38)]))
    assert walled.indices.tolist() == [4], "what one mask holds is no group"


@given(st.data())
def test_order_of_masks_does_not_matter(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    region = blob(scene.size_hw, data.draw(st.integers(0, 99)), 0.7)
    if len(scene.masks):
        region = region | np.logical_or.reduce(scene.masks)
    if not region.any():
        reject()
    order = data.draw(st.permutations(range(len(scene.masks))))
    assert_order_does_not_matter(scene, MaskLike(region), order)


def test_in_combinations() -> None:
    masks = mask_set(people())
    group = MaskLike(drawn_over(2))
    assert sorted(select(masks, any_of(group, MaskLike(drawn_over(1)))).indices.tolist()) == [0, 1]
    assert len(select(masks, all_of(group))) == 1, "all_of asks what one mask is worth"


def test_no_masks_at_all() -> None:
    assert masks_inside(MaskSet.none(SIZE), drawn_over(1)) == []
    assert len(select(MaskSet.none(SIZE), MaskLike(drawn_over(1)))) == 0
