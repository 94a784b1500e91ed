"""Any moving source -> :class:`fastsam.images.frame.Frame`, read ahead by a thread.

>>> import numpy as np
>>> with open_video(np.full((4, 2, 3), k, np.uint8) for k in range(3)) as reader:
...     [(frame.name, int(frame.rgb[0, 0, 0])) for frame in reader]
[('frame_000000', 0), ('frame_000001', 1), ('frame_000002', 2)]
"""

from __future__ import annotations

import glob
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from PIL import Image

from fastsam.errors import ConfigError, ImageError, VideoError
from fastsam.images.frame import Frame
from fastsam.images.listing import IMAGE_EXTENSIONS, list_images
from fastsam.images.reading import pixel_limit
from fastsam.video.read.feeds import Counts, Feed, FileFeed, FolderFeed, IterableFeed, Raw, VideoInfo
from fastsam.video.read.hand_over import Ended, HandOver, Policy
from fastsam.video.read.live import ANSWER_S, SCHEMES, CameraFeed, UrlFeed, shown_url

__all__ = ["VideoInfo", "VideoReader", "VideoSource", "open_video"]

VideoSource: TypeAlias = "str | os.PathLike[str] | int | Iterable[Any]"
Wanted: TypeAlias = "Callable[[int, float | None], bool]"

_MOVING_IMAGES = frozenset({".gif", ".apng"})
_JOIN_S = 1.0  # a thread that hangs in a camera's driver is left behind: it is a daemon
_SILENCE_S = (
    2 * ANSWER_S + 2
)  # beside the time to reconnect: a source without a sign of life hangs in a driver
_log = logging.getLogger(__name__)


def open_video(
    source: VideoSource,
    *,
    policy: Literal["auto", "latest", "all"] = "auto",
    queue_size: int = 4,
    max_pixels: int | None = None,
    reconnect_s: float = 10.0,
    start: int = 0,
    fps: float | None = None,
    wanted: Wanted | None = None,
) -> VideoReader:
    """Open a moving source; its first frame is awaited, but for iterators.

    Args:
        source: the path of a video file; a folder or pattern of images, in natural order; a camera's
            number (``0`` or ``"0"``) or ``"/dev/video0"``; an rtsp://, http(s)://, udp://, rtp://, tcp://,
            srt:// or rtmp:// URL; or an iterable of RGB arrays, PIL images, Frames or images' paths, which
            is run in the reader's thread and closed there.
        policy: ``"all"`` waits for whoever is slow; ``"latest"`` gives the newest frame and drops those
            that nobody took; ``"auto"`` is ``"latest"`` for live sources and ``"all"`` for others.
        queue_size: how many frames to read ahead with ``"all"``.
        max_pixels: refuse frames with more pixels than this; None is the limit in force.
        reconnect_s: how long to try to open a live source again after it broke off; with 0, its end is
            an end.
        start: the first frame to give; those before are not decoded where the file allows that.
        fps: frames a second of a folder or iterator, which times its frames.
        wanted: called by the reader's thread with each frame's index and time; frames for which it
            returns False are neither converted nor given.

    Raises:
        ImageError: there is no such file, or no image in a folder.
        VideoError: a video has no frame, or a camera or stream cannot be opened.
        ConfigError: an option is outside its range.
    """
    if policy not in ("auto", "latest", "all"):
        raise ConfigError(f"policy: expected 'auto', 'latest' or 'all', got {policy!r}")
    max_pixels = pixel_limit(max_pixels)
    for name, number, least in (
        ("queue_size", queue_size, 1),
        ("start", start, 0),
    ):
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < least:
            raise ConfigError(f"{name}: expected a whole number, at least {least}, got {number!r}")
    if not (isinstance(reconnect_s, (int, float)) and 0 <= reconnect_s < float("inf")):
        raise ConfigError(f"reconnect_s: expected seconds, at least 0, got {reconnect_s!r}")
    if fps is not None and not 0 < fps < float("inf"):
        raise ConfigError(f"fps: expected frames a second above 0, got {fps!r}")
    feed = _feed(source, fps, max_pixels, reconnect_s)
    silence_s = reconnect_s + _SILENCE_S
    return VideoReader(feed, policy, int(queue_size), int(start), wanted, silence_s=silence_s)


def _feed(source: VideoSource, fps: float | None, max_pixels: int, reconnect_s: float) -> Feed:
    """Return what reads a source; paths that are not there are reported here."""
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        if source < 0:
            raise VideoError(f"camera {source}: expected the number of a camera, at least 0")
        return CameraFeed(int(source), reconnect_s)
    if isinstance(source, (str, os.PathLike)):
        return _feed_of_text(os.fspath(source), fps, max_pixels, reconnect_s)
    single = (np.ndarray, Image.Image, Frame, bytes, bytearray, memoryview)
    if isinstance(source, single) or not isinstance(source, Iterable) or hasattr(source, "read"):
        raise VideoError(
            "video: expected a path, a folder, a camera's number, a URL or an iterable of RGB arrays, got "
            f"{type(source).__name__}; pass a single image as [image], an open file by its path"
        )
    return IterableFeed(source, fps, max_pixels)


def _feed_of_text(text: str, fps: float | None, max_pixels: int, reconnect_s: float) -> Feed:
    if text.isascii() and text.isdigit():
        return CameraFeed(int(text), reconnect_s)
    if re.fullmatch(r"/dev/video[0-9]+", text):
        return CameraFeed(text, reconnect_s)
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text):
        if scheme[1].lower() not in SCHEMES:
            raise VideoError(
                f"expected a URL that begins with one of {', '.join(s + '://' for s in SCHEMES)}",
                subject=f"video {shown_url(text)!r}",
                advice="a file is passed by its path",
            )
        url = scheme[1].lower() + text[len(scheme[1]) :]
        return UrlFeed(url, reconnect_s, max_pixels)
    extension = os.path.splitext(text)[1].lower()
    still = extension in IMAGE_EXTENSIONS - _MOVING_IMAGES
    if os.path.exists(text) and not os.path.isdir(text) and not still:
        if os.path.isfile(text) and os.path.getsize(text) == 0:
            raise VideoError(
                "is empty (0 bytes)",
                subject=f"video {text!r}",
                advice="the copy or download that made it has failed",
                path=text,
            )
        return FileFeed(Path(text), max_pixels)
    if not text or (not os.path.exists(text) and not glob.has_magic(text)):
        where = "" if os.path.isabs(text) else f" (relative paths start at {os.getcwd()})"
        raise VideoError(
            "no such file or folder",
            subject=f"video {text!r}",
            advice=f"check the path{where}, or pass the number of a camera or a URL",
            path=text,
        )
    return FolderFeed(list_images(text), text, fps, max_pixels)


class _Shared:
    """What the thread and the reader both hold; the reader itself stays free to be collected."""

    def __init__(self, feed: Feed, policy: Literal["auto", "latest", "all"], size: int) -> None:
        self.feed, self.counts = feed, Counts()
        self.stop, self.opened = threading.Event(), threading.Event()
        self.skip_to = 0
        self.alive_at = time.monotonic()
        self.error: BaseException | None = None
        self._auto = policy == "auto"
        self.queue: HandOver[Raw | Frame] = HandOver("all" if policy == "auto" else policy, size)

    def open(self) -> None:
        """Let the reader begin: only now it is known whether the source is live."""
        if not self.opened.is_set():
            if self._auto and self.feed.info.live:
                self.queue.policy = "latest"
            self.opened.set()

    def close(self) -> None:
        self.stop.set()
        self.queue.close()


def _pump(shared: _Shared, start: int, wanted: Wanted | None) -> None:
    """Read the source into the queue: the thread's work."""
    feed, counts = shared.feed, shared.counts
    error: BaseException | None = None
    try:
        if not feed.prompt:
            shared.open()
        with closing(feed.raws(start, shared.stop, counts)) as raws:
            for raw in raws:
                shared.alive_at = time.monotonic()
                shared.open()
                if shared.stop.is_set():
                    break
                if raw.index < shared.skip_to or (wanted and not wanted(raw.index, raw.t_ms)):
                    counts.skipped += 1
                    continue
                # What is shown next to nobody need not be converted: "latest" leaves that to the taker.
                item = raw if feed.lasting and shared.queue.policy == "latest" else _made(raw, feed, counts)
                if item is not None and not shared.queue.put(item):
                    break
        if counts.truncated:
            _log.warning("%s: %s; what could be read was used", feed.info.source, counts.truncated)
    except BaseException as caught:  # whatever it is, the consumer is told
        error = caught
    if not shared.opened.is_set():
        shared.error = error
        shared.open()
    elif error is not None:
        shared.queue.finish(error)
        return
    shared.queue.finish()


def _made(raw: Raw, feed: Feed, counts: Counts) -> Frame | None:
    """Convert a frame; None where it is damaged and the source is one of which that is expected."""
    try:
        return raw.make()
    except ImageError:
        if not feed.forgiving:
            raise
        counts.corrupt += 1
        return None


class VideoReader:
    """Frames of a moving source, read once: iterate, and leave by any way.

    The source and its thread are closed at the end, at an error on either side, at a ``break``, at Ctrl-C,
    by :meth:`close` from any thread, and by ``with``.

    Attributes:
        info: what is known of the source.
        policy: ``"latest"`` or ``"all"``.
    """

    def __init__(
        self,
        feed: Feed,
        policy: Literal["auto", "latest", "all"],
        queue_size: int,
        start: int,
        wanted: Wanted | None,
        *,
        silence_s: float,
    ) -> None:
        self._shared = _Shared(feed, policy, queue_size)
        self._silence_s, self._skipped = silence_s, 0
        self._thread = threading.Thread(
            target=_pump, args=(self._shared, start, wanted), name="fastsam-video", daemon=True
        )
        # Also at the interpreter's end, and when nobody holds the reader any more.
        self._finalizer = weakref.finalize(self, _shut, self._shared, self._thread)
        self._thread.start()
        try:
            while not self._shared.opened.wait(0.1):
                self._check_alive()
        except BaseException:
            self.close()
            raise
        if self._shared.error is not None:
            error, self._shared.error = self._shared.error, None
            self.close()
            raise error

    @property
    def info(self) -> VideoInfo:
        """What is known of the source."""
        return self._shared.feed.info

    @property
    def policy(self) -> Policy:
        """What happens to frames that nobody takes in time."""
        return self._shared.queue.policy

    @property
    def dropped(self) -> int:
        """Frames that policy ``"latest"`` has replaced by newer ones."""
        return self._shared.queue.dropped

    @property
    def corrupt(self) -> int:
        """Frames that could not be decoded and were left out."""
        return self._shared.counts.corrupt

    @property
    def skipped(self) -> int:
        """Frames left out on request, by ``wanted`` or :meth:`skip_to`."""
        return self._shared.counts.skipped + self._skipped

    @property
    def reconnects(self) -> int:
        """How often a live source came back."""
        return self._shared.counts.reconnects

    @property
    def truncated(self) -> str:
        """Why a file ended before its end; empty if it did not."""
        return self._shared.counts.truncated

    def __repr__(self) -> str:
        """Return the source and what happened so far."""
        return f"VideoReader({self.info.source!r}, {self.policy!r}, dropped {self.dropped})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; closed when the loop is left."""
        try:
            while (frame := self.read()) is not None:
                yield frame
        finally:
            self.close()

    def read(self, timeout_s: float | None = None) -> Frame | None:
        """Return the next frame, None after the last one.

        Raises:
            TimeoutError: none came within ``timeout_s``.
            VideoError: a live source was lost, or hangs.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = 1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic()))
            try:
                item = self._shared.queue.get(left)
            except Ended:
                return None
            except TimeoutError:
                self._check_alive()
                if deadline is not None and time.monotonic() >= deadline:
                    raise
                continue
            except BaseException:
                self.close()
                raise
            if item.index < self._shared.skip_to:
                self._skipped += 1  # the thread has a counter of its own
                continue
            return item if isinstance(item, Frame) else item.make()

    def skip_to(self, index: int) -> None:
        """Leave out the frames before ``index`` that are not given yet; they are not converted."""
        self._shared.skip_to = max(self._shared.skip_to, int(index))

    def close(self) -> None:
        """Stop the thread and close the source; may be called again, and from any thread."""
        self._finalizer()

    def _check_alive(self) -> None:
        """Raise if a live source hangs in a call that never returns."""
        silent_s = time.monotonic() - self._shared.alive_at
        if self.info.live and silent_s > self._silence_s and not self._shared.stop.is_set():
            self.close()
            raise VideoError(
                f"{self.info.source}: has given no frame for {silent_s:.0f} s; check the cable, the network "
                "and that it still runs, then open it again"
            )


def _shut(shared: _Shared, thread: threading.Thread) -> None:
    """Stop a reader's thread; not waited for longer than a moment, and never by itself."""
    shared.close()
    if thread is not threading.current_thread():
        thread.join(_JOIN_S)
