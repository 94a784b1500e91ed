"""Point prompts against their oracle, and the complaints that they answer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Points, select
from fastsam.prompts.point import click_prior, score
from tests import oracles
from tests.drawing import clicks, ellipse, mask_set, point_prompts, rectangle, scenes
from tests.oracles import Scene
from tests.prompts.agreement import assert_agrees, assert_order_does_not_matter, pixels


def nest() -> Scene:
    """A face in a head in a person, all equally sure."""
    size = (60, 40)
    masks = [ellipse(size, 2, 2, 38, 58), ellipse(size, 10, 4, 30, 24), ellipse(size, 15, 10, 25, 20)]
    return Scene(np.stack(masks), (10, 10, 10))


def pair() -> Scene:
    """Two things side by side, and both together as one mask."""
    left, right = rectangle((20, 40), 2, 2, 20, 18), rectangle((20, 40), 20, 2, 38, 18)
    return Scene(np.stack([left, right, left | right]), (10, 10, 18))


@given(st.data())
def test_agrees_with_the_oracle(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    assert_agrees(scene, data.draw(point_prompts(scene)))


@given(st.data())
def test_order_of_masks_does_not_matter(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    order = data.draw(st.permutations(range(len(scene.masks))))
    assert_order_does_not_matter(scene, data.draw(point_prompts(scene)), order)


@given(st.data())
def test_order_of_points_does_not_matter(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24, min_masks=1))
    points = [data.draw(clicks(scene)) for _ in range(4)]
    labels = data.draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))
    order = data.draw(st.permutations(range(4)))
    first = Points(points, labels, multimask=True)
    second = Points([points[i] for i in order], [labels[i] for i in order], multimask=True)
    kinds = [(one.objects[0].foreground, one.objects[0].background) for one in (first, second)]
    assert kinds[0] == kinds[1]
    assert pixels(select(mask_set(scene), first)) == pixels(select(mask_set(scene), second))


@given(st.data())
def test_never_empty_while_a_consistent_answer_exists(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=16, min_masks=1))
    foreground = [data.draw(clicks(scene)) for _ in range(data.draw(st.integers(1, 2)))]
    background = [data.draw(clicks(scene)) for _ in range(data.draw(st.integers(0, 2)))]
    prompt = Points(foreground + background, [1] * len(foreground) + [0] * len(background))
    found = select(mask_set(scene), prompt)
    if oracles.consistent_exists(scene, foreground, background):
        assert len(found) == 1
        shown = found.masks.mask(0)
        assert all(shown[math.floor(y), math.floor(x)] for x, y in foreground)
    elif any(oracles.consistent_exists(scene, [point], background) for point in foreground):
        assert len(found) == 1
    else:
        assert len(found) == 0
    for shown in found.masks:
        assert not any(shown[math.floor(y), math.floor(x)] for x, y in background)


@given(st.data())
def test_score_is_above_zero_where_a_mask_fits_by_itself(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    prompt = data.draw(point_prompts(scene))
    found = score(mask_set(scene), prompt)
    truth, _ = oracles.satisfied(scene, prompt)
    assert found.shape == (len(prompt.objects), len(scene.masks))
    assert np.allclose(found, np.array(truth).reshape(found.shape), atol=1e-5)
    assert ((found > 0) == (np.array(truth).reshape(found.shape) > 0)).all()


# Complaints (CASIA-LMC-Lab/FastSAM#134 and its kin)


@pytest.mark.parametrize(
    ("click", "row"),
    [((20, 15), 2), ((20.5, 8.4), 1), ((13, 13), 1), ((20, 45), 0), ((4, 30), 0), ((20, 32), 0)],
)
def test_one_click_does_not_always_give_the_largest_nest_level(click: tuple[float, float], row: int) -> None:
    found = select(mask_set(nest()), Points(click))
    assert found.indices.tolist() == [row]
    assert np.array_equal(found.masks.mask(0), nest().masks[row])


def test_an_ambiguous_click_has_three_answers_best_first() -> None:
    found = select(mask_set(nest()), Points((20, 15), multimask=True))
    assert found.levels == ("subpart", "part", "whole")
    assert found.indices.tolist() == [2, 1, 0]
    assert (np.diff(found.scores) < 0).all()
    assert found.masks.areas_px.tolist() == [int(nest().masks[row].sum()) for row in (2, 1, 0)]


@pytest.mark.parametrize(("level", "row"), [("whole", 0), ("part", 1), ("subpart", 2)])
def test_a_level_is_one_of_the_three(level: Any, row: int) -> None:
    found = select(mask_set(nest()), Points((20, 15), level=level))
    assert (found.indices.tolist(), found.levels) == ([row], (level,))
    assert f"{level} of 3 nested masks" in found.reason
    three = select(mask_set(nest()), Points((20, 15), multimask=True))
    assert found.scores.tolist() == three[three.indices == row].scores.tolist()
    assert found.stability_scores().tolist() == [1]


@pytest.mark.parametrize(
    ("click", "level", "row", "name", "said"),
    [
        ((20, 8), "subpart", 1, "part", "no subpart under the click: the part of 2 nested masks"),
        ((20, 8), "part", 1, "part", "part of 2 nested masks"),
        ((20, 8), "whole", 0, "whole", "whole of 2 nested masks"),
        ((20, 45), "subpart", 0, "whole", "no subpart under the click: the whole of 1 nested mask"),
        ((20, 45), "part", 0, "whole", "no part under the click: the whole of 1 nested mask"),
    ],
)
def test_a_level_that_a_click_does_not_have(
    click: tuple[int, int], level: Any, row: int, name: str, said: str
) -> None:
    found = select(mask_set(nest()), Points(click, level=level))
    assert (found.indices.tolist(), found.levels) == ([row], (name,))
    assert said in found.reason


def test_a_whole_is_no_mask_that_merely_overlaps() -> None:
    """A wide mask across the click is an answer of its own, but not what the best answer is part of."""
    size = (40, 100)
    thing, across = ellipse(size, 30, 2, 60, 38), rectangle(size, 40, 10, 100, 30)
    masks = mask_set(Scene(np.stack([thing, across]), (18, 10)))
    assert len(select(masks, Points((45, 20), multimask=True))) == 2
    found = select(masks, Points((45, 20), level="whole"))
    assert found.indices.tolist() == [0]


def test_nothing_under_a_click_has_no_level() -> None:
    assert len(select(mask_set(nest()), Points((0, 0), level="part"))) == 0
    assert len(select(MaskSet.none((9, 9)), Points((0, 0), level="whole"))) == 0


def test_answers_that_are_almost_the_same_count_once() -> None:
    size = (40, 40)
    masks = [ellipse(size, 2, 2, 38, 38), ellipse(size, 3, 3, 38, 38), ellipse(size, 14, 14, 26, 26)]
    found = select(mask_set(Scene(np.stack(masks), (10, 9, 8))), Points((20, 20), multimask=True))
    assert len(found) == 2
    assert set(found.levels) == {"part", "whole"}


@pytest.mark.parametrize(("width", "count"), [(32, 1), (31, 2), (28, 2)])
def test_answers_differ_when_they_overlap_less_than_four_fifths(width: int, count: int) -> None:
    masks = [rectangle((20, 40), 0, 0, 40, 20), rectangle((20, 40), 0, 0, width, 20)]
    found = select(mask_set(Scene(np.stack(masks), (10, 9))), Points((16, 10), multimask=True))
    assert len(found) == count


def test_nothing_under_the_click_is_an_empty_answer() -> None:
    found = select(mask_set(nest()), Points((0, 0)))
    assert len(found) == 0
    assert "no mask under" in found.reason


@pytest.mark.parametrize(
    "prompt", [Points((1, 1)), Points((1, 1), [0]), Points([[(1, 1)], [(2, 2)]]), Points((1, 1), None, True)]
)
def test_no_masks_at_all(prompt: Points) -> None:
    found = select(MaskSet.none((4, 5)), prompt)
    assert (len(found), found.masks.size_hw, found.scores.shape) == (0, (4, 5), (0,))
    assert score(MaskSet.none((4, 5)), prompt).shape == (len(prompt.objects), 0)


@pytest.mark.parametrize(
    "point", [(-1, 3), (3, -0.01), (40, 3), (3, 60), (1e9, 1), (40.0, 60.0), (3, 60.5)], ids=str
)
@pytest.mark.parametrize("label", [1, 0])
def test_a_point_outside_the_image_picks_no_mask(point: tuple[float, float], label: int) -> None:
    with pytest.raises(PromptError, match=r"outside the 40x60 image; points are \(x, y\) in image pixels"):
        select(mask_set(nest()), Points(point, [label]))


def test_the_last_pixel_is_inside() -> None:
    corner = Scene(rectangle((60, 40), 39, 59, 40, 60)[None], (20,))
    assert select(mask_set(corner), Points((39.99, 59.99))).indices.tolist() == [0]
    assert len(select(mask_set(corner), Points((38.99, 59.99)))) == 0


def test_the_callers_lists_stay_as_they_are() -> None:
    points: list[Any] = [[21.5, 5.0], [3.0, 4.0], [20.0, 15.0]]
    labels = [0, 1, 1]
    select(mask_set(nest()), Points(points, labels))
    assert (points, labels) == ([[21.5, 5.0], [3.0, 4.0], [20.0, 15.0]], [0, 1, 1])


# Foreground and background


def test_a_background_point_takes_the_smaller_mask() -> None:
    found = select(mask_set(pair()), Points([(10, 10), (30, 10)], [1, 0]))
    assert (found.indices.tolist(), found.edited.tolist()) == ([0], [False])


def test_a_background_point_in_the_only_mask_under_the_click_cuts_it() -> None:
    scene = Scene(pair().masks[1:], (10, 18))
    found = select(mask_set(scene), Points([(10, 10), (30, 10)], [1, 0]))
    assert (found.indices.tolist(), found.edited.tolist()) == ([1], [True])
    assert np.array_equal(found.masks.mask(0), pair().masks[0])
    assert "without what is under the background points" in found.reason


def test_where_no_cut_is_possible_the_answer_is_empty_and_says_so() -> None:
    scene = Scene(pair().masks[2:], (18,))
    found = select(mask_set(scene), Points([(10, 10), (30, 10)], [1, 0]))
    assert len(found) == 0
    assert "without the background points" in found.reason


def test_a_point_that_is_foreground_and_background_selects_nothing() -> None:
    assert len(select(mask_set(pair()), Points([(10, 10), (10, 10)], [1, 0]))) == 0


def test_foreground_points_on_two_masks_join_them() -> None:
    scene = Scene(pair().masks[:2], (10, 10))
    found = select(mask_set(scene), Points([(10, 10), (30, 10)]))
    assert (len(found), found.edited.tolist()) == (1, [True])
    assert np.array_equal(found.masks.mask(0), pair().masks[2])
    apart = select(mask_set(scene), Points([[(10, 10)], [(30, 10)]]))
    assert (apart.indices.tolist(), apart.groups.tolist()) == ([0, 1], [0, 1])


def test_a_foreground_point_on_no_mask_is_named() -> None:
    scene = Scene(pair().masks[:2], (10, 10))
    found = select(mask_set(scene), Points([(10, 10), (0, 0)]))
    assert (found.indices.tolist(), found.edited.tolist()) == ([0], [False])
    assert "one of 2 foreground points; 1 point on no mask" in found.reason


def test_only_background_points_select_everything_else() -> None:
    found = select(mask_set(pair()), Points([(10, 10)], [0]))
    assert found.indices.tolist() == [1]
    found = select(mask_set(nest()), Points([(0, 0)], [0]))
    assert found.indices.tolist() == [0, 1, 2]
    assert found.scores.tolist() == [0.5, 0.5, 0.5]


def test_padding_counts_for_nothing() -> None:
    padded = Points([(20, 15), (0, 0), (0, 0)], [1, -1, -1])
    assert padded == Points((20, 15))
    with pytest.raises(PromptError, match="all are labelled -1"):
        select(mask_set(nest()), Points([[(20, 15)], [(1, 1)]], [[1], [-1]]))
    with pytest.raises(PromptError, match="all are labelled -1"):
        score(mask_set(nest()), Points((1, 1), -1))


def test_click_prior_is_the_root_of_the_score_times_depth_squared() -> None:
    scene = Scene(rectangle((9, 9), 0, 0, 9, 9)[None], (5,))
    masks = mask_set(scene)
    for x, depth in ((4, 1.0), (2, 0.6), (0, 0.2)):
        found = click_prior(masks, np.array([[x, 4.0]]), np.ones((1, 1), bool))
        assert np.allclose(found, 0.5 * depth**2)
    assert click_prior(masks, np.array([[4.0, 4.0], [0.0, 4.0]]), np.ones((1, 2), bool)) == pytest.approx(
        0.5 * 0.04
    )
    assert click_prior(masks, np.array([[4.0, 4.0]]), np.zeros((1, 1), bool)).tolist() == [0]
