"""Reading ahead by a thread: sources, order, skipping and dropping."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageError, VideoError
from fastsam.images.frame import Frame
from fastsam.video.read.reader import open_video
from tests.video.clips import ended, number_of, panned_clip, panned_frames, small, write_number

# --- sources ---------------------------------------------------------------------------------------


def test_a_file(clip: Path) -> None:
    with open_video(clip) as video:
        info = video.info
        assert (info.source, info.path, info.size_hw, info.fps) == (str(clip), clip, (120, 160), 25)
        assert (info.frame_count, info.live, info.has_audio) == (60, False, True)
        assert video.policy == "all"
        frames = list(video)
    assert [number_of(frame.rgb) for frame in frames] == list(range(60))
    assert [(frame.index, frame.name) for frame in frames[11:13]] == [
        (11, "walk_000011"),
        (12, "walk_000012"),
    ]
    assert [frame.t_ms for frame in frames] == pytest.approx([40 * k for k in range(60)])
    assert frames[0].source == str(clip)
    assert (video.dropped, video.corrupt, video.skipped, video.reconnects, video.truncated) == (
        0,
        0,
        0,
        0,
        "",
    )
    assert ended(video)
    assert video.read() is None
    assert list(video) == []


def test_a_file_from_the_middle(clip: Path) -> None:
    with open_video(str(clip), start=41) as video:
        assert [(f.index, number_of(f.rgb)) for f in video] == [(k, k) for k in range(41, 60)]
    with open_video(clip, start=60) as video:
        assert list(video) == []


def test_a_folder_and_a_pattern(tmp_path: Path) -> None:
    for k in (1, 2, 10, 9):
        Image.fromarray(small(k)).save(tmp_path / f"img{k}.png")
    (tmp_path / "img3.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (tmp_path / "notes.txt").write_text("no image")
    for source in (tmp_path, str(tmp_path / "*.png")):
        with open_video(source, fps=10) as video:
            assert video.info.frame_count == 5
            frames = list(video)
        assert [frame.name for frame in frames] == ["img1", "img2", "img9", "img10"]
        assert [frame.index for frame in frames] == [0, 1, 3, 4]  # one lies between that cannot be read
        assert [frame.t_ms for frame in frames] == [0, 100, 300, 400]
        assert video.corrupt == 1
    with open_video(tmp_path, start=3) as video:
        assert [(frame.index, frame.t_ms) for frame in video] == [(3, None), (4, None)]


def test_a_folder_of_damaged_images(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.jpg").write_bytes(b"\xff\xd8\xff damaged")
    with pytest.raises(ImageError, match=r"0\.jpg.*damaged"), open_video(tmp_path) as video:
        list(video)


def test_a_moving_image(tmp_path: Path) -> None:
    path = panned_clip(tmp_path / "walk.gif", 5, codec="gif", numbered=True)
    with open_video(path) as video:
        assert [number_of(frame.rgb) for frame in video] == list(range(5))


def test_an_iterator_of_anything(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), small(5))
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    clear = np.zeros((3, 4, 4), np.uint8)
    items = [
        next(panned_frames(1)),
        grey,
        clear,
        Image.fromarray(grey),
        Frame(small(4), "mine", "there", 77, 1234.0),
        tmp_path / "still.png",
        np.linspace(0, 1, 12).reshape(3, 4),
    ]
    with open_video(iter(items), fps=2) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(7))
    assert frames[0].name == "frame_000000"
    assert (frames[2].rgb == 255).all()  # transparent: white, as photos are
    assert (frames[4].name, frames[4].source, frames[4].t_ms) == ("mine", "there", 1234.0)
    assert [frames[k].t_ms for k in (0, 1, 6)] == [0, 500, 3000]
    assert number_of(frames[5].rgb) == 5
    with open_video([]) as video:
        assert list(video) == []


def test_an_array_that_is_written_again_and_again() -> None:
    page = np.zeros((20, 80, 3), np.uint8)
    with open_video((write_number(page, k) for k in range(40)), queue_size=8) as video:
        assert [number_of(frame.rgb) for frame in video] == list(range(40))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/clip.mp4", "no such file or folder; check the path .relative paths start at"),
        ("", "no such file or folder"),
        ("nowhere/*.jpg", "matches nothing"),
        (3.5, "expected a path, a folder, .* got float"),
        (None, "got NoneType"),
        (True, "got bool"),
        (np.zeros((4, 4, 3), np.uint8), r"got ndarray; pass a single image as \[image\]"),
        (
            "ftp://user:hush@host/clip.mp4",
            "video 'ftp://host/clip.mp4': expected a URL that begins with one of",
        ),
    ],
)
def test_no_source(source: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        open_video(source)


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="is empty"):
        open_video(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("hello\n" * 500)
    with pytest.raises(VideoError, match="FFmpeg finds no frame in it"):
        open_video(tmp_path / "text.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageError, match="expected at least one image"):
        open_video(tmp_path / "folder")
    with (
        open(tmp_path / "text.mp4", "rb") as stream,
        pytest.raises(VideoError, match="an open file by its path"),
    ):
        open_video(stream)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "newest"}, "policy: expected 'auto', 'latest' or 'all', got 'newest'"),
        ({"queue_size": 0}, "queue_size: expected a whole number, at least 1, got 0"),
        ({"queue_size": 2.5}, "queue_size"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"start": -1}, "start: expected a whole number, at least 0, got -1"),
        ({"reconnect_s": -1}, "reconnect_s: expected seconds"),
        ({"reconnect_s": float("nan")}, "reconnect_s: expected seconds"),
        ({"fps": 0}, "fps: expected frames a second above 0"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_video([], **options)


# --- skipping and dropping -------------------------------------------------------------------------


def test_frames_that_nobody_wants_are_not_converted(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsam.images.video_file import VideoFile

    converted = []
    original = VideoFile.convert
    monkeypatch.setattr(VideoFile, "convert", lambda self, raw: converted.append(1) or original(self, raw))
    with open_video(clip, wanted=lambda index, t_ms: index % 10 == 3 and t_ms == 40 * index) as video:
        assert [(f.index, number_of(f.rgb)) for f in video] == [(k, k) for k in range(3, 60, 10)]
    assert video.skipped == 54
    assert len(converted) == 6


def test_skipping_ahead(clip: Path) -> None:
    with open_video(clip) as video:
        first = video.read()
        assert first is not None
        video.skip_to(30)
        video.skip_to(10)  # never back
        rest = list(video)
    assert [number_of(frame.rgb) for frame in rest] == list(range(30, 60))
    assert first.index == 0
    assert video.skipped == 29


@pytest.mark.parametrize("as_file", [False, True])
def test_latest_drops_what_a_slow_consumer_misses(clip: Path, as_file: bool) -> None:
    """Everything but the first frame arrives while the consumer is away."""
    go, produced = threading.Event(), threading.Event()

    def hold(index: int, t_ms: float | None) -> bool:
        if index == 1:
            assert go.wait(20)
        if index == 59:
            produced.set()
        return True

    source: Any = clip if as_file else (small(k) for k in range(60))
    with open_video(source, policy="latest", wanted=hold) as video:
        first = video.read()
        assert first is not None
        go.set()
        assert produced.wait(20)
        video._thread.join(20)
        rest = list(video)
    assert (first.index, number_of(first.rgb)) == (0, 0)
    assert [(frame.index, number_of(frame.rgb)) for frame in rest] == [(59, 59)]
    assert video.dropped == 58


def test_all_reads_ahead_no_further_than_the_queue() -> None:
    made: list[int] = []

    def shots() -> Iterator[NDArray[np.uint8]]:
        for k in range(100):
            made.append(k)
            yield small(k)

    with open_video(shots(), queue_size=3) as video:
        for frame in video:
            assert number_of(frame.rgb) == frame.index
            assert len(made) <= frame.index + 1 + 3 + 1  # taken, queued, in the thread's hands
    assert video.dropped == 0
    assert len(made) == 100


@pytest.mark.parametrize("count", [3000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_frame_is_kept(count: int) -> None:
    """However long the source: at most the queue, what both sides hold in their hands, and nothing else."""
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()

    def shots() -> Iterator[Frame]:
        for k in range(count):
            frame = Frame(small(k), f"shot{k}")
            alive.add(frame)
            yield frame

    most = seen = 0
    with open_video(shots(), queue_size=4) as video:
        for frame in video:
            alive.add(frame)
            seen += frame.index == seen
            most = max(most, len(alive))
    del frame
    assert seen == count
    assert most <= 2 * (4 + 4)  # each as it was given, and as it was numbered
    assert ended(video)
    gc.collect()
    assert len(alive) == 0
