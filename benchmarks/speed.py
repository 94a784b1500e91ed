"""Where the time goes, ours beside ultralytics' FastSAM: same checkpoint, same photos, one process.

The two take turns (A B A B ...), so that whatever else the machine does hits both; figures are medians
over the rounds. Compare the ratios: absolute times belong to the machine.

    python benchmarks/speed.py --weights FastSAM-s.pt --imgsz 640 --repeat 9
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "False")
os.environ.setdefault("YOLO_OFFLINE", "True")

import cv2
import numpy as np
import torch
import ultralytics
from rich.console import Console
from rich.table import Table
from ultralytics.utils import ASSETS

import fastsam
from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError, FastSAMError
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.masks.dense import farthest_point
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Box, Points
from fastsam.session import Session

Times = dict[str, float]
_PROMPTS = 5  # boxes and points a round, of masks of different sizes
STEPS = {
    "network": "preprocessing and network",
    "post": "until prompts can be answered",
    "pixels": "then, all masks to full-size pixels",
    "everything": "photo to all full-size masks",
    "first_box": "first box prompt on a new photo",
    "box": "another box prompt",
    "point": "point prompt",
}


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """Return what an action returns, and its milliseconds."""
    start = time.perf_counter()
    result = action()
    return result, 1e3 * (time.perf_counter() - start)


class Ours:
    """fastsam: masks stay on the grid until pixels are asked for."""

    def __init__(self, weights: Path, config: SegmentConfig) -> None:
        self.backend, self.config = TorchBackend(weights, "cpu"), config

    def round(self, frame: Frame, boxes: np.ndarray, points: np.ndarray) -> tuple[Times, int]:
        """Segment a frame afresh and prompt it; return the times and the number of masks."""
        masks, _ = timed(lambda: self.backend.segment(frame, self.config))
        steps = masks.times_ms
        session = Session(frame, masks, self.config, {})
        first, *others = [timed(lambda b=box: pixels_of(session, Box(b)))[1] for box in boxes]
        clicks = [timed(lambda p=point: pixels_of(session, Points(p)))[1] for point in points]
        _, decoding = timed(lambda: np.asarray(session.everything().masks))
        network, post = steps["prepare"] + steps["network"], steps["decode"]
        return {
            "network": network, "post": post, "pixels": decoding, "everything": network + post + decoding,
            "first_box": first, "box": median(others), "point": median(clicks),
        }, len(masks)  # fmt: skip


def pixels_of(session: Session, prompt: Any) -> np.ndarray | None:
    """Answer a prompt down to the full-size mask, as a user needs it."""
    found = session.select(prompt)
    return found.masks.mask(0) if len(found) else None


class Peer:
    """ultralytics: ``FastSAM.predict`` with full-size masks, then ``FastSAMPredictor.prompt``."""

    def __init__(self, weights: Path, config: SegmentConfig) -> None:
        self.model = ultralytics.FastSAM(str(weights))
        self.options = {
            "imgsz": config.imgsz, "conf": config.conf, "iou": config.iou, "max_det": config.max_det,
            "retina_masks": True, "agnostic_nms": True, "device": "cpu", "verbose": False, "save": False,
        }  # fmt: skip

    def round(self, frame: Frame, boxes: np.ndarray, points: np.ndarray) -> tuple[Times, int]:
        """Segment a frame afresh and prompt it; return the times and the number of masks."""
        bgr = np.ascontiguousarray(frame.rgb[:, :, ::-1])
        (result,), _ = timed(lambda: self.model.predict(bgr, **self.options))
        speed, prompt = result.speed, self.model.predictor.prompt
        first, *others = [timed(lambda b=box: prompt(result, bboxes=b[None]))[1] for box in boxes]
        clicks = [timed(lambda p=point: prompt(result, points=p[None], labels=[1]))[1] for point in points]
        network, post = speed["preprocess"] + speed["inference"], speed["postprocess"]
        return {
            "network": network, "post": post, "pixels": 0.0, "everything": network + post,
            "first_box": first, "box": median(others), "point": median(clicks),
        }, len(result)  # fmt: skip


def conf_for(weights: Path, frame: Frame, config: SegmentConfig, wanted: int) -> float:
    """Return the confidence at which about ``wanted`` masks are found."""
    scores = TorchBackend(weights, "cpu").segment(frame, replace(config, conf=0.001, quality=False)).scores
    if len(scores) == 0:
        raise ConfigError(f"photo {frame.name}: no masks at all; the benchmark needs some to prompt for")
    return float(scores[wanted]) if len(scores) > wanted else 0.001


def prompts_for(masks: MaskSet) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes and points of masks from the largest to the smallest."""
    filled = np.flatnonzero(masks.areas_px)
    order = filled[np.argsort(-masks.areas_px[filled], kind="stable")]
    rows = order[np.linspace(0, len(order) - 1, _PROMPTS).astype(int)]
    points = [farthest_point(masks.mask(int(row))) for row in rows]
    return masks[rows].tight_boxes(), np.array(points)


def measure(weights: Path, frame: Frame, config: SegmentConfig, wanted: int, repeat: int) -> dict[str, Any]:
    """Return medians and ratios for one photo."""
    config = replace(config, conf=conf_for(weights, frame, config, wanted))
    sides = {"ours": Ours(weights, config), "peer": Peer(weights, config)}
    boxes, points = prompts_for(sides["ours"].backend.segment(frame, config))
    rounds: dict[str, list[Times]] = {"ours": [], "peer": []}
    counts: dict[str, int] = {}
    for turn in range(repeat + 1):
        for name, side in sides.items():
            times, counts[name] = side.round(frame, boxes, points)
            if turn:  # the first turn warms up
                rounds[name].append(times)
    ours, peer = (
        {step: median(t[step] for t in rounds[name]) for step in STEPS} for name in ("ours", "peer")
    )
    return {
        "photo": frame.name, "size_hw": list(frame.size_hw), "conf": config.conf, "masks": counts,
        "ms": {"ours": ours, "peer": peer},
        "ratios": {
            "ours (network + post) / network": (ours["network"] + ours["post"]) / ours["network"],
            "peer (network + post) / network": (peer["network"] + peer["post"]) / peer["network"],
            "ours / peer, everything in pixels": ours["everything"] / peer["everything"],
            "ours / peer, first box": ours["first_box"] / peer["first_box"],
            "ours / peer, box": ours["box"] / peer["box"],
            "ours / peer, point": ours["point"] / peer["point"],
        },
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """Return what the times depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "platform": platform.platform(), "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(), "torch_threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(), "torch": torch.__version__,
        "ultralytics": ultralytics.__version__, "fastsam": fastsam.__version__,
    }  # fmt: skip


def show(results: dict[str, Any], console: Console) -> None:
    """Print the results as tables."""
    console.print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    for one in results["photos"]:
        height, width = one["size_hw"]
        made = Table(title=f"{one['photo']} {width}x{height}, masks {one['masks']}, conf {one['conf']:.4f}")
        for name in ("step", "ours, ms", "peer, ms"):
            made.add_column(name, justify="left" if name == "step" else "right")
        for step, label in STEPS.items():
            made.add_row(label, f"{one['ms']['ours'][step]:.1f}", f"{one['ms']['peer'][step]:.1f}")
        console.print(made)
        for name, value in one["ratios"].items():
            console.print(f"  {name}: {value:.3f}")


def main() -> None:
    """Parse the command line and print tables, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint that both run")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--repeat", type=int, default=9, help="rounds, besides one to warm up")
    parser.add_argument("--masks", type=int, default=80, help="choose the confidence to get about so many")
    parser.add_argument("--photo", type=Path, default=ASSETS / "bus.jpg")
    parser.add_argument(
        "--scale", type=float, default=2.0, help="measure the photo also this much larger; 1: not"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    args = parser.parse_args()
    if args.repeat < 1 or args.masks < 1 or args.scale < 1:
        parser.error("--repeat, --masks and --scale must be at least 1")
    try:
        frames = [read_frame(args.photo)]
        if args.scale > 1:
            rgb = cv2.resize(frames[0].rgb, None, fx=args.scale, fy=args.scale, interpolation=cv2.INTER_CUBIC)
            frames.append(Frame(rgb, name=f"{frames[0].name} x{args.scale:g}"))
        # Our masks are refined, as the embedded weights hand them out; the peer has no such step.
        config = SegmentConfig(imgsz=args.imgsz, max_det=1000, edge_radius=0.75, min_region_share=0.1)
        header = machine()
        photos = [measure(args.weights, frame, config, args.masks, args.repeat) for frame in frames]
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")
    results = {"machine": header, "imgsz": args.imgsz, "repeat": args.repeat, "photos": photos}
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        show(results, Console())


if __name__ == "__main__":
    main()
