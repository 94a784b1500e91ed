"""Box prompts against their oracle, and by known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Box, select
from fastsam.prompts.box import score
from tests.drawing import box_prompts, mask_set, rectangle, scenes
from tests.oracles import Scene, box_pixels, iou
from tests.prompts.agreement import assert_agrees, assert_order_does_not_matter


@given(st.data())
def test_agrees_with_the_oracle(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    assert_agrees(scene, data.draw(box_prompts(scene)))


@given(st.data())
def test_order_of_masks_does_not_matter(data: st.DataObject) -> None:
    scene = data.draw(scenes(max_side=24))
    order = data.draw(st.permutations(range(len(scene.masks))))
    assert_order_does_not_matter(scene, data.draw(box_prompts(scene)), order)


@given(st.data())
def test_scores_are_exact_from_the_threshold_on(data: st.DataObject) -> None:
    scene = data.draw(scenes(min_masks=1))
    prompt = data.draw(box_prompts(scene))
    found = score(mask_set(scene), prompt)
    truth = np.array(
        [[float(iou(m, box_pixels(b, scene.size_hw))) for m in scene.masks] for b in prompt.xyxy]
    )
    reaches = truth >= prompt.iou_threshold
    assert found.shape == truth.shape
    assert np.allclose(found[reaches], truth[reaches], atol=1e-6)
    assert (found[~reaches] < np.float32(prompt.iou_threshold)).all()
    assert np.allclose(found.max(axis=1), truth.max(axis=1), atol=1e-6)


def two_squares() -> Scene:
    return Scene(np.stack([rectangle((20, 20), 0, 0, 10, 10), rectangle((20, 20), 10, 10, 20, 20)]), (10, 20))


def test_each_box_has_its_answer_in_order() -> None:
    boxes = [(10, 10, 20, 20), (0, 10, 3, 13), (0, 0, 10, 10), (10, 10, 20, 20)]
    found = select(mask_set(two_squares()), Box(boxes, 0.5))
    assert found.indices.tolist() == [1, 0, 1]
    assert found.groups.tolist() == [0, 2, 3]
    assert found.scores.tolist() == [1, 1, 1]
    assert "3 of 4 boxes" in found.reason
    assert "box 1" in found.reason
    assert len(found.group(1)) == 0
    assert found.group(3).indices.tolist() == [1]


def test_a_tie_goes_to_the_better_mask_score() -> None:
    scene = Scene(np.stack([rectangle((8, 8), 0, 0, 4, 8), rectangle((8, 8), 4, 0, 8, 8)]), (10, 11))
    assert select(mask_set(scene), Box((2, 0, 6, 8))).indices.tolist() == [1]


@pytest.mark.parametrize(
    ("box", "pixel"),
    [
        ((3.6, 5.1, 3.9, 5.2), (3, 5)),
        ((3.1, 5.6, 3.2, 5.9), (3, 5)),
        ((0, 0, 0.1, 0.1), (0, 0)),
        ((9.9, 6.95, 10, 7), (9, 6)),
        ((9, 6, 10, 7), (9, 6)),
        ((2.5, 1.5, 3.5, 2.5), (2, 1)),
    ],
)
def test_a_box_within_a_pixel_means_that_pixel(box: tuple[float, ...], pixel: tuple[int, int]) -> None:
    masks = np.zeros((70, 7, 10), bool)
    masks[np.arange(70), np.arange(70) // 10, np.arange(70) % 10] = True
    found = select(MaskSet.from_dense(masks), Box(box))
    assert (found.indices[0] % 10, found.indices[0] // 10) == pixel
    assert found.scores.tolist() == [1]


@pytest.mark.parametrize(
    ("box", "overlap"),
    [((0, 0, 10, 10), 1.0), ((0, 0, 10, 5), 0.5), ((0, 0, 7, 10), 0.7), ((0, 0, 1, 10), 0.1)],
)
def test_reaching_the_threshold_is_enough(box: tuple[float, ...], overlap: float) -> None:
    assert select(mask_set(two_squares()), Box(box, overlap)).indices.tolist() == [0]
    if overlap < 1:
        assert len(select(mask_set(two_squares()), Box(box, overlap + 1e-4))) == 0


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_no_masks_select_nothing(threshold: float) -> None:
    found = select(MaskSet.none((5, 6)), Box([(0, 0, 6, 5), (1, 1, 2, 2)], threshold))
    assert (len(found), found.masks.size_hw) == (0, (5, 6))
    assert "no masks" in found.reason


def test_masks_without_pixels_are_never_selected() -> None:
    assert len(select(MaskSet.from_dense(np.zeros((3, 5, 5), bool)), Box((0, 0, 5, 5), 0))) == 0


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((0, 0, 21, 5), "20x20"),
        ((-1, 0, 5, 5), r"\(-1, 0, 5, 5\)"),
        ((0, 0, 5, 20.01), r"20\.01"),
        ((30, 30, 31, 31), "30"),
    ],
)
def test_a_box_outside_the_image_is_an_error(box: tuple[float, ...], said: str) -> None:
    with pytest.raises(PromptError, match=said):
        select(mask_set(two_squares()), Box(box))


def test_the_callers_list_stays_as_it_is() -> None:
    boxes: list[Any] = [[0.4, 0.6, 9.7, 10.2]]
    select(mask_set(two_squares()), Box(boxes))
    assert boxes == [[0.4, 0.6, 9.7, 10.2]]
    array = np.array(boxes)
    prompt = Box(array)
    array[:] = 0
    assert prompt.xyxy == ((0.4, 0.6, 9.7, 10.2),)
