"""Following one object: pixels, loss and return, neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.video.track import follow
from fastsam.video.track.follow import Follower, pixels
from fastsam.video.track.grid_frame import GridFrame, flow_between
from tests.drawing import ellipse
from tests.video.drawn import SIZE_HW, Drawn, Shape, iou, model_of, still, walk

MAPS = pytest.mark.parametrize("channels", [0, 32])


def scenes(drawn: Drawn, frames: int, channels: int, blind: tuple[int, ...] = ()) -> list[GridFrame]:
    model = model_of(drawn, channels=channels, blind=blind)
    found = [Frame(drawn.rgb(index), index=index) for index in range(frames)]
    return [GridFrame(frame, model.open(frame).masks) for frame in found]


def dense(crop: Crop, size_hw: tuple[int, int]) -> np.ndarray:
    return MaskSet.from_crops([crop], size_hw).mask(0)


def followed(
    drawn: Drawn, frames: int, channels: int, row: int = 0, **options: tuple[int, ...]
) -> list[float]:
    """Follow one shape from the first frame on; return its IoU a frame, -1 where it is lost."""
    told = scenes(drawn, frames, channels, **options)
    follower = Follower()
    follower.start(7, told[0].masks[row], told[0], np.arange(1, len(told[0].masks) + 1))
    overlaps = []
    for index in range(1, frames):
        flow = flow_between(told[index - 1], told[index])
        ids = np.arange(1, len(told[index].masks) + 1)
        sights = follower.step(told[index], flow, ids)
        size = drawn.size_hw(index)
        wanted = drawn.masks(index)[row]
        overlaps.append(iou(dense(sights[7].crop, size), wanted) if 7 in sights else -1.0)
        assert 7 not in sights or 0 <= sights[7].score <= 1
    return overlaps


@MAPS
def test_a_walking_shape(channels: int) -> None:
    drawn = Drawn(Shape("red", walk(25, 30, 6, 2)), Shape("blue", still(64, 75)))
    assert min(followed(drawn, 12, channels)) > 0.8


@MAPS
def test_a_frame_without_masks_is_bridged(channels: int) -> None:
    drawn = Drawn(Shape("red", walk(25, 30, 3)), Shape("blue", still(64, 75)))
    overlaps = followed(drawn, 8, channels, blind=(3, 4))
    assert min(overlaps[:2] + overlaps[4:]) > 0.8
    assert all(value == -1 or value > 0.4 for value in overlaps[2:4])


@MAPS
def test_an_object_at_the_border_leaves(channels: int) -> None:
    drawn = Drawn(Shape("red", walk(100, 40, 6)), Shape("blue", still(40, 70)))
    overlaps = followed(drawn, 12, channels)
    assert min(overlaps[:3]) > 0.7
    assert overlaps[-3:] == [-1, -1, -1]


@MAPS
def test_an_object_of_ten_pixels(channels: int) -> None:
    """Less than the least area of large objects, which made it lost in the next frame."""
    drawn = Drawn(
        Shape("red", walk(100, 60, 2), (9, 9), round=False), Shape("blue", still(64, 20)), size_hw=(480, 640)
    )
    assert min(followed(drawn, 5, channels)) > 0.9


@MAPS
def test_a_small_object_that_comes_nearer(channels: int) -> None:
    """First its track tells where it is, then its looks, which still do when the masks are gone."""
    sides = [4, 6, 10, 20, 40, 60, 60, 60, 60, 60]
    shapes = [Shape("red", walk(80, 60, 0, 0, range(k, k + 1)), (s, s), False) for k, s in enumerate(sides)]
    drawn = Drawn(*shapes, size_hw=(240, 320))
    told = scenes(drawn, len(sides), channels)
    follower = Follower()
    follower.start(1, told[0].masks, told[0], np.array([5]))
    for index in range(1, len(sides)):
        ids = np.array([5 if index < 7 else 6])
        sights = follower.step(told[index], flow_between(told[index - 1], told[index]), ids)
        assert iou(dense(sights[1].crop, (240, 320)), drawn.masks(index)[index]) > 0.6


@MAPS
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 3)])
def test_an_object_of_a_pixel_or_two_is_near_its_place_or_lost(channels: int, size: tuple[int, int]) -> None:
    drawn = Drawn(Shape("red", walk(30, 30, 1), size, round=False), size_hw=(96, 640))
    told = scenes(drawn, 5, channels)
    follower = Follower()
    follower.start(1, told[0].masks, told[0], np.array([1]))
    for index in range(1, 5):
        ids = np.array([1 if index < 3 else 2])  # then its track breaks
        sights = follower.step(told[index], flow_between(told[index - 1], told[index]), ids)
        assert index >= 3 or 1 in sights
        for sight in sights.values():
            ys, xs = np.nonzero(dense(sight.crop, (96, 640)))
            assert abs(xs.mean() - 30 - index) < 12
            assert abs(ys.mean() - 30) < 12


@MAPS
def test_no_features_no_masks_no_light(channels: int) -> None:
    """Nothing is seen in a black frame; the object comes back after it."""
    drawn = Drawn(Shape("red", still(40, 40)), Shape("blue", still(95, 70)))
    told = scenes(drawn, 6, channels, blind=(2, 3))
    black = Frame(np.zeros((*SIZE_HW, 3), np.uint8), index=2)
    told[2] = told[3] = GridFrame(black, model_of(Drawn(), channels=channels).open(black).masks)
    follower = Follower()
    follower.start(1, told[0].masks[0], told[0])
    seen = []
    for index in range(1, 6):
        sights = follower.step(told[index], flow_between(told[index - 1], told[index]), np.zeros(0, np.int64)
                               if index in (2, 3) else np.array([1, 2]))  # fmt: skip
        seen.append(1 in sights)
    assert seen[0]
    assert seen[-1]


def test_several_objects_are_apart() -> None:
    drawn = Drawn(Shape("red", walk(25, 30, 3)), Shape("blue", walk(95, 70, -3)))
    told = scenes(drawn, 3, 32)
    follower = Follower()
    for row in (0, 1):
        follower.start(row + 1, told[0].masks[row], told[0])
    assert follower.overlaps(told[0].cells[1]) == {2}
    assert follower.overlaps(np.zeros(told[0].grid_hw, bool)) == set()
    sights = follower.step(told[1], flow_between(told[0], told[1]), np.array([1, 2]))
    assert set(sights) == {1, 2}
    follower.stop(1)
    follower.stop(1)
    assert set(follower.where(told[1])) == {2}
    assert set(follower.move(told[2], flow_between(told[1], told[2]))) == {2}


@MAPS
def test_the_likest_of_lost_objects(channels: int) -> None:
    shapes = (Shape("red", walk(25, 30, 0, 0, range(2))), Shape("blue", walk(95, 70, 0, 0, range(2))))
    drawn = Drawn(*shapes, Shape("green", still(64, 50)))
    told = scenes(drawn, 4, channels)
    follower = Follower()
    for row in (0, 1):
        follower.start(row + 1, told[0].masks[row], told[0])
    for index in (1, 2, 3):
        follower.step(
            told[index], flow_between(told[index - 1], told[index]), np.zeros(len(told[index].masks), int)
        )
    assert all(known.missing for known in follower.objects.values())
    again = Drawn(Shape("blue", still(30, 60)))
    scene = scenes(again, 1, channels)[0]
    assert follower.likest(scene.cells[0], scene, {1, 2}) == 2
    assert follower.likest(scene.cells[0], scene, set()) is None
    assert follower.likest(np.zeros(scene.grid_hw, bool), scene, {1, 2}) is None


@pytest.mark.parametrize("size_hw", [(96, 128), (8, 8), (1, 1), (33, 101), (300, 5)])
def test_pixels_of_a_soft_grid(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    scene = GridFrame(Frame(np.zeros((*size_hw, 3), np.uint8)), MaskSet.none(size_hw))
    rows, columns = scene.grid_hw
    y, x = np.mgrid[:rows, :columns]
    inside = 1 - np.hypot((x + 0.5) / columns - 0.5, (y + 0.5) / rows - 0.5).astype(np.float32) / 0.4
    found = dense(pixels(inside, scene), size_hw)
    wanted = ellipse(
        size_hw, round(0.1 * width), round(0.1 * height), round(0.9 * width), round(0.9 * height)
    )
    assert found.any()
    if min(size_hw) > 30:
        assert iou(found, wanted) > 0.95
    everything = np.ones((rows, columns), np.float32)
    assert dense(pixels(everything, scene), size_hw).all()


@given(st.lists(st.lists(st.integers(0, 40), max_size=5), max_size=30))
def test_neighbours_are_few_and_never_the_object_itself(frames: list[list[int]]) -> None:
    kept, follow._OTHERS_KEPT = follow._OTHERS_KEPT, 8
    try:
        drawn = Drawn(
            Shape("red", still(40, 40)), *[Shape("blue", still(20 + 20 * k, 80), (9, 9)) for k in range(4)]
        )
        scene = _SCENES.setdefault("scene", scenes(drawn, 1, 0)[0]) if not _SCENES else _SCENES["scene"]
        follower = Follower()
        follower.start(1, scene.masks[0], scene)
        known = follower.objects[1]
        for numbers in frames:
            ids = np.zeros(5, np.int64)
            ids[: len(numbers)] = numbers
            known.note(scene.cells[0], scene, ids)
            assert len(known.others) <= 8
            assert known.track_id not in known.others
            assert 0 not in known.others
    finally:
        follow._OTHERS_KEPT = kept


_SCENES: dict[str, GridFrame] = {}
