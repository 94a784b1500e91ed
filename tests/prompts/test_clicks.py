"""Clicks that correct an answer: each is obeyed, the rest stays, whatever masks there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut, chelsea

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import Points, all_of, but_not, select
from fastsam.prompts.solve.evidence import GridClick, Held, evidence
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import best_cut
from fastsam.prompts.solve.window import Window

SIZE = (90, 120)
PHOTO = np.ascontiguousarray(astronaut()[60 : 60 + SIZE[0], 150 : 150 + SIZE[1]])


def rect(x1: int, y1: int, x2: int, y2: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y1:y2, x1:x2] = True
    return mask


HEAD, BODY, WALL = rect(40, 10, 70, 40), rect(30, 40, 80, 88), rect(84, 4, 116, 84)


def scene_of(*masks: np.ndarray, scores: Any = None, photo: np.ndarray = PHOTO) -> Scene:
    stack = np.stack(masks) if masks else np.zeros((0, *photo.shape[:2]), bool)
    return Scene(photo, MaskSet.from_dense(stack, scores))


def ask(scene: Scene, points: Any, labels: Any = None, **options: Any) -> Selection:
    return select(scene.masks, Points(points, labels, **options), scene=scene)


def obeyed(found: Selection, points: Any, labels: Any) -> bool:
    mask = found.masks.mask(0)
    return all(
        bool(mask[int(y), int(x)]) == (label == 1) for (x, y), label in zip(points, labels, strict=True)
    )


def test_the_first_click_chooses_a_mask_as_it_is() -> None:
    found = ask(scene_of(HEAD, BODY), (55, 25))
    assert (found.indices.tolist(), found.edited.tolist()) == ([0], [False])
    assert found.clicks == ((55.0, 25.0, 1),)


def test_clicks_that_the_answer_suits_change_nothing() -> None:
    found = ask(scene_of(HEAD, BODY), [(55, 25), (45, 30), (5, 5)], [1, 1, 0])
    assert (found.indices.tolist(), found.edited.tolist()) == ([0], [False])
    assert "suits all" in found.reason


def test_a_click_on_another_thing_joins_its_mask_pixel_for_pixel() -> None:
    found = ask(scene_of(HEAD, BODY), [(55, 60), (55, 25)])
    assert np.array_equal(found.masks.mask(0), HEAD | BODY)
    assert found.reason == "made from 2 masks and 2 clicks"


def test_a_background_click_takes_away_the_mask_under_it_and_no_more() -> None:
    window = rect(40, 50, 60, 70)
    found = ask(scene_of(BODY, window), [(70, 80), (50, 60)], [1, 0])
    assert np.array_equal(found.masks.mask(0), BODY & ~window)
    assert found.reason == "made from 2 masks and 2 clicks"


def test_a_click_apart_from_the_answer_leaves_it_as_it_was() -> None:
    found = ask(scene_of(HEAD), [(55, 25), (112, 85)])
    made = found.masks.mask(0)
    assert made[85, 112]
    assert np.array_equal(made & HEAD, HEAD)
    assert np.count_nonzero(made[:45, :75]) == np.count_nonzero(HEAD)


def test_what_things_lie_on_is_not_joined() -> None:
    ground = ~HEAD
    found = ask(scene_of(HEAD, ground), [(55, 25), (75, 60)])
    assert obeyed(found, [(55, 25), (75, 60)], [1, 1])
    assert found.masks.mask(0).sum() < (HEAD | ground).sum() / 2


def test_a_correction_says_what_it_was_made_from() -> None:
    found = ask(scene_of(HEAD, BODY), [(55, 25), (55, 60)])
    assert found.edited.tolist() == [True]
    assert found.reason == "made from 2 masks and 2 clicks"
    assert 0 < float(found.scores[0]) < 1
    assert obeyed(found, [(55, 25), (55, 60)], [1, 1])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_click_is_obeyed_and_the_order_of_masks_does_not_matter(data: st.DataObject) -> None:
    masks = data.draw(st.lists(st.sampled_from([HEAD, BODY, WALL, HEAD | BODY, ~WALL]), max_size=4))
    pixels = st.tuples(st.integers(0, SIZE[1] - 1), st.integers(0, SIZE[0] - 1))
    points = data.draw(st.lists(pixels, min_size=1, max_size=5, unique=True))
    labels = [
        1,
        *data.draw(st.lists(st.sampled_from([0, 1]), min_size=len(points) - 1, max_size=len(points) - 1)),
    ]
    order = data.draw(st.permutations(range(len(masks))))
    first = ask(scene_of(*masks), points, labels)
    second = ask(scene_of(*[masks[i] for i in order]), points, labels)
    assert len(first) == 1
    assert obeyed(first, points, labels)
    assert np.array_equal(first.masks.mask(0), second.masks.mask(0))


def test_one_more_click_costs_no_replay_and_gives_the_same() -> None:
    points, labels = [(55, 25), (55, 60), (35, 80), (100, 40)], [1, 1, 0, 0]
    warm = scene_of(HEAD, BODY, WALL)
    for count in range(1, 5):
        found = ask(warm, points[:count], labels[:count])
    assert np.array_equal(found.masks.mask(0), ask(scene_of(HEAD, BODY, WALL), points, labels).masks.mask(0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3)])
@pytest.mark.parametrize("held", [True, False])
def test_tiny_images(shape: tuple[int, int], held: bool) -> None:
    photo = np.full((*shape, 3), 90, np.uint8)
    masks = [np.ones(shape, bool)] if held else []
    last = (shape[1] - 1, shape[0] - 1)
    found = ask(scene_of(*masks, photo=photo), [(0, 0)])
    assert found.masks.mask(0)[0, 0]
    if last != (0, 0):
        assert obeyed(ask(scene_of(*masks, photo=photo), [(0, 0), last], [1, 0]), [(0, 0), last], [1, 0])


def test_no_pixel_is_dead() -> None:
    photo = np.full((*SIZE, 3), 30, np.uint8)
    photo[20:60, 30:80] = (220, 40, 40)
    found = ask(scene_of(photo=photo), (55, 40))
    assert found.indices.tolist() == [-1]
    assert found.reason == "made from 1 click where no mask lies"
    made, red = found.masks.mask(0), rect(30, 20, 80, 60)
    assert np.count_nonzero(made & red) > 0.9 * np.count_nonzero(made)


def test_the_answer_does_not_leak_over_a_strong_edge() -> None:
    photo = np.full((*SIZE, 3), 30, np.uint8)
    photo[20:60, 30:80] = (220, 40, 40)
    red = rect(30, 20, 80, 60)
    half = rect(30, 20, 55, 60)
    found = ask(scene_of(half, photo=photo), [(42, 40), (68, 40)])
    made = found.masks.mask(0)
    iou = np.count_nonzero(made & red) / np.count_nonzero(made | red)
    assert iou > np.count_nonzero(half) / np.count_nonzero(red)


def test_a_previous_answer_keeps_its_clicks() -> None:
    scene = scene_of(HEAD, BODY, WALL)
    first = ask(scene, [(55, 25), (55, 60)], [1, 0])
    second = ask(scene, (100, 40), previous=first)
    assert second.clicks == ((55.0, 25.0, 1), (55.0, 60.0, 0), (100.0, 40.0, 1))
    assert obeyed(second, [(55, 25), (55, 60), (100, 40)], [1, 0, 1])
    drawn = ask(scene, [(45, 20)], previous=HEAD)  # suits it
    assert np.array_equal(drawn.masks.mask(0), HEAD)


def test_a_mask_that_nobody_clicked_is_not_forgotten() -> None:
    scene = scene_of(HEAD, WALL)
    both = HEAD | rect(2, 60, 22, 80)  # two pieces
    found = ask(scene, (100, 40), previous=both)
    made = found.masks.mask(0)
    assert made[40, 100]
    assert np.array_equal(made & both, both)
    assert found.clicks == ((100.0, 40.0, 1),)
    assert "1 click" in found.reason
    less = ask(scene, (55, 25), 0, previous=both).masks.mask(0)  # also where it was clicked by itself
    assert not less[25, 55]
    assert less[70, 12]


def test_several_objects_answer_apart() -> None:
    scene = scene_of(HEAD, BODY, WALL)
    found = ask(scene, [[(55, 25)], [(100, 40), (90, 80)], [(55, 60), (34, 84)]], [[1], [1, 1], [1, 0]])
    assert found.groups.tolist() == [0, 1, 2]
    assert found.edited.tolist() == [False, False, True]
    assert found.group(2).masks.mask(0)[60, 55]
    assert not found.group(2).masks.mask(0)[84, 34]


def test_levels_are_those_of_masks_as_long_as_one_suits() -> None:
    scene = scene_of(HEAD, rect(45, 15, 65, 35), HEAD | BODY)
    assert len(ask(scene, (55, 25), multimask=True)) == 3
    assert len(ask(scene, [(55, 25), (57, 24)], multimask=True)) == 3
    corrected = ask(scene, [(55, 25), (100, 40)], multimask=True)
    assert (len(corrected), corrected.edited.tolist()) == (1, [True])
    assert ask(scene, (55, 25), level="whole").indices.tolist() == [2]
    assert obeyed(ask(scene, [(55, 25), (100, 40)], level="part"), [(55, 25), (100, 40)], [1, 1])


def test_background_only_means_everything_else() -> None:
    assert ask(scene_of(HEAD, BODY, WALL), (55, 25), 0).indices.tolist() == [1, 2]


def test_combinations_hand_the_photo_on() -> None:
    scene = scene_of(HEAD, BODY, WALL)
    corrected = Points([(55, 25), (55, 60)])
    found = select(scene.masks, but_not(corrected, Points((100, 40))), scene=scene)
    assert found.edited.all()
    assert select(scene.masks, all_of(Points((55, 25)), Points((45, 30))), scene=scene).indices.tolist() == [
        0
    ]


def test_scene_of_another_size_is_refused() -> None:
    with pytest.raises(PromptError, match="scene: expected masks of the photo's size"):
        Scene(PHOTO, MaskSet.none((10, 10)))


def test_points_outside_are_refused() -> None:
    with pytest.raises(PromptError, match="outside"):
        ask(scene_of(HEAD), [(55, 25), (500, 10)])


# --- the maths ------------------------------------------------------------------------------------


def test_the_best_cut_is_the_best_of_all_cuts() -> None:
    logits = np.random.default_rng(0).normal(-0.5, 2, (12, 15)).astype(np.float32)
    chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    shifted, score = best_cut(logits)

    def expected(inside: np.ndarray) -> float:
        return float(chance[inside].sum() / (np.count_nonzero(inside) + chance[~inside].sum()))

    cuts = [expected(chance >= value) for value in np.unique(chance)]
    assert score == pytest.approx(max(cuts))
    assert expected(shifted > 0) == pytest.approx(max(cuts))


def test_walks_are_the_cheapest() -> None:
    window = Window(scene_of(photo=np.ascontiguousarray(chelsea()[100:112, 150:165])), (0, 0, 15, 12))
    found = window.walked([(2, 3)])
    relief = window.relief.astype(np.float64)
    slow = np.full(relief.shape, np.inf)
    slow[2, 3] = 0
    for _ in range(relief.size):  # Bellman and Ford
        before = slow.copy()
        for costs, here in ((relief, slow), (relief.T, slow.T)):
            step = np.maximum(costs[1:], costs[:-1]) + 0.08
            np.minimum(here[1:], here[:-1] + step, out=here[1:])
            np.minimum(here[:-1], here[1:] + step, out=here[:-1])
        if np.array_equal(before, slow):
            break
    assert np.allclose(found, slow, atol=1e-3)


def test_terms_of_the_newest_click_speak_only_of_the_other_side() -> None:
    window = Window(scene_of(HEAD, BODY), (0, 0, SIZE[1], SIZE[0]))
    logits = np.where(window.sampled(np.array([0]))[0], np.float32(3), np.float32(-3))
    clicks = [GridClick(window.cell(55, y), True, 9) for y in (25, 60)]
    terms = evidence(window, logits, clicks, Held.under(window, clicks))
    for name, term in terms.items():
        assert term.shape == window.shape, name
        assert np.isfinite(term).all(), name
        if name.startswith("new_"):
            assert not term[logits > 0].any(), name
            assert (term >= 0).all(), name
