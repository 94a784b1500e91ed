"""select and the combinations any_of, all_of, but_not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.prompts import Box, MaskLike, Points, all_of, any_of, but_not, select
from tests.drawing import ellipse, mask_set, random_grid, rectangle, scenes, simple_prompts
from tests.oracles import Scene
from tests.prompts.agreement import assert_agrees, assert_order_does_not_matter

SIZE = (30, 40)


def people() -> Scene:
    """A pair, each of the two, and one of their hats."""
    left, right = rectangle(SIZE, 2, 4, 18, 28), rectangle(SIZE, 18, 4, 34, 28)
    return Scene(np.stack([left | right, left, right, ellipse(SIZE, 4, 4, 16, 10)]), (18, 16, 14, 12))


LEFT, RIGHT = Box((2, 4, 18, 28)), Box((18, 4, 34, 28))


@given(st.data())
def test_any_of_agrees_with_the_oracle(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    members = [data.draw(simple_prompts(scene)) for _ in range(data.draw(st.integers(1, 3)))]
    assert_agrees(scene, any_of(*members))


@given(st.data())
def test_all_of_agrees_with_the_oracle(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    members = [data.draw(simple_prompts(scene)) for _ in range(data.draw(st.integers(1, 3)))]
    assert_agrees(scene, all_of(*members))


@given(st.data())
def test_but_not_agrees_with_the_oracle(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    assert_agrees(scene, but_not(data.draw(simple_prompts(scene)), data.draw(simple_prompts(scene))))


@given(st.data())
def test_combinations_of_combinations_agree_with_the_oracle(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    a, b, c = (data.draw(simple_prompts(scene)) for _ in range(3))
    forms = [
        all_of(any_of(a, b), c), any_of(all_of(a, b), c), but_not(any_of(a, b), c), but_not(a, any_of(b, c)),
        all_of(but_not(a, b), c), any_of(but_not(a, b), c), but_not(all_of(a, b), c),
        but_not(but_not(a, b), c),
        all_of(a, all_of(b, c)), any_of(a, any_of(b, c)),
    ]  # fmt: skip
    assert_agrees(scene, data.draw(st.sampled_from(forms)))


@given(st.data())
def test_order_of_masks_does_not_matter(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    a, b = data.draw(simple_prompts(scene)), data.draw(simple_prompts(scene))
    order = data.draw(st.permutations(range(len(scene.masks))))
    combined = data.draw(st.sampled_from([any_of(a, b), all_of(a, b), but_not(a, b)]))
    assert_order_does_not_matter(scene, combined, order)


@given(st.data())
def test_one_prompt_alone_is_any_of_itself(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    prompt = data.draw(simple_prompts(scene))
    alone, wrapped = select(mask_set(scene), prompt), select(mask_set(scene), any_of(prompt))
    assert {one.tobytes() for one in alone.masks} == {one.tobytes() for one in wrapped.masks}


def test_any_of_gives_each_mask_once_with_its_first_member() -> None:
    found = select(mask_set(people()), any_of(RIGHT, LEFT, Points((25, 20)), Box([(2, 4, 18, 28)] * 2)))
    assert found.indices.tolist() == [2, 1]
    assert found.groups.tolist() == [0, 1]


def test_any_of_keeps_edited_masks_beside_others() -> None:
    scene = Scene(people().masks[1:3], (10, 10))
    found = select(mask_set(scene), any_of(LEFT, Points([(10, 20), (26, 20)])))
    assert (found.indices.tolist(), found.edited.tolist()) == ([0, 0], [False, True])
    assert np.array_equal(found.masks.mask(1), people().masks[0])


def test_all_of_needs_every_prompt() -> None:
    masks = mask_set(people())
    assert select(masks, all_of(LEFT, Points((10, 7)))).indices.tolist() == [1]
    assert select(masks, all_of(Box((2, 4, 18, 28), 0.9), Points((30, 20)))).indices.tolist() == []
    background = Points((30, 20), [0])
    assert select(masks, all_of(background)).indices.tolist() == [1, 3]
    assert select(masks, all_of(background, Box((2, 4, 34, 28), 0.2))).indices.tolist() == [1]


def test_all_of_any_of_answers_each_part() -> None:
    found = select(
        mask_set(people()),
        all_of(any_of(Box(LEFT.xyxy, 0.6), Box(RIGHT.xyxy, 0.6)), Box((0, 0, 40, 30), 0.3)),
    )
    assert found.indices.tolist() == [1, 2]
    assert found.groups.tolist() == [0, 1]


def test_but_not_takes_the_unwanted_out_of_the_race() -> None:
    masks = mask_set(people())
    whole = Box((2, 4, 34, 28))
    assert select(masks, whole).indices.tolist() == [0]
    assert select(masks, but_not(whole, whole)).indices.tolist() == [1]
    both = select(masks, but_not(Box([(2, 4, 18, 28), (18, 4, 34, 28)], 0.6), RIGHT))
    assert (both.indices.tolist(), both.groups.tolist()) == ([1], [0])
    assert "1 unwanted" in both.reason


def test_but_not_keeps_what_a_prompt_means() -> None:
    """Levels, and the rule for nested masks under a scribble, hold among the masks that are left."""
    masks = mask_set(people())
    several = select(masks, but_not(Points((10, 8), multimask=True), Box((2, 4, 34, 28))))
    assert sorted(several.indices.tolist()) == [1, 3]
    assert set(several.levels) == {"part", "whole"}
    stroke = MaskLike.scribble([(8, 7), (12, 7)])
    assert (
        select(masks, but_not(stroke, LEFT)).indices.tolist() == select(masks, stroke).indices.tolist() == [3]
    )


def test_but_not_may_cut_with_the_unwanted_mask() -> None:
    scene = Scene(people().masks[[0, 2]], (18, 14))
    clicks = Points([(10, 20), (30, 20)], [1, 0])
    found = select(mask_set(scene), but_not(clicks, RIGHT))
    assert (found.indices.tolist(), found.edited.tolist()) == ([0], [True])
    assert np.array_equal(found.masks.mask(0), people().masks[1])


@pytest.mark.parametrize("seed", range(5))
def test_combinations_are_exact_on_the_grid_too(seed: int) -> None:
    """all_of ranks masks that are not the best of any member: estimates of their IoU would not do."""
    store = random_grid((120, 160), 160, count=12, seed=seed)
    lazy = MaskSet.from_grid(store, np.linspace(0.9, 0.5, 12, dtype=np.float32))
    dense = MaskSet.from_dense(np.asarray(lazy), lazy.scores)
    box = Box((20, 20, 140, 100), 0.05)
    region = Region.from_box(np.array(box.xyxy[0]), (120, 160))
    for column in range(10, 160, 30):
        prompt = all_of(box, Points((column, 60), [0]))
        found, wanted = select(lazy, prompt), select(dense, prompt)
        assert found.indices.tolist() == wanted.indices.tolist()
        assert np.allclose(found.scores, wanted.scores, atol=1e-6)
    exact = dense.ious(region, 0.0)
    assert np.allclose(lazy.ious(region, 0.0), exact, atol=1e-6)


@pytest.mark.parametrize(
    "prompt",
    [
        any_of(LEFT, Points((1, 1))),
        all_of(LEFT, MaskLike.scribble([(1, 1)])),
        but_not(LEFT, RIGHT),
        but_not(any_of(LEFT), RIGHT),
    ],
)
def test_no_masks_at_all(prompt: object) -> None:
    found = select(MaskSet.none(SIZE), prompt)  # type: ignore[arg-type]
    assert (len(found), found.masks.size_hw, found.groups.dtype) == (0, SIZE, np.int64)
    assert found.reason


@pytest.mark.parametrize("value", [None, "box", {"box": [0, 0, 1, 1]}, (1, 2), Box])
def test_what_is_no_prompt(value: object) -> None:
    with pytest.raises(PromptError, match="expected one of Box, Points, Mask"):
        select(mask_set(people()), value)  # type: ignore[arg-type]


@pytest.mark.parametrize("combine", [any_of, all_of, lambda a, b: but_not(b, a), but_not])
def test_a_member_outside_the_image_is_an_error(combine: object) -> None:
    with pytest.raises(PromptError, match="40x30 image"):
        select(mask_set(people()), combine(LEFT, Points((41, 3))))  # type: ignore[operator]
