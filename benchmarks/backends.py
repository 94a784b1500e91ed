"""The runtimes of the network side by side: one checkpoint, one photo, one process.

They take turns (A B C A B C ...), so that whatever else the machine does hits all; figures are medians over
the rounds. Compare the ratios: absolute times belong to the machine. On a busy machine threads of one runtime
may wait for another's processes longer than for work: --threads 1 is the fairer comparison there, and the
processor time, which is what a pass costs, the steadier figure.

    python benchmarks/backends.py --weights default --imgsz 640 --repeat 15
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from fastsam.cli.demo import demo_photo
from fastsam.config import SegmentConfig
from fastsam.errors import FastSAMError
from fastsam.everything.backends.choose import BACKENDS, open_network
from fastsam.everything.network_input import network_input
from fastsam.images.reading import read_frame
from fastsam.masks.letterbox import Letterbox

_WARM_UP = 2
STEPS = ("network", "network, processor time", "segment")


def timed(action: Callable[[], Any]) -> tuple[float, float]:
    """Return an action's milliseconds by the clock, and of all processors together."""
    start, used = time.perf_counter(), time.process_time()
    action()
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - used)


def measure(weights: str, photo: Path, config: SegmentConfig, repeat: int) -> dict[str, Any]:
    """Return medians in milliseconds, and ratios to torch."""
    frame = read_frame(photo)
    opened, loading = {}, {}
    for name in BACKENDS[1:]:
        start = time.perf_counter()
        opened[name] = open_network(weights, backend=name, device="cpu").segmenter
        loading[name] = 1e3 * (time.perf_counter() - start)
    letterbox = Letterbox.fit(frame.size_hw, config.imgsz, stride=opened["torch"].stride)
    image = network_input(frame.rgb, letterbox)
    rounds: dict[str, dict[str, list[float]]] = {name: {step: [] for step in STEPS} for name in opened}
    masks = {}
    for turn in range(_WARM_UP + repeat):
        for name, backend in opened.items():
            passed, used = timed(lambda b=backend: b.forward(image))
            whole, _ = timed(lambda b=backend, n=name: masks.update({n: len(b.segment(frame, config))}))
            if turn >= _WARM_UP:
                for step, value in zip(STEPS, (passed, used, whole), strict=True):
                    rounds[name][step].append(value)
    ms = {name: {step: median(values) for step, values in steps.items()} for name, steps in rounds.items()}
    ratios = {name: {step: ms["torch"][step] / ms[name][step] for step in STEPS} for name in ms}
    return {
        "photo": frame.name, "net_hw": list(letterbox.net_hw), "masks": masks,
        "load_ms": loading, "ms": ms, "torch / it": ratios,
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """Return what the times depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ("torch", "onnxruntime", "openvino", "fastsam")
    return {
        "platform": platform.platform(), "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", "their own choice"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(), **{name: _version(name) for name in packages},
    }  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "not installed as a package"


def show(results: dict[str, Any], console: Console) -> None:
    """Print the results as a table."""
    console.print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    made = Table(title=f"{results['photo']}, network input {results['net_hw']}, masks {results['masks']}")
    made.add_column("backend")
    for step in STEPS:
        made.add_column(f"{step}, ms", justify="right")
        made.add_column("torch / it", justify="right")
    for name, ms in results["ms"].items():
        cells = [cell for s in STEPS for cell in (f"{ms[s]:.1f}", f"{results['torch / it'][name][s]:.2f}")]
        made.add_row(name, *cells)
    console.print(made)


def main() -> None:
    """Parse the command line and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="default", help="a name or a path")
    parser.add_argument("--photo", type=Path, help="bus.jpg of ultralytics if not given")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--conf", type=float, default=0.4)
    parser.add_argument("--repeat", type=int, default=15, help="rounds, besides two to warm up")
    parser.add_argument("--threads", type=int, help="threads of each runtime; its own choice if not given")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    if args.repeat < 1:
        parser.error("--repeat must be at least 1")
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # the runtimes are loaded later
    try:
        header, config = machine(), SegmentConfig(imgsz=args.imgsz, conf=args.conf)
        found = measure(args.weights, args.photo or demo_photo(), config, args.repeat)
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")
    results = {"machine": header, "imgsz": args.imgsz, "repeat": args.repeat, **found}
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        show(results, Console())


if __name__ == "__main__":
    main()
