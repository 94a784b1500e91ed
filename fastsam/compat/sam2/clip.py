"""A video whose frames can be asked for in any order, without holding them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastsam import Frame, read_frame
from fastsam.errors import VideoError
from fastsam.images.listing import list_images
from fastsam.video.read.reader import open_video

__all__ = ["Clip"]

_AT_ONCE = 16  # frames that are held while a video is read backwards


class Clip:
    """The frames of a folder, a video file or a list of arrays.

    Args:
        source: a folder of images, in natural order; the path of a video; or a sequence of RGB arrays.

    Attributes:
        count: how many frames there are.
        size_hw: height and width of the first.

    Raises:
        ImageError: there is no such source, or it has no frame.
    """

    def __init__(self, source: Any) -> None:
        self._parts: Sequence[Any] | None = None
        self._path = ""
        if isinstance(source, (str, Path)):
            if Path(source).is_dir():
                self._parts = list_images(source)
            else:
                self._path = str(source)
        else:
            self._parts = [np.asarray(part) if hasattr(part, "shape") else part for part in source]
        if self._parts is None:
            self.count, self.size_hw = _measured(self._path)
        elif not self._parts:
            raise VideoError("video: expected at least one frame, got none")
        else:
            self.count, self.size_hw = len(self._parts), read_frame(self._parts[0]).size_hw

    def frame(self, index: int) -> Frame:
        """Return one frame.

        Raises:
            VideoError: there is no such frame.
        """
        for found in self.frames(range(index, index + 1)):
            return found
        raise VideoError(f"frame {index}: expected 0 to {self.count - 1}")

    def frames(self, indices: range) -> Iterator[Frame]:
        """Yield frames, forwards or backwards.

        Raises:
            ImageError: one cannot be read.
        """
        if self._parts is not None:
            for index in indices:
                if 0 <= index < self.count:
                    yield _numbered(read_frame(self._parts[index]), index)
        elif indices.step > 0:
            yield from self._read(indices.start, len(indices))
        else:
            wanted = list(indices)
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                yield from reversed(list(self._read(part[-1], len(part))))

    def _read(self, start: int, count: int) -> Iterator[Frame]:
        """Yield ``count`` frames of a video file, from one on."""
        with open_video(self._path, start=start) as reader:
            for frame in reader:
                if frame.index >= start + count:
                    return
                yield frame
                if frame.index == start + count - 1:
                    return


def _numbered(frame: Frame, index: int) -> Frame:
    return Frame(frame.rgb, f"frame_{index:06d}", frame.source, index)


def _measured(path: str) -> tuple[int, tuple[int, int]]:
    """Return how many frames a video has and how large they are; counted, where the file does not say."""
    with open_video(path) as reader:
        first = reader.read()
        if first is None:
            raise VideoError(f"video {path!r}: expected at least one frame, found none")
        if reader.info.frame_count:
            return reader.info.frame_count, first.size_hw
        return 1 + sum(1 for _ in reader), first.size_hw
