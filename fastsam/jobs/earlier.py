"""What an earlier run over the same video has done, for the next one to go on from."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam.errors import ExportError
from fastsam.prompts import Prompt
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.run_file import read_run
from fastsam.video.write.sinks import load_last
from fastsam.video.write.spool import SpooledFrame, read_frames

if TYPE_CHECKING:
    from fastsam.jobs.video import VideoJob

__all__ = ["KEPT", "Earlier"]

KEPT = "{}: holds what was recorded of a live source; choose another output, or start over with overwrite"


@dataclass(eq=False)
class Earlier:
    """What an earlier run of the same job has done; nothing by default.

    Attributes:
        count: frames.
        next_index: the first frame that is still to be done.
        last: the last one that is done.
        begin_ms: the time of the first one.
        ids: all that were given.
        labels: what objects are called.
    """

    count: int = 0
    next_index: int = 0
    last: SpooledFrame | None = None
    begin_ms: float | None = None
    ids: set[int] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    _names: dict[int, int] = field(default_factory=dict)

    @classmethod
    def load(cls, job: VideoJob) -> Earlier:
        """Read what is in the job's folder.

        Raises:
            ExportError: the run there is of a live source, which cannot go on.
        """
        run = None if job.folder is None else read_run(job.folder)
        if run is None or job.folder is None:
            return cls()
        if run["settings"].get("live"):
            raise ExportError(KEPT.format(job.folder))
        made = job.folder / f"overlay{run['output']['suffix']}"
        if run["finished"] and job.folder != job.out and not made.exists():
            shutil.rmtree(job.folder, ignore_errors=True)  # it broke off after the video had been moved out
            return cls()
        next_index, last = load_last(job.folder)
        if last is None:
            return cls()
        found = cls(next_index=next_index, last=last)
        for frame in read_frames(job.folder):
            found.begin_ms = frame.t_ms if found.count == 0 else found.begin_ms
            found.count += 1
            found.ids.update(frame.ids.tolist(), frame.lost)
            found.labels.update(frame.labels or ())
            if frame.index == last.index:
                break
        return found

    def hand_over(self, stream: Any, prompts: Sequence[tuple[int, Prompt]]) -> None:
        """Let a stream go on from the last frame."""
        if self.last is None:
            return
        asked = [prompt for frame, prompt in prompts if frame < self.next_index]
        standing = [prompt for prompt in asked if prompt.is_persistent]
        last = self.last
        stream.resume(last.masks(), last.ids, last.labels, prompted=bool(asked), prompts=standing)
        self._names = {i: i for i in last.ids.tolist()}

    def name_of(self, object_id: int) -> int:
        """Return the id that an object of the stream has in the run."""
        return self._names.get(object_id, object_id)

    def renamed(self, tracked: Tracked) -> Tracked:
        """Return a frame in which new objects have ids that the earlier run has not given."""
        if self.last is None:
            return tracked
        for object_id in (*tracked.ids.tolist(), *tracked.lost):
            if object_id not in self._names:
                self._names[object_id] = max([*self.ids, *self._names.values()], default=0) + 1
        ids = [self._names[i] for i in tracked.ids.tolist()]
        return replace(tracked, ids=np.array(ids, np.int64), lost=tuple(self._names[i] for i in tracked.lost))
