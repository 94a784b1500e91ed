"""Running the network on the next frames while this one is tracked, drawn and written.

A pass on all cores waits at each layer for its slowest thread. Several passes side by side, each on its share
of the cores, do not, and fill the time that everything else takes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from fastsam.images.frame import Frame
from fastsam.segmenter import Segmenter
from fastsam.video.read.reader import VideoReader

if TYPE_CHECKING:
    from fastsam.video.track.tracking import FrameView

__all__ = ["LookAhead"]

_Item = tuple[Frame, float, "Future[FrameView] | None"]


class LookAhead:
    """Frames in order, each with what reading it took, and its masks to come.

    Frames that are there are begun, none is waited for: a slow source is shown as it comes. What went wrong
    with a frame is told when its turn comes.

    Args:
        reader: gives the frames.
        begin: finds the masks of a frame; runs in threads.
        segmenter: what it asks, whose ``share_cores`` is told how many passes run at once.
        passes: how many; with 1 nothing is begun, and masks are None.
    """

    def __init__(
        self,
        reader: VideoReader,
        begin: Callable[[Frame], FrameView],
        segmenter: Segmenter | None,
        passes: int,
    ) -> None:
        self._reader, self._begin, self._segmenter = reader, begin, segmenter
        self._passes = passes
        self._pool = (
            ThreadPoolExecutor(passes, "fastsam-network", segmenter.share_cores, (passes,))
            if passes > 1 and segmenter is not None
            else None
        )

    def __iter__(self) -> Iterator[_Item]:
        """Yield the frames."""
        begun: deque[_Item] = deque()
        error: Exception | None = None
        over = False
        while True:
            while not over and len(begun) < (self._passes if self._pool else 1):
                try:
                    item = self._read(wait=not begun)
                except TimeoutError:
                    break
                except Exception as failure:  # its turn is after the frames before it
                    error, over = failure, True
                    break
                if item is None:
                    over = True
                    break
                begun.append(item)
            if not begun:
                if error is not None:
                    raise error
                return
            yield begun.popleft()

    def _read(self, wait: bool) -> _Item | None:
        start = time.perf_counter()
        frame = self._reader.read() if wait else self._reader.read(timeout_s=0.0)
        if frame is None:
            return None
        read_ms = 1e3 * (time.perf_counter() - start)
        return frame, read_ms, None if self._pool is None else self._pool.submit(self._begin, frame)

    def close(self) -> None:
        """Begin nothing more, and give the cores back."""
        if self._pool is not None and self._segmenter is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._segmenter.share_cores(1)
