"""A mask is refined once, however often it is looked at: counted."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from fastsam.config import SegmentConfig
from fastsam.export import Exporter
from fastsam.masks import refine as module
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import RefinedMasks, RefinedStore, refine
from fastsam.masks.stores.crops import CropStore
from tests.drawing import ellipse

PHOTO = skimage.data.astronaut()
MASKS = MaskSet.from_dense(
    np.stack([ellipse(PHOTO.shape[:2], x, 60, x + 150, 300) for x in (10, 100, 300)]), [0.9, 0.8, 0.7]
)
CONFIG = SegmentConfig(edge_radius=2, min_region_share=0.02)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The radii of all calls of the filter."""
    seen: list[int] = []
    real = module.follow_edges

    def counted(crop: object, grey: object, radius: int) -> object:
        seen.append(radius)
        return real(crop, grey, radius)

    monkeypatch.setattr(module, "follow_edges", counted)
    return seen


def refined(masks: MaskSet = MASKS) -> MaskSet:
    return refine(masks, PHOTO, CONFIG)


def test_each_mask_is_refined_once(calls: list[int], tmp_path: Path) -> None:
    masks = refined()
    assert calls == []
    first = np.asarray(masks)
    assert len(calls) == 3
    again = np.asarray(masks)
    masks.rle(1), masks.areas_px, masks.label_map(), masks.tight_boxes(), masks[[2, 0]].union()
    masks.hits(np.array([[50.0, 100.0]]))
    assert np.array_equal(np.asarray(masks[[2, 0]]), first[[2, 0]])
    assert np.array_equal(again, first)
    assert len(calls) == 3


def test_what_a_part_has_seen_the_whole_knows(calls: list[int]) -> None:
    masks = refined()
    part = masks[[2, 1]]
    part.mask(0)
    masks.mask(2)
    masks[2].mask(0)
    assert len(calls) == 1
    np.asarray(masks)
    assert len(calls) == 3


def test_several_formats_refine_each_mask_once(calls: list[int], tmp_path: Path) -> None:
    from fastsam.images.frame import Frame

    masks = refined()
    for name in ("png", "coco", "npz"):
        exporter = Exporter(name, tmp_path / name)
        exporter.add(Frame(PHOTO, "photo"), masks)
        exporter.close()
    assert len(calls) == 3


def test_decoded_masks_are_the_same_and_need_no_filter(calls: list[int]) -> None:
    masks = refined()
    decoded = masks.decoded()
    assert isinstance(decoded.store, CropStore)
    assert len(calls) == 3
    assert np.array_equal(np.asarray(decoded), np.asarray(masks))
    assert np.array_equal(decoded.boxes_xyxy, masks.boxes_xyxy)
    assert decoded.decoded().store is decoded.store
    assert len(calls) == 3


def test_the_memory_is_bounded_and_the_oldest_go_first() -> None:
    memory = RefinedMasks(limit_bytes=25)
    crops = [MASKS.crop(0)._replace(patch=np.full((8, 10), bool(k % 2))) for k in range(4)]  # 10 bytes each
    memory.put(0, crops[0])
    memory.put(1, crops[1])
    assert memory.get(0) is not None
    memory.put(2, crops[2])
    assert memory.get(1) is None
    kept = memory.get(0), memory.get(2)
    assert [None if crop is None else crop.patch.any() for crop in kept] == [False, False]
    memory.put(9, MASKS.crop(0)._replace(patch=np.ones((100, 100), bool)))  # alone too large
    assert [memory.get(k) for k in (0, 2, 9)] == [None] * 3


def test_masks_that_were_forgotten_are_refined_again_to_the_same(calls: list[int]) -> None:
    masks = refined()
    assert isinstance(masks.store, RefinedStore)
    object.__setattr__(masks.store, "memory", RefinedMasks(limit_bytes=0))
    assert np.array_equal(np.asarray(masks), np.asarray(masks))
    assert len(calls) == 6


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda masks: pickle.loads(pickle.dumps(masks))])
def test_copies_are_the_same_masks(copied) -> None:
    masks = refined()
    masks.mask(1)
    assert np.array_equal(np.asarray(copied(masks)), np.asarray(masks))
