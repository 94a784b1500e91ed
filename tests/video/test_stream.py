"""Streams end to end: prompts at any frame, the rate of passes, every way out; drawn clips and real ones."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam import FastSAM
from fastsam.config import VideoConfig
from fastsam.errors import ConfigError, FastSAMError, PromptError, VideoError
from fastsam.prompts import Box, Points, Text
from fastsam.video import look_ahead as ahead
from fastsam.video import stream as module
from fastsam.video.read import live
from fastsam.video.stream import Stream
from tests.video.clips import pan_offset, panned_clip, panned_frames, write_clip
from tests.video.drawn import SIZE_HW, Drawn, DrawnSegmenter, Rgb, Shape, iou, names, still, stream_of, walk
from tests.video.read.test_live import FakeCamera

TWO = Drawn(Shape("red", walk(30, 30, 2)), Shape("blue", walk(95, 70, -2)))
SMALL = Drawn(Shape("red", still(10, 8), (8, 8)), size_hw=(16, 20))


def streaming(segmenter: Any, source: Any, **options: Any) -> Stream:
    return FastSAM(segmenter=segmenter).stream(source, **options)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """After every test here, whichever way the stream was left."""
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "fastsam-video":
            thread.join(20)
            assert not thread.is_alive()


# --- frames and prompts ------------------------------------------------------------------------------


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


# --- frames as they come -----------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [0, 300])
@pytest.mark.parametrize("size_hw", [(8, 8), (1, 1), (8, 2000), (2000, 3), (33, 401)])
def test_awkward_sizes(size_hw: tuple[int, int], channels: int) -> None:
    height, width = size_hw
    shape = Shape("red", still(width / 2, height / 2), (max(width // 3, 1), max(height // 2, 1)), round=False)
    drawn = Drawn(shape, size_hw=size_hw)
    for prompted in (False, True):
        with stream_of(drawn, 4, channels, every=2) as stream:
            if prompted:
                ys, xs = np.nonzero(drawn.masks(0)[0])
                stream.select(0, Points((float(xs.mean()), float(ys.mean()))))
            for _, masks in stream:
                assert masks.ids.tolist() == [1] or (masks.frame.index and min(size_hw) < 9)
                assert (masks.masks.areas_px >= 1).all()


@pytest.mark.parametrize("channels", [0, 32])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_frames_of_one_grey(value: int, channels: int) -> None:
    """A segmenter that sees things where there is nothing to see."""

    class Grey(Drawn):
        def rgb(self, index: int) -> Rgb:
            return np.full((*SIZE_HW, 3), value, np.uint8)

    drawn = Grey(Shape("red", still(30, 30)), Shape("blue", still(90, 60)))
    with stream_of(drawn, 5, channels) as stream:
        for frame, masks in stream:
            assert names(drawn, masks) == ({"red": 1, "blue": 2} if frame.index < 3 else {"blue": 1})
            if frame.index == 2:
                stream.select(None, Points((90, 60)))


@pytest.mark.parametrize("channels", [0, 32])
def test_no_masks_at_all(channels: int) -> None:
    with stream_of(Drawn(), 6, channels, every=2) as stream:
        for frame, masks in stream:
            assert (len(masks), masks.lost) == (0, ())
            if frame.index == 3:
                assert stream.select(None, Text("red")) == ()
    assert stream.objects == {}


def test_frames_without_masks_in_between_and_a_new_resolution() -> None:
    sizes = [(96, 128)] * 3 + [(144, 192)] * 3 + [(96, 96)] * 3 + [(96, 128)] * 3
    drawn = Drawn(Shape("red", walk(30, 30, 1)), Shape("blue", walk(95, 70, -1)), size_hw=lambda i: sizes[i])
    for prompted in (False, True):
        with stream_of(drawn, 12, blind=(1, 7), every=1 + prompted) as stream:
            if prompted:
                stream.select(0, Text("blue"))
            for frame, masks in stream:
                assert masks.masks.size_hw == sizes[frame.index]
                if frame.index not in (1, 7):
                    assert names(drawn, masks)["blue"] == (1 if prompted else 2)


def test_a_damaged_frame_is_left_out(tmp_path: Path) -> None:
    for index, rgb in enumerate(TWO.frames(6)):
        Image.fromarray(rgb).save(tmp_path / f"img{index}.png")
    (tmp_path / "img3.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with streaming(DrawnSegmenter(TWO), tmp_path) as stream:
        stream.select(3, Points((30 + 8, 30)))
        found = {frame.index: names(TWO, masks) for frame, masks in stream}
        assert stream.reader.corrupt == 1
    assert found == {k: {"red": 1, "blue": 2} for k in (0, 1, 2)} | {k: {"red": 1} for k in (4, 5)}


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    class Camera(FakeCamera):
        opened = released = 0

    monkeypatch.setattr(live.cv2, "VideoCapture", Camera)
    monkeypatch.setattr(live, "_cameras", lambda: ["/dev/video0"])
    monkeypatch.setattr(live, "_WAITS_S", (0.01, 0.05))
    return Camera


WIDE = Drawn(Shape("red", walk(30, 30, 1)), Shape("blue", still(95, 70)), size_hw=(120, 160))


def test_a_camera_that_is_unplugged(camera: type[FakeCamera]) -> None:
    shots = list(WIDE.frames(12))
    camera.visits = [shots[:4], None, ["damaged", *shots[5:]]]
    found = {}
    stream = streaming(DrawnSegmenter(WIDE), 0, policy="all", reconnect_s=0.5)
    stream.select(2, Points((95, 70)), object_id=6)
    with pytest.raises(VideoError, match=r"lost after 12 frames .*check the cable"):  # noqa: PT012
        for frame, masks in stream:
            found[frame.index] = names(WIDE, masks)
    both = {"red": 1, "blue": 2}
    assert found == {0: both, 1: both} | {k: {"blue": 6} for k in (2, 3, *range(5, 12))}
    assert stream.reader.reconnects == 1
    assert camera.released == camera.opened


def test_a_slow_consumer_of_a_camera_sees_the_newest_frame(camera: type[FakeCamera]) -> None:
    given, go = threading.Event(), threading.Event()

    def visit() -> Iterator[Rgb]:
        yield from WIDE.frames(1)
        go.wait(20)
        yield from WIDE.frames(29, 1)
        given.set()

    camera.visits = [visit()]
    seen = []
    stream = streaming(DrawnSegmenter(WIDE), 0, reconnect_s=0)
    with stream, pytest.raises(VideoError, match="was lost after 30 frames"):  # noqa: PT012
        for frame, masks in stream:
            seen.append(frame.index)
            assert names(WIDE, masks)["blue"] == 2
            go.set()
            given.wait(20)
    assert seen[0] == 0
    assert seen[-1] == 29
    assert len(seen) < 29
    assert stream.reader.dropped == 30 - len(seen)


# --- ways out ----------------------------------------------------------------------------------------


def endless(closed: threading.Event) -> Iterator[Rgb]:
    try:
        while True:
            yield SMALL.rgb(0)
    finally:
        closed.set()


class Broken:
    """A segmenter that fails in its third frame."""

    times_ms: dict[str, float] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.good = DrawnSegmenter(SMALL)

    def segment(self, frame: Any, config: Any) -> Any:
        if frame.index == 2:
            raise RuntimeError("out of memory")
        return self.good.segment(frame, config)


def by_segmenter(stream: Stream) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream)
    assert stream.frame_index == 2


def by_consumer(stream: Stream) -> None:
    with pytest.raises(ZeroDivisionError):
        sum(1 / (frame.index - 1) for frame, _ in stream)


def by_break(stream: Stream) -> None:
    for frame, _ in stream:
        if frame.index == 1:
            break


def by_another_thread(stream: Stream) -> None:
    for frame, _ in stream:
        if frame.index == 1:
            closer = threading.Thread(target=stream.close)
            closer.start()
            closer.join(20)
    assert frame.index <= 2


def by_with(stream: Stream) -> None:
    with stream:
        next(iter(stream))


def by_never_starting(stream: Stream) -> None:
    stream.close()
    stream.close()
    assert list(stream) == []


@pytest.mark.parametrize(
    "leave", [by_segmenter, by_consumer, by_break, by_another_thread, by_with, by_never_starting]
)
def test_every_way_out_closes_the_source(leave: Callable[[Stream], None]) -> None:
    closed = threading.Event()
    segmenter = Broken() if leave is by_segmenter else DrawnSegmenter(SMALL)
    stream = streaming(segmenter, endless(closed))
    leave(stream)
    gc.collect()
    if leave is not by_never_starting:
        assert closed.wait(20)
    stream.reader._thread.join(20)
    assert not stream.reader._thread.is_alive()


def test_a_source_that_fails_in_the_middle() -> None:
    def failing() -> Iterator[Rgb]:
        yield from TWO.frames(2)
        raise KeyError("the producer's own")

    with pytest.raises(KeyError, match="the producer's own"):
        list(streaming(DrawnSegmenter(TWO), failing()))


# --- what cannot be opened ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: expected a whole number of at least 1, got 0"),
        ({"every": -3}, "every: .* got -3"),
        ({"every": 1.5}, "every: .* got 1.5"),
        ({"target_fps": 0}, "target_fps: expected a number from 0.1 to 1000, got 0"),
        ({"target_fps": float("nan")}, "target_fps: "),
        ({"trail_length": -1}, "trail_length: "),
        ({"forget_after_frames": "long"}, "forget_after_frames: .* got 'long'"),
        ({"conf": 2}, "conf: "),
        ({"policy": "newest"}, "policy: expected 'auto', 'latest' or 'all', got 'newest'"),
        ({"start": -1}, "start: "),
        ({"config": {"every": 2}}, "config: expected a VideoConfig, got dict"),
        ({"evrey": 2}, "option 'evrey': expected one of .*conf.*every.*policy.*target_fps"),
        ({"alpha": 0.5}, "option 'alpha': expected one of "),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stream_of_options(**options)


def stream_of_options(**options: Any) -> Stream:
    return streaming(DrawnSegmenter(TWO), TWO.frames(2), **options)


def test_options_by_name_and_by_config() -> None:
    with stream_of_options(config=VideoConfig(every=5, trail_length=3), every=2) as stream:
        assert (stream.config.every, stream.config.trail_length) == (2, 3)


@pytest.mark.parametrize(
    "source", [TWO.rgb(0), Image.fromarray(TWO.rgb(0)), None, 3.5, b"...", "no/such/clip.mp4", -1]
)
def test_what_is_no_moving_source(source: Any) -> None:
    with pytest.raises(FastSAMError, match=r"expected|no such file"):
        streaming(DrawnSegmenter(TWO), source)


def test_a_photo_is_a_stream_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(TWO.rgb(0)).save(path)
    with streaming(DrawnSegmenter(TWO), path) as stream:
        assert [names(TWO, masks) for _, masks in stream] == [{"red": 1, "blue": 2}]


# --- going on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["everything", "followed", "text"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_run_that_broke_off_goes_on_with_its_ids(what: str, every: int) -> None:
    drawn = Drawn(
        Shape("green", walk(60, 20, 0, 0, range(2))),
        Shape("red", walk(30, 30, 2)),
        Shape("blue", walk(95, 70, -2)),
        Shape("yellow", walk(20, 80, 0, 0, range(6, 20))),
    )
    text = Text(["blue", "yellow"])
    with stream_of(drawn, 5, every=every) as stream:
        if what == "followed":
            stream.select(0, Points((95, 70)), object_id=8, label="ball")
        elif what == "text":
            stream.select(0, text)
        *_, (_, last) = stream
    wanted = names(drawn, last, 0.3)
    assert set(wanted) == ({"red", "blue"} if what == "everything" else {"blue"})
    with stream_of(drawn, 12, every=every, start=4) as stream:
        stream.resume(
            last.masks,
            last.ids,
            last.labels,
            prompted=what != "everything",
            prompts=[text] if what == "text" else (),
        )
        frames = list(stream)
        with pytest.raises(
            PromptError, match="resume: expected a stream before its first frame, it is at 11"
        ):
            stream.resume(last.masks, last.ids, prompted=False)
    assert [frame.index for frame, _ in frames] == list(range(5, 12))
    for _, masks in frames:
        found = names(drawn, masks, 0.3)
        assert {colour: found[colour] for colour in wanted} == wanted
    later = names(drawn, frames[-1][1])
    assert ("yellow" in later) == (what != "followed")
    assert later.get("yellow", 99) > max(wanted.values())


# --- real photographs, the real model ----------------------------------------------------------------


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
    stays = [_panned(mask, 5).sum() > 0.8 * mask.sum() and mask.mean() < 0.4 for mask in masks]
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
