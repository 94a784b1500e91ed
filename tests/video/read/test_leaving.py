"""Leaving a reader by every door: break, errors, other threads, Ctrl-C."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.errors import ImageError
from fastsam.video.read.reader import open_video
from tests.video.clips import ended, number_of, panned_clip, small

ROOT = Path(__file__).parents[3]


class Endless:
    """An iterator that says whether it was closed, and where it was asked from."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.count = 0

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> NDArray[np.uint8]:
        self.count += 1
        return small(self.count % 1000)

    def close(self) -> None:
        self.closed.set()


def test_break_closes() -> None:
    source = Endless()
    video = open_video(source)
    for frame in video:
        if frame.index == 5:
            break
    assert source.closed.wait(20)
    assert ended(video)
    video.close()  # once more is nothing


def test_an_error_of_the_consumer_closes() -> None:
    source = Endless()
    with pytest.raises(ZeroDivisionError), open_video(source) as video:
        sum(1 / (frame.index - 3) for frame in video)
    assert source.closed.wait(20)
    assert ended(video)


def test_closing_from_another_thread() -> None:
    source = Endless()
    with open_video(source) as video:
        threading.Timer(0.05, video.close).start()
        for frame in video:
            assert frame.rgb.shape == (20, 80, 3)
    assert source.closed.wait(20)
    assert ended(video)


def test_a_reader_that_nobody_holds_is_closed() -> None:
    source = Endless()
    video = open_video(source)
    assert video.read() is not None
    thread, seen = video._thread, weakref.ref(video)
    del video
    gc.collect()
    assert seen() is None
    assert source.closed.wait(20)
    thread.join(20)
    assert not thread.is_alive()


def test_a_source_that_hangs_does_not_hold_anybody() -> None:
    release = threading.Event()

    def stuck() -> Iterator[NDArray[np.uint8]]:
        yield small(0)
        release.wait(60)

    with open_video(stuck()) as video:
        assert video.read() is not None
        with pytest.raises(TimeoutError):
            video.read(0.05)
    assert not release.is_set()
    assert video._thread.is_alive()  # we are out, though the thread is not
    release.set()
    assert ended(video)


def test_an_iterator_that_raises_in_the_middle() -> None:
    def shots() -> Iterator[NDArray[np.uint8]]:
        yield from (small(k) for k in range(7))
        raise LookupError("the disk is gone")

    seen: list[int] = []
    with open_video(shots()) as video, pytest.raises(LookupError, match="the disk is gone") as caught:
        seen.extend(frame.index for frame in video)
    assert caught.traceback[-1].name == "shots"  # the traceback leads to the place
    assert seen == list(range(7))
    assert ended(video)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "frame_000002.*expected a path.*got NoneType"),
        (np.zeros((3, 4, 4, 3)), "frame_000002.*one at a time"),
        (np.full((4, 4), np.nan), "frame_000002.*finite"),
        (np.zeros((0, 4, 3), np.uint8), "frame_000002.*at least 1x1"),
    ],
)
def test_an_iterator_that_yields_garbage(item: Any, message: str) -> None:
    seen: list[int] = []
    with (
        pytest.raises(ImageError, match=message),
        open_video(iter([small(0), small(1), item, small(3)])) as video,
    ):
        seen.extend(frame.index for frame in video)
    assert seen == [0, 1]


def test_a_generator_is_closed_in_the_thread_that_runs_it() -> None:
    where: list[threading.Thread] = []

    def shots() -> Iterator[NDArray[np.uint8]]:
        try:
            while True:
                yield small(1)
        finally:
            where.append(threading.current_thread())

    with open_video(shots()) as video:
        video.read()
    assert ended(video)
    assert where == [video._thread]


def test_two_readers_at_once(clip: Path) -> None:
    with open_video(clip) as one, open_video(clip, start=20) as two:
        pairs = list(zip(two, one, strict=False))
    assert [(a.index, number_of(a.rgb)) for a, _ in pairs] == [(k, k) for k in range(20, 60)]
    assert [number_of(b.rgb) for _, b in pairs] == list(range(40))
    assert ended(one)
    assert ended(two)


def test_a_file_that_is_cut_off_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = panned_clip(tmp_path / "clip.mkv", 80, numbered=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING), open_video(path) as video:
        frames = list(video)
        assert ended(video)
    assert [number_of(frame.rgb) for frame in frames] == list(range(len(frames)))
    assert "cut off" in video.truncated
    assert "cut off" in caplog.text


_SCRIPT = """
import signal, sys, time
import numpy as np
from fastsam.video.read.reader import open_video

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs in the background

def shots():
    try:
        while True:
            yield np.zeros((8, 8, 3), np.uint8)
    finally:
        print("closed", flush=True)

def main():
    {opening}
        for frame in video:
            if frame.index == 3:
                print("going", flush=True)
            {work}

main()
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process there")
def test_ctrl_c_while_a_server_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        command = [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"from fastsam.video.read.reader import open_video\nopen_video({url!r})",
        ]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            try:
                connection, _ = server.accept()  # and never answer
                with connection:
                    assert connection.recv(3) == b"GET"
                    process.send_signal(signal.SIGINT)
                    _, err = process.communicate(timeout=30)
            finally:
                process.kill()
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process there")
@pytest.mark.parametrize(
    "opening", ["with open_video(shots()) as video:", "for video in [open_video(shots())]:"]
)
@pytest.mark.parametrize("work", ["time.sleep(0.01)", "video.skip_to(10**9)"])
def test_ctrl_c(opening: str, work: str) -> None:
    """While the consumer works, and while it waits for a frame that never comes."""
    script = _SCRIPT.format(opening=opening, work=work)
    if "skip_to" in work:
        script = script.replace("if frame.index == 3", "if frame.index == 0")
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "going\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert out == "closed\n"
