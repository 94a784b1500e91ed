"""Points on an earlier answer: it is never lost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import encode_rle
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, MaskLike, Points, Position, but_not, select
from tests.drawing import blob, clicks, ellipse, mask_set, rectangle, scenes
from tests.oracles import BoolArray, Scene
from tests.prompts.agreement import permuted

SIZE = (40, 60)
BODY, SHIRT, BAG = (
    rectangle(SIZE, 4, 4, 24, 38),
    rectangle(SIZE, 6, 12, 22, 26),
    ellipse(SIZE, 30, 10, 50, 30),
)


def person() -> MaskSet:
    """A person, its shirt, and a bag apart."""
    return MaskSet.from_dense(np.stack([BODY, SHIRT, BAG]), [0.9, 0.8, 0.7])


def ask(points: Any, labels: Any, previous: Any, masks: MaskSet | None = None) -> Selection:
    return select(person() if masks is None else masks, Points(points, labels, previous=previous))


def test_a_point_outside_adds_the_mask_under_it() -> None:
    found = ask((40, 20), None, BODY)
    assert np.array_equal(found.masks.mask(0), BODY | BAG)
    assert (found.scores.tolist(), found.indices.tolist(), found.edited.tolist()) == ([1], [0], [True])
    assert found.reason == "previous answer, changed; added the mask under 1 point outside it"


def test_a_background_point_inside_cuts_the_mask_under_it() -> None:
    found = ask((14, 18), 0, BODY)
    assert np.array_equal(found.masks.mask(0), BODY & ~SHIRT)
    both = ask([(14, 18), (14, 30), (40, 20)], [0, 1, 1], BODY)
    assert np.array_equal(both.masks.mask(0), (BODY & ~SHIRT) | BAG)
    assert "added the mask under 1 point outside it" in both.reason
    assert "cut away what is under 1 background point" in both.reason


@pytest.mark.parametrize(
    ("points", "labels", "score", "said"),
    [
        ((1, 1), 1, 0, "previous answer, unchanged; 1 point outside it on no mask that can be added"),
        ((14, 30), 1, 1, "previous answer, unchanged; it agrees with the points already"),
        ((40, 20), 0, 1, "previous answer, unchanged; it agrees with the points already"),
        # only the person itself is under the point, and cutting it away would leave nothing
        ((14, 30), 0, 0, "previous answer, unchanged; 1 background point on no mask that can be cut"),
        # the shirt holds a foreground point too
        ([(14, 18), (14, 20)], [1, 0], 0.5, "unchanged; 1 background point on no mask"),
    ],
)
def test_where_nothing_fits_it_stays_as_it_was(points: Any, labels: Any, score: float, said: str) -> None:
    found = ask(points, labels, BODY)
    assert np.array_equal(found.masks.mask(0), BODY)
    assert (found.scores.tolist(), found.indices.tolist(), found.edited.tolist()) == ([score], [0], [False])
    assert said in found.reason


def test_what_no_mask_holds_stays_too() -> None:
    drawn = rectangle(SIZE, 52, 32, 58, 38)
    alone = ask((1, 1), 1, drawn)
    assert np.array_equal(alone.masks.mask(0), drawn)
    assert (alone.indices.tolist(), alone.edited.tolist()) == ([-1], [True])
    nothing = ask((1, 1), 1, drawn, MaskSet.none(SIZE))
    assert np.array_equal(nothing.masks.mask(0), drawn)
    assert nothing.indices.tolist() == [-1]
    assert select(person(), Position("largest", Points((1, 1), previous=drawn))).indices.tolist() == [-1]
    for unwanted in (Box((30, 10, 50, 30)), Points((2, 2), previous=drawn)):
        assert select(person(), but_not(Points((1, 1), previous=drawn), unwanted)).indices.tolist() == [-1]


@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask,
        encode_rle,
        MaskLike,
        lambda mask: MaskSet.from_dense(mask[None]),
        lambda mask: select(MaskSet.from_dense(mask[None]), MaskLike(mask)),
    ],
)
def test_every_form_of_an_earlier_answer(form: Any) -> None:
    assert np.array_equal(ask((40, 20), 1, form(BODY)).masks.mask(0), BODY | BAG)


def test_it_goes_on_from_answer_to_answer() -> None:
    masks, answer = person(), None
    for point, label in (((14, 30), 1), ((40, 20), 1), ((14, 18), 0), ((1, 1), 1)):
        answer = ask(point, label, answer, masks)
    assert answer is not None
    assert np.array_equal(answer.masks.mask(0), (BODY & ~SHIRT) | BAG)


def test_an_empty_answer_is_none() -> None:
    nothing = select(person(), Points((1, 1)))
    assert len(nothing) == 0
    assert Points((14, 30), previous=nothing) == Points((14, 30))
    assert ask((14, 30), 1, nothing).indices.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"multimask": True}, "multimask True"),
        ({"level": "part"}, "level 'part'"),
        ({"points": [[(1, 1)], [(2, 2)]]}, "2 objects"),
    ],
)
def test_one_answer_about_one_object(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PromptError, match=f"previous: expected the points of one object.*{said}"):
        Points(**{"points": (1, 1), **options}, previous=BODY)


def test_an_answer_of_another_image() -> None:
    with pytest.raises(PromptError, match="expected the image's size 60x40, got 5x5"):
        ask((1, 1), 1, np.ones((5, 5), bool))
    with pytest.raises(PromptError, match="at least one marked pixel"):
        ask((1, 1), 1, np.zeros(SIZE, bool))
    with pytest.raises(PromptError, match="all are labelled -1"):
        ask((1, 1), -1, BODY)


def holds(mask: BoolArray, point: tuple[float, float]) -> bool:
    return bool(mask[math.floor(point[1]), math.floor(point[0])])


@st.composite
def iterations(draw: st.DrawFn) -> tuple[Scene, BoolArray, list[Any], list[int]]:
    scene = draw(scenes(max_side=24, min_masks=1))
    before = blob(scene.size_hw, draw(st.integers(0, 99)))
    if draw(st.booleans()):
        before = scene.masks[draw(st.integers(0, len(scene.masks) - 1))]
    if not before.any():
        before = np.ones(scene.size_hw, bool)
    points = [draw(clicks(scene)) for _ in range(draw(st.integers(1, 4)))]
    return scene, before, points, [draw(st.integers(0, 1)) for _ in points]


@given(iterations())
def test_what_always_holds(case: tuple[Scene, BoolArray, list[Any], list[int]]) -> None:
    scene, before, points, labels = case
    found = ask(points, labels, before, mask_set(scene))
    assert len(found) == 1
    after = found.masks.mask(0)
    assert after.any()
    foreground = [p for p, label in zip(points, labels, strict=True) if label]
    background = [p for p, label in zip(points, labels, strict=True) if not label]
    for point in foreground:
        assert holds(after, point) >= holds(before, point), "a point that was in it is lost"
        alone = [m for m in scene.masks if holds(m, point) and not any(holds(m, p) for p in background)]
        assert holds(after, point) or not alone, "a mask could be added"
    for point in background:
        assert holds(after, point) <= holds(before, point), "a background point came in"
    changed = after != before
    assert not (changed & ~np.logical_or.reduce(scene.masks)).any(), "only masks change it"
    if not any(holds(before, p) for p in background):
        assert not (before & ~after).any(), "nothing was to be cut"
    if all(holds(before, p) for p in foreground):
        assert not (after & ~before).any(), "nothing was to be added"
    distinct = set(zip(points, labels, strict=True))  # a click made twice counts once
    right = sum(holds(after, p) == bool(label) for p, label in distinct)
    assert found.scores[0] == pytest.approx(right / len(distinct))
    if not found.edited[0]:
        assert np.array_equal(scene.masks[found.indices[0]], after)


@given(iterations(), st.data())
def test_no_order_matters(case: tuple[Scene, BoolArray, list[Any], list[int]], data: st.DataObject) -> None:
    scene, before, points, labels = case
    rows = data.draw(st.permutations(range(len(scene.masks))))
    turns = data.draw(st.permutations(range(len(points))))
    first = ask(points, labels, before, mask_set(scene))
    second = ask(
        [points[i] for i in turns], [labels[i] for i in turns], before, mask_set(permuted(scene, rows))
    )
    assert np.array_equal(first.masks.mask(0), second.masks.mask(0))
    assert first.scores.tolist() == second.scores.tolist()
