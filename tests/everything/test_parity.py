"""The same masks as ultralytics' own pipeline, on real photographs and a real checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from fastsam.prompts import Points, select

PHOTOGRAPHS = [
    ("bus", 640),
    ("zidane", 640),
    ("astronaut", 640),
    ("coffee", 320),
    ("rocket", 640),
    ("chelsea", 1024),
    ("bus, odd", 640),
    ("bus, strip", 640),
    ("bus, large", 640),
    ("zidane, column", 640),
    ("coffee, small", 320),
]
CONF = 0.2
# Their scores are confidences, and masks end at boxes.
THEIRS: dict[str, Any] = {"quality": False, "beyond_boxes": False}


@pytest.fixture(scope="module")
def ours(embedded_weights: Path) -> TorchBackend:
    return TorchBackend(embedded_weights, "cpu")


@pytest.fixture(scope="module")
def theirs(embedded_weights: Path) -> Any:
    from ultralytics import YOLO

    return YOLO(os.fspath(embedded_weights), task="segment")


def predict(theirs: Any, rgb: NDArray[np.uint8], imgsz: int, **options: Any) -> Any:
    """ultralytics' result for an RGB array."""
    return theirs.predict(
        np.ascontiguousarray(rgb[..., ::-1]),
        conf=CONF, iou=0.9, imgsz=imgsz, agnostic_nms=True, max_det=300, device="cpu",
        verbose=False, save=False,
        **options,
    )[0]  # fmt: skip


def settled(box: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels but those of a row or column that an edge of the box at 626.00000 or 626.00001 decides over."""
    sure = np.ones(size_hw, bool)
    for k, edge in enumerate(box.tolist()):
        if abs(edge - round(edge)) < 0.01 and 0 < round(edge) < size_hw[1 - k % 2]:
            sure[(slice(None), round(edge)) if k % 2 == 0 else round(edge)] = False
    return sure


@pytest.mark.parametrize(("name", "imgsz"), PHOTOGRAPHS)
def test_masks_are_ultralytics(
    name: str, imgsz: int, ours: TorchBackend, theirs: Any, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    rgb = photographs[name]
    found = ours.segment(Frame(rgb), SegmentConfig(conf=CONF, iou=0.9, imgsz=imgsz, **THEIRS))
    found = found[found.areas_px > 0]  # ultralytics leaves out masks without pixels
    wanted = predict(theirs, rgb, imgsz, retina_masks=True)
    assert len(found) == len(wanted)
    if not len(found):
        return
    boxes, masks = wanted.boxes.xyxy.numpy(), wanted.masks.data.numpy().astype(bool)
    # Two boxes of almost the same score may change places: pair them by box.
    distance = np.abs(found.boxes_xyxy[:, None] - boxes[None]).max(axis=2)
    partner = distance.argmin(axis=1)
    assert sorted(partner) == list(range(len(boxes)))
    assert distance.min(axis=1).max() < 0.01
    assert np.allclose(found.scores, wanted.boxes.conf.numpy()[partner], atol=1e-4)
    assert (np.diff(found.scores) <= 0).all()
    for i, k in enumerate(partner):
        sure = settled(found.boxes_xyxy[i], found.size_hw)
        mine, other = found.mask(i) & sure, masks[k] & sure
        if other.sum() > 100:
            assert (mine & other).sum() / (mine | other).sum() >= 0.99


def test_masks_lie_where_coarse_masks_lie(
    ours: TorchBackend, theirs: Any, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    """Masks shifted between retina on and off (ultralytics#20918): ours agree with both."""
    import cv2

    rgb = photographs["bus, odd"]
    found = ours.segment(Frame(rgb), SegmentConfig(conf=CONF, iou=0.9, imgsz=640, **THEIRS))
    coarse = predict(theirs, rgb, 640, retina_masks=False)
    height, width = rgb.shape[:2]
    shifts = [(0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)]
    shared, checked = np.zeros(len(shifts)), 0
    for box, mask in zip(coarse.boxes.xyxy.numpy(), coarse.masks.data.numpy(), strict=True):
        i = int(np.abs(found.boxes_xyxy - box).max(axis=1).argmin())
        mine = found.mask(i)
        if mine.sum() < 2000:
            continue
        net_h, net_w = mask.shape
        gain = min(net_h / height, net_w / width)
        inner_h, inner_w = round(height * gain), round(width * gain)
        top, left = round((net_h - inner_h) / 2 - 0.1), round((net_w - inner_w) / 2 - 0.1)
        cut = np.ascontiguousarray(mask[top : top + inner_h, left : left + inner_w], dtype=np.float32)
        there = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
        assert (mine & there).sum() / (mine | there).sum() > 0.93
        for k, (x, y) in enumerate(shifts):
            shared[k] += (mine & np.roll(there, (y, x), (0, 1))).sum()
        checked += 1
    assert checked
    assert shared.argmax() == 0  # no shift by two pixels makes them fit better


def test_nothing_found_is_an_empty_set(ours: TorchBackend) -> None:
    """Crash when nothing is found (FastSAM#80)."""
    grey = Frame(np.full((97, 131, 3), 114, np.uint8))
    found = ours.segment(grey, SegmentConfig(conf=1.0, imgsz=320))
    assert len(found) == 0
    assert found.size_hw == (97, 131)
    assert np.asarray(found).shape == (0, 97, 131)
    assert len(select(found, Points((5, 5)))) == 0


def test_arrays_in_any_memory_order(ours: TorchBackend, photographs: dict[str, NDArray[np.uint8]]) -> None:
    rgb = photographs["coffee"]
    config = SegmentConfig(conf=CONF, imgsz=320)
    wanted = ours.segment(Frame(rgb), config)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    for same in (np.asfortranarray(rgb), bgr[..., ::-1], np.repeat(rgb, 2, axis=0)[::2]):
        found = ours.segment(Frame(same), config)
        assert np.array_equal(found.boxes_xyxy, wanted.boxes_xyxy)
    assert found.times_ms.keys() == {"prepare", "network", "decode"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5), (31, 33)])
def test_images_of_extreme_shape(ours: TorchBackend, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = ours.segment(Frame(rgb), SegmentConfig(conf=0.0, imgsz=64, max_det=5))
    assert found.size_hw == shape
    assert len(found) <= 5
    assert np.asarray(found).shape == (len(found), *shape)
