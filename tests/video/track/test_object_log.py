"""Objects over time: birth, death, trail; constant memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.video.track import object_log as objects
from fastsam.video.track.object_log import ObjectLog
from fastsam.video.track.tracked import Tracked

RGB = np.zeros((8, 60, 3), np.uint8)


def tracked(index: int, at: dict[int, int], labels: tuple[str, ...] | None = None) -> Tracked:
    """Return a frame in which each object is a 2 x 2 square whose left edge is given."""
    crops = [Crop(x, 3, np.ones((2, 2), bool)) for x in at.values()]
    masks = MaskSet.from_crops(crops, (8, 60))
    ids = np.array(list(at), np.int64)
    return Tracked(Frame(RGB, index=index), masks, ids, np.ones(len(at), np.float32), labels)


def test_birth_loss_return_and_death() -> None:
    log = ObjectLog(10)
    log.note(tracked(5, {1: 10}), {1})
    one = log.objects[1]
    assert (one.birth, one.seen, one.death, one.state) == (5, 5, None, "seen")
    assert list(one.trail) == [(5, 11.0, 4.0)]
    log.note(tracked(6, {}), {1})
    assert (one.seen, one.death, one.state) == (5, None, "lost")
    log.note(tracked(7, {1: 20}), {1})
    assert (one.birth, one.seen, one.state) == (5, 7, "seen")
    assert [place[0] for place in one.trail] == [5, 7]
    log.note(tracked(9, {}), set())
    assert (one.death, one.state) == (9, "ended")
    log.note(tracked(10, {}), set())
    assert one.death == 9, "it died once"
    log.note(tracked(11, {1: 0}), {1})
    assert (one.birth, one.death, one.state) == (5, None, "seen")


def test_a_frame_that_is_told_twice_is_one_place() -> None:
    log = ObjectLog(10)
    log.note(tracked(0, {1: 10}), {1})
    log.note(tracked(0, {1: 20, 2: 30}, ("a dog", "")), {1, 2})
    assert list(log.objects[1].trail) == [(0, 21.0, 4.0)]
    assert (log.objects[1].label, log.objects[2].label) == ("a dog", "")
    log.note(tracked(1, {1: 20}), {1})
    assert log.objects[1].label == "a dog", "a frame without labels takes none away"


def test_nothing_at_all() -> None:
    log = ObjectLog(10)
    log.note(tracked(0, {}), ())
    assert log.objects == {}


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_trails_are_as_long_as_asked(kept: int) -> None:
    log = ObjectLog(kept)
    for index in range(5):
        log.note(tracked(index, {1: index}), {1})
    assert [place[0] for place in log.objects[1].trail] == list(range(5 - kept, 5))


@given(st.lists(st.sets(st.integers(1, 30), max_size=4), max_size=80), st.integers(0, 4))
def test_states_follow_from_the_frames(frames: list[set[int]], kept: int) -> None:
    """Whatever comes and goes: state, last sight and trail are those of the frames, and few are kept."""
    log = ObjectLog(kept)
    objects_kept, objects._ENDED_KEPT = objects._ENDED_KEPT, 5
    try:
        for index, seen in enumerate(frames):
            waiting = seen | (frames[index - 1] if index else set())
            log.note(tracked(index, {i: i for i in seen}), waiting)
            for object_id, known in log.objects.items():
                wanted = "seen" if object_id in seen else "lost" if object_id in waiting else "ended"
                assert known.state == wanted
                assert (known.death is not None) == (wanted == "ended")
                assert known.birth <= known.seen <= index
                assert object_id in frames[known.seen]
                assert len(known.trail) <= kept
            assert seen <= set(log.objects)
            assert sum(known.state == "ended" for known in log.objects.values()) <= 5
    finally:
        objects._ENDED_KEPT = objects_kept


def test_an_hour_of_objects_is_bounded() -> None:
    log = ObjectLog(4)
    for index in range(3000):
        log.note(tracked(index, {index + 1: 3}), {index + 1})
    assert len(log.objects) == 1001
    assert min(log.objects) == 2000, "those that left last are kept"
