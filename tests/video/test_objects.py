"""What is known of objects over time, also when a frame is told twice because a prompt came."""

from __future__ import annotations

from fastsam.video.objects import ObjectLog
from tests.video.runs import tracked


def test_a_frame_that_is_told_again_counts_once() -> None:
    log = ObjectLog(trail=8)
    log.note(tracked(0, ids=(1, 2, 7)), {1, 2, 7})
    log.note(tracked(0, ids=(1,), labels=["bus"]), {1})
    log.note(tracked(1, ids=(1,)), {1})
    assert list(log.objects) == [1]
    assert [index for index, _, _ in log.objects[1].trail] == [0, 1]
    assert log.objects[1].label == "bus"


def test_objects_are_seen_lost_found_and_ended() -> None:
    log = ObjectLog(trail=0)
    log.note(tracked(0, ids=(1, 2)), {1, 2})
    log.note(tracked(1, ids=()), {1})
    assert (log.objects[1].state, log.objects[1].seen, log.objects[1].death) == ("lost", 0, None)
    assert (log.objects[2].state, log.objects[2].seen, log.objects[2].death) == ("ended", 0, 1)
    log.note(tracked(2, ids=(1,)), {1})
    assert (log.objects[1].state, log.objects[1].birth, log.objects[1].seen) == ("seen", 0, 2)
    assert not log.objects[1].trail
