"""Runs over a video for tests: a panned photograph with ellipses that move over it, sources with sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ultralytics.utils import ASSETS

from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.video.track.tracked import Tracked
from tests.drawing import ellipse

FPS = 30000 / 1001
SIZE = (64, 96)


@lru_cache(maxsize=1)
def photo() -> NDArray[np.uint8]:
    """A street scene, small."""
    with Image.open(ASSETS / "bus.jpg") as image:
        return np.asarray(image.convert("RGB").resize((405, 540)))


def panned(index: int, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of the photo that moves two pixels a frame."""
    height, width = size_hw
    x, y = 20 + 2 * index % 150, 100 + index % 150
    return np.ascontiguousarray(photo()[y : y + height, x : x + width])


def tracked(
    index: int,
    size_hw: tuple[int, int] = SIZE,
    ids: Sequence[int] = (1, 2, 7),
    *,
    labels: Sequence[str] | None = None,
    t_ms: float | str | None = "steady",
    lost: tuple[int, ...] = (),
) -> Tracked:
    """A frame in which objects move to the right; neighbours overlap a little."""
    height, width = size_hw
    masks = []
    for k, object_id in enumerate(ids):
        x, y = 4 + 18 * k + index % 20, 4 + 5 * (object_id % 5)
        masks.append(ellipse(size_hw, x, y, x + 25, y + 30))
    stack = np.array(masks, bool).reshape(len(masks), height, width)
    scores = np.linspace(0.9, 0.6, len(ids)) if len(ids) else np.zeros(0)
    time = 1000 * index / FPS if t_ms == "steady" else t_ms
    return Tracked(
        Frame(panned(index, size_hw), f"street_{index:06d}", "street.mp4", index, time),  # type: ignore[arg-type]
        MaskSet.from_dense(stack, scores),
        np.array(ids, np.int64),
        np.roll(scores, 1).astype(np.float32),
        None if labels is None else tuple(labels),
        lost,
        {"network": 1.25},
    )


def run_of(count: int, **options: Any) -> list[Tracked]:
    """So many frames; object 7 is there from the fourth frame on only, and nothing at all in the sixth."""
    frames = []
    for i in range(count):
        ids: tuple[int, ...] = () if i == 5 else (1, 2) if i < 3 else (1, 2, 7)
        words = [{1: "person", 2: "bus", 7: "person"}[number] for number in ids]
        frames.append(tracked(i, ids=ids, labels=words, **options))
    return frames


def decoded(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """The pictures of a video and their times in milliseconds."""
    pictures, times = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            pictures.append(frame.to_ndarray(format="rgb24"))
            times.append(float(frame.pts * frame.time_base) * 1000)
    return pictures, times


def packets(path: Path, kind: str = "audio") -> list[tuple[float, bytes]]:
    """The time in milliseconds and the bytes of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [
            (float(packet.pts * packet.time_base) * 1000, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def samples(path: Path) -> tuple[NDArray[np.float32], int]:
    """The sound of a file, its first channel, and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
        parts = [
            piece.to_ndarray()[0] for frame in container.decode(stream) for piece in resampler.resample(frame)
        ]
        return np.concatenate(parts), 48000


def halved(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture with colours at half the resolution, as video codecs keep them; sides are even."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
    return np.asarray(frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray())


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """How alike two pictures are, decibels."""
    error = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return 10 * np.log10(255**2 / max(error, 1e-9))


def write_source(path: Path, count: int = 45, sound: str | None = "aac") -> Path:
    """A video file with a tone whose pitch rises from 400 to 800 Hz."""
    rate = 44100
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(30000, 1001))
        video.width, video.height, video.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        audio: Any = None
        if sound is not None:
            audio = container.add_stream(sound, rate=rate)
            audio.layout = "mono"
            audio.codec_context.open()
        for i in range(count):
            picture = av.VideoFrame.from_ndarray(panned(i, SIZE), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None:
            seconds = np.arange(int(rate * count / FPS)) / rate
            pitch = 400 + 400 * seconds / seconds[-1]
            tone = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / rate)
            frame = av.AudioFrame.from_ndarray(
                (tone * 32767).astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, 0
            context = audio.codec_context
            resampler = av.AudioResampler(
                format=context.format, layout="mono", rate=rate, frame_size=context.frame_size or 1024
            )
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return path


def pitch_at(sound: NDArray[np.float32], rate: int, second: float) -> float:
    """The strongest frequency in the tenth of a second around a moment, Hz."""
    middle, half = int(second * rate), rate // 20
    part = sound[max(middle - half, 0) : middle + half]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 16))
    return float(spectrum.argmax() * rate / (1 << 16))


def resized(rgb: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture in another size."""
    return np.asarray(cv2.resize(rgb, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


@contextmanager
def file_size_limit(most: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
