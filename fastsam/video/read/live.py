"""Sources that do not wait: cameras, and RTSP, HTTP and UDP streams; lost ones are opened again."""

from __future__ import annotations

import glob
import re
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, cast
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, ImageError, VideoError
from fastsam.images.frame import Frame
from fastsam.images.video_file import VideoFile
from fastsam.video.read.feeds import Counts, Feed, Raw, VideoInfo, file_raws, whole_pictures

__all__ = ["SCHEMES", "CameraFeed", "LiveFeed", "UrlFeed", "shown_url"]

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtp", "tcp", "srt", "rtmp", "rtmps")
ANSWER_S = 8.0
"""How long a server may take for an answer, and a stream for its next frame."""

_WAITS_S = (0.1, 2.0)  # before the first attempt to reconnect, and at most
_FAILED_GRABS = 5  # in a row, after which a camera counts as unplugged
_OPTIONS = {
    "rtsp_transport": "tcp",  # UDP loses packets and is blocked by many routers
    "analyzeduration": "1000000",  # microseconds to look at a stream before its first frame is shown
    "probesize": "1000000",
    "overrun_nonfatal": "1",
    "fifo_size": "50000",
}


def shown_url(url: str) -> str:
    """Return a URL as messages may show it: without user, password and query.

    >>> shown_url("rtsp://admin:se/cr@et@10.0.0.7:554/live?token=1")
    'rtsp://10.0.0.7:554/live'
    """
    scheme, _, rest = url.partition("://")
    # A password may hold any character, so what stands before the last @ goes.
    return f"{scheme}://{re.split(r'[?#]', rest.rpartition('@')[2], maxsplit=1)[0]}"


class LiveFeed(Feed):
    """A source that may break off: it is opened again for ``reconnect_s`` seconds, then given up."""

    def __init__(self, name: str, what: str, reconnect_s: float) -> None:
        self.info = VideoInfo(name, live=True)
        self._what, self._reconnect_s = what, reconnect_s
        self._name = name

    @abstractmethod
    def _connect(self, stop: threading.Event, counts: Counts) -> Iterator[Callable[[], NDArray[np.uint8]]]:
        """Open the source and yield what makes each frame's pixels, until it breaks off."""

    def raws(self, start: int, stop: threading.Event, counts: Counts) -> Generator[Raw, None, None]:
        """Yield frames numbered from 0, timed by their arrival, across broken connections."""
        if start:
            raise ConfigError(f"start: a live source begins now, expected 0, got {start!r}")
        began, lost_at = 0.0, None
        index, wait_s = 0, _WAITS_S[0]
        while not stop.is_set():
            trouble = "it ended"
            try:
                for pixels in self._connect(stop, counts):
                    now = time.monotonic()
                    began = began if index else now
                    if lost_at is not None:
                        counts.reconnects += 1
                        wait_s, lost_at = _WAITS_S[0], None
                    yield self._raw(pixels, index, 1000 * (now - began))
                    index += 1
            except VideoError as error:
                if index == 0:
                    raise
                trouble = error.problem
            if stop.is_set() or (self._reconnect_s == 0 and trouble == "it ended" and index):
                return
            lost_at = lost_at or time.monotonic()
            if index == 0 or time.monotonic() - lost_at >= self._reconnect_s:
                raise VideoError(self._lost(trouble, index))
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, _WAITS_S[1])

    def _raw(self, pixels: Callable[[], NDArray[np.uint8]], index: int, t_ms: float) -> Raw:
        """Return a frame whose pixels are not made yet."""

        def make() -> Frame:
            return Frame(pixels(), f"{self._name_stem()}_{index:06d}", self._name, index, t_ms)

        return Raw(index, t_ms, make)

    @abstractmethod
    def _name_stem(self) -> str:
        """Return what frames are called, before their number."""

    def _lost(self, trouble: str, index: int) -> str:
        """Return the message for a source that does not come back."""
        tried = f" and did not come back within {self._reconnect_s:g} s" if self._reconnect_s else ""
        return (
            f"{self._what}: was lost after {index} frames{tried} ({trouble}); check the cable, the network "
            "and that it still runs, then open it again; reconnect_s sets how long to wait for it"
        )


class UrlFeed(LiveFeed):
    """A stream, or a video file on a web server."""

    def __init__(self, url: str, reconnect_s: float, max_pixels: int) -> None:
        self._url, self._max_pixels = url, max_pixels
        name = shown_url(url)
        super().__init__(name, f"stream {name!r}", reconnect_s)

    def raws(self, start: int, stop: threading.Event, counts: Counts) -> Generator[Raw, None, None]:
        """Yield the frames of a file that a server has, or of a stream."""
        if not self._url.startswith("http"):
            yield from super().raws(start, stop, counts)
            return
        # Only the answer tells whether a file lies there, which is not opened again when it has ended.
        with self._opened() as video:
            if video.duration_s is None and video.size_bytes <= 0:
                self._first = video
                yield from super().raws(start, stop, counts)
                return
            self.info = replace(self.info, live=False, frame_count=video.frame_count)
            self._describe(video)
            yield from file_raws(self, video, start, stop, counts, self._name_stem())

    def _opened(self) -> VideoFile:
        return VideoFile(
            self._url,
            max_pixels=self._max_pixels,
            shown=repr(self._name),
            options=dict(_OPTIONS),
            timeout_s=ANSWER_S,
        )

    _first: VideoFile | None = None  # a connection that was opened to see what it is

    def _connect(self, stop: threading.Event, counts: Counts) -> Iterator[Callable[[], NDArray[np.uint8]]]:
        video, self._first = self._first or self._opened(), None
        with video:
            self._describe(video)
            for picture in whole_pictures(self, video, 0, stop, counts):
                yield picture.rgb
            if video.trouble and not stop.is_set():
                raise VideoError(video.trouble)

    def _describe(self, video: VideoFile) -> None:
        self.info = replace(self.info, fps=video.fps, has_audio=video.has_audio)

    def _name_stem(self) -> str:
        parts = urlsplit(self._name)
        return PurePosixPath(parts.path).stem or re.sub(r"\W", "_", parts.netloc) or parts.scheme


class CameraFeed(LiveFeed):
    """A local camera, by number or device path, over OpenCV."""

    lasting = False  # OpenCV holds one grabbed frame
    forgiving = True

    def __init__(self, camera: int | str, reconnect_s: float) -> None:
        self._camera = camera
        name = f"camera {camera}" if isinstance(camera, int) else str(camera)
        super().__init__(name, f"camera {camera!r}", reconnect_s)

    def _connect(self, stop: threading.Event, counts: Counts) -> Iterator[Callable[[], NDArray[np.uint8]]]:
        capture = cv2.VideoCapture(self._camera) if self._present() else None
        try:
            if capture is None or not capture.isOpened():
                raise VideoError(self._missing())
            rate = capture.get(cv2.CAP_PROP_FPS)
            self.info = replace(self.info, fps=rate if 0 < rate <= 1000 else None)
            failed = 0
            while failed < _FAILED_GRABS and not stop.is_set():
                if not capture.grab():
                    failed += 1
                    stop.wait(0.02)
                    continue
                failed = 0
                if self.info.size_hw is None:
                    size = (capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH))
                    self.info = replace(self.info, size_hw=(int(size[0]), int(size[1])))
                yield lambda: self._retrieve(capture)
            if not stop.is_set():
                raise VideoError("no frame comes any more")
        finally:
            if capture is not None:
                capture.release()

    def _retrieve(self, capture: Any) -> NDArray[np.uint8]:
        """Return the frame that was grabbed last, as RGB."""
        good, bgr = capture.retrieve()
        if not good or bgr is None or bgr.size == 0:
            raise ImageError("a frame cannot be decoded", subject=self._what)
        code = cv2.COLOR_GRAY2RGB if bgr.ndim == 2 or bgr.shape[2] == 1 else cv2.COLOR_BGR2RGB
        return cast(NDArray[np.uint8], cv2.cvtColor(bgr, code))

    def _present(self) -> bool:
        """Whether to ask OpenCV at all, which writes to the terminal where there is nothing."""
        if not sys.platform.startswith("linux"):
            return True
        path = f"/dev/video{self._camera}" if isinstance(self._camera, int) else self._camera
        return path in _cameras()

    def _missing(self) -> str:
        if sys.platform.startswith("linux"):
            found = ", ".join(_cameras()) or "none"
            seen = f"cameras of this machine (/dev/video*): {found}"
        else:
            seen = f"tried: {self._camera!r} by {cv2.__name__} {cv2.__version__}"
        return (
            f"{self._what}: cannot be opened; {seen}. Plug it in, close other programs that use it, allow "
            "access to it, and pass its number (0 is the first) or /dev/videoN; a stream is passed as a URL"
        )

    def _name_stem(self) -> str:
        return re.sub(r"\W+", "", self._name.rpartition("/")[2]) or "camera"


def _cameras() -> list[str]:
    return sorted(glob.glob("/dev/video[0-9]*"))
