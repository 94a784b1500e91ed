"""How the page holds with many visitors at once: latencies, and whether anyone gets another's answer.

Each visitor opens a photo of its own (the demo photo, shifted by a different amount) and clicks, draws boxes
and undoes, thinking in between. Every answer is compared with what the library answers on the same photo:
where it differs, it is mixed up.

    python benchmarks/page_load.py --visitors 20 --rounds 10
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from fastsam import Box, FastSAM, Points  # noqa: E402
from fastsam.cli.demo import demo_photo  # noqa: E402
from tests.page.server import Visitor  # noqa: E402

SERVER = """
import sys
from fastsam.page import build, serve
page = build(weights=sys.argv[1] or None, device="cpu", memory_mb=int(sys.argv[2]))
print(serve(page), flush=True)
page.block_thread()
"""
CLICKS = [(150, 600), (300, 600), (760, 700), (420, 300), (600, 500), (60, 900), (250, 450), (500, 150)]
BOXES = [(660, 380, 809, 880), (210, 390, 350, 870), (40, 380, 240, 910)]


def shifted(rgb: np.ndarray, number: int) -> np.ndarray:
    """Return a photo that no other visitor has."""
    return np.roll(rgb, 13 * number, axis=1)


class Load:
    """What the visitors measure."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {"open": [], "point": [], "box": [], "undo": []}
        self.server_ms: list[float] = []
        self.mixed: list[str] = []
        self.failed: list[str] = []
        self.lock = threading.Lock()

    def add(self, what: str, seconds: float, answer: dict[str, Any]) -> None:
        """Count one answer."""
        with self.lock:
            self.seconds[what].append(seconds)
            if what != "open":
                self.server_ms.append(float(answer["times"].rpartition("answer ")[2].removesuffix(" ms")))


def expected(model: FastSAM, rgb: np.ndarray, options: dict[str, Any]) -> dict[str, list[int]]:
    """Return the rows that each prompt selects, from the library itself."""
    session = model.open(rgb, **options)
    found = {f"point {xy}": session.select(Points([xy])).indices.tolist() for xy in CLICKS}
    found |= {f"box {box}": session.select(Box(box)).indices.tolist() for box in BOXES}
    found["everything"] = session.everything().indices.tolist()
    return found


def visit(
    address: str,
    number: int,
    rounds: int,
    think_s: float,
    wanted: dict[str, Any],
    rgb: np.ndarray,
    load: Load,
) -> None:
    """Be one visitor."""
    chance = random.Random(number)  # noqa: S311
    visitor = Visitor(address, timeout_s=600)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")

    def timed(what: str, name: str, action: Any) -> None:
        start = time.perf_counter()
        answer = action()
        load.add(what, time.perf_counter() - start, answer)
        if answer["rows"] != wanted[name]:
            with load.lock:
                load.mixed.append(f"visitor {number}, {name}: {answer['rows']} instead of {wanted[name]}")

    try:
        timed("open", "everything", lambda: visitor.open(stream.getvalue(), f"photo{number}.png")["answer"])
        for _ in range(rounds):
            time.sleep(chance.expovariate(1 / think_s))
            xy = chance.choice(CLICKS)
            timed("point", f"point {xy}", lambda xy=xy: visitor.click(*xy))
            time.sleep(chance.expovariate(1 / think_s))
            timed("undo", "everything", lambda: visitor.act("undo"))
            box = chance.choice(BOXES)
            corners = [list(box[:2]), list(box[2:])]
            timed("box", f"box {box}", lambda c=corners: visitor.act("mark", kind="box", xy=c, sign="add"))
            timed("undo", "everything", lambda: visitor.act("undo"))
    except Exception as error:
        with load.lock:
            load.failed.append(f"visitor {number}: {type(error).__name__}: {error}")
    finally:
        visitor.close()


def main() -> None:
    """Serve a page, let the visitors in, and print what they saw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10, help="a click, a box and two undos each")
    parser.add_argument("--think", type=float, default=1.0, help="mean pause between actions, seconds")
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--weights", default="", help="the embedded default if not given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with Image.open(demo_photo()) as image:
        photo = np.asarray(image.convert("RGB"))
    model = FastSAM(options.weights or None, device="cpu")
    photos = [shifted(photo, number) for number in range(options.visitors)]
    wanted = [expected(model, rgb, {}) for rgb in photos]
    load = Load()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_TEMP_DIR": folder}
        command = [sys.executable, "-c", SERVER, options.weights, str(options.memory_mb)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:  # noqa: S603
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            common = (options.rounds, options.think)
            people = [
                threading.Thread(target=visit, args=(address, n, *common, wanted[n], photos[n], load))
                for n in range(options.visitors)
            ]
            start = time.perf_counter()
            for person in people:
                person.start()
            for person in people:
                person.join(timeout=900)
            took = time.perf_counter() - start
            peak = peak_memory(server.pid)
            server.terminate()
    report(options, load, took, peak)


def peak_memory(pid: int) -> str:
    """Return the most memory that the server held, where the system tells."""
    path = Path(f"/proc/{pid}/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("VmHWM")), "unknown")


def report(options: argparse.Namespace, load: Load, took: float, peak: str) -> None:
    """Print the figures."""
    measured = {what: np.array(seconds) * 1e3 for what, seconds in load.seconds.items() if seconds}
    measured["answer on the server"] = np.array(load.server_ms)
    rows = {}
    for what, ms in measured.items():
        p50, p95, p99 = np.percentile(ms, [50, 95, 99]) if len(ms) else (0, 0, 0)
        rows[what] = {"count": len(ms), "p50_ms": round(p50), "p95_ms": round(p95), "p99_ms": round(p99)}
    summary = {
        "visitors": options.visitors,
        "seconds": round(took, 1),
        "mixed_up": len(load.mixed),
        "failed": len(load.failed),
        "peak_memory": peak,
        "latency": rows,
    }
    if options.json:
        print(json.dumps(summary))
    else:
        print(f"{options.visitors} visitors, {took:.0f} s, peak memory {peak}")
        for what, row in rows.items():
            times = "".join(f"  {name} {row[name + '_ms']:>6} ms" for name in ("p50", "p95", "p99"))
            print(f"{what:<22} {row['count']:>5}{times}")
        print(f"mixed-up answers: {len(load.mixed)}; failed visits: {len(load.failed)}")
    for line in [*load.mixed[:5], *load.failed[:5]]:
        print(line, file=sys.stderr)
    sys.exit(bool(load.mixed or load.failed))


if __name__ == "__main__":
    main()
