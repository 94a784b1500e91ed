"""A video through the model into files, in one go or several: what ``fastsam video`` does.

>>> job = VideoJob("street.mp4", Path("dogs.mp4"), prompts=[(None, Text("dog"))])    # doctest: +SKIP
>>> with VideoRun(FastSAM(), job) as run:                                           # doctest: +SKIP
...     for frame, masks in run:
...         print(frame.index, masks.ids)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from glob import has_magic
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from fastsam.config import OutputConfig, RenderConfig, VideoConfig
from fastsam.errors import ConfigError, ExportError, PromptError, VideoError
from fastsam.files import LOCK_NAME, as_export_errors, sole_writer
from fastsam.images.frame import Frame
from fastsam.images.listing import VIDEO_EXTENSIONS
from fastsam.jobs.earlier import KEPT, Earlier
from fastsam.options import SegmentOptions
from fastsam.prompts import Prompt, prompt_to_json
from fastsam.prompts.spec import class_names
from fastsam.video.read.reader import open_video
from fastsam.video.report import ObjectTally
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.sinks import Sinks, open_sinks
from fastsam.video.write.writers import SUFFIXES

if TYPE_CHECKING:
    from fastsam.model import FastSAM

__all__ = ["VideoJob", "VideoRun", "is_video_file"]

_ROUNDING_MS = 0.5


def is_video_file(out: Path) -> bool:
    """Tell whether an output is one video, by its suffix; else it is a folder.

    Raises:
        ExportError: it is a video of a kind that is not written.
    """
    suffix = out.suffix.lower()
    if out.is_dir() or (suffix not in SUFFIXES and suffix not in VIDEO_EXTENSIONS):
        return False
    if suffix not in SUFFIXES:
        raise ExportError(f"video suffix {out.suffix!r}: expected one of {', '.join(SUFFIXES)}, or a folder")
    return True


@dataclass(frozen=True)
class VideoJob:
    """What to follow, in what, and where to write it.

    Attributes:
        source: what :func:`fastsam.video.read.reader.open_video` takes as text.
        out: a video file, which is the overlay, or a folder; None writes nothing.
        formats: what a folder gets, names of :data:`fastsam.video.write.formats.FORMATS`.
        prompts: (frame, prompt): what to follow from which frame on; None is the first. Without any,
            everything gets ids.
        start: the first frame.
        frames: so many at most.
        seconds: so long at most.
        fps: frames a second of a folder of pictures.
        policy: what happens to frames that come too fast.
        video: how masks are followed.
        output: how videos are written.
        render: how masks are drawn.
        segment: fields of SegmentConfig that differ from the weights' defaults.
        resume: go on with a run that broke off; else start over.
    """

    source: str
    out: Path | None = None
    formats: Sequence[str] = ("video",)
    prompts: Sequence[tuple[int | None, Prompt]] = ()
    start: int = 0
    frames: int | None = None
    seconds: float | None = None
    fps: float | None = None
    policy: Literal["auto", "latest", "all"] = "auto"
    video: VideoConfig = field(default_factory=VideoConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    resume: bool = True

    @property
    def folder(self) -> Path | None:
        """Where the run's files grow; beside an output that is one video."""
        if self.out is None or not is_video_file(self.out):
            return self.out
        return self.out.with_name(f"{self.out.name}.run")

    @property
    def end(self) -> int | None:
        """The frame before which to stop."""
        return None if self.frames is None else self.start + self.frames

    def asked(self) -> list[tuple[int, Prompt]]:
        """Return the prompts with the frames that they are for.

        Raises:
            PromptError: a frame lies outside the part that was asked for.
        """
        found = [(self.start if frame is None else frame, prompt) for frame, prompt in self.prompts]
        for frame, prompt in found:
            if frame < self.start or (self.end is not None and frame >= self.end):
                until = "on" if self.end is None else f"to {self.end - 1}"
                raise PromptError(
                    f"frame {frame}: expected one of the run, from {self.start} {until}, got {prompt!r:.80}"
                )
        return found

    def check(self) -> None:
        """Raise what would fail after the network has loaded.

        Raises:
            ExportError: the results would overwrite the source, or something that is no file.
            PromptError: a prompt is for a frame outside the part that was asked for.
        """
        self.asked()
        if self.out is None or not is_video_file(self.out):
            return
        if os.path.exists(self.source) and self.out.resolve() == Path(self.source).resolve():
            raise ExportError(f"--out {str(self.out)!r}: would overwrite the source; choose another name")


class VideoRun:
    """Frames with their masks, written as they come; iterate once, inside ``with``.

    Leaving it in peace builds the files. An error or Ctrl-C keeps what is done, and the same job goes on
    from there; of a live source, which cannot go on, the files are built from what there is.

    Attributes:
        stream: what is iterated over.
        before: how many frames an earlier run had done.
        done: how many frames are done, those included.
        finished: an earlier run had done everything.

    Args:
        model: finds the masks.
        job: what to do.

    Raises:
        VideoError: the source cannot be opened.
        ExportError: the output cannot be written, or is that of another run.
        PromptError: a prompt is for a frame outside the part that was asked for.
    """

    def __init__(self, model: FastSAM, job: VideoJob) -> None:
        job.check()
        self.job = job
        self._held = ExitStack()
        try:
            if job.folder is not None:
                self._held.enter_context(_alone_in(job.folder))
            self._open(model, job)
        except BaseException:
            self._held.close()
            raise

    def _open(self, model: FastSAM, job: VideoJob) -> None:
        """Open source and files, as the only one that writes to the folder."""
        prompts = [(frame, model.resolve(prompt, **job.segment)) for frame, prompt in job.asked()]
        self._first = min((frame for frame, _ in prompts), default=job.start)
        self._earlier = Earlier.load(job) if job.resume else Earlier()
        self._begin = max(job.start, self._earlier.next_index)
        resumed = self._earlier.last is not None and self._begin > self._first
        self._quiet = self._begin < self._first and _is_at_rest(job.source)
        start = self._first if self._quiet else self._begin - resumed
        self.stream = model.stream(
            job.source, config=job.video, policy=job.policy, fps=job.fps, start=start, **job.segment
        )
        try:
            if resumed:
                self._earlier.hand_over(self.stream, prompts)
            for frame, prompt in prompts:
                if frame >= self._begin:
                    self.stream.select(prompt, frame)
            self._sinks = self._open_sinks(model, [prompt for _, prompt in prompts])
        except BaseException:
            self.stream.close()
            raise
        self.finished = self._sinks is not None and self._sinks.finished
        self.before = self.done = self._earlier.count
        self._prompted = bool(prompts)
        self._begin_ms = self._earlier.begin_ms
        self._ids = set(self._earlier.ids)
        self._labels = set(self._earlier.labels)
        self._last_index = self._begin - 1
        self._corrupt = 0
        self._tally = ObjectTally()

    def _open_sinks(self, model: FastSAM, resolved: Sequence[Prompt]) -> Sinks | None:
        job, info = self.job, self.stream.info
        if job.folder is None or job.out is None:
            return None
        single = is_video_file(job.out)
        if single and info.live and job.resume and job.out.exists():
            raise ExportError(KEPT.format(job.out))
        asked = [
            [frame, f"{prompt!r:.200}", _fingerprint(seen)]
            for (frame, prompt), seen in zip(job.asked(), resolved, strict=True)
        ]
        settings = {
            "weights": model.location, "segment": job.segment, "video": asdict(job.video), "prompts": asked,
            "start": job.start, "frames": job.frames, "seconds": job.seconds, "policy": job.policy,
            "live": info.live, "classes": list(self.classes),
        }  # fmt: skip
        return open_sinks(
            job.folder,
            ("video",) if single else tuple(job.formats),
            source=info.path or info.source,
            fps=info.fps,
            settings=settings,
            config=replace(job.output, suffix=job.out.suffix.lower()) if single else job.output,
            render=job.render,
            overwrite=not job.resume,
            held=True,
        )

    @property
    def total(self) -> int | None:
        """How many frames there are going to be, as far as the source tells."""
        info, job = self.stream.info, self.job
        counts = [] if info.frame_count is None else [max(info.frame_count - job.start, 0)]
        counts += [] if job.frames is None else [job.frames]
        counts += [] if job.seconds is None or info.fps is None else [round(job.seconds * info.fps)]
        return min(counts, default=None)

    @property
    def unasked(self) -> list[int]:
        """Frames of prompts that never came: the source ended before."""
        return sorted({frame for frame, _ in self.job.asked() if frame > self._last_index})

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the texts, in the order that they were asked for."""
        names = [name for _, prompt in self.job.asked() for name in class_names(prompt)]
        return tuple(dict.fromkeys(names))

    @property
    def absent(self) -> tuple[str, ...]:
        """The texts, by their names, that no object was found by."""
        return tuple(name for name in self.classes if name not in self._labels)

    @property
    def files(self) -> list[Path]:
        """What is there once the run is done."""
        if self._sinks is None or self.job.out is None:
            return []
        return [self.job.out] if is_video_file(self.job.out) else self._sinks.files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        self.stream.close()
        if self._sinks is None:
            return
        over = isinstance(error, (KeyboardInterrupt, VideoError)) and self.stream.info.live and self.done
        if error is None or over:
            self._sinks.close()
            self._move_out()
        else:
            self._sinks.abandon()

    def __iter__(self) -> Iterator[tuple[Frame, Tracked]]:
        """Yield each frame that is new with its masks, once it is written."""
        if self.finished:
            return
        for frame, tracked in self._frames():
            if self._is_over(frame):
                return
            if self._prompted and frame.index < self._first:
                tracked = tracked[:0]
            tracked = self._earlier.renamed(tracked)
            if self._sinks is not None:
                self._sinks.append(tracked)
                self.stream.times.add(_stages(self._sinks.times_ms))
            self.done, self._last_index = self.done + 1, frame.index
            self._ids.update(tracked.ids.tolist())
            self._labels.update(tracked.labels or ())
            self._count(tracked)
            yield frame, tracked
            if self._is_last(frame):
                return

    def _count(self, tracked: Tracked) -> None:
        """Note which followed objects are seen in a frame, and by which prompts."""
        if self._prompted or tracked.lost:
            prompts = {self._earlier.name_of(i): one.prompt for i, one in self.stream.objects.items()}
            labels = tracked.labels or ("",) * len(tracked)
            self._tally.note(tracked.frame.index, tracked.ids.tolist(), labels, tracked.lost, prompts)

    def _frames(self) -> Iterator[tuple[Frame, Tracked]]:
        """Yield the frames; nothing is looked for in those before the first prompt."""
        if self.job.end is not None and self._begin >= self.job.end:
            return
        if self._quiet:
            with open_video(self.job.source, fps=self.job.fps, start=self._begin) as reader:
                since = time.perf_counter()
                for frame in reader:
                    if frame.index >= self._first:
                        break
                    read_ms = 1e3 * (time.perf_counter() - since)
                    self.stream.times.note({"read": read_ms}, read_ms)
                    yield frame, Tracked.none(frame)
                    since = time.perf_counter()
                self._corrupt = reader.corrupt
        yield from self.stream

    def _is_over(self, frame: Frame) -> bool:
        """Tell whether a frame lies behind what was asked for."""
        if self.job.end is not None and frame.index >= self.job.end:
            return True
        if self.job.seconds is None:
            return False
        if frame.t_ms is None:
            raise ConfigError(
                "--seconds: expected a source whose frames have a time; pass --frames, or --fps for a folder"
            )
        self._begin_ms = frame.t_ms if self._begin_ms is None else self._begin_ms
        return frame.t_ms - self._begin_ms > 1e3 * self.job.seconds - _ROUNDING_MS

    def _is_last(self, frame: Frame) -> bool:
        """Tell whether nothing that was asked for comes after a frame, as far as that is known."""
        if self.job.end is not None and frame.index + 1 >= self.job.end:
            return True
        fps = self.stream.info.fps
        if self.job.seconds is None or self._begin_ms is None or frame.t_ms is None or fps is None:
            return False
        return frame.t_ms + 1e3 / fps - self._begin_ms > 1e3 * self.job.seconds - _ROUNDING_MS

    def _move_out(self) -> None:
        """Put the video where it was asked for, and take the working folder away."""
        job = self.job
        if job.out is None or job.folder is None or self._sinks is None or job.folder == job.out:
            return
        with as_export_errors(job.out):
            os.replace(self._sinks.files[0], job.out)
            shutil.rmtree(job.folder)

    def report(self) -> dict[str, Any]:
        """Return how long the stages took (``stream.times.summary()``), and what happened.

        ``followed`` has for each object that a prompt selected when it was seen in this run
        (:class:`fastsam.video.report.ObjectTally`), ``not_found`` each text that nothing was selected by,
        with the highest score of any mask.
        """
        reader = self.stream.reader
        return {
            "source": self.stream.info.source,
            "out": [str(path) for path in self.files],
            "done_before": self.before,
            "objects": len(self._ids),
            "absent": list(self.absent),
            "followed": self._tally.rows(),
            "not_found": self.stream.not_found,
            **self.stream.times.summary(),
            "frames": self.done - self.before,
            "dropped": reader.dropped,
            "corrupt": reader.corrupt + self._corrupt,
            "reconnects": reader.reconnects,
            "truncated": reader.truncated,
        }


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Write to a folder as the only one; one that is made here and stays empty does not stay."""
    made = not folder.exists()
    with sole_writer(folder, "output folder"):
        try:
            yield
        finally:
            left = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if made and left <= {LOCK_NAME}:
        with suppress(OSError):
            folder.rmdir()


def _is_at_rest(source: str) -> bool:
    """Tell whether a source is a file or folder, which can be opened twice."""
    return not source.isdigit() and (os.path.isfile(source) or os.path.isdir(source) or has_magic(source))


def _fingerprint(prompt: Prompt) -> str:
    """Return what differs between prompts, references by what they show."""
    return hashlib.sha256(prompt_to_json(prompt).encode()).hexdigest()[:16]


def _stages(times_ms: dict[str, float]) -> dict[str, float]:
    """Return what drawing and writing a frame took."""
    draw = times_ms.get("draw", 0.0)
    return {"draw": draw, "write": sum(times_ms.values()) - draw}
