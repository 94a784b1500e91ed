"""One run over a visitor's video: frames in order, the files to download, and a report."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastsam.config import RenderConfig, VideoConfig
from fastsam.errors import PromptError
from fastsam.export import safe_name
from fastsam.images.frame import Frame
from fastsam.page.shared.model import SharedModel
from fastsam.page.video.clip import MAX_PIXELS, Clip, Limits
from fastsam.page.video.state import FollowRequest, RunResult, VideoSession
from fastsam.prompts import Text
from fastsam.video.read.reader import open_video
from fastsam.video.stream import Stream
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.sinks import Sinks, open_sinks
from fastsam.video.write.spool import SpooledFrame, read_frames

__all__ = ["Finished", "ObjectSummary", "Progress", "RunOptions", "follow", "report_rows"]

FORMATS = ("video", "davis", "ytvis", "mot")
_AHEAD = 12  # frames that a run holds: read ahead, drawn, encoded, and its masks
_WARM_UP = 60  # a corrected run goes back this many frames at most, to see again what was lost just then


@dataclass(frozen=True)
class RunOptions:
    """How a run is made.

    Attributes:
        everything: follow all masks instead of the requests.
        again: go on from the first new request; what the run before found until then stays.
        numbers: the requests that are ticked.
        video: how masks are followed.
        segment: fields of SegmentConfig.
        render: how they are drawn.
    """

    everything: bool = False
    again: bool = False
    numbers: frozenset[int] = frozenset()
    video: VideoConfig = field(default_factory=VideoConfig)
    segment: dict[str, Any] = field(default_factory=dict)
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass(frozen=True, eq=False)
class Progress:
    """A frame is done."""

    tracked: Tracked
    frames: int


@dataclass
class ObjectSummary:
    """One object over the whole video."""

    label: str
    first: int
    last: int
    frames: int = 0


@dataclass(frozen=True, eq=False)
class Finished:
    """A run is over.

    Attributes:
        video: the overlay, H.264.
        files: everything to download.
        objects: what was followed, by id.
        lost: which of them are out of sight at the end.
        absent: texts that were found in no frame.
        frames: how many frames were written.
        report: frames a second, and milliseconds by stage.
        note: why it ended before the end of the video; empty if it did not.
    """

    video: Path
    files: list[Path]
    objects: dict[int, ObjectSummary]
    lost: tuple[int, ...]
    absent: tuple[str, ...]
    frames: int
    report: dict[str, Any]
    note: str = ""


def follow(
    visitor: VideoSession, model: SharedModel, limits: Limits, options: RunOptions
) -> Iterator[Progress | Finished]:
    """Follow what a visitor asked for: yield each frame when it is done, and the result at the end.

    The model is used for one frame at a time, so that other visitors' photos come between.

    Raises:
        PromptError: there is no video, nothing to follow, a run already, or a prompt does not fit its frame.
    """
    clip = visitor.opened
    if not visitor.running.acquire(blocking=False):
        raise PromptError("A run is in progress; wait for it, or cancel it.")
    try:
        visitor.stop.clear()
        run = _Runner(visitor, clip, limits, options)
        held = _AHEAD * 3 * clip.size_hw[0] * clip.size_hw[1]
        with visitor.budget.reserved(held):
            yield from run.frames(model)
    finally:
        visitor.running.release()


class _Runner:
    def __init__(self, visitor: VideoSession, clip: Clip, limits: Limits, options: RunOptions) -> None:
        self.visitor, self.clip, self.limits, self.options = visitor, clip, limits, options
        self.before = visitor.run if options.again else None
        ticked = [request for request in visitor.requests if request.number in options.numbers]
        self.requests = _asked(ticked, options, self.before)
        fresh = [request for request in self.requests if not request.done] or self.requests
        self.first = (
            0
            if options.everything
            else min(request.frame for request in (fresh if self.before else self.requests))
        )
        self.objects: dict[int, ObjectSummary] = {}
        self.last: Tracked | None = None
        self.written = 0
        self.note = ""

    def frames(self, model: SharedModel) -> Iterator[Progress | Finished]:
        out = self.visitor.folder / f"run-{uuid4().hex[:8]}"
        try:
            with open_sinks(
                out, FORMATS, source=self.clip.path, fps=self.clip.fps, render=self.options.render
            ) as sinks:
                for tracked in self._lead_in():
                    yield self._write(sinks, tracked)
                stream, todo = self._stream(model)
                with stream:
                    for request in todo:
                        stream.select(request.prompt, request.frame, object_id=request.object_id)
                    yield from self._followed(stream, model, sinks)
                if not self.written:
                    raise PromptError(self.note or f"“{self.clip.name}” has no frame {self.first}.")
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
        yield self._finished(out, stream)

    def _stream(self, model: SharedModel) -> tuple[Stream, list[FollowRequest]]:
        """Return the stream at the frame where it begins, and the requests that it does not know yet."""
        start, known = self.first, None
        if self.before is not None:
            corrected = {request.object_id for request in self.requests if not request.done}
            known = _to_resume(self.before, self.first, corrected)
        if known is not None:
            start = known.index
        stream = model.stream(
            self.clip.path, start=start, policy="all", max_pixels=MAX_PIXELS, config=self.options.video,
            **self.options.segment,
        )  # fmt: skip
        if known is None:
            return stream, self.requests
        prompts = [
            request.prompt for request in self.requests if request.done and request.prompt.is_persistent
        ]
        stream.resume(known.masks(), known.ids, known.labels, prompted=True, prompts=prompts)
        return stream, [request for request in self.requests if not request.done]

    def _followed(self, stream: Stream, model: SharedModel, sinks: Sinks) -> Iterator[Progress]:
        frames = iter(stream)
        while True:
            if self.visitor.stop.is_set():
                self.note = f"Stopped after {self.written} frames; this is what was found until then."
                return
            with model.turn:
                found = next(frames, None)
            if found is None:
                self.note = self._ended_early(stream)
                return
            frame, tracked = found
            if self.before is not None and frame.index < self.first:
                continue  # seen again, so that it is known; what was found there stays
            if frame.index >= self.limits.frames:
                self.note = f"The video is longer; {self.limits.words} are followed here."
                return
            done = self._write(sinks, tracked)
            stream.times.add({"write": sum(sinks.times_ms.values())})
            yield done

    def _ended_early(self, stream: Stream) -> str:
        notes = []
        if stream.reader.truncated:
            notes.append("The file is cut off; what could be read was followed.")
        if stream.reader.corrupt:
            notes.append(f"{stream.reader.corrupt} damaged frames were left out.")
        return " ".join(notes)

    def _lead_in(self) -> Iterator[Tracked]:
        """Yield the frames before the first request: as they are, or as the run before left them."""
        if not self.first:
            return
        lines = read_frames(self.before.folder) if self.before is not None else iter(())
        line = next(lines, None)
        with open_video(self.clip.path, max_pixels=MAX_PIXELS) as reader:
            for frame in reader:
                if frame.index >= self.first or self.visitor.stop.is_set():
                    return
                while line is not None and line.index < frame.index:
                    line = next(lines, None)
                yield _as_it_was(frame, line)

    def _write(self, sinks: Sinks, tracked: Tracked) -> Progress:
        sinks.append(tracked)
        self.written, self.last = self.written + 1, tracked
        index = tracked.frame.index
        names = tracked.labels or ("",) * len(tracked)
        for object_id, name in zip(tracked.ids.tolist(), names, strict=True):
            seen = self.objects.setdefault(object_id, ObjectSummary(name, index, index))
            seen.last, seen.frames = index, seen.frames + 1
        return Progress(tracked, self.clip.frames)

    def _finished(self, out: Path, stream: Stream) -> Finished:
        before, self.visitor.run = self.visitor.run, RunResult(out, self.options.everything)
        if before is not None:
            shutil.rmtree(before.folder, ignore_errors=True)
        done = {request.number for request in self.requests}
        kept = [
            request
            for request in self.visitor.requests
            if self.before is not None or request.object_id is None
        ]
        if not self.options.everything:
            self.visitor.requests = tuple(replace(request, done=request.number in done) for request in kept)
        lost = self.last.lost if self.last is not None else ()
        files = _files(out, safe_name(Path(self.clip.name).stem) or "video")
        return Finished(
            files[0],
            files,
            self.objects,
            lost,
            self._absent(),
            self.written,
            stream.times.summary(),
            self.note,
        )

    def _absent(self) -> tuple[str, ...]:
        """Return the texts that no object was found by."""
        texts = [name for one in self.requests if isinstance(one.prompt, Text) for name in one.prompt.names]
        found = {seen.label for seen in self.objects.values()}
        return tuple(text for text in dict.fromkeys(texts) if text not in found)


def _asked(ticked: list[FollowRequest], options: RunOptions, before: RunResult | None) -> list[FollowRequest]:
    """Return the requests of a run, in order; corrections belong to the run that they correct."""
    if options.everything:
        return []
    if options.again:
        if before is None or before.everything:
            raise PromptError("Follow an object first; then choose it, go to a frame, and correct it there.")
        if all(request.done for request in ticked):
            raise PromptError(
                "Nothing has changed: choose an object and correct it in a frame, or mark another one."
            )
    else:
        ticked = [request for request in ticked if request.object_id is None]
    if not ticked:
        raise PromptError("Nothing is selected: click an object, drag a box around it, or type what it is.")
    return sorted(ticked, key=lambda request: (request.frame, request.number))


def _to_resume(run: RunResult, first: int, corrected: set[int | None]) -> SpooledFrame | None:
    """Return the last frame before ``first`` in which nothing is lost that is not corrected anyway.

    An object out of sight has no mask to go on from, so the run goes back a little to where it had one.
    """
    last = best = None
    for line in read_frames(run.folder):
        if line.index >= first:
            break
        last = line
        if not set(line.lost) - corrected:
            best = line
    if last is not None and (best is None or last.index - best.index > _WARM_UP):
        return last
    return best


def _as_it_was(frame: Frame, line: SpooledFrame | None) -> Tracked:
    if line is None or line.index != frame.index:
        return Tracked.none(frame)
    return Tracked(frame, line.masks(), line.ids, line.scores, line.labels, line.lost, line.times_ms or {})


def _files(out: Path, name: str) -> list[Path]:
    """Name a run's files after the video, the folder of PNGs as a zip; the overlay is the first."""
    made = [out / f"{name}_followed.mp4", out / f"{name}_davis.zip", out / f"{name}_ytvis.json",
            out / f"{name}_mot.txt", out / f"{name}_frames.jsonl"]  # fmt: skip
    with zipfile.ZipFile(made[1], "w", zipfile.ZIP_STORED) as archive:  # PNGs are packed already
        for path in sorted((out / "davis").glob("*.png")):
            archive.write(path, path.name)
    shutil.rmtree(out / "davis", ignore_errors=True)
    (out / "overlay.mp4").rename(made[0])
    (out / "ytvis.json").rename(made[2])
    (out / "mot.txt").rename(made[3])
    with suppress(FileExistsError):
        made[4].hardlink_to(out / "frames.jsonl")  # its own name is what a correction goes on from
    return made


def report_rows(report: dict[str, Any]) -> list[list[str]]:
    """Return a report by stage as rows: stage, mean, median, 95 %."""
    return [
        [name, *(f"{row[key]:.1f}" for key in ("mean_ms", "p50_ms", "p95_ms"))]
        for name, row in report["stages"].items()
    ]
