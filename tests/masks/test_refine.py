"""Refinement on drawn masks over drawn and real photographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given

from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError, InputError
from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.dense import iou_matrix
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import (
    RefinedStore,
    containment_nms,
    drop_duplicates,
    fill_and_drop,
    follow_edges,
    grid_cell_px,
    partition,
    refine,
)
from fastsam.masks.region import Region
from fastsam.masks.stores.grid import GridStore
from tests.drawing import ellipse, mask_set, rectangle, scenes
from tests.oracles import Scene

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
    assert refine(masks, PHOTO, SegmentConfig()) is masks


def test_the_better_of_two_duplicates_stays() -> None:
    other = rectangle(SIZE, 75, 5, 95, 40)
    nearly = np.roll(DISC, 1, axis=1)
    masks = MaskSet.from_dense(np.stack([nearly, other, DISC]), [0.4, 0.3, 0.5])
    kept = drop_duplicates(masks, 0.9)
    assert kept.scores.tolist() == pytest.approx([0.3, 0.5])
    assert np.array_equal(kept.mask(1), DISC)
    assert len(drop_duplicates(masks, 0.99)) == 3


def test_what_lies_in_a_better_mask_is_dropped() -> None:
    part, better = rectangle(SIZE, 35, 25, 50, 40), rectangle(SIZE, 40, 20, 45, 50)
    apart = rectangle(SIZE, 75, 5, 95, 40)
    masks = MaskSet.from_dense(np.stack([part, apart, DISC, better]), [0.5, 0.3, 0.8, 0.9])
    kept = containment_nms(masks, 0.9)
    assert kept.scores.tolist() == pytest.approx([0.3, 0.8, 0.9])
    assert containment_nms(masks, 1.0) is masks
    assert len(containment_nms(masks, 0.99)) == 3
    assert len(containment_nms(MaskSet.none(SIZE), 0.5)) == 0


def test_what_lies_in_a_dropped_mask_may_stay() -> None:
    """Only masks that stay take others away."""
    middle, inner = rectangle(SIZE, 20, 30, 72, 40), rectangle(SIZE, 62, 32, 72, 38)
    masks = MaskSet.from_dense(np.stack([DISC, middle, inner]), [0.9, 0.8, 0.7])
    assert containment_nms(masks, 0.8).scores.tolist() == pytest.approx([0.9, 0.7])


@given(scenes(max_side=32))
def test_a_partition_gives_each_pixel_one_mask(scene: Scene) -> None:
    masks, rows, cut = partition(mask_set(scene))
    parts = np.asarray(masks)
    assert parts.sum(axis=0).max(initial=0) <= 1
    assert masks.scores.tolist() == scene.scores[rows].tolist()
    assert (parts <= scene.masks[rows]).all()
    assert cut.tolist() == [not np.array_equal(a, b) for a, b in zip(parts, scene.masks[rows], strict=True)]
    areas = scene.masks.sum(axis=(1, 2))
    assert (10 * parts.sum(axis=(1, 2)) >= areas[rows]).all()
    for i in range(len(areas)):  # what a mask could still have, it has: pixels of it belong to smaller ones
        free = scene.masks[i] & ~parts[areas[rows] <= areas[i]].any(axis=0)
        if i in rows:
            assert not free.any()
        else:
            assert 10 * free.sum() < max(areas[i], 1)
    labels = masks.label_map()
    assert np.array_equal(labels > 0, parts.any(axis=0))
    assert all(np.array_equal(labels == k + 1, part) for k, part in enumerate(parts))


def test_a_partition_shows_the_part_and_the_rest_of_its_whole() -> None:
    shirt, seams = ellipse(SIZE, 25, 15, 50, 45), np.roll(DISC, 1, axis=0)
    masks, rows, cut = partition(MaskSet.from_dense(np.stack([DISC, shirt]), [0.9, 0.4]))
    assert (rows.tolist(), cut.tolist()) == ([0, 1], [True, False])
    assert np.array_equal(masks.mask(0), DISC & ~shirt)
    again, rows, _ = partition(MaskSet.from_dense(np.stack([DISC, seams]), [0.9, 0.4]))
    assert rows.tolist() == [0], "of a mask that is hidden by nine tenths nothing stays"
    assert np.array_equal(again.mask(0), DISC)
    empty, rows, cut = partition(MaskSet.none(SIZE))
    assert (len(empty), len(rows), len(cut)) == (0, 0, 0)


def test_a_part_in_the_same_box_is_no_duplicate() -> None:
    cross = rectangle(SIZE, 40, 10, 50, 60) | rectangle(SIZE, 20, 30, 70, 40)
    masks = MaskSet.from_dense(np.stack([DISC, cross]), [0.9, 0.8])
    assert masks.boxes_xyxy[0].tolist() == masks.boxes_xyxy[1].tolist()
    assert len(drop_duplicates(masks, 0.7)) == 2


PHOTO = frame_of(DISC).rgb


def grey_of(frame: Frame) -> np.ndarray:
    return cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize(("shift", "radius"), [(2, 6), (4, 6), (4, 8), (6, 13)])
def test_edges_move_onto_those_of_the_photo(shift: int, radius: int) -> None:
    off = np.roll(DISC, shift, axis=1)
    moved = follow_edges(Crop(0, 0, off), grey_of(frame_of(DISC)), radius)
    assert iou(moved, DISC) > iou(off, DISC) + 0.02


def test_a_crop_moves_as_the_whole_image_does() -> None:
    off, grey = np.roll(DISC, 3, axis=1), grey_of(frame_of(DISC))
    whole = follow_edges(Crop(0, 0, off), grey, 4)
    part = follow_edges(Crop(15, 5, off[5:65, 15:80]), grey, 4)
    assert np.array_equal(part, whole[5:65, 15:80])


def test_edges_stay_where_the_photo_has_none() -> None:
    assert iou(follow_edges(Crop(0, 0, DISC), np.full(SIZE, 128, np.uint8), 4), DISC) > 0.97


def test_the_pixels_far_from_an_edge_never_change() -> None:
    photo = skimage.data.astronaut()
    mask = ellipse(photo.shape[:2], 120, 60, 320, 300)
    moved = follow_edges(Crop(0, 0, mask), grey_of(Frame(photo)), 4)
    inner, outer = ellipse(photo.shape[:2], 140, 80, 300, 280), ellipse(photo.shape[:2], 100, 40, 340, 320)
    assert moved[inner].all()
    assert not moved[~outer].any()
    assert np.count_nonzero(moved != mask) > 0


def test_holes_and_islands_go_bays_stay() -> None:
    holed = DISC.copy()
    holed[30:33, 40:43] = False  # a hole of 9 pixels
    holed[70:72, 90:93] = True  # an island of 6
    holed[30:40, 19:30] = False  # a bay
    expected = holed.copy()
    expected[30:33, 40:43] = True
    expected[70:72, 90:93] = False
    assert np.array_equal(fill_and_drop(holed, 0.01), expected)


def drawn(*masks: np.ndarray) -> MaskSet:
    return MaskSet.from_dense(np.stack(masks), np.linspace(0.9, 0.5, len(masks)))


def test_refining_keeps_rows_boxes_and_scores() -> None:
    off = np.roll(DISC, 3, axis=0)
    masks = drawn(off, rectangle(SIZE, 60, 50, 90, 75))
    refined = refine(masks, PHOTO, SegmentConfig(edge_radius=2, min_region_share=0.05), cell_px=3)
    assert refined.boxes_xyxy.tolist() == masks.boxes_xyxy.tolist()
    assert refined.scores.tolist() == masks.scores.tolist()
    assert iou(refined.mask(0), DISC) > iou(off, DISC)
    y, x = np.nonzero(refined.mask(0))
    assert (x.min(), y.min()) >= tuple(masks.boxes_xyxy[0, :2])
    assert (x.max(), y.max()) < tuple(masks.boxes_xyxy[0, 2:])


def test_every_question_is_about_the_refined_pixels() -> None:
    masks = drawn(np.roll(DISC, 3, axis=0), np.roll(DISC, -3, axis=1))
    refined = refine(masks, PHOTO, SegmentConfig(edge_radius=2), cell_px=3)
    dense = MaskSet.from_dense(np.asarray(refined), refined.scores)
    assert refined.areas_px.tolist() == dense.areas_px.tolist() != masks.areas_px.tolist()
    points = np.array([[x, y] for x in range(2, 100, 9) for y in range(2, 80, 7)], np.float64)
    assert np.array_equal(refined.hits(points), dense.hits(points))
    region = Region.from_mask(DISC)
    assert refined.ious(region).tolist() == pytest.approx(dense.ious(region).tolist())
    assert np.array_equal(refined[1].mask(0), dense.mask(1))
    assert np.array_equal(refined.store.crop(0, 2).patch, refined.store.crop(0).patch[::2, ::2])
    assert refined.stability_scores().tolist() == [1.0, 1.0]
    assert refined[[]].hits(points).shape == (0, len(points))


def test_the_radius_is_in_cells_of_the_networks_grid() -> None:
    letterbox = Letterbox.fit((480, 640), 320)
    grid = GridMap(letterbox, (letterbox.net_hw[0] // 4, letterbox.net_hw[1] // 4))
    store = GridStore(
        np.ones((2, 1), np.float32),
        np.ones((1, *grid.grid_hw), np.float32),
        np.tile(np.array([0, 0, 9, 9], np.float32), (2, 1)),
        grid,
    )
    assert grid_cell_px(MaskSet.from_grid(store, np.zeros(2, np.float32))) == pytest.approx([8, 8])
    assert grid_cell_px(drawn(DISC)).tolist() == [1]
    refined = refine(drawn(DISC), PHOTO, SegmentConfig(edge_radius=1.5), cell_px=8)
    assert isinstance(refined.store, RefinedStore)
    assert refined.store.radii.tolist() == [12]
    several = refine(drawn(DISC, DISC), PHOTO, SegmentConfig(edge_radius=1.5), np.array([2, 8], np.float32))
    assert several[[1, 0, 1]].store.radii.tolist() == [12, 3, 12]


@pytest.mark.parametrize("radius", [1, 3, 8])
def test_a_mask_that_goes_in_bands_moves_as_in_one(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = skimage.data.astronaut()
    mask = ellipse(photo.shape[:2], 120, 60, 320, 300)
    crop = Crop(100, 50, mask[50:400, 100:400])
    once = follow_edges(crop, grey_of(Frame(photo)), radius)
    monkeypatch.setattr("fastsam.masks.refine._PIXELS_AT_ONCE", 300 * 40)
    assert iou(follow_edges(crop, grey_of(Frame(photo)), radius), once) > (0.9999 if radius < 8 else 0.99)


def test_no_masks_and_empty_masks() -> None:
    config = SegmentConfig(duplicate_iou=0.5, edge_radius=2, min_region_share=0.1)
    assert len(refine(MaskSet.none(SIZE), PHOTO, config)) == 0
    assert len(drop_duplicates(MaskSet.none(SIZE), 0.5)) == 0
    assert refine(drawn(np.zeros(SIZE, bool)), PHOTO, config).areas_px.tolist() == [0]


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match=r"expected masks of the photo's size \(80, 100\), got \(8, 9\)"):
        refine(MaskSet.none((8, 9)), PHOTO, SegmentConfig())


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="edge_radius: expected a number from 0 to 4, got -1"):
        SegmentConfig(edge_radius=-1)
