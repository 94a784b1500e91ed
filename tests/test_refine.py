"""Refinement on drawn masks over drawn and real photographs."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from fastsam.config import RefineConfig
from fastsam.errors import ConfigError, InputError
from fastsam.masks import iou_matrix
from fastsam.records import Frame, MaskSet
from fastsam.refine import drop_duplicates, fill_and_drop, follow_edges, refine
from tests.drawing import ellipse, rectangle

SIZE = (80, 100)
DISC = ellipse(SIZE, 20, 10, 70, 60)


def frame_of(mask: np.ndarray, low: int = 60, high: int = 190) -> Frame:
    """A photo with some noise in which the mask's object is brighter."""
    noise = np.random.default_rng(0).normal(0, 4, (*mask.shape, 3))
    return Frame(np.clip(np.where(mask, high, low)[..., None] + noise, 0, 255).astype(np.uint8))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float(iou_matrix(a[None], b[None])[0, 0])


def test_nothing_is_on_by_default() -> None:
    masks = MaskSet.from_dense(np.stack([DISC, DISC]), [0.4, 0.5])
    assert refine(masks, frame_of(DISC), RefineConfig()) is masks


def test_the_better_of_two_duplicates_stays() -> None:
    other = rectangle(SIZE, 75, 5, 95, 40)
    nearly = np.roll(DISC, 1, axis=1)
    masks = MaskSet.from_dense(np.stack([nearly, other, DISC]), [0.4, 0.3, 0.5])
    kept = drop_duplicates(masks, 0.9)
    assert kept.scores.tolist() == pytest.approx([0.3, 0.5])
    assert np.array_equal(kept.mask(1), DISC)
    assert len(drop_duplicates(masks, 0.99)) == 3


def test_a_part_in_the_same_box_is_no_duplicate() -> None:
    cross = rectangle(SIZE, 40, 10, 50, 60) | rectangle(SIZE, 20, 30, 70, 40)
    masks = MaskSet.from_dense(np.stack([DISC, cross]), [0.9, 0.8])
    assert masks.boxes_xyxy[0].tolist() == masks.boxes_xyxy[1].tolist()
    assert len(drop_duplicates(masks, 0.7)) == 2


@pytest.mark.parametrize("shift", [2, 4])
def test_edges_move_onto_those_of_the_photo(shift: int) -> None:
    frame = frame_of(DISC)
    off = np.roll(DISC, shift, axis=1)
    moved = follow_edges(MaskSet.from_dense(off[None], [0.7]), frame, 6)
    assert iou(moved.mask(0), DISC) > iou(off, DISC) + 0.02
    assert moved.scores.tolist() == pytest.approx([0.7])


def test_edges_stay_where_the_photo_has_none() -> None:
    flat = Frame(np.full((*SIZE, 3), 128, np.uint8))
    moved = follow_edges(MaskSet.from_dense(DISC[None]), flat, 4)
    assert iou(moved.mask(0), DISC) > 0.97


def test_the_pixels_far_from_an_edge_never_change() -> None:
    photo = skimage.data.astronaut()
    mask = ellipse(photo.shape[:2], 120, 60, 320, 300)
    moved = follow_edges(MaskSet.from_dense(mask[None]), Frame(photo), 4).mask(0)
    inner, outer = ellipse(photo.shape[:2], 140, 80, 300, 280), ellipse(photo.shape[:2], 100, 40, 340, 320)
    assert moved[inner].all()
    assert not moved[~outer].any()
    assert np.count_nonzero(moved != mask) > 0


def test_holes_and_islands_go_bays_stay() -> None:
    holed = DISC.copy()
    holed[30:33, 40:43] = False  # a hole of 9 pixels
    holed[70:72, 90:93] = True  # an island of 6
    holed[30:40, 19:30] = False  # a bay
    tidy = fill_and_drop(MaskSet.from_dense(holed[None]), 10).mask(0)
    expected = holed.copy()
    expected[30:33, 40:43] = True
    expected[70:72, 90:93] = False
    assert np.array_equal(tidy, expected)


def test_boxes_follow_the_pixels() -> None:
    dirty = DISC.copy()
    dirty[75:77, 95:97] = True
    tidy = fill_and_drop(MaskSet.from_dense(dirty[None]), 10)
    assert tidy.boxes_xyxy.tolist() == [[20, 10, 70, 60]]


def test_the_steps_run_together_in_order() -> None:
    frame = frame_of(DISC)
    off = np.roll(DISC, 3, axis=0)
    masks = MaskSet.from_dense(np.stack([off, np.roll(off, 1, axis=1)]), [0.5, 0.6])
    config = RefineConfig(duplicate_iou=0.8, edge_radius=6, min_region_area=20)
    refined = refine(masks, frame, config)
    assert refined.scores.tolist() == pytest.approx([0.6])
    assert iou(refined.mask(0), DISC) > iou(off, DISC)


@pytest.mark.parametrize("config", [RefineConfig(0.5, 5, 30)])
def test_no_masks_and_empty_masks(config: RefineConfig) -> None:
    frame = frame_of(DISC)
    assert len(refine(MaskSet.none(SIZE), frame, config)) == 0
    empty = MaskSet.from_dense(np.zeros((1, *SIZE), bool))
    assert refine(empty, frame, config).areas_px.tolist() == [0]


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match=r"expected masks of the frame's size \(80, 100\), got \(8, 9\)"):
        refine(MaskSet.none((8, 9)), frame_of(DISC), RefineConfig())


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="edge_radius: expected a whole number from 0 to 64, got -1"):
        RefineConfig(edge_radius=-1)
