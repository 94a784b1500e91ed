"""Streams of frames as they come: awkward sizes, empty frames, cameras; and of what cannot be opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam.config import VideoConfig
from fastsam.errors import ConfigError, FastSAMError, VideoError
from fastsam.prompts import Points, Text
from fastsam.video.read import live
from fastsam.video.stream import Stream
from tests.video.drawn import (
    SIZE_HW,
    Drawn,
    DrawnSegmenter,
    Rgb,
    Shape,
    names,
    still,
    stream_of,
    streaming,
    walk,
)
from tests.video.read.test_live import FakeCamera

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

TWO = Drawn(Shape("red", walk(30, 30, 2)), Shape("blue", walk(95, 70, -2)))
SMALL = Drawn(Shape("red", still(10, 8), (8, 8)), size_hw=(16, 20))


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
