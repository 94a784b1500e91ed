"""The formats that grow with every frame: the overlay video and DAVIS' PNGs."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import ClassVar

from fastsam.config import OutputConfig, RenderConfig
from fastsam.errors import ExportError
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.audio import Span
from fastsam.video.write.pictures import Trails, fit, id_map, write_id_map
from fastsam.video.write.spool import SpooledFrame
from fastsam.video.write.writers import TICKS, SegmentWriter, Timeline, drop_segments, join_segments

__all__ = ["DavisSink", "FrameSink", "VideoSink", "per_segment"]


class FrameSink(ABC):
    """A format whose files grow with every frame."""

    name: ClassVar[str]
    drawn_ms = 0.0  # of the last frame, what drawing its picture took

    @abstractmethod
    def resume(self, frames: Iterable[SpooledFrame], count: int) -> None:
        """Go on after the ``count`` frames of an earlier run; called before the first frame."""

    @abstractmethod
    def append(self, tracked: Tracked) -> None:
        """Write a frame."""

    @abstractmethod
    def finish(self) -> Path:
        """Return the file or folder, complete now."""

    def abandon(self) -> None:  # noqa: B027 (most have nothing to drop)
        """Drop what is half done."""


class VideoSink(FrameSink):
    """``overlay.mp4``: the frames with their masks drawn over them, and the sound of the source."""

    name = "video"

    def __init__(
        self, out: Path, config: OutputConfig, render: RenderConfig, fps: float, source: Path | None
    ):
        self._out, self._config, self._render, self._fps = out, config, render, fps
        self._source = source if config.audio else None
        self._timeline = Timeline(fps)
        self._trails = Trails(config.trail)
        self._per_segment = per_segment(config, fps)
        self._starts: list[int] = []
        self._count, self._gap = 0, round(TICKS / fps)
        self._begin_s = 0.0
        self._size_hw: tuple[int, int] | None = None
        self._writer: SegmentWriter | None = None

    def resume(self, frames: Iterable[SpooledFrame], count: int) -> None:
        """Go on after whole segments."""
        for frame in frames:
            self._tick(frame.index, frame.t_ms, frame.size_hw)
        self._trails.replay(islice(frames, max(count - self._config.trail - 1, 0), None))
        done = len(self._starts)
        drop_segments(self._out, done)
        self._writer = SegmentWriter(
            self._out, self._config.suffix, per_segment=self._per_segment, fps=self._fps,
            crf=self._config.crf, done=done,
        )  # fmt: skip

    def _tick(self, index: int, t_ms: float | None, size_hw: tuple[int, int]) -> int:
        """Take note of a frame's time and return it in ticks."""
        if self._size_hw is None:
            self._size_hw = size_hw
            self._begin_s = index / self._fps if t_ms is None else t_ms / 1000
        before = self._timeline.ticks
        ticks = self._timeline.next(index, t_ms)
        if self._count:
            self._gap = ticks - before
        if self._count % self._per_segment == 0:
            self._starts.append(ticks)
        self._count += 1
        return ticks

    def append(self, tracked: Tracked) -> None:
        """Draw and encode a frame; one of another size is fitted into the first one's, on black."""
        start, frame = time.perf_counter(), tracked.frame
        picture = tracked.plot(self._render)
        boxes = tracked.masks.tight_boxes() if self._config.trail else ()
        self._trails.add(dict(zip(tracked.ids.tolist(), boxes, strict=False)))
        self._trails.draw(picture, self._render.seed)
        self.drawn_ms = 1e3 * (time.perf_counter() - start)
        ticks = self._tick(frame.index, frame.t_ms, frame.size_hw)
        if self._writer is None or self._size_hw is None:
            raise ExportError(f"{self._out}: the video was not opened")
        self._writer.add(fit(picture, self._size_hw), ticks)

    def finish(self) -> Path:
        """Join the segments."""
        if self._writer is not None:
            self._writer.finish()
        end = self._begin_s + (self._timeline.ticks + self._gap) / TICKS
        target = self._out / f"overlay{self._config.suffix}"
        return join_segments(self._out, target, self._starts, self._source, Span(self._begin_s, end))

    def abandon(self) -> None:
        """Drop the segment that is not whole."""
        if self._writer is not None:
            self._writer.abandon()


def per_segment(config: OutputConfig, fps: float) -> int:
    """Return how many pictures a segment of the video has."""
    return max(round(config.segment_s * fps), 1)


class DavisSink(FrameSink):
    """``davis/00000.png`` ...: a frame's ids as the pixels of an indexed PNG, named by the frame's number."""

    name = "davis"

    def __init__(self, out: Path) -> None:
        self._folder = out / "davis"

    def resume(self, frames: Iterable[SpooledFrame], count: int) -> None:
        """Remove what was written after the last frame that counts."""
        kept = {self._path(frame.index) for frame in frames}
        for path in self._folder.glob("[0-9]*.png"):
            if path not in kept:
                path.unlink()
        for path in self._folder.glob(".*.part*"):  # the power went while it was written
            path.unlink()

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:05d}.png"

    def append(self, tracked: Tracked) -> None:
        """Write a frame's PNG."""
        write_id_map(id_map(tracked), self._path(tracked.frame.index))

    def finish(self) -> Path:
        """Return the folder."""
        return self._folder
