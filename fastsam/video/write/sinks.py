"""A stream of :class:`Tracked` -> the files of a run, resumed where an earlier run broke off.

A folder holds one run: ``run.json`` (what was asked, of which source), ``frames.jsonl`` (the spool, a
line a frame, written when the frame's other files are), and a file or folder for each format. Text
formats are made from the spool when the run is done. One process writes to a folder at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastsam.config import OutputConfig, RenderConfig
from fastsam.errors import ExportError
from fastsam.files import as_export_errors, sole_writer, writable_folder
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.formats import FORMATS
from fastsam.video.write.frame_sinks import DavisSink, FrameSink, VideoSink, per_segment
from fastsam.video.write.run_file import (
    check_same,
    check_source,
    check_unused,
    clear,
    describe,
    read_run,
    write_run,
)
from fastsam.video.write.spool import SPOOL, Spool, SpooledFrame, read_frames
from fastsam.video.write.writers import count_segments, drop_segments, load_av

__all__ = ["Sinks", "load_last", "open_sinks"]


class Sinks:
    """The files of a run; made by :func:`open_sinks`.

    Use it as a context manager: leaving it builds the files that belong to the run as a whole. When an
    error (or Ctrl-C) leaves it, what is done stays and the next run goes on from there.

    Attributes:
        next_index: the number of the first frame that is still to be done.
        last: the last frame that is done, to go on tracking from; None at the beginning.
        finished: an earlier run has done everything; nothing can be appended.
        times_ms: what each format took with the last frame, beside ``decode`` and ``draw``.
    """

    def __init__(self, out: Path, run: dict[str, Any], sinks: list[FrameSink], keep: int | None) -> None:
        self._out, self._run, self._sinks = out, run, sinks
        self._spool = Spool(out)
        self._begun = keep is not None
        self._closed = False
        self._lock = ExitStack()
        self.times_ms: dict[str, float] = {}
        self.finished = bool(run["finished"])
        if keep is not None:
            self._spool.open(keep)
            if self.finished:
                self._spool.close()
            else:
                self._resume()

    def _resume(self) -> None:
        with as_export_errors(self._out):
            for sink in self._sinks:
                sink.resume(self._spool, self._spool.count)

    @property
    def next_index(self) -> int:
        """The number of the first frame that is still to be done."""
        return 0 if self._spool.last is None else self._spool.last.index + 1

    @property
    def last(self) -> SpooledFrame | None:
        """The last frame that is done; None at the beginning."""
        return self._spool.last

    @property
    def files(self) -> list[Path]:
        """The files and folders that are there when the run is done."""
        suffix = self._run["output"]["suffix"]
        names = [
            f"overlay{suffix}" if name == "video" else FORMATS[name].file for name in self._run["formats"]
        ]
        return [self._out / name for name in names]

    def append(self, tracked: Tracked) -> None:
        """Write a frame.

        Raises:
            ExportError: the files cannot be written, the frame is not after the one before, or the run is
                finished or closed.
        """
        index = tracked.frame.index
        if self._closed or self.finished:
            why = "is finished; start over with overwrite" if self.finished else "is closed"
            raise ExportError(f"{self._out}: frame {index} cannot be added, the run {why}")
        if index < self.next_index:
            raise ExportError(
                f"{self._out}: expected a frame from number {self.next_index} on, got {index}; "
                "frames are given in order, each once"
            )
        try:
            self._begin()
            clock = _Clock(self.times_ms)
            tracked = replace(tracked, masks=tracked.masks.decoded())  # several formats ask for pixels
            clock.note("decode")
            for sink in self._sinks:
                sink.append(tracked)
                clock.note(sink.name, sink.drawn_ms)
            self._spool.append(SpooledFrame.from_tracked(tracked))
            clock.note("jsonl")
        except BaseException:
            self.abandon()  # one of the files has this frame and another has not
            raise

    def _begin(self) -> None:
        """Write down what the run is, before anything else."""
        if not self._begun:
            self._begun = True
            write_run(self._out, self._run)
            self._spool.open(0)
            self._resume()

    def close(self) -> list[Path]:
        """Build what belongs to the run as a whole and return all files; may be called again.

        Raises:
            ExportError: no frame was given, or the files cannot be written.
        """
        if self._closed or self.finished:
            self._closed = True
            return self.files if self.finished else []
        if not self._spool.count:
            self.abandon()
            with suppress(OSError):
                self._out.rmdir()  # only where it is empty
            raise ExportError(
                f"{self._out}: nothing was written, for no frame was given; "
                "is the source empty, or does the part of it that was asked for lie behind its end?"
            )
        try:
            for row in (FORMATS[name] for name in self._run["formats"]):
                if row.write is not None:
                    classes = self._run["settings"].get("classes") or ()
                    row.write(self._spool, self._out / row.file, self._run["name"], classes)
            for sink in self._sinks:
                sink.finish()
            self._spool.sync()
            self._run["finished"] = True
            write_run(self._out, self._run)
            drop_segments(self._out)
        finally:
            self.abandon()
        self.finished = True
        return self.files

    def abandon(self) -> None:
        """Leave the run as it is, to be resumed; may be called again."""
        if not self._closed:
            self._closed = True
            try:
                for sink in self._sinks:
                    sink.abandon()
                self._spool.close()
            finally:
                self._lock.close()

    def hold(self, lock: ExitStack) -> None:
        """Let the folder go when the run is closed."""
        self._lock = lock
        if self.finished:
            lock.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; after an error, leave the run to be resumed."""
        if error is None:
            self.close()
        else:
            self.abandon()


class _Clock:
    """Notes how long each step takes."""

    def __init__(self, times_ms: dict[str, float]) -> None:
        self._times_ms, self._since = times_ms, time.perf_counter()

    def note(self, name: str, drawn_ms: float = 0.0) -> None:
        """Write down a step; drawing, which is part of it, has a line of its own."""
        now = time.perf_counter()
        self._times_ms[name], self._since = 1000 * (now - self._since) - drawn_ms, now
        if drawn_ms:
            self._times_ms["draw"] = drawn_ms


def open_sinks(
    out: str | os.PathLike[str],
    formats: Iterable[str] = ("video",),
    *,
    source: str | os.PathLike[str] = "",
    fps: float | None = None,
    settings: Mapping[str, Any] | None = None,
    config: OutputConfig | None = None,
    render: RenderConfig | None = None,
    overwrite: bool = False,
    held: bool = False,
) -> Sinks:
    """Open the folder of a run; where an earlier run of the same source and settings broke off, go on.

    Args:
        out: the folder, made when absent; it holds one run.
        formats: names of :data:`FORMATS`; ``jsonl`` is always written.
        source: the video file, for its sound and to know it again; or what else the frames are from.
        fps: the source's frame rate, for frames without a time; 25 where nobody knows.
        settings: everything else that the results depend on, JSON values.
        config: how videos are written.
        render: how masks are drawn.
        overwrite: start over, whatever an earlier run has left in the folder.
        held: the caller holds the folder (:func:`fastsam.files.sole_writer`).

    Raises:
        ExportError: unknown format or suffix; the folder cannot be written, is no run's, or is the run of
            another source or of other settings.
        ConfigError: ``fps`` or ``settings`` are unusable.
        MissingPackageError: a video is asked for and PyAV is not installed.
    """
    config, folder = config or OutputConfig(), Path(out)
    run = describe(list(formats), os.fspath(source), fps, settings, config, render or RenderConfig())
    if "video" in run["formats"]:
        load_av()
    with ExitStack() as lock:
        if not held:
            lock.enter_context(sole_writer(folder, "output folder"))
        sinks = _opened(folder, run, source, config, render or RenderConfig(), overwrite)
        sinks.hold(lock.pop_all())
    return sinks


def _opened(
    folder: Path,
    run: dict[str, Any],
    source: str | os.PathLike[str],
    config: OutputConfig,
    render: RenderConfig,
    overwrite: bool,
) -> Sinks:
    """Open the files of a folder that nobody else writes to."""
    writable_folder(folder)
    check_source(folder, run)
    before = read_run(folder)
    if before is not None and overwrite:
        clear(folder)
        before = None
    if before is None:
        check_unused(folder)
    else:
        check_same(folder, before, run)
        run = before
    file = Path(source) if os.fspath(source) else None
    sinks: list[FrameSink] = []
    if "video" in run["formats"]:
        sinks.append(VideoSink(folder, config, render, run["fps"], file))
    if "davis" in run["formats"]:
        sinks.append(DavisSink(folder))
    return Sinks(folder, run, sinks, None if before is None else _whole(folder, run))


def load_last(out: str | os.PathLike[str]) -> tuple[int, SpooledFrame | None]:
    """Return where a run goes on, ``(next_index, the last frame that is done)``; changes nothing.

    Raises:
        ExportError: the folder holds no run.
    """
    run = read_run(Path(out))
    if run is None:
        raise ExportError(f"{Path(out)}: holds no run.json; expected the output folder of a video run")
    last: SpooledFrame | None = None
    count = _whole(Path(out), run)
    for frame in islice(read_frames(out), count) if count else ():
        last = frame
    return (0 if last is None else last.index + 1), last


def _whole(out: Path, run: dict[str, Any]) -> int:
    """Return how many frames an earlier run has done in all of its formats."""
    path = out / SPOOL
    rows = sum(1 for _ in read_frames(out)) if path.exists() else 0
    if "video" not in run["formats"] or run["finished"]:
        return rows
    size = per_segment(OutputConfig(**run["output"]), run["fps"])
    return min(rows // size, count_segments(out, size)) * size
