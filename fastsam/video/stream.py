"""A moving source -> frames with masks that keep their ids: what ``model.stream(source)`` returns.

>>> from fastsam import FastSAM                                     # doctest: +SKIP
>>> with FastSAM().stream("street.mp4") as stream:                  # doctest: +SKIP
...     stream.select("a dog")
...     for frame, masks in stream:
...         print(frame.index, masks.ids, masks.lost)
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.config import VideoConfig
from fastsam.errors import PromptError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.needed import needed
from fastsam.prompts import Prompt, as_prompt
from fastsam.prompts.shorthand import PromptLike
from fastsam.segmenter import Segmenter
from fastsam.video.look_ahead import LookAhead
from fastsam.video.read.reader import VideoInfo, VideoReader
from fastsam.video.report import StageTimes
from fastsam.video.track.object_log import TrackedObject
from fastsam.video.track.tracked import Tracked
from fastsam.video.track.tracking import FrameView, Tracking

__all__ = ["Stream"]

_log = logging.getLogger(__name__)
_SMOOTH = 0.2  # of the newest frame in what a pass of the network is expected to take
_OUTLIER = 4  # times what a pass is expected to take: a stall counts as no more
_LONGEST = 60  # frames from one pass of the network to the next, however slow everything is
_WAITING_MOST = 10_000  # prompts for frames to come


class Opener(Protocol):
    """Finds the masks of a frame."""

    def __call__(
        self, frame: Frame, prompted: bool, box_xyxy: tuple[float, ...] | None, before: MaskSet | None, /
    ) -> FrameView:
        """Return a frame with its masks.

        Args:
            frame: the image.
            prompted: prompts wait for it, so scores should be good.
            box_xyxy: the part that matters, image pixels; None for all of it.
            before: the masks of the frame before, whose feature maps stand for those of the rest.
        """


class Stream:
    """Frames with their masks, one at a time; iterate once, and leave by any way.

    ``next(stream)`` gives a single frame; a loop after it goes on from there.

    Without prompts every mask is given, with an id that stays. From the first prompt on only what prompts
    selected is given; an object that is out of sight is in ``masks.lost``, and comes back when it is seen.

    Attributes:
        reader: where the frames come from: what it dropped, skipped or could not decode.
        times: how long each stage takes, of the last frames.

    Args:
        open_frame: finds the masks of a frame.
        reader: gives the frames; closed with the stream.
        config: how masks are followed.
        segmenter: what the masks are found by, if it may run on several frames at once.
    """

    def __init__(
        self,
        open_frame: Opener,
        reader: VideoReader,
        config: VideoConfig | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        self.reader = reader
        self._segmenter = segmenter
        self.config = config or VideoConfig()
        self.times = StageTimes()
        self._open = open_frame
        self._tracking = Tracking(self.config)
        self._waiting: defaultdict[int, deque[tuple[Prompt, int | None, str]]] = defaultdict(deque)
        self._resumed: Callable[[], None] | None = None
        self._frames: Generator[tuple[Frame, Tracked], None, None] | None = None
        self._frame: Frame | None = None
        self._index: int | None = None
        self._since_pass = 0
        self._since_whole = 0
        self._view: FrameView | None = None
        self._pass_ms = 0.0
        self._saved_ms = 0.0

    @property
    def info(self) -> VideoInfo:
        """What is known of the source."""
        return self.reader.info

    @property
    def frame_index(self) -> int | None:
        """The number of the current frame; None before the first."""
        return self._index

    @property
    def current(self) -> Tracked | None:
        """The current frame, with what prompts have selected since it was given."""
        return self._tracking.current

    @property
    def objects(self) -> dict[int, TrackedObject]:
        """What is known of each object over time: birth, death, trail, whether it is seen or lost."""
        return self._tracking.log.objects

    @property
    def not_found(self) -> dict[str, float]:
        """Texts that nothing has been selected by, each with the highest score that any mask has had."""
        return self._tracking.not_found

    def __repr__(self) -> str:
        """Return the source and where it stands."""
        return f"Stream({self.info.source!r}, frame {self._index}, {len(self.objects)} objects)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the source; may be called from any thread, and again."""
        self.reader.close()
        if self._frames is not None:
            with suppress(ValueError):  # it is just running, and ends by itself
                self._frames.close()

    def select(
        self,
        prompt: PromptLike | int | None,
        frame: PromptLike | int | None = None,
        *,
        object_id: int | None = None,
        label: str = "",
    ) -> tuple[int, ...]:
        """Follow what a prompt selects in a frame.

        Boxes, points and masks are answered in that frame, and their objects followed from there. Texts
        and references stand: they also select what comes into sight later. Points with the ``object_id`` of
        an object that is followed change its mask: foreground points add, background points take away.

        Args:
            prompt: what to follow; words, ``(x, y)``, ``(x1, y1, x2, y2)`` and lists will do, as in
                :meth:`fastsam.Session.select`.
            frame: the current frame (None does as well), or one that is still to come: then the
                prompt waits for it. Numbers are those of the source, ``frame.index``; where the stream
                leaves a frame out, the next one answers. The two may be given in the other order.
            object_id: the object's number; a new one by default.
            label: what to call it.

        Returns:
            the ids of the objects; none while the prompt waits.

        Raises:
            PromptError: the frame is over, or the prompt does not fit it or selects nothing in it.
        """
        frame_index: Any = frame
        if isinstance(frame, Prompt) or (frame is not None and isinstance(prompt, int | None)):
            prompt, frame_index = frame, prompt
        prompt = as_prompt(prompt)
        if frame_index is None:
            frame_index = self._index or 0
        if isinstance(frame_index, bool) or not isinstance(frame_index, (int, np.integer)) or frame_index < 0:
            raise PromptError(f"frame: expected a whole number from 0 on or None, got {frame_index!r}")
        if frame_index == self._index:
            self._segment_now()
            return self._tracking.select(prompt, object_id, label)
        if self._index is not None and frame_index < self._index:
            raise PromptError(
                f"frame {frame_index} is over, the stream is at frame {self._index}: "
                "a prompt is for the current frame (None) or one to come"
            )
        if len(self._waiting) >= _WAITING_MOST:
            raise PromptError(f"select: {_WAITING_MOST} frames have prompts that wait; expected fewer")
        self._waiting[int(frame_index)].append((prompt, object_id, label))
        return ()

    def remove(self, object_id: int) -> None:
        """Follow an object no longer.

        Raises:
            PromptError: there is no such object.
        """
        self._tracking.remove(object_id)

    def resume(
        self,
        masks: MaskSet,
        ids: NDArray[np.int64],
        labels: tuple[str, ...] | None = None,
        *,
        prompted: bool,
        prompts: Sequence[Prompt] = (),
    ) -> None:
        """Go on from a run that broke off; to be called before the first frame is taken.

        Args:
            masks: what that run found in the last frame that it did, with which the reader starts again;
                that frame is not given a second time.
            ids: their ids.
            labels: their labels.
            prompted: that run followed what prompts had selected.
            prompts: those of its prompts that stand (texts and references).
        """
        if self._index is not None:
            raise PromptError(f"resume: expected a stream before its first frame, it is at {self._index}")
        self._resumed = partial(self._tracking.adopt, masks, ids, labels, prompted=prompted, prompts=prompts)

    def __iter__(self) -> Iterator[tuple[Frame, Tracked]]:
        """Yield each frame with its masks; the source is closed when the loop is left.

        Raises:
            VideoError: a live source is lost.
            PromptError: a prompt that waited for a frame does not fit it.
        """
        return self._run() if self._frames is None else self._frames

    def __next__(self) -> tuple[Frame, Tracked]:
        """Return the next frame with its masks, as a step of a loop does."""
        if self._frames is None:
            self._frames = self._run()
        return next(self._frames)

    def _run(self) -> Generator[tuple[Frame, Tracked], None, None]:
        calm = _one_blas_thread()
        ahead = LookAhead(self.reader, self._begin, self._segmenter, self._at_once())
        try:
            start = time.perf_counter()
            for frame, read_ms, found in ahead:
                tracked = self._next(frame, read_ms, found)
                if tracked is not None:
                    self.times.note(tracked.times_ms, 1e3 * (time.perf_counter() - start))
                    start = time.perf_counter()
                    yield frame, tracked
                    start = time.perf_counter()
            self._tell_waiting()
        finally:
            calm.restore_original_limits()
            ahead.close()
            self.close()

    def _at_once(self) -> int:
        """Return on how many frames the network may run at once.

        One where frames are live, for they would be shown late, and where it is not run on all of each.
        """
        config = self.config
        if self.reader.policy != "all" or config.every > 1 or config.target_fps is not None or config.roi:
            return 1
        return 1 if self._segmenter is None else self._segmenter.passes_at_once

    def _begin(self, frame: Frame) -> FrameView:
        """Find the masks of a frame that will be the next, or the one after."""
        return self._open(frame, any(index <= frame.index for index in list(self._waiting)), None, None)

    def _next(self, frame: Frame, read_ms: float, found: Future[FrameView] | None) -> Tracked | None:
        """Return a frame's masks, by the network or by motion; None for one that an earlier run has done."""
        self._frame, self._index = frame, frame.index
        first = self._tracking.current is None
        due = [index for index in sorted(self._waiting) if index <= frame.index]
        if self._passes(bool(due)):
            start = time.perf_counter()
            view = self._seen(frame, bool(due)) if found is None else found.result()
            view.times_ms["read"] = read_ms
            tracked = self._tracking.step(view)
            took_ms = 1e3 * (time.perf_counter() - start)
            if not first:  # that one warms everything up, and tells nothing of the next
                self._pass_ms = took_ms if not self._pass_ms else self._mixed(took_ms)
            self._since_pass = 0
        else:
            start = time.perf_counter()
            tracked = self._tracking.move(frame, {"read": read_ms})
            took_ms = 1e3 * (time.perf_counter() - start)
            self._since_pass += 1
        if self.config.target_fps is not None and not first:
            # Time that is not used for one pass is not kept for many: a rush would follow a stall. Nor is
            # more owed than a pass takes: objects would move by the flow alone for long after one.
            used_ms = took_ms + (0 if self.info.live else read_ms)  # a live source is waited for
            saved_ms = self._saved_ms + 1e3 / self.config.target_fps - used_ms
            self._saved_ms = float(np.clip(saved_ms, -self._pass_ms, self._pass_ms))
        if self._resumed is not None:
            self._resumed()
            self._resumed = None
            return None
        for index in due:
            waiting = self._waiting[index]
            while waiting:  # one that raises is gone; those after it wait for the next frame
                self._tracking.select(*waiting.popleft())
            del self._waiting[index]
        return self._tracking.current if due else tracked

    def _tell_waiting(self) -> None:
        """Log the prompts for frames that never came."""
        if self._waiting:
            asked = ", ".join(map(str, sorted(self._waiting)[:5]))
            _log.warning(
                "%s: ended at frame %s; prompts for frames %s were not answered: expected frames that it has",
                self.info.source, self._index, asked,
            )  # fmt: skip

    def _segment_now(self) -> None:
        """Find the masks of the current frame, where only motion has told what is in it."""
        if self._frame is not None and (self._since_pass or self._since_whole):
            self._tracking.step(self._seen(self._frame, True))
            self._since_pass = 0

    def _seen(self, frame: Frame, prompted: bool) -> FrameView:
        """Return a frame's masks; only those around the objects where that will do."""
        box = None
        if self.config.roi and not prompted and self._since_whole + 1 < self.config.roi_every:
            box = self._tracking.region(frame.size_hw)
        self._since_whole = 0 if box is None else self._since_whole + 1
        self._view = self._open(frame, prompted, box, None if self._view is None else self._view.masks)
        return self._view

    def _mixed(self, took_ms: float) -> float:
        return (1 - _SMOOTH) * self._pass_ms + _SMOOTH * min(took_ms, _OUTLIER * self._pass_ms)

    def _passes(self, prompted: bool) -> bool:
        """Tell whether the network runs on the next frame."""
        if prompted or self._tracking.current is None:
            return True
        if self.config.target_fps is not None:
            enough = self._saved_ms + 1e3 / self.config.target_fps >= self._pass_ms
            return enough or self._since_pass + 1 >= _LONGEST
        return self._since_pass + 1 >= self.config.every


def _one_blas_thread() -> Any:
    """Keep numpy's products on one thread until the limits are restored.

    They are small, and the threads of its BLAS wait for work by spinning: on few cores they take the time of
    the network's own threads, which then needs nearly twice as long (docs/video.md).
    """
    with needed("threadpoolctl", "keep numpy's threads out of the network's way"):
        import threadpoolctl as pools
    return pools.threadpool_limits(limits=1, user_api="blas")
