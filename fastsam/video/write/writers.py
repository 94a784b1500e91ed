"""Pictures -> a video file, in segments: a broken run keeps those that are done and goes on after them.

A segment is a short MP4 with a fixed number of pictures. It appears when it is whole; at the end all are
joined packet by packet, without encoding again, together with the sound of the source. There are no
B-frames, so that the segments' time stamps follow each other whatever the time between two pictures.
"""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ExportError
from fastsam.files import replacing
from fastsam.needed import needed
from fastsam.video.write.audio import Span, open_audio

__all__ = ["SUFFIXES", "SegmentWriter", "Timeline", "count_segments", "join_segments"]

SUFFIXES = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".gif": "gif"}
TICKS = 90_000  # a second: whole for the usual frame rates, 3003 for 29.97
_FOLDER = "segments"
_BT709 = 1
_CODECS: dict[str, tuple[str, dict[str, str]]] = {
    # force-cfr: the stream's own header states the frame rate; time stamps stay as they are.
    "h264": ("libx264", {"preset": "superfast", "bf": "0", "x264-params": "force-cfr=1"}),
    "vp9": (
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "lag-in-frames": "0", "b": "0"},
    ),
}


def load_av() -> Any:
    """Return PyAV, or say how to get it."""
    with needed("av", "write videos"):
        import av
    return av


@contextmanager
def _av_errors_as_export_errors(path: Path) -> Iterator[None]:
    """Turn what PyAV says into an ExportError."""
    av = load_av()
    try:
        yield
    except av.error.FFmpegError as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(f"{path}: the video cannot be written ({reason})") from error


class Timeline:
    """When each picture of a run is shown, in ticks from the first; always later than the one before.

    Args:
        fps: the frame rate, for frames without a time.
    """

    def __init__(self, fps: float) -> None:
        self._step_ms = 1000 / fps
        self._shift_ms = 0.0
        self._last_ms: float | None = None
        self.ticks = -1

    def next(self, index: int, t_ms: float | None) -> int:
        """Return the ticks of the next picture. A time that runs backwards goes on after the one before."""
        now = index * self._step_ms if t_ms is None else t_ms
        if self._last_ms is None:
            self._shift_ms = -now
        elif now <= self._last_ms:
            self._shift_ms += self._last_ms - now + self._step_ms
        self._last_ms = now
        self.ticks = max(round((now + self._shift_ms) * TICKS / 1000), self.ticks + 1)
        return self.ticks


class SegmentWriter:
    """Encodes pictures of one size into segments.

    Args:
        out: the run's folder.
        suffix: what the whole is going to be, a key of :data:`SUFFIXES`.
        per_segment: pictures in each.
        fps: the usual frame rate.
        crf: the encoder's loss, 0 to 51.
        done: segments that are there already.
    """

    def __init__(
        self, out: Path, suffix: str, *, per_segment: int, fps: float, crf: int, done: int = 0
    ) -> None:
        self._av = load_av()
        kind = "vp9" if suffix == ".webm" else "h264"
        self._codec, options = _CODECS[kind]
        if self._codec not in self._av.codecs_available:
            raise ExportError(
                f"video {suffix}: this PyAV has no {self._codec}; install it as a wheel: "
                "pip install --force-reinstall av"
            )
        # VP9's scale is longer, and the same picture is further up on it.
        self._options = {**options, "crf": str(crf if kind == "h264" else min(crf + 12, 63))}
        self._folder, self._per_segment = out / _FOLDER, per_segment
        self._rate = Fraction(fps).limit_denominator(1001)
        self._number = done
        self._count = 0  # pictures in the open segment
        self._begin = 0
        self._open: ExitStack | None = None
        self._container: Any = None
        self._stream: Any = None

    def add(self, rgb: NDArray[np.uint8], ticks: int) -> bool:
        """Add a picture, shown from ``ticks`` on; True where that was the last of a segment."""
        rgb = _even(rgb)
        path = self._folder / f"{self._number:06d}.mp4"
        with _av_errors_as_export_errors(path):
            if self._open is None:
                self._start(path, rgb.shape[:2], ticks)
            picture = self._av.VideoFrame.from_ndarray(rgb, format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
            picture.pts, picture.time_base = ticks - self._begin, Fraction(1, TICKS)
            self._container.mux(self._stream.encode(picture))
            self._count += 1
            if self._count == self._per_segment:
                self.finish()
                return True
        return False

    def _start(self, path: Path, size_hw: Sequence[int], ticks: int) -> None:
        self._begin = ticks
        with ExitStack() as stack:
            file = stack.enter_context(replacing(path))
            # By its name: PyAV writes to Python's files more slowly.
            self._container = stack.enter_context(self._av.open(file.name, "w", format="mp4"))
            self._stream = self._container.add_stream(self._codec, rate=self._rate, options=self._options)
            self._stream.height, self._stream.width = size_hw
            self._stream.pix_fmt = "yuv420p"
            context = self._stream.codec_context
            context.time_base = Fraction(1, TICKS)
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            self._open = stack.pop_all()

    def finish(self) -> None:
        """Close the open segment, which then is there."""
        if self._open is None:
            return
        path = self._folder / f"{self._number:06d}.mp4"
        with _av_errors_as_export_errors(path):
            self._container.mux(self._stream.encode(None))
            opened, self._open = self._open, None
            with opened:
                pass
        _sync(path)
        self._number, self._count = self._number + 1, 0

    def abandon(self) -> None:
        """Drop the open segment."""
        if self._open is not None:
            opened, self._open = self._open, None
            error = ExportError("this segment is dropped")  # makes `replacing` drop its file
            opened.__exit__(type(error), error, None)


def _even(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row and column where a side is odd: the codecs halve the colours' resolution."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
    return np.ascontiguousarray(rgb)


def _sync(path: Path) -> None:
    """Make sure that a failure of the power cannot lose a file."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


# --- the segments together --------------------------------------------------------------------------


def segment_paths(out: Path) -> list[Path]:
    """Return the segments of a folder in order."""
    return sorted((out / _FOLDER).glob("[0-9]*.mp4"))


def count_segments(out: Path, per_segment: int) -> int:
    """Return how many whole segments there are from the first on; a damaged one ends the count."""
    av = load_av()
    count = 0
    for path in segment_paths(out):
        try:
            with av.open(str(path)) as container:
                pictures = sum(1 for packet in container.demux(video=0) if packet.size)
        except (av.error.FFmpegError, OSError, IndexError):
            break
        if path.stem != f"{count:06d}" or pictures != per_segment:
            break
        count += 1
    return count


def drop_segments(out: Path, keep: int = 0) -> None:
    """Remove the segments after the first ``keep``."""
    if not keep:
        shutil.rmtree(out / _FOLDER, ignore_errors=True)
    for path in segment_paths(out)[keep:]:
        path.unlink()


def join_segments(out: Path, target: Path, starts: Sequence[int], source: Path | None, span: Span) -> Path:
    """Join the segments of a folder into one file, with the sound of ``source``.

    Args:
        out: the run's folder.
        target: the file; its suffix says what it becomes.
        starts: when each segment begins, in ticks.
        source: a file with sound, or None.
        span: the part of the source that the pictures are of.
    """
    paths = segment_paths(out)
    if len(paths) != len(starts):
        raise ExportError(f"{out / _FOLDER}: expected {len(starts)} segments, got {len(paths)}")
    with _av_errors_as_export_errors(target), replacing(target) as file:
        if target.suffix == ".gif":
            _write_gif(file.name, paths, starts)
            return target
        options = {"movflags": "+faststart"} if target.suffix in (".mp4", ".mov") else {}
        _remux(file.name, SUFFIXES[target.suffix], options, paths, starts, source, span)
    return target


def _remux(
    name: str, format: str, options: dict[str, str], paths: Sequence[Path], starts: Sequence[int],
    source: Path | None, span: Span,
) -> None:  # fmt: skip
    """Write all packets, pictures and sound in the order of their time."""
    av = load_av()
    with ExitStack() as stack:
        output = stack.enter_context(av.open(name, "w", format=format, options=options))
        first = stack.enter_context(av.open(str(paths[0]))).streams.video[0]
        stream = output.add_stream_from_template(first)
        audio = open_audio(source, output, span, stack)
        tracks: list[Iterable[Any]] = [
            _shifted(paths, starts, stream, bytes(first.codec_context.extradata or b""))
        ]
        if audio is not None:
            tracks.append(audio.packets())
        for packet in heapq.merge(*tracks, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)


def _shifted(paths: Sequence[Path], starts: Sequence[int], stream: Any, head: bytes) -> Iterator[Any]:
    """Yield the packets of all segments with the time stamps of the whole."""
    av = load_av()
    for path, start in zip(paths, starts, strict=True):
        with av.open(str(path)) as container:
            inside = container.streams.video[0]
            if bytes(inside.codec_context.extradata or b"") != head:
                raise ExportError(
                    f"{path}: was encoded in another way than the first segment, so that they cannot be "
                    "joined (another version of PyAV?); start over with overwrite"
                )
            for packet in container.demux(inside):
                if packet.size:
                    shift = round(Fraction(start, TICKS) / packet.time_base)
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = stream
                    yield packet


# --- GIF --------------------------------------------------------------------------------------------


def _write_gif(name: str, paths: Sequence[Path], starts: Sequence[int]) -> None:
    """Write an animation with one palette for all pictures, in two passes: none is kept in memory."""
    av = load_av()
    with ExitStack() as stack:
        first = stack.enter_context(av.open(str(paths[0]))).streams.video[0]
        size = {"width": first.codec_context.width, "height": first.codec_context.height}
    making, source, sink = _graph(size, "palettegen", "")
    for picture in _pictures(paths, starts):
        source.push(picture)
    source.push(None)
    palette = sink.pull()
    del making
    using, source, sink = _graph(size, "paletteuse", "dither=bayer:bayer_scale=4", palette)
    with av.open(name, "w", format="gif", options={"loop": "0"}) as output:
        stream = output.add_stream("gif", rate=100)
        stream.width, stream.height, stream.pix_fmt = size["width"], size["height"], "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        for picture in _pictures(paths, starts):
            source.push(picture)
            coloured = sink.pull()
            coloured.pts, coloured.time_base = picture.pts, picture.time_base
            output.mux(stream.encode(coloured))
        output.mux(stream.encode(None))
    del using


def _graph(size: dict[str, int], kind: str, options: str, palette: Any = None) -> tuple[Any, Any, Any]:
    """Return a filter graph with its entry and its exit."""
    av = load_av()
    graph = av.filter.Graph()
    source = graph.add_buffer(**size, format="yuv420p", time_base=Fraction(1, 100))
    work, sink = graph.add(kind, options), graph.add("buffersink")
    source.link_to(work, 0, 0)
    work.link_to(sink)
    if palette is not None:
        colours = graph.add_buffer(width=16, height=16, format="rgb32", time_base=Fraction(1, 100))
        colours.link_to(work, 0, 1)
    graph.configure()
    if palette is not None:
        colours.push(palette)
        colours.push(None)
    return graph, source, sink


def _pictures(paths: Sequence[Path], starts: Sequence[int]) -> Iterator[Any]:
    """Yield the pictures with GIF's time stamps, hundredths; of those that share one only the first."""
    av = load_av()
    last = -1
    for path, start in zip(paths, starts, strict=True):
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                at = round(Fraction(start, TICKS) * 100 + picture.pts * picture.time_base * 100)
                if at > last:
                    last = at
                    picture.pts, picture.time_base = at, Fraction(1, 100)
                    yield picture
