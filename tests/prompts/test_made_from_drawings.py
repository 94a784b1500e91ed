"""Boxes, outlines and scribbles that no mask fits: what is made of them, and that a fitting mask stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, MaskLike, Points, Prompt, select
from fastsam.prompts.solve.scene import Scene

SIZE = (90, 120)


def rect(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


RED, WALL = rect(30, 20, 80, 60), rect(0, 0, 120, 75)
PHOTO = np.full((*SIZE, 3), 30, np.uint8)
PHOTO[RED] = (220, 40, 40)
AROUND = [(30.0, 20.0), (79.0, 20.0), (79.0, 59.0), (30.0, 59.0)]


def ask(prompt: Prompt, *masks: np.ndarray) -> Selection:
    held = MaskSet.from_dense(np.stack(masks) if masks else np.zeros((0, *SIZE), bool))
    return select(held, prompt, scene=Scene(PHOTO, held))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


DRAWN = [Box(30, 20, 80, 60), MaskLike.polygon(AROUND)]


@pytest.mark.parametrize("prompt", DRAWN)
def test_a_mask_that_fits_answers_as_it_is(prompt: Any) -> None:
    found = ask(prompt, WALL, RED)
    assert (found.indices.tolist(), found.edited.tolist()) == ([1], [False])


@pytest.mark.parametrize(("prompt", "masks"), [(DRAWN[0], (WALL,)), (DRAWN[1], (WALL,)), (DRAWN[1], ())])
def test_where_none_fits_the_answer_is_made(prompt: Any, masks: tuple[np.ndarray, ...]) -> None:
    found = ask(prompt, *masks)
    assert found.edited.tolist() == [True]
    assert iou(found.masks.mask(0), RED) > 0.7
    assert 0 < float(found.scores[0]) < 1
    assert found.reason.startswith("made from " + ("1 mask and " if masks else ""))


def test_rows_are_those_of_the_boxes() -> None:
    found = ask(Box([(0, 0, 120, 75), (30, 20, 80, 60), (5, 5, 25, 70)]), WALL)
    assert found.groups.tolist() == [0, 1, 2]
    assert found.edited.tolist() == [False, True, True]
    assert "box 1: made from 1 mask and a box" in found.reason


def test_a_box_over_no_mask_has_no_answer() -> None:
    assert len(ask(DRAWN[0])) == 0
    assert ask(Box([(30, 20, 80, 60), (5, 5, 25, 70)]), rect(5, 5, 25, 70)).groups.tolist() == [1]


def test_a_threshold_is_kept_to() -> None:
    assert len(ask(Box((0, 0, 120, 90), iou_threshold=0.95), RED)) == 0


def test_a_scribble_is_answered_like_clicks_along_it() -> None:
    left, right = rect(30, 20, 55, 60), rect(55, 20, 80, 60)
    one = ask(MaskLike.scribble([(35, 40), (50, 40)], 3, group=False), left, right)
    assert (one.indices.tolist(), one.edited.tolist()) == ([0], [False])
    both = ask(MaskLike.scribble([(35, 40), (75, 40)], 3, group=False), left, right)
    assert np.array_equal(both.masks.mask(0), RED)
    assert both.reason == "made from 2 masks and a scribble"


def test_what_was_made_is_corrected_by_clicks() -> None:
    held = MaskSet.from_dense(WALL[None])
    scene = Scene(PHOTO, held)
    box = select(held, Box(30, 20, 80, 60), scene=scene)
    more = select(held, Points((110, 85), previous=box), scene=scene)
    made = more.masks.mask(0)
    assert made[85, 110]
    assert iou(made & WALL, box.masks.mask(0)) > 0.95


def test_bitmaps_are_found_again_and_not_made() -> None:
    assert ask(MaskLike(RED, threshold=0.0), WALL).indices.tolist() == [0]
    assert not ask(MaskLike(RED, threshold=0.0), WALL).edited.any()
