"""Clips for tests: a window that moves over a photograph, so that every pixel's true motion is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.video.read.reader import VideoReader

Rgb = NDArray[np.uint8]
_BITS = 16


@cache
def _photo(name: str, short_side: int) -> Rgb:
    """A photograph of ultralytics' assets, its shorter side ``short_side`` pixels."""
    spec = find_spec("ultralytics")  # not imported: that takes seconds
    assert spec is not None
    assert spec.submodule_search_locations
    with Image.open(Path(spec.submodule_search_locations[0], "assets", name)) as image:
        rgb = np.asarray(image.convert("RGB"))
    scale = short_side / min(rgb.shape[:2])
    width, height = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _bounce(position: int, room: int) -> int:
    """Walk to the end of ``room`` and back again."""
    there = position % (2 * room) if room else 0
    return min(there, 2 * room - there)


def pan_offset(
    index: int, size_hw: tuple[int, int], step: int = 2, photo: str = "bus.jpg"
) -> tuple[int, int]:
    """Return the (x, y) of the window's corner on the photograph at frame ``index``."""
    height, width = _photo(photo, int(max(size_hw) * 1.5)).shape[:2]
    return _bounce(index * step, width - size_hw[1]), _bounce(index * step, height - size_hw[0])


def panned_frames(
    frames: int,
    size_hw: tuple[int, int] = (120, 160),
    step: int = 2,
    photo: str = "bus.jpg",
    numbered: bool = False,
) -> Iterator[Rgb]:
    """Yield RGB frames of a window that moves ``step`` pixels a frame; with :func:`write_number` if asked."""
    page = _photo(photo, int(max(size_hw) * 1.5))
    for index in range(frames):
        x, y = pan_offset(index, size_hw, step, photo)
        rgb = page[y : y + size_hw[0], x : x + size_hw[1]].copy()
        yield write_number(rgb, index) if numbered else rgb


def write_number(rgb: Rgb, number: int) -> Rgb:
    """Draw a number as black and white blocks along the top edge, so that codecs cannot lose it."""
    height, width = rgb.shape[:2]
    edges = np.linspace(0, width, _BITS + 1).astype(int)
    for bit in range(_BITS):
        rgb[: height // 5, edges[bit] : edges[bit + 1]] = 255 if number >> bit & 1 else 0
    return rgb


def number_of(rgb: Rgb) -> int:
    """Read what :func:`write_number` drew."""
    height, width = rgb.shape[:2]
    edges = np.linspace(0, width, _BITS + 1).astype(int)
    row = rgb[height // 10].mean(axis=1)
    return sum(int(row[edges[bit] + 2 : edges[bit + 1] - 2].mean() > 127) << bit for bit in range(_BITS))


def panned_clip(
    path: Path,
    frames: int = 24,
    size_hw: tuple[int, int] = (120, 160),
    fps: float = 25.0,
    *,
    codec: str = "libx264",
    audio: bool = False,
    options: dict[str, str] | None = None,
    **pan: Any,
) -> Path:
    """Write a clip of :func:`panned_frames` (its ``pan`` options), with a 440 Hz tone if ``audio``."""
    shots = panned_frames(frames, size_hw, **pan)
    return write_clip(path, shots, fps, codec=codec, audio=audio, options=options)


def write_clip(
    path: Path,
    frames: Iterable[Rgb],
    fps: float = 25.0,
    *,
    codec: str = "libx264",
    pix_fmt: str | None = None,
    audio: bool = False,
    pts: Callable[[int], int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """Write RGB frames as a video; the suffix of ``path`` names the container.

    ``pts`` gives the time of frame k in milliseconds (variable frame rate); ``rotation`` is what a phone
    that is held sideways writes: degrees anticlockwise by which a player must turn the picture.
    """
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = None
        tone: Any = container.add_stream("aac", rate=48000, layout="mono") if audio else None
        for count, rgb in enumerate(frames, 1):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.height, stream.width = rgb.shape[:2]
                stream.pix_fmt = pix_fmt or _pixels(codec, rgb)
                if rotation:
                    stream.set_display_rotation(rotation)
                if codec in ("libx264", "libx265"):
                    stream.options = {"preset": "ultrafast", "crf": "20", **(options or {})}
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts = pts(count - 1) if pts else count - 1
            frame.time_base = Fraction(1, 1000) if pts else 1 / rate
            if pts:
                stream.codec_context.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            _write_tone(container, tone, count / float(rate))
    return path


def _pixels(codec: str, rgb: Rgb) -> str:
    """Return a pixel format that the codec takes; odd sizes need one without subsampled colour."""
    odd = rgb.shape[0] % 2 or rgb.shape[1] % 2
    if codec == "mjpeg":
        return "yuvj444p" if odd else "yuvj420p"
    if codec in ("gif", "rawvideo"):
        return "rgb8" if codec == "gif" else "rgb24"
    return "yuv444p" if odd and codec != "mpeg4" else "yuv420p"


def _write_tone(container: Any, stream: Any, seconds: float) -> None:
    """Add a 440 Hz sine."""
    total, block = int(seconds * 48000), 1024
    for start in range(0, total, block):
        phase = 2 * np.pi * 440 * np.arange(start, min(start + block, total)) / 48000
        samples = (0.2 * np.sin(phase)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def small(number: int) -> NDArray[np.uint8]:
    """Return a small frame that shows a number."""
    return write_number(np.zeros((20, 80, 3), np.uint8), number)


def ended(reader: VideoReader) -> bool:
    """Whether the reader's thread is gone, soon."""
    reader._thread.join(20)
    return not reader._thread.is_alive()
