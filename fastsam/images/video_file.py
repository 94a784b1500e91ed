"""The frames of a video file or network stream, one by one: the only place where video is decoded.

PyAV (FFmpeg) does the work: it gives exact times, the rotation that phones write, and one error per
damaged packet. Local cameras are OpenCV's (:mod:`fastsam.video.read.live`).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import FrameTooLargeError, VideoError
from fastsam.images.frame import Frame
from fastsam.needed import needed

__all__ = ["Picture", "VideoFile", "video_frames"]

_REORDERED = 64  # packets that may come before one that is shown earlier: more than any codec's delay
_BROKEN_READS = 100  # errors in a row after which a file counts as cut off
_MISSING_S = 0.5  # what a file may end before its announced duration
_NOT_VIDEO = ("tty",)  # FFmpeg draws any text file as a terminal's screen


class Picture:
    """A decoded frame whose colours are not converted until somebody asks for them."""

    def __init__(self, video: VideoFile, raw: Any, index: int, t_ms: float) -> None:
        self.index, self.t_ms = index, t_ms
        self._video, self._raw = video, raw

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width after the rotation, pixels."""
        size = (int(self._raw.height), int(self._raw.width))
        return size[::-1] if self._placing[0] % 2 else size

    @property
    def _placing(self) -> tuple[int, bool]:
        """Quarter turns against the clock, and whether rows are flipped before them."""
        matrix = _display_matrix(self._raw)
        return int(round(self._raw.rotation / 90) % 4) if matrix is None else _placed(matrix), _mirrored(
            matrix
        )

    def rgb(self) -> NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 RGB pixels, upright."""
        rgb = self._video.convert(self._raw)
        turns, mirrored = self._placing
        rgb = rgb[:, ::-1] if mirrored else rgb
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns or mirrored else rgb


def _display_matrix(raw: Any) -> tuple[int, int, int, int] | None:
    """Return how a container places its pixels: (a, b, c, d) of x' = ax + cy, y' = bx + dy; y points down."""
    for side in raw.side_data:
        if "DISPLAYMATRIX" in str(getattr(side, "type", "")):
            values = np.frombuffer(bytes(side), np.int32)
            if len(values) >= 5:
                return int(values[0]), int(values[1]), int(values[3]), int(values[4])
    return None


def _mirrored(matrix: tuple[int, int, int, int] | None) -> bool:
    """Tell whether a placing turns left and right about: its determinant is below zero."""
    if matrix is None:
        return False
    a, b, c, d = matrix
    return a * d - b * c < 0


def _placed(matrix: tuple[int, int, int, int]) -> int:
    """Return the quarter turns against the clock of a placing; a mirrored one turns after it is mirrored."""
    a, b, _, _ = matrix
    if _mirrored(matrix):
        a, b = -a, -b
    return int(round(-np.degrees(np.arctan2(b, a)) / 90) % 4)


class VideoFile:
    """An open video: what its header says, and its pictures.

    Attributes:
        shown: how messages call it; never holds a password.
        fps: frames a second, as announced; None where unknown.
        frame_count: how many frames are announced; None where unknown.
        duration_s: announced; None where unknown, which for a network stream means that it is live.
        has_audio: whether there is a sound track.
        trouble: why reading ended before the end; empty if it did not.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        max_pixels: int,
        shown: str | None = None,
        options: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Open a file, or a URL: then ``shown`` is its name without the password.

        Raises:
            VideoError: it cannot be opened, or holds no video.
        """
        with needed("av", "read video"):
            import av
        self._av = av
        self._target = os.fspath(location) if shown else f"file:{os.path.abspath(location)}"
        self.shown = shown or repr(os.fspath(location))
        self._options, self._timeout_s, self._max_pixels = options or {}, timeout_s, max_pixels
        self._lock = threading.Lock()
        self.trouble = self._last_words = ""
        self._container, self._stream = self._open()
        stream, container = self._stream, self._container
        # A network stream that does not tell is not of 25 frames a second, as FFmpeg guesses.
        self.fps = _rate(stream.average_rate) or (None if timeout_s else _rate(stream.guessed_rate))
        self.frame_count = int(stream.frames) or None
        self.has_audio = len(container.streams.audio) > 0
        self.size_bytes = int(container.size)
        self.duration_s: float | None = None
        if stream.duration is not None:
            self.duration_s = float(stream.duration * stream.time_base)
            if container.format.name == "avi" and self.fps:  # FFmpeg shortens it to what is left of the file
                self.duration_s = max(self.duration_s, stream.frames / self.fps)
        elif container.duration is not None and container.duration > 0:
            self.duration_s = container.duration / 1e6
        if self.frame_count is None and self.fps and self.duration_s:
            self.frame_count = round(self.fps * self.duration_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        self._container.close()

    def _open(self) -> tuple[Any, Any]:
        """Return the container and its video stream."""
        trouble = ""
        container: Any = None
        try:
            container = self._av.open(self._target, options=self._options, timeout=self._timeout_s)
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            # Its text holds the URL with the password: only the reason goes on, without the exception.
            trouble = _reason(error)
        if trouble:
            raise self._no_frame(trouble)
        streams = [s for s in container.streams.video if not _is_cover(s)]
        name = container.format.name
        if not streams or name in _NOT_VIDEO:
            container.close()
            raise self._no_frame("a text file" if name in _NOT_VIDEO else "no video track in it")
        stream = streams[0]
        # Slices of one frame for streams: working on several frames at once would show them later.
        stream.thread_type = "SLICE" if self._timeout_s else "AUTO"
        return container, stream

    def _no_frame(self, reason: str) -> VideoError:
        """Return the error for a video without a frame."""
        subject = f"video {self.shown}"
        if self._timeout_s:
            return VideoError(
                f"cannot be opened ({reason})",
                subject=subject,
                advice="check that the camera or server runs and can be reached from here, and the address, "
                "user and password",
            )
        name = self.shown.strip("'\"").replace("\\", "/").rpartition("/")[2]
        return VideoError(
            f"FFmpeg finds no frame in it ({reason})",
            subject=subject,
            advice="it is damaged, not a video, or of a codec that this FFmpeg lacks. "
            f"Try: ffmpeg -i {name} -c:v libx264 converted.mp4",
            path=self._target.removeprefix("file:"),
        )

    def pictures(self, start: int = 0) -> Iterator[Picture | None]:
        """Yield the pictures from frame ``start`` on; None for each that cannot be decoded.

        Of the frames before ``start``, only those since the last key frame are decoded, where the
        container carries times; else all are, but none is converted.

        Raises:
            VideoError: a frame is larger than ``max_pixels``, or the file holds none at all.
        """
        numbered = self._from(start) if start else None
        if numbered is None:
            numbered = islice(enumerate(self._decoded()), start, None)
        shown = start > 0
        last_ms = -1.0
        for index, raw in numbered:
            if raw is None:
                yield None
                continue
            if raw.width * raw.height > self._max_pixels:
                raise FrameTooLargeError(
                    f"has {raw.width}x{raw.height} = {raw.width * raw.height:,} pixels a frame, "
                    f"the limit is {self._max_pixels:,}",
                    subject=f"video {self.shown}",
                    advice="if you trust the file, raise max_pixels (--max-pixels, FASTSAM_MAX_IMAGE_PIXELS)",
                )
            shown = True
            last_ms = self._time_ms(raw, index, last_ms)
            yield Picture(self, raw, index, last_ms)
        if not shown:
            raise self._no_frame(self.trouble or self._last_words or "not one that can be decoded")

    def _time_ms(self, raw: Any, index: int, last_ms: float) -> float:
        """Return when a frame is shown; times never run backwards."""
        step_ms = 1000 / (self.fps or 25.0)
        if raw.pts is None or raw.time_base is None:
            return max(index * step_ms, last_ms + step_ms if last_ms >= 0 else 0.0)
        t_ms = 1000 * float((raw.pts - (self._stream.start_time or 0)) * raw.time_base)
        return t_ms if t_ms > last_ms else last_ms + step_ms

    def _from(self, start: int) -> Iterator[tuple[int, Any]] | None:
        """Go to frame ``start`` by its time; None where the container cannot."""
        stamps = self._stamps(start + _REORDERED)
        if stamps is None:
            return None
        if len(stamps) <= start:
            return iter(())
        target = stamps[start]
        try:
            self._container.seek(target, stream=self._stream)
            frames = self._decoded()
            for raw in frames:
                if raw is not None and raw.pts is not None and raw.pts >= target:
                    if raw.pts != target:
                        break  # the jump went too far
                    return enumerate(_chain(raw, frames), start)
        except (self._av.error.FFmpegError, OSError):
            pass
        self._container.close()  # and once more from the first frame on
        self.trouble = ""
        self._container, self._stream = self._open()
        return None

    def _stamps(self, count: int) -> list[int] | None:
        """Return the times of the first frames in the order of showing, without decoding one."""
        container, stream = self._open()
        stamps: list[int] = []
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    break
                if packet.pts is None:
                    return None
                if not packet.is_discard:
                    stamps.append(packet.pts)
                if len(stamps) >= count:
                    break
        except (self._av.error.FFmpegError, OSError):
            return None
        finally:
            container.close()
        return sorted(stamps)

    def _packets(self) -> Iterator[Any]:
        """Yield the video's packets; damage is stepped over, the end is noted in ``trouble``."""
        failed, end_s = 0, 0.0
        begin = self._stream.start_time or 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except self._av.error.InvalidDataError as error:
                failed += 1
                packets = self._container.demux(self._stream)  # goes on where it stands
                if failed >= _BROKEN_READS:
                    self.trouble = _reason(error)
                    break
                continue
            except (self._av.error.FFmpegError, OSError) as error:
                self._last_words = _reason(error)
                if not (self._timeout_s and error.errno == errno.EIO):  # so ends a stream of JPEGs
                    self.trouble = self._last_words
                break
            failed = 0
            if packet.pts is not None:
                length = packet.duration or 0
                end_s = max(end_s, float((packet.pts + length - begin) * packet.time_base))
            yield packet
        announced = self._stream.duration is not None or not self.has_audio
        if not self.trouble and announced and self.duration_s and 0 < end_s < self.duration_s - _MISSING_S:
            self.trouble = f"the file is cut off: it ends at {end_s:.1f} s of {self.duration_s:.1f} s"

    def _decoded(self) -> Iterator[Any]:
        """Yield FFmpeg's frames, None for one that is lost."""
        for packet in self._packets():
            try:
                raws = packet.decode()
            except EOFError:  # flushed already
                return
            except self._av.error.FFmpegError:
                yield None
                continue
            for raw in raws:
                yield None if raw.is_corrupt else raw
        if self.trouble:  # the end never came: what the decoder still holds
            try:
                yield from self._stream.codec_context.decode(None)
            except (self._av.error.FFmpegError, EOFError):
                return

    def convert(self, raw: Any) -> NDArray[np.uint8]:
        """Return FFmpeg's frame as RGB; any thread may call this while others decode."""
        with self._lock:
            if not hasattr(self, "_reformatter"):
                self._reformatter = self._av.video.reformatter.VideoReformatter()
            return cast(NDArray[np.uint8], self._reformatter.reformat(raw, format="rgb24").to_ndarray())


def video_frames(path: Path, max_pixels: int) -> Iterator[Frame]:
    """Yield the frames of a video file, upright, with their time; damaged ones are left out.

    Raises:
        VideoError: there is no frame in it.
    """
    with VideoFile(path, max_pixels=max_pixels) as video:
        for picture in video.pictures():
            if picture is not None:
                name = f"{path.stem}_{picture.index:06d}"
                yield Frame(picture.rgb(), name, str(path), picture.index, picture.t_ms)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _rate(announced: Any) -> float | None:
    """Return frames a second, where they are possible ones."""
    return float(announced) if announced and 0.01 <= float(announced) <= 1000 else None


def _is_cover(stream: Any) -> bool:
    """Whether a track is the picture on the sleeve of a song."""
    return bool(stream.disposition.value & 0x0400)  # AV_DISPOSITION_ATTACHED_PIC


def _reason(error: BaseException) -> str:
    """Return what FFmpeg says is wrong, without the address that it adds."""
    if type(error).__name__ == "ExitError":
        return "no answer in time"
    return str(getattr(error, "strerror", None) or type(error).__name__)
