"""The sound of a source for the overlay video: copied where the container takes it, else encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

from fastsam.needed import needed

__all__ = ["AudioTrack", "Span"]

_RATE = 48_000  # of what is encoded again; AAC and Opus both take it
# PyAV's containers would take these, but what plays such files does not.
_UNPLAYABLE = {"mp4": ("vorbis", "pcm_")}


@dataclass(frozen=True)
class Span:
    """The part of a source that was processed, in seconds from its first picture.

    Attributes:
        start: where it begins; 0 keeps what sounds before the first picture, too.
        end: where it ends.
    """

    start: float
    end: float


class AudioTrack:
    """The first sound of a source, on its way into a container.

    Args:
        source: an open PyAV container.
        output: the PyAV container that is written.
        span: what to keep of it.
    """

    def __init__(self, source: Any, output: Any, span: Span) -> None:
        self._source = source
        self._input = source.streams.audio[0]
        self._name = output.format.name
        codec = self._input.codec_context.name
        refused = any(codec.startswith(name) for name in _UNPLAYABLE.get(self._name, ()))
        self.copied = codec in output.supported_codecs and not refused
        if self.copied:
            self.stream = output.add_stream_from_template(self._input)
        else:
            mono = self._input.codec_context.layout.nb_channels == 1
            self.stream = output.add_stream("libopus" if self._name == "webm" else "aac", rate=_RATE)
            self.stream.layout = "mono" if mono else "stereo"
        first, end = _edges(source)
        self._start = first + span.start
        self._from = -inf if span.start <= 0 else self._start
        self._until = inf if first + span.end >= end else first + span.end

    def packets(self) -> Iterator[Any]:
        """Yield the packets of the span, in order, their time counted from its start."""
        if self._from > 0:
            self._source.seek(int(self._from * 1_000_000), backward=True)
        return self._copies() if self.copied else self._encoded()

    def _copies(self) -> Iterator[Any]:
        shift = round(Fraction(self._start) / self._input.time_base)
        for packet in self._source.demux(self._input):
            if packet.pts is None:
                continue
            begin = float(packet.pts * packet.time_base)
            if begin >= self._until:
                return
            if begin >= self._from:
                packet.pts -= shift
                packet.dts = packet.pts if packet.dts is None else packet.dts - shift
                packet.stream = self.stream
                yield packet

    def _encoded(self) -> Iterator[Any]:
        with needed("av", "write videos"):
            import av
        context = self.stream.codec_context
        context.open()
        resampler = av.AudioResampler(
            format=context.format, layout=context.layout, rate=_RATE, frame_size=context.frame_size
        )
        for frame in self._source.decode(self._input):
            if frame.pts is None or frame.time < self._from:
                continue
            if frame.time >= self._until:
                break
            frame.pts -= round(Fraction(self._start) / frame.time_base)
            for piece in resampler.resample(frame):
                yield from self.stream.encode(piece)
        for piece in resampler.resample(None):
            yield from self.stream.encode(piece)
        yield from self.stream.encode(None)


def _edges(source: Any) -> tuple[float, float]:
    """Return when the first picture is shown and when the last one goes, in the file's seconds."""
    video = source.streams.video[0]
    first = float((video.start_time or 0) * video.time_base)
    length = None if video.duration is None else float(video.duration * video.time_base)
    if length is None:  # Matroska has the length of the whole file only
        length = inf if source.duration is None else source.duration / 1_000_000
    frame = 1 / float(video.average_rate) if video.average_rate else 0.0
    return first, first + length - 1.5 * frame


def open_audio(path: Path | None, output: Any, span: Span, stack: ExitStack) -> AudioTrack | None:
    """Return the sound of a source file; None where it has none (or is no file with pictures)."""
    with needed("av", "write videos"):
        import av
    if path is None or not path.is_file():
        return None
    try:
        source = stack.enter_context(av.open(str(path)))
    except (av.error.FFmpegError, OSError):
        return None  # pictures of a folder, say: it was read by other means
    if not source.streams.audio or not source.streams.video:
        return None
    return AudioTrack(source, output, span)
