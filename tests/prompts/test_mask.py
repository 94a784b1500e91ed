"""Mask prompts (bitmap, RLE, polygon, scribble, previous answer) against their oracle."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import encode_rle
from fastsam.prompts import Box, MaskLike, Points, select
from fastsam.prompts.mask import rasterise, score
from tests.drawing import ellipse, mask_prompts, mask_set, rectangle, scenes
from tests.oracles import Scene, marked
from tests.prompts.agreement import assert_agrees, assert_order_does_not_matter

SIZE = (30, 40)


def scene() -> Scene:
    """A disc, the same disc a little larger, and a square apart."""
    masks = [ellipse(SIZE, 4, 4, 20, 20), ellipse(SIZE, 3, 3, 21, 21), rectangle(SIZE, 24, 10, 38, 24)]
    return Scene(np.stack(masks), (10, 9, 8))


@given(st.data())
def test_agrees_with_the_oracle(data: st.DataObject) -> None:
    drawn = data.draw(scenes())
    assert_agrees(drawn, data.draw(mask_prompts(drawn)))


@given(st.data())
def test_order_of_masks_does_not_matter(data: st.DataObject) -> None:
    drawn = data.draw(scenes(max_side=24))
    order = data.draw(st.permutations(range(len(drawn.masks))))
    assert_order_does_not_matter(drawn, data.draw(mask_prompts(drawn)), order)


@given(st.data())
def test_marked_pixels_are_the_oracles(data: st.DataObject) -> None:
    drawn = data.draw(scenes(max_masks=2))
    prompt = data.draw(mask_prompts(drawn))
    assert np.array_equal(rasterise(prompt, drawn.size_hw), marked(prompt, drawn.size_hw))


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask,
        lambda mask: mask.astype(np.uint8),
        lambda mask: mask.astype(np.uint8) * 255,
        lambda mask: mask.astype(np.float32),
        lambda mask: np.asfortranarray(mask),
        encode_rle,
        lambda mask: MappingProxyType(encode_rle(mask)),
        lambda mask: MaskSet.from_dense(mask[None]),
        lambda mask: select(MaskSet.from_dense(mask[None]), Box((0, 0, 40, 30))),
    ],
)
def test_every_form_of_a_mask_finds_it(row: int, form: Any) -> None:
    found = select(mask_set(scene()), MaskLike(form(scene().masks[row])))
    assert (found.indices.tolist(), found.scores.tolist()) == ([row], [1])


def test_the_previous_answer_can_be_asked_again() -> None:
    masks = mask_set(scene())
    first = select(masks, Points((12, 12)))
    second = select(masks, MaskLike(first))
    assert second.indices.tolist() == first.indices.tolist()
    both = select(masks, Box([(4, 4, 20, 20), (24, 10, 38, 24)]))
    assert np.array_equal(MaskLike(both).value, np.logical_or.reduce(list(both.masks)))


def test_a_polygon_of_a_disc_finds_the_disc() -> None:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([12 + 8 * np.cos(angle), 12 + 8 * np.sin(angle)], axis=1)
    found = select(mask_set(scene()), MaskLike(ring - 0.5))
    assert found.indices.tolist() == [0]
    assert found.scores[0] > 0.9


def test_a_polygon_may_touch_the_edge_of_the_image() -> None:
    full = MaskLike([(0, 0), (40, 0), (40, 30), (0, 30)])
    assert rasterise(full, SIZE).all()
    with pytest.raises(PromptError, match="outside the 40x30 image"):
        select(mask_set(scene()), MaskLike([(0, 0), (40.1, 0), (40, 30)]))


def test_a_scribble_prefers_the_mask_that_a_click_on_it_means() -> None:
    nested = Scene(np.stack([np.ones(SIZE, bool), ellipse(SIZE, 10, 5, 30, 25)]), (10, 10))
    found = select(mask_set(nested), MaskLike.scribble([(16, 15), (24, 15)]))
    assert found.indices.tolist() == [1]
    assert found.scores.tolist() == [1]
    found = select(mask_set(nested), MaskLike.scribble([(2, 2), (38, 2)]))
    assert found.indices.tolist() == [0]


def test_a_scribble_is_judged_by_its_share() -> None:
    masks = mask_set(scene())
    line = [(24, 12), (30, 12), (30, 28)]  # 18 of 23 pixels in the square
    assert select(masks, MaskLike.scribble(line, threshold=0.75)).indices.tolist() == [2]
    refused = select(masks, MaskLike.scribble(line, threshold=0.9))
    assert len(refused) == 0
    assert "share of the scribble" in refused.reason


def test_as_good_as_the_best_still_has_to_reach_the_threshold() -> None:
    row = np.zeros((1, 100), bool)
    best, second = row.copy(), row.copy()
    best[0, :49], best[0, 98] = True, True  # 50 % of the stroke
    second[0, 49:98] = True  # 49 % of it, with its middle
    masks = MaskSet.from_dense(np.stack([best, second]), [0.1, 1.0])
    stroke = [(0, 0), (99, 0)]
    assert select(masks, MaskLike.scribble(stroke, threshold=0.5, group=False)).indices.tolist() == [0]
    assert sorted(select(masks, MaskLike.scribble(stroke, threshold=0.5)).indices.tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("width", "rows"), [(0.1, 1), (1, 1), (2, 1), (3, 3), (4.9, 5), (5, 5), (21, 21), (10_000, 30)]
)
def test_a_stroke_has_its_width(width: float, rows: int) -> None:
    drawn = rasterise(MaskLike.scribble([(10, 15), (30, 15)], width), SIZE)
    assert drawn[:, 20].sum() == rows
    assert drawn[15].sum() == min(20 + rows, 40)
    drawn = rasterise(MaskLike.scribble([(10, 15)], width), SIZE)
    assert (drawn[:, 10].sum(), drawn[15].sum()) == (rows, rows if width < 21 else drawn[15].sum())


def test_a_long_stroke_is_sampled_evenly() -> None:
    size = (300, 300)
    masks = MaskSet.from_dense(np.stack([rectangle(size, 0, 0, 300, 225), np.zeros(size, bool)]))
    zigzag = [(0 if y % 2 else 299, y) for y in range(0, 300, 2)] + [(299, 299)]
    drawn = MaskLike.scribble([(150, 0), (150, 299)], width_px=299)
    assert rasterise(drawn, size).sum() > 80_000
    assert score(masks, drawn)[0, 0] == pytest.approx(0.75, abs=0.01)
    assert score(masks, MaskLike.scribble(zigzag))[0, 1] == 0


@pytest.mark.parametrize(
    "prompt",
    [MaskLike(np.ones(SIZE, bool)), MaskLike.scribble([(1, 1)]), MaskLike([(0, 0), (9, 0), (9, 9)], 0)],
)
def test_no_masks_at_all(prompt: MaskLike) -> None:
    found = select(MaskSet.none(SIZE), prompt)
    assert (len(found), found.masks.size_hw) == (0, SIZE)
    assert "no masks" in found.reason
    assert score(MaskSet.none(SIZE), prompt).shape == (1, 0)


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_what_overlaps_nothing_selects_nothing(threshold: float) -> None:
    corner = rectangle(SIZE, 38, 28, 40, 30)
    found = select(mask_set(scene()), MaskLike(corner, threshold))
    assert len(found) == 0
    assert "best IoU 0.00" in found.reason


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones((30, 41), bool), "expected the image's size 40x30, got 41x30"),
        (np.ones((40, 30), bool), "got 30x40"),
        (np.zeros(SIZE, bool), "empty mask"),
        (MaskSet.none(SIZE), "empty mask"),
        (MaskSet.from_dense(np.ones((1, 8, 8), bool)), "got 8x8"),
        (encode_rle(np.ones((8, 9), bool)), "got 9x8"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "got 1000000000x1000000000"),
        ({"size": [30, 40], "counts": "hello"}, "counts"),
        ({"size": [30, 40], "counts": [1199]}, "1199, expected 1200"),
        ({"size": "30x40", "counts": [1200]}, "size"),
        ({"counts": [1200]}, "size"),
        ({}, "size"),
    ],
)
def test_a_mask_that_does_not_fit_the_image(value: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        select(mask_set(scene()), MaskLike(value))


def test_the_callers_bitmap_may_change_afterwards() -> None:
    bitmap = scene().masks[0].copy()
    polygon = [[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]
    prompts = [
        MaskLike(bitmap),
        MaskLike(polygon),
        MaskLike(np.array(polygon)),
        MaskLike.scribble(np.array(polygon)),
    ]
    before = [np.array(prompt.value) for prompt in prompts]
    bitmap[:] = False
    polygon[0][0] = 5.0
    for prompt, value in zip(prompts, before, strict=True):
        assert np.array_equal(prompt.value, value)
