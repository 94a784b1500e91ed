"""Where moving pictures come from at rest: files, folders of frames, iterators of arrays.

A feed is read by the reader's thread (:mod:`fastsam.video.read.reader`); what is live, and may break off and
come back, is in :mod:`fastsam.video.read.live`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.images.video_file import Picture, VideoFile

__all__ = ["Counts", "Feed", "FileFeed", "FolderFeed", "IterableFeed", "Raw", "VideoInfo"]


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a source once it is open.

    Attributes:
        source: its name for messages; holds no password.
        size_hw: height and width of the first frame; None for folders and iterators.
        fps: frames a second as announced; None where unknown, and for live streams that do not tell.
        frame_count: how many frames are announced; None where unknown.
        live: a camera or stream that does not wait.
        path: the video file, where it is one.
        has_audio: whether it has a sound track; None where unknown.
    """

    source: str
    size_hw: tuple[int, int] | None = None
    fps: float | None = None
    frame_count: int | None = None
    live: bool = False
    path: Path | None = None
    has_audio: bool | None = None


@dataclass
class Counts:
    """What happened on the way; written by the reader's thread only."""

    corrupt: int = 0
    reconnects: int = 0
    skipped: int = 0
    truncated: str = ""


@dataclass(frozen=True)
class Raw:
    """A frame that is read, but not converted yet."""

    index: int
    t_ms: float | None
    make: Callable[[], Frame]


class Feed(ABC):
    """A source of frames; one thread opens, reads and closes it.

    Attributes:
        lasting: a raw frame may be converted after the next one is read.
        prompt: the first frame comes by itself, so that opening may wait for it.
        forgiving: a frame that cannot be converted is skipped, not an error.
        info: what is known; complete once the first raw frame is there.
    """

    lasting = True
    prompt = True
    forgiving = False
    info: VideoInfo

    @abstractmethod
    def raws(self, start: int, stop: threading.Event, counts: Counts) -> Generator[Raw, None, None]:
        """Open the source and yield its frames from ``start`` on, until the end or ``stop``."""


class FileFeed(Feed):
    """A video file."""

    def __init__(self, path: Path, max_pixels: int) -> None:
        self._path, self._max_pixels = path, max_pixels
        self.info = VideoInfo(str(path), path=path)

    def raws(self, start: int, stop: threading.Event, counts: Counts) -> Generator[Raw, None, None]:
        """Yield the file's frames; damaged ones are counted."""
        with VideoFile(self._path, max_pixels=self._max_pixels) as video:
            self.info = replace(
                self.info, fps=video.fps, frame_count=video.frame_count, has_audio=video.has_audio
            )
            yield from file_raws(self, video, start, stop, counts, self._path.stem)


def file_raws(
    feed: Feed, video: VideoFile, start: int, stop: threading.Event, counts: Counts, stem: str
) -> Generator[Raw, None, None]:
    """Yield the frames of an open video that has an end."""
    source = feed.info.source
    for picture in whole_pictures(feed, video, start, stop, counts):

        def make(picture: Any = picture) -> Frame:
            name = f"{stem}_{picture.index:06d}"
            return Frame(picture.rgb(), name, source, picture.index, picture.t_ms)

        yield Raw(picture.index, picture.t_ms, make)
    if not stop.is_set():
        counts.truncated = video.trouble


def whole_pictures(
    feed: Feed, video: VideoFile, start: int, stop: threading.Event, counts: Counts
) -> Iterator[Picture]:
    """Yield the pictures of an open video until it is to stop; count the damaged ones, and note the size."""
    for picture in video.pictures(start):
        if stop.is_set():
            return
        if picture is None:
            counts.corrupt += 1
            continue
        if feed.info.size_hw is None:
            feed.info = replace(feed.info, size_hw=picture.size_hw)
        yield picture


class FolderFeed(Feed):
    """Images in natural order; those that cannot be read are counted, as long as any can."""

    lasting = False  # so that damaged images are known when the last one has been read
    forgiving = True

    def __init__(self, paths: list[Path], shown: str, fps: float | None, max_pixels: int) -> None:
        self._paths, self._max_pixels = paths, max_pixels
        self.info = VideoInfo(shown, fps=fps, frame_count=len(paths), has_audio=False)

    def raws(self, start: int, stop: threading.Event, counts: Counts) -> Generator[Raw, None, None]:
        """Yield the images from ``start`` on."""
        before = counts.corrupt
        index = -1
        for index, path in islice(enumerate(self._paths), start, None):
            if stop.is_set():
                return
            t_ms = _at(index, self.info.fps)

            def make(path: Path = path, index: int = index, t_ms: float | None = t_ms) -> Frame:
                return replace(read_frame(path, max_pixels=self._max_pixels), index=index, t_ms=t_ms)

            yield Raw(index, t_ms, make)
        if counts.corrupt - before == len(self._paths) - start > 0:
            read_frame(self._paths[start], max_pixels=self._max_pixels)  # says what is wrong with it


class IterableFeed(Feed):
    """Arrays, PIL images, Frames, or paths of images, from any iterable; closed if it can be."""

    lasting = False  # a producer may write the next frame into the same array
    prompt = False  # it may be fed by whoever opens it

    def __init__(self, items: Iterable[Any], fps: float | None, max_pixels: int) -> None:
        self._items, self._max_pixels = items, max_pixels
        count = len(items) if isinstance(items, (list, tuple)) else None
        self.info = VideoInfo(f"<{type(items).__name__}>", fps=fps, frame_count=count)

    def raws(self, start: int, stop: threading.Event, counts: Counts) -> Generator[Raw, None, None]:
        """Yield the items from ``start`` on."""
        items = iter(self._items)
        try:
            for index, item in enumerate(items):
                if stop.is_set():
                    return
                if index < start:
                    continue
                given = item.t_ms if isinstance(item, Frame) else None
                t_ms = _at(index, self.info.fps) if given is None else given

                def make(item: Any = item, index: int = index, t_ms: float | None = t_ms) -> Frame:
                    name = None if isinstance(item, Frame) else f"frame_{index:06d}"
                    frame = read_frame(item, name, max_pixels=self._max_pixels)
                    return replace(frame, index=index, t_ms=t_ms)

                yield Raw(index, t_ms, make)
        finally:
            close = getattr(items, "close", None)
            if callable(close):
                close()


def _at(index: int, fps: float | None) -> float | None:
    return 1000 * index / fps if fps else None
