"""How a container says that its pixels are to be turned and mirrored."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.images.video_file import VideoFile

# The matrix (a, b; c, d) of x' = ax + cy, y' = bx + dy, and what FFmpeg's autorotate does.
PLACINGS: dict[str, tuple[tuple[int, int, int, int], Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "as it is": ((1, 0, 0, 1), lambda p: p),
    "hflip": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "vflip": ((1, 0, 0, -1), lambda p: p[::-1]),
    "half turn": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "clock": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "cclock": ((0, -1, 1, 0), np.rot90),
    "transpose": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    "transverse": ((0, -1, -1, 0), lambda p: p.transpose(1, 0, 2)[::-1, ::-1]),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three frames of four colours."""
    path = tmp_path_factory.mktemp("placing") / "clip.mp4"
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[:24, :32], colours[:24, 32:], colours[24:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colours)))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize("name", PLACINGS)
def test_a_display_matrix(name: str, clip: bytes, tmp_path: Path) -> None:
    (a, b, c, d), placed = PLACINGS[name]
    at = clip.index(b"tkhd") + 44  # version, times, id, duration, layer, volume come before
    assert struct.unpack(">9i", clip[at : at + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    frames = []
    for content in (clip, clip[:at] + matrix + clip[at + 36 :]):
        path = tmp_path / "clip.mp4"
        path.write_bytes(content)
        with VideoFile(path, max_pixels=10**6) as video:
            picture = next(iter(video.pictures()))
            assert picture is not None
            frames.append(picture.rgb())
            assert picture.size_hw == frames[-1].shape[:2]
    assert np.array_equal(frames[1], placed(frames[0]))
