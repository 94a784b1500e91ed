"""Frames a second, end to end, against the bare network and against the peer's loop, in one run.

    python benchmarks/video.py CLIP [--point X,Y] [--imgsz 640] [--threads 2] [--repeat 3] [--frames 40]

CLIP is a video file or a folder of frames. End to end is what a user waits for: read, network, decode, track,
draw and write an H.264 overlay. Measured, interleaved, over the same frames:

* ``network``: the bare network on prepared inputs, the least that any of them can take;
* ``ours``: ``model.stream`` with everything tracked (or an object, with ``--point``), drawn and written;
* ``ours_no_output``: the same without drawing and writing;
* ``peer``: ultralytics ``YOLO(checkpoint).track(persist=True)`` with the same checkpoint, size and
  thresholds, ``result.plot()``, written by ``cv2.VideoWriter``: the loop of its documentation.

Ratios are of the frames a second; 1 is the bare network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fastsam import FastSAM, Points
from fastsam.everything.network_input import network_input
from fastsam.masks.letterbox import Letterbox
from fastsam.video.read.reader import open_video
from fastsam.video.write.sinks import open_sinks
from fastsam.weights.resolve import resolve


def network(model: FastSAM, frames: list[Any], imgsz: int) -> float:
    """Return seconds a frame of the bare network."""
    letterbox = Letterbox.fit(frames[0].size_hw, imgsz, stride=model.segmenter.stride)
    inputs = [network_input(frame.rgb, letterbox) for frame in frames]
    start = time.perf_counter()
    for image in inputs:
        model.segmenter.forward(image)
    return (time.perf_counter() - start) / len(inputs)


def ours(
    model: FastSAM, clip: str, point: tuple[float, float] | None, imgsz: int, count: int, write: bool
) -> tuple[float, dict[str, Any]]:
    """Return seconds a frame of the stream, and its report."""
    with (
        tempfile.TemporaryDirectory() as folder,
        model.stream(clip, imgsz=imgsz, wanted=_first(count)) as stream,
    ):
        sinks = open_sinks(folder, ["video"], source="", fps=stream.info.fps or 25) if write else None
        if point is not None:
            stream.select(0, Points(point))
        start = time.perf_counter()
        done = 0
        for _, masks in stream:
            done += 1
            if sinks is not None:
                sinks.append(masks)
                stream.times.add({"write": sum(sinks.times_ms.values())})
        if sinks is not None:
            sinks.close()
        seconds = (time.perf_counter() - start) / done
        return seconds, stream.times.summary()


def peer(yolo: Any, clip: str, imgsz: int, conf: float, iou: float, count: int) -> float:
    """Return seconds a frame of the peer's loop."""
    with tempfile.TemporaryDirectory() as folder, open_video(clip, wanted=_first(count)) as reader:
        writer, start, done = None, time.perf_counter(), 0
        for frame in reader:
            bgr = np.ascontiguousarray(frame.rgb[..., ::-1])
            result = yolo.track(
                bgr, persist=True, imgsz=imgsz, conf=conf, iou=iou, agnostic_nms=True, retina_masks=True,
                max_det=300, verbose=False, device="cpu",
            )[0]  # fmt: skip
            drawn = result.plot()
            if writer is None:
                code = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(Path(folder) / "out.mp4"), code, 25, drawn.shape[1::-1])
            writer.write(drawn)
            done += 1
        if writer is not None:
            writer.release()
        return (time.perf_counter() - start) / done


def _first(count: int) -> Callable[[int, float | None], bool]:
    return lambda index, _: index < count


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip")
    parser.add_argument("--point", help="x,y: follow what is there in the first frame")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--backend", default="auto", help="torch, onnx or openvino")
    given = parser.parse_args()

    import torch
    from ultralytics import YOLO

    model = FastSAM(backend=given.backend)
    torch.set_num_threads(given.threads)
    point = tuple(float(v) for v in given.point.split(",")) if given.point else None
    with open_video(given.clip, wanted=_first(given.frames)) as reader:
        frames = list(reader)
    defaults = model.defaults
    taken: dict[str, list[float]] = {"network": [], "ours": [], "ours_no_output": [], "peer": []}
    report: dict[str, Any] = {}
    network(model, frames[:5], given.imgsz)
    for _ in range(given.repeat):
        taken["network"].append(network(model, frames, given.imgsz))
        seconds, report = ours(model, given.clip, point, given.imgsz, given.frames, True)
        taken["ours"].append(seconds)
        taken["ours_no_output"].append(ours(model, given.clip, point, given.imgsz, given.frames, False)[0])
        if not given.no_peer:
            yolo = YOLO(str(resolve(None).path))
            taken["peer"].append(
                peer(yolo, given.clip, given.imgsz, defaults.conf, defaults.iou, given.frames)
            )
            torch.set_num_threads(given.threads)  # ultralytics sets its own
    middle = {name: statistics.median(values) for name, values in taken.items() if values}
    print(
        json.dumps(
            {
                "clip": Path(given.clip).parent.name if Path(given.clip).is_dir() else Path(given.clip).name,
                "backend": given.backend,
                "size_hw": frames[0].size_hw,
                "frames": len(frames),
                "ms_a_frame": {name: round(1e3 * value, 1) for name, value in middle.items()},
                "fps": {name: round(1 / value, 2) for name, value in middle.items()},
                "ratio_to_network": {
                    name: round(middle["network"] / value, 3) for name, value in middle.items()
                },
                "stages_ms": {name: round(s["mean_ms"], 1) for name, s in report["stages"].items()},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
