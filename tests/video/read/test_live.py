"""Cameras and streams: lost and found, damaged, changed in size, silent."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fastsam.errors import ConfigError, VideoError
from fastsam.images.frame import Frame
from fastsam.video.read import live, reader
from fastsam.video.read.live import shown_url
from fastsam.video.read.reader import VideoReader, open_video
from tests.video.clips import number_of, panned_frames, write_clip
from tests.video.servers import (
    file_server,
    jpegs,
    mjpeg_server,
    rtsp_server,
    transport_stream,
    udp_sender,
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_WAITS_S", (0.01, 0.05))


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return jpegs(panned_frames(30, numbered=True))


def drained(stream: VideoReader) -> tuple[list[Frame], VideoError | None]:
    """Read until the end, or the error."""
    frames = []
    try:
        for frame in stream:
            frames.append(frame)
    except VideoError as error:
        return frames, error
    return frames, None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.7:554/live", "rtsp://10.0.0.7:554/live"),
        ("rtsp://admin:se@cr/et@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("http://cam/video.mjpg?user=admin&pwd=secret", "http://cam/video.mjpg"),
        ("http://cam/video.mjpg#secret", "http://cam/video.mjpg"),
        ("udp://239.0.0.1:1234", "udp://239.0.0.1:1234"),
    ],
)
def test_a_shown_url_holds_no_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_camera_page(pictures: list[bytes]) -> None:
    with mjpeg_server(pictures) as url, open_video(url, policy="all", reconnect_s=0) as stream:
        frames = list(stream)
        assert stream.info.live
        assert stream.info.size_hw == (120, 160)
        assert stream.info.fps is None  # the page does not tell
    assert [number_of(frame.rgb) for frame in frames] == list(range(30))
    assert [frame.index for frame in frames] == list(range(30))
    assert frames[3].name == "cam_000003"
    times = [frame.t_ms for frame in frames]
    assert times[0] == 0
    assert times == sorted(times)


def test_a_stream_is_read_at_its_newest_frame(pictures: list[bytes]) -> None:
    all_sent, go = threading.Event(), threading.Event()

    def visit() -> Iterator[bytes | float]:
        yield pictures[0]
        go.wait(20)
        yield from pictures[1:]
        all_sent.set()
        yield 5.0

    with mjpeg_server(visit) as url, open_video(url) as stream:
        assert stream.policy == "latest"
        first = stream.read()
        assert first is not None
        assert first.index == 0
        go.set()
        assert all_sent.wait(20)
        seen = []
        while not seen or seen[-1].index < 29:
            frame = stream.read(20)
            assert frame is not None
            seen.append(frame)
        assert all(number_of(frame.rgb) == frame.index for frame in seen)
        assert stream.dropped == seen[-1].index - len(seen)


def test_a_stream_that_breaks_comes_back_in_another_size(pictures: list[bytes]) -> None:
    larger = jpegs(panned_frames(6, (240, 320), numbered=True))
    with (
        mjpeg_server(pictures[:5], [], larger) as url,
        open_video(url, policy="all", reconnect_s=2) as stream,
    ):
        frames, error = drained(stream)
    assert [frame.size_hw for frame in frames] == [(120, 160)] * 5 + [(240, 320)] * 6
    assert [number_of(frame.rgb) for frame in frames] == [*range(5), *range(6)]
    assert [frame.index for frame in frames] == list(range(11))
    assert stream.reconnects == 1
    # After the third visit the page answers 503, and time runs out.
    assert error is not None
    message = str(error)
    assert "was lost after 11 frames and did not come back within 2 s" in message
    assert "check the cable" in message


def test_damaged_images_of_a_stream_are_counted(pictures: list[bytes]) -> None:
    parts = list(pictures[:10])
    parts[3] = b"not a JPEG at all"
    parts[6] = parts[6][:100] + bytes(300)
    with mjpeg_server(parts) as url, open_video(url, policy="all", reconnect_s=0) as stream:
        assert [number_of(frame.rgb) for frame in stream] == [0, 1, 2, 4, 5, 7, 8, 9]
    assert stream.corrupt == 2


def test_the_size_changes_in_the_middle(pictures: list[bytes]) -> None:
    parts = [*pictures[:4], *jpegs(panned_frames(4, (90, 122)))]
    with mjpeg_server(parts) as url, open_video(url, policy="all", reconnect_s=0) as stream:
        assert [frame.size_hw for frame in stream] == [(120, 160)] * 4 + [(90, 122)] * 4


def test_a_file_on_a_server_is_no_live_stream(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "clip.mp4", panned_frames(20, numbered=True), container_options={"movflags": "faststart"}
    )
    with file_server(clip.read_bytes()) as url, open_video(url) as video:
        assert (video.info.live, video.policy, video.info.frame_count) == (False, "all", 20)
        frames = list(video)
    assert [number_of(frame.rgb) for frame in frames] == list(range(20))
    assert frames[-1].t_ms == pytest.approx(19 * 40)
    assert "hush" not in video.info.source + frames[0].source


def test_a_server_that_refuses_says_so_without_the_password() -> None:
    for url in ("rtsp://admin:hush@127.0.0.1:9/x", "http://admin:hush@127.0.0.1:9/x?pwd=hush"):
        with pytest.raises(VideoError, match=r"127\.0\.0\.1:9/x.*Connection refused.*password") as caught:
            open_video(url)
        error: BaseException | None = caught.value
        while error is not None:
            assert "hush" not in str(error)
            error = error.__cause__ or error.__context__


def test_a_stream_starts_now() -> None:
    with mjpeg_server([]) as url, pytest.raises(ConfigError, match="start: a live source begins now"):
        open_video(url.replace("http://", "tcp://"), start=5)


def test_rtsp_with_a_password_that_breaks_once(tmp_path: Path) -> None:
    content = transport_stream(tmp_path, 40)
    with rtsp_server(content, content, password="hush") as port:
        with open_video(f"rtsp://admin:hush@127.0.0.1:{port}/live", policy="all", reconnect_s=1) as stream:
            frames, error = drained(stream)
        assert stream.reconnects == 1
        assert len(frames) >= 60
        assert frames[0].name == "live_000000"
        assert "hush" not in str(error) + stream.info.source + frames[0].source
        assert "was lost" in str(error)


def test_udp_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ANSWER_S", 1.5)
    with (
        udp_sender(transport_stream(tmp_path, 50)) as (url, sending),
        open_video(url, policy="all", reconnect_s=0) as stream,
    ):
        frames = [stream.read(20) for _ in range(30)]
        assert all(frame is not None and frame.size_hw == (120, 160) for frame in frames)
        sending.clear()
        with pytest.raises(VideoError, match=r"lost after \d+ frames .*no answer in time"):
            list(stream)


def test_udp_comes_back_after_a_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ANSWER_S", 2.0)
    with (
        udp_sender(transport_stream(tmp_path, 50)) as (url, sending),
        open_video(url, policy="all", reconnect_s=1.9) as stream,
    ):
        assert stream.read(20) is not None
        sending.clear()
        again = threading.Timer(2.3, sending.set)  # longer than reconnect_s, which only begins at the timeout
        again.start()
        while stream.reconnects == 0:
            assert stream.read(20) is not None
        again.join()


# --- cameras ---------------------------------------------------------------------------------------


class FakeCamera:
    """What cv2.VideoCapture is to us: plugged in for some visits, each of some frames."""

    visits: list[Any]
    opened = 0
    released = 0

    def __init__(self, camera: Any) -> None:
        type(self).opened += 1
        self.visit = self.visits.pop(0) if self.visits else None
        self.frames = iter(self.visit or ())
        self.current: Any = None

    def isOpened(self) -> bool:
        return self.visit is not None

    def grab(self) -> bool:
        self.current = next(self.frames, None)
        if callable(self.current):
            self.current()
        return self.current is not None

    def retrieve(self) -> tuple[bool, Any]:
        if isinstance(self.current, str):
            return False, None
        return True, np.ascontiguousarray(self.current[..., ::-1])

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_HEIGHT: 120, cv2.CAP_PROP_FRAME_WIDTH: 160}[what]

    def release(self) -> None:
        type(self).released += 1


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    class Camera(FakeCamera):
        opened = released = 0

    monkeypatch.setattr(live.cv2, "VideoCapture", Camera)
    monkeypatch.setattr(live, "_cameras", lambda: ["/dev/video0"])
    return Camera


def test_an_unplugged_camera_is_waited_for(camera: type[FakeCamera]) -> None:
    shots = list(panned_frames(12, numbered=True))
    camera.visits = [shots[:4], None, None, ["damaged", *shots[4:]]]
    with open_video("0", policy="all", reconnect_s=1.5) as stream:
        assert (stream.info.source, stream.info.fps, stream.info.size_hw) == ("camera 0", 30.0, (120, 160))
        frames, error = drained(stream)
    assert re.search(r"camera 0: was lost after 13 frames .*1\.5 s.*cannot be opened", str(error))
    assert [number_of(frame.rgb) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, *range(5, 13)]
    assert frames[0].name == "camera0_000000"
    assert (stream.reconnects, stream.corrupt) == (1, 1)
    assert camera.released == camera.opened


def test_no_such_camera(camera: type[FakeCamera]) -> None:
    camera.visits = []
    for number in (0, 7, "/dev/video3"):
        with pytest.raises(VideoError, match=rf"camera '?{number}'?: cannot be opened.*0 is the first"):
            open_video(number)
    with pytest.raises(VideoError, match="at least 0"):
        open_video(-1)


def test_a_camera_that_hangs(camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_SILENCE_S", 0.2)
    plug = threading.Event()
    camera.visits = [[*panned_frames(2), lambda: plug.wait(20)]]
    try:
        with open_video(0, policy="all", reconnect_s=0) as stream:
            assert [stream.read().index, stream.read().index] == [0, 1]
            with pytest.raises(VideoError, match="camera 0: has given no frame for"):
                stream.read()
            assert stream._thread.is_alive()  # left behind in the driver, but nobody waits for it
    finally:
        plug.set()
    stream._thread.join(20)
    assert not stream._thread.is_alive()
    assert camera.released == 1
