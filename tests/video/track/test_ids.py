"""Ids of everything: over motion, occlusion, re-entry, changes of resolution."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid
from fastsam.masks.stores.crops import CropStore
from fastsam.video.track.grid_frame import GridFrame, flow_between
from fastsam.video.track.ids import MaskTracker
from tests.video.drawn import SIZE_HW, Drawn, DrawnSegmenter, Shape, names, still, stream_of, walk

MAPS = pytest.mark.parametrize("channels", [0, 32, 300])


def ids_by_frame(drawn: Drawn, frames: int, **options: object) -> list[dict[str, int]]:
    with stream_of(drawn, frames, **options) as stream:  # type: ignore[arg-type]
        return [names(drawn, tracked) for _, tracked in stream]


@MAPS
def test_moving_shapes_keep_their_ids(channels: int) -> None:
    drawn = Drawn(
        Shape("red", walk(20, 25, 5)), Shape("blue", walk(110, 70, -5)), Shape("green", still(64, 48))
    )
    found = ids_by_frame(drawn, 10, channels=channels)
    assert sorted(found[0].values()) == [1, 2, 3]
    assert found == [found[0]] * 10


@MAPS
def test_what_comes_back_elsewhere_has_its_id(channels: int) -> None:
    red = Shape("red", lambda i: (30, 30) if i < 4 else None if i < 8 else (60, 25))
    drawn = Drawn(red, Shape("blue", still(95, 70)))
    found = ids_by_frame(drawn, 12, channels=channels)
    assert found[:4] == [{"red": 1, "blue": 2}] * 4
    assert found[4:8] == [{"blue": 2}] * 4
    assert found[8:] == [{"red": 1, "blue": 2}] * 4


@MAPS
def test_what_left_does_not_take_the_id_of_what_stays(channels: int) -> None:
    """Nor does what comes afterwards, of the same size, take the id of what left."""
    drawn = Drawn(
        Shape("red", walk(30, 30, 0, 0, range(4))),
        Shape("blue", still(95, 70)),
        Shape("green", walk(30, 70, 0, 0, range(8, 14))),
    )
    found = ids_by_frame(drawn, 14, channels=channels)
    assert all(ids["blue"] == 2 for ids in found)
    assert found[-1]["green"] not in (1, 2)


@MAPS
def test_crossing_shapes_do_not_swap(channels: int) -> None:
    drawn = Drawn(Shape("red", walk(20, 48, 6)), Shape("blue", walk(110, 48, -6)))
    found = ids_by_frame(drawn, 16, channels=channels)
    assert found[0] == {"red": 1, "blue": 2}
    assert all(ids["blue"] == 2 for ids in found), "the one in front never changes"
    assert all(ids.get("red") not in (2,) for ids in found)


def test_lost_ids_are_given_up_after_a_while() -> None:
    red = Shape("red", lambda i: (30, 30) if i < 3 or i >= 12 else None)
    drawn = Drawn(red, Shape("blue", still(95, 70)))
    assert ids_by_frame(drawn, 15, forget_after_frames=5)[-1] == {"red": 3, "blue": 2}
    assert ids_by_frame(drawn, 15, forget_after_frames=20)[-1] == {"red": 1, "blue": 2}


@MAPS
@pytest.mark.parametrize("size_hw", [(192, 256), (48, 64), (96, 96), (128, 96), (144, 192)])
def test_ids_go_on_over_a_change_of_resolution(channels: int, size_hw: tuple[int, int]) -> None:
    drawn = Drawn(
        Shape("red", walk(25, 30, 2)),
        Shape("blue", still(95, 70)),
        size_hw=lambda index: size_hw if 3 <= index < 6 else SIZE_HW,
    )
    assert ids_by_frame(drawn, 9, channels=channels) == [{"red": 1, "blue": 2}] * 9


@MAPS
def test_a_pixel_or_two_keep_their_id(channels: int) -> None:
    drawn = Drawn(
        Shape("red", still(30, 30), (1, 1), round=False),
        Shape("blue", still(95, 70), (2, 1), round=False),
        size_hw=(96, 640),
    )
    assert ids_by_frame(drawn, 5, channels=channels) == [{"red": 1, "blue": 2}] * 5


@MAPS
def test_frames_without_masks_in_between(channels: int) -> None:
    drawn = Drawn(Shape("red", walk(25, 30, 2)), Shape("blue", still(95, 70)))
    found = ids_by_frame(drawn, 8, channels=channels, blind=(0, 3, 4))
    both = {"red": found[2].get("red"), "blue": found[2].get("blue")}
    assert sorted(both.values()) == [1, 2]  # type: ignore[type-var]
    assert [found[k] for k in (0, 3, 4)] == [{}] * 3
    assert found[5:] == [both] * 3


def test_masks_that_cover_nothing() -> None:
    """As networks give them: a box, and no pixel above the threshold; alone, and beside a real one."""
    letterbox = Letterbox.fit(SIZE_HW, 320)
    maps = np.ones((8, letterbox.net_hw[0] // 8, letterbox.net_hw[1] // 8), np.float16)
    real = MaskSet.from_dense(Shape("red", still(40, 40)).mask(0, SIZE_HW)[None])
    store = CropStore.from_crops([real.crop(0), real.crop(0)._replace(patch=np.zeros((9, 9), bool))], SIZE_HW)
    boxes = np.array([[28, 30, 52, 50], [60, 60, 69, 69]], np.float32)
    masks = MaskSet(SIZE_HW, boxes, np.array([0.9, 0.8], np.float32), store, Pyramid((maps,), letterbox))
    tracker = MaskTracker(0.4, 30)
    before = None
    for index in range(4):
        shown = masks[[1]] if index == 2 else masks
        scene = GridFrame(Frame(np.zeros((*SIZE_HW, 3), np.uint8), index=index), shown)
        ids = tracker.update(scene, flow_between(before, scene) if before else None)
        before = scene
        assert index == 2 or ids[0] == 1
        assert ids.shape == (len(shown),)


@pytest.mark.parametrize("score", [0.2, 0.9])
def test_only_sure_masks_become_objects(score: float) -> None:
    drawn = Drawn(Shape("red", still(30, 30), score=score))
    assert ids_by_frame(drawn, 3, conf=0.5) == [{"red": 1} if score > 0.5 else {}] * 3


def test_renamed_tracks_and_new_ones() -> None:
    drawn = Drawn(
        Shape("red", still(30, 30)),
        Shape("blue", still(95, 70)),
        Shape("green", walk(60, 20, 0, 0, range(1, 9))),
    )
    segmenter, tracker = DrawnSegmenter(drawn), MaskTracker(0.4, 30)
    from fastsam.config import SegmentConfig

    def step(index: int) -> list[int]:
        frame = Frame(drawn.rgb(index), index=index)
        scene = GridFrame(frame, segmenter.segment(frame, SegmentConfig()))
        flow = flow_between(scene, scene) if index else None
        return tracker.update(scene, flow).tolist()

    assert step(0) == [1, 2]
    assert tracker.rename({1: 40}) == {1: 40, 2: 41}
    assert tracker.alive == {40, 41}
    step(1)
    assert step(2) == [40, 41, 42], "a new one gets a number that was never given"


def test_an_hour_of_comings_and_goings_is_forgotten() -> None:
    """Every frame shows another shape elsewhere; what is remembered stays bounded."""
    tracker = MaskTracker(0.4, 5)
    places = np.random.default_rng(0).integers(10, 80, (400, 2))
    letterbox = Letterbox.fit((48, 64), 64)
    for index, (x, y) in enumerate(places.tolist()):
        mask = np.zeros((48, 64), bool)
        mask[y % 40 : y % 40 + 6, x % 56 : x % 56 + 6] = True
        rgb = np.full((48, 64, 3), (index * 7 % 256, index * 13 % 256, index * 29 % 256), np.uint8)
        scene = GridFrame(Frame(rgb, index=index), MaskSet.from_dense(mask[None]), letterbox)
        tracker.update(scene, None)
        assert len(tracker.alive) <= 12
    kept = [t for t in tracker._tracker.removed_stracks if t.cells is not None]
    assert not kept
    assert len(tracker._tracker.removed_stracks) <= 1000
