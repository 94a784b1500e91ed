"""Streams of panned photographs through the real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastsam import FastSAM
from fastsam.prompts import Box, Points
from tests.video.clips import pan_offset, panned_clip, panned_frames, write_clip
from tests.video.drawn import Drawn, DrawnSegmenter, Shape, iou, names, still, streaming, walk

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

TWO = Drawn(Shape("red", walk(30, 30, 2)), Shape("blue", walk(95, 70, -2)))
SMALL = Drawn(Shape("red", still(10, 8), (8, 8)), size_hw=(16, 20))


@pytest.fixture(scope="module")
def model(embedded_weights: Path) -> FastSAM:
    return FastSAM(embedded_weights, device="cpu")


PANNED = (240, 320)


def test_everything_in_a_panned_photograph(model: FastSAM, tmp_path: Path) -> None:
    clip = panned_clip(tmp_path / "pan.mp4", 6, PANNED, step=3)
    with model.stream(clip, imgsz=320) as stream:
        found = [masks for _, masks in stream]
        assert stream.info.frame_count == 6
    assert [masks.frame.index for masks in found] == list(range(6))
    assert len(found[0]) >= 5
    first, last = found[0], found[-1]
    stay = [i for i in first.ids.tolist() if i in set(last.ids.tolist())]
    assert len(stay) >= 0.6 * len(first)
    overlaps = [iou(_panned(first.mask_of(i), 5), last.mask_of(i)) for i in stay]
    assert np.median(overlaps) > 0.7
    assert np.mean(np.array(overlaps) > 0.3) > 0.85


def _panned(mask: np.ndarray, index: int, step: int = 3) -> np.ndarray:
    """Return where the pixels of a mask of frame 0 lie in another frame."""
    dx, dy = np.subtract(pan_offset(index, PANNED, step), pan_offset(0, PANNED, step)).tolist()
    moved = np.zeros_like(mask)
    height, width = mask.shape
    moved[: height - dy, : width - dx] = mask[dy:, dx:]
    return moved


@pytest.mark.parametrize("every", [1, 3])
def test_one_object_in_a_panned_photograph(model: FastSAM, every: int) -> None:
    shots = list(panned_frames(6, PANNED, 3))
    masks = model.open(shots[0], imgsz=320).masks
    # One that reaches both sides of the window would not be seen to move.
    stays = [_panned(m, 5).sum() > 0.8 * m.sum() and m.mean() < 0.4 and not m[:, -1].any() for m in masks]
    chosen = int(np.argmax(np.where(stays, masks.areas_px, 0)))
    mask = masks.mask(chosen)
    with model.stream(shots, imgsz=320, every=every) as stream:
        stream.select(0, Box(masks.boxes_xyxy[chosen].tolist()))
        for frame, tracked in stream:
            assert tracked.ids.tolist() == [1]
            assert iou(tracked.mask_of(1), _panned(mask, frame.index)) > 0.6
    assert len(stream.objects[1].trail) == 6
    middles = np.array(stream.objects[1].trail)
    assert middles[-1, 1] < middles[0, 1], "the window goes right, so the object goes left"


def test_a_scene_that_changes_size_on_the_way(model: FastSAM) -> None:
    shots = [
        *panned_frames(2, PANNED),
        *panned_frames(2, (120, 160)),
        *panned_frames(1, (8, 400)),
        np.zeros((8, 8, 3), np.uint8),
    ]
    for prompt in (None, Points((100, 100))):
        with model.stream(shots, imgsz=320) as stream:
            if prompt is not None:
                stream.select(0, prompt)
            for frame, tracked in stream:
                assert tracked.masks.size_hw == frame.size_hw


def test_a_clip_that_was_written_and_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "drawn.mp4", TWO.frames(8), 25)
    with streaming(DrawnSegmenter(TWO), clip) as stream:
        for frame, masks in stream:
            assert names(TWO, masks) == {"red": 1, "blue": 2}
            assert frame.t_ms == pytest.approx(40 * frame.index)
