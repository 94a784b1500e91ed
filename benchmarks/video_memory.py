"""Memory over a long video: resident megabytes at every 1,000th frame, as JSON.

The clip is generated: a window that moves over a photograph, with a number drawn into every frame, which is
checked on the way, so that no frame is lost or shown twice.

    python benchmarks/video_memory.py --frames 20000 --source file
    python benchmarks/video_memory.py --frames 20000 --source http --policy latest
    python benchmarks/video_memory.py --frames 20000 --source iterator --stage followed
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from fastsam import FastSAM  # noqa: E402
from fastsam.config import SegmentConfig, VideoConfig  # noqa: E402
from fastsam.images.frame import Frame  # noqa: E402
from fastsam.masks.letterbox import Letterbox  # noqa: E402
from fastsam.masks.maskset import MaskSet  # noqa: E402
from fastsam.masks.pyramid import Pyramid  # noqa: E402
from fastsam.prompts import Box, Points, Text  # noqa: E402
from fastsam.testing import ColourWordEncoder  # noqa: E402
from fastsam.video.read.reader import VideoReader, open_video  # noqa: E402
from fastsam.video.stream import Stream  # noqa: E402
from tests.video.clips import number_of, panned_clip, panned_frames  # noqa: E402
from tests.video.servers import jpegs, mjpeg_server  # noqa: E402

SIZE_HW = (96, 160)
_WRAP = 1 << 16  # the drawn number has 16 bits


def through_reader(reader: VideoReader) -> Iterator[Frame]:
    """Read only: the floor of every other stage."""
    yield from reader


class Passing:
    """A segmenter without a network: shapes that come, cross the frame and leave, for as long as it lasts.

    New ones come every few frames, so that what is remembered of those that left would grow.
    """

    times_ms = {"prepare": 0.0, "network": 0.0, "decode": 0.0}  # noqa: RUF012

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return about six masks."""
        height = frame.size_hw[0]
        masks = [np.zeros(frame.size_hw, bool)]
        masks[0][30:60, 20:60] = True  # one stays
        first = frame.index // 9
        for k in range(max(first - 5, 0), first + 1):
            x, y = 3 * (frame.index - 9 * k) - 10, 10 + 37 * k % (height - 30)
            side = 10 + 7 * k % 13
            masks.append(np.zeros(frame.size_hw, bool))
            masks[-1][y : y + side, max(x, 0) : max(x + side, 0)] = True
        shown = np.stack([mask for mask in masks if mask.any()])
        found = MaskSet.from_dense(shown, np.linspace(0.9, 0.6, len(shown)))
        # A small map, so that the grid that objects are followed on is small, and 20,000 frames take minutes.
        letterbox = Letterbox.fit(frame.size_hw, max(frame.size_hw), stride=32)
        columns, rows = letterbox.net_hw[1] // 8, letterbox.net_hw[0] // 8
        colours = cv2.resize(frame.rgb, (columns, rows), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
        pyramid = Pyramid((np.ascontiguousarray(colours / 255, np.float16),), letterbox)
        return replace(found, pyramid=pyramid)


def through_stream(reader: VideoReader) -> Iterator[Any]:
    """Everything with its ids."""
    stream = _stream(reader)
    for _, tracked in stream:
        yield tracked


def through_followed(reader: VideoReader) -> Iterator[Any]:
    """Two objects that were pointed at, and a text that follows what is black or white for a while."""
    stream = _stream(reader)
    stream.select(0, Points((40, 45)))
    stream.select(9, Box([15, 5, 40, 50]))
    stream.select(20, Text(["black", "white"]))
    for _, tracked in stream:
        yield tracked


def _stream(reader: VideoReader) -> Stream:
    model = FastSAM(segmenter=Passing(), text_model=ColourWordEncoder())
    return Stream(lambda frame, *_: model.open(frame), reader, VideoConfig(forget_after_frames=20))


# What the frames go through; a stage takes the reader and yields something with a ``frame``, or the frame.
STAGES: dict[str, Callable[[VideoReader], Iterator[Any]]] = {
    "reader": through_reader,
    "stream": through_stream,
    "followed": through_followed,
}


def resident_mb() -> float:
    """Return the memory that this process holds now, MB; its peak where the system does not tell."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


@contextlib.contextmanager
def opened(source: str, policy: Any, frames: int) -> Iterator[VideoReader]:
    """Open a generated clip of ``frames`` frames as a file, a stream over HTTP, or an iterator."""
    if source == "file":
        with tempfile.TemporaryDirectory() as folder:
            path = panned_clip(Path(folder, "long.mp4"), frames, SIZE_HW, codec="mpeg4", numbered=True)
            print(json.dumps({"clip_mb": round(path.stat().st_size / 1e6, 1)}), flush=True)
            with open_video(path, policy=policy) as reader:
                yield reader
    elif source == "iterator":
        with open_video(panned_frames(frames, SIZE_HW, numbered=True), policy=policy) as reader:
            yield reader
    else:

        def visit() -> Iterator[bytes]:
            for rgb in panned_frames(frames, SIZE_HW, numbered=True):
                yield from jpegs([rgb])

        with mjpeg_server(visit) as url, open_video(url, policy=policy, reconnect_s=0) as reader:
            yield reader


def main() -> None:
    """Run one stage over one source."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--source", choices=("file", "http", "iterator"), default="file")
    parser.add_argument("--policy", choices=("auto", "latest", "all"), default="auto")
    parser.add_argument("--stage", choices=sorted(STAGES), default="reader")
    options = parser.parse_args()
    readings: dict[int, float] = {}
    taken = wrong = 0
    with opened(options.source, options.policy, options.frames) as reader:
        began = time.perf_counter()
        next_reading = 0
        for result in STAGES[options.stage](reader):
            frame = getattr(result, "frame", result)
            taken += 1
            wrong += number_of(frame.rgb) != frame.index % _WRAP
            if frame.index >= next_reading:
                readings[frame.index] = round(resident_mb(), 1)
                print(json.dumps({"frame": frame.index, "resident_mb": readings[frame.index]}), flush=True)
                next_reading += 1000
        seconds = time.perf_counter() - began
    settled = [mb for index, mb in readings.items() if index >= 1000] or list(readings.values())
    summary = {
        "stage": options.stage,
        "source": options.source,
        "policy": reader.policy,
        "frames": taken,
        "dropped": reader.dropped,
        "wrong": wrong,
        "fps": round(taken / seconds, 1),
        "growth_mb": round(settled[-1] - settled[0], 1),
        "spread_mb": round(max(settled) - min(settled), 1),
        "threads_left": threading.active_count() - 1,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
