"""Streams: prompts at any frame, and the rate of passes; drawn clips."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastsam.errors import PromptError
from fastsam.prompts import Box, Points, Text
from fastsam.video import look_ahead as ahead
from fastsam.video import stream as module
from tests.video.drawn import Drawn, DrawnSegmenter, Shape, names, still, stream_of, streaming, walk

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

TWO = Drawn(Shape("red", walk(30, 30, 2)), Shape("blue", walk(95, 70, -2)))
SMALL = Drawn(Shape("red", still(10, 8), (8, 8)), size_hw=(16, 20))


def test_a_stream_tells_of_itself() -> None:
    with stream_of(TWO, 3) as stream:
        assert (stream.frame_index, stream.current, stream.objects) == (None, None, {})
        for frame, masks in stream:
            assert stream.frame_index == frame.index == masks.frame.index
            assert stream.current is masks
            assert names(TWO, masks) == {"red": 1, "blue": 2}
            assert set(masks.times_ms) == {"read", "prepare", "network", "decode", "track"}
        assert repr(stream) == "Stream('<generator>', frame 2, 2 objects)"
        assert stream.times.summary()["passes"] == 3
        assert list(stream) == [], "frames are given once"
        assert stream.objects[1].birth == 0
        assert len(stream.objects[1].trail) == 3


@pytest.mark.parametrize("asked", [None, 0, 3])
@pytest.mark.parametrize("every", [1, 4])
def test_prompts_wait_for_their_frame(asked: int | None, every: int) -> None:
    with stream_of(TWO, 8, every=every) as stream:
        assert stream.select(asked, Points((30 + 2 * (asked or 0), 30)), object_id=4, label="it") == ()
        for frame, masks in stream:
            if frame.index < (asked or 0):
                assert names(TWO, masks) == {"red": 1, "blue": 2}
            else:
                assert names(TWO, masks) == {"red": 4}
                assert masks.labels == ("it",)
    assert stream.objects[4].birth == (asked or 0)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_prompts_about_the_current_frame(at: int) -> None:
    """Also where only motion had told what is in it: then it is looked at."""
    segmenter = DrawnSegmenter(TWO)
    with streaming(segmenter, TWO.frames(6), every=3) as stream:
        for frame, masks in stream:
            if frame.index == at:
                assert stream.select(frame.index, Box(_box(TWO.masks(at)[1]))) == (1,)
                assert stream.current is not None
                assert (stream.current.frame.index, names(TWO, stream.current)) == (at, {"blue": 1})
                assert len(masks) == 2, "what was given does not change"
            elif frame.index > at:
                assert names(TWO, masks) == {"blue": 1}
    assert at in segmenter.passes
    assert [place[0] for place in stream.objects[1].trail] == list(range(at, 6))


def _box(mask: np.ndarray) -> list[int]:
    ys, xs = np.nonzero(mask)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


def test_a_prompt_about_a_frame_that_is_left_out_is_answered_in_the_next() -> None:
    with stream_of(TWO, 9, wanted=lambda index, t_ms: index % 4 == 0) as stream:
        stream.select(5, Text("blue"))
        found = {frame.index: names(TWO, masks) for frame, masks in stream}
    assert found == {0: {"red": 1, "blue": 2}, 4: {"red": 1, "blue": 2}, 8: {"blue": 1}}


def test_a_text_that_selects_nothing_shows_nothing() -> None:
    with stream_of(TWO, 3) as stream:
        stream.select(0, Text("yellow"))
        assert [len(masks) for _, masks in stream] == [0, 0, 0]


def test_prompts_for_frames_that_never_come_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), stream_of(TWO, 3) as stream:
        stream.select(9, Text("red"))
        assert len(list(stream)) == 3
    assert "ended at frame 2; prompts for frames 9 were not answered" in caplog.text


def test_prompts_from_the_start_of_a_part() -> None:
    with stream_of(TWO, 8, start=5) as stream:
        stream.select(None, Points((40, 30)))
        assert [(frame.index, names(TWO, masks)) for frame, masks in stream] == [
            (index, {"red": 1}) for index in (5, 6, 7)
        ]


@pytest.mark.parametrize(
    ("frame_index", "prompt", "options", "message"),
    [
        (2, Points((1, 1)), {}, "frame 2 is over, the stream is at frame 3"),
        (-1, Points((1, 1)), {}, "frame: expected a whole number from 0 on or None, got -1"),
        (True, Points((1, 1)), {}, "frame: .* got True"),
        (3.0, Points((1, 1)), {}, "frame: .* got 3.0"),
        ("3", Points((1, 1)), {}, "frame: .* got '3'"),
        (np.array([3, 4]), Points((1, 1)), {}, "frame: "),
        (None, (3, 4, 5), {}, r"expected one such as Box\(.*got tuple \(3, 4, 5\)"),
        (None, 3, {}, "got int 3"),
        (None, None, {}, "got NoneType None"),
        (None, Points((500, 1)), {}, "128 ?x ?96|outside|inside"),
        (None, Box([200, 200, 220, 220]), {}, "box"),
        (None, Points((36, 30)), {"object_id": 0}, "object_id: expected a whole number above 0, got 0"),
        (None, Text("red"), {"object_id": 3}, "leave object_id out"),
    ],
)
def test_prompts_that_cannot_be(frame_index: Any, prompt: Any, options: Any, message: str) -> None:
    """They are told at once, and the stream goes on as if nothing had been asked."""
    with stream_of(TWO, 6) as stream:
        for frame, masks in stream:
            assert names(TWO, masks) == {"red": 1, "blue": 2}
            if frame.index == 3:
                with pytest.raises(PromptError, match=message):
                    stream.select(frame_index, prompt, **options)
        assert frame.index == 5


def test_the_prompt_comes_first_and_may_be_short() -> None:
    with stream_of(TWO, 4) as stream:
        for frame, _ in stream:
            if frame.index == 1:
                assert len(stream.select((36, 30))) == 1
            if frame.index == 2:
                assert stream.select(Points((36, 30)), 3) == ()
        assert len(stream.objects) >= 1


def test_frames_one_by_one() -> None:
    with stream_of(TWO, 4) as stream:
        frame, masks = next(stream)
        assert (frame.index, len(masks)) == (0, 2)
        assert [frame.index for frame, _ in stream] == [1, 2, 3]
        with pytest.raises(StopIteration):
            next(stream)
    with stream_of(TWO, 4) as stream:
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_a_waiting_prompt_that_does_not_fit_ends_the_stream() -> None:
    stream = stream_of(TWO, 6)
    stream.select(2, Points((500, 3)))
    with pytest.raises(PromptError):
        list(stream)
    assert stream.frame_index == 2


def test_too_many_prompts_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_MOST", 3)
    with stream_of(TWO, 6) as stream:
        for index in (1, 2, 3):
            stream.select(index, Text("red"))
        with pytest.raises(PromptError, match="3 frames have prompts that wait"):
            stream.select(4, Text("red"))


def test_removing() -> None:
    with stream_of(TWO, 6) as stream:
        stream.select(0, Text(["red", "blue"]))
        for frame, masks in stream:
            assert names(TWO, masks) == ({"red": 1, "blue": 2} if frame.index < 3 else {"blue": 2})
            if frame.index == 2:
                stream.remove(1)
                assert stream.current is not None
                assert stream.current.ids.tolist() == [2]
                with pytest.raises(PromptError, match=r"object 1: .* \(2\)"):
                    stream.remove(1)
    assert stream.objects[1].state == "ended"


# --- the rate of passes ------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 3])
def test_every_nth_frame_is_looked_at(every: int) -> None:
    segmenter = DrawnSegmenter(TWO)
    with streaming(segmenter, TWO.frames(7), every=every) as stream:
        for _, masks in stream:
            assert names(TWO, masks) == {"red": 1, "blue": 2}
        assert stream.times.summary()["passes"] == len(segmenter.passes)
    assert segmenter.passes == list(range(0, 7, every))


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        for owner in (module, ahead):
            monkeypatch.setattr(owner, "time", SimpleNamespace(perf_counter=lambda: self.now_s))

    def run(self, frames: int, target_fps: float, pass_ms: Callable[[int], float]) -> list[int]:
        """Return the frames on which the network ran."""

        def work(index: int) -> None:
            self.now_s += pass_ms(index) / 1e3

        segmenter = DrawnSegmenter(SMALL, 0, work=work)
        with streaming(segmenter, SMALL.frames(frames), target_fps=target_fps) as stream:
            assert [frame.index for frame, _ in stream] == list(range(frames))
        return segmenter.passes


def test_time_for_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).run(10, 5, lambda index: 100) == list(range(10))


def test_time_for_every_second_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).run(12, 16, lambda index: 125) == [0, 1, 4, 6, 8, 10]


def test_a_slow_first_frame_is_not_held_against_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).run(20, 30, lambda index: 3000 if index == 0 else 20) == list(range(20))


def test_a_stall_is_made_up_for_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = Clock(monkeypatch).run(40, 30, lambda index: 5000 if index == 10 else 20)
    assert passes[:11] == list(range(11))
    assert len([index for index in passes if index > 10]) >= 25


def test_however_little_time_there_is_the_network_runs_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).run(130, 1000, lambda index: 100) == [0, 1, 61, 121]
