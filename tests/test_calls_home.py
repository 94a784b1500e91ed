"""Nobody is called who was not asked for: sockets are refused, and look-ups of names counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ultralytics")

# What a process does with every way out watched: who was asked for comes out as JSON.
WATCH = """
import json, os, socket, sys
asked = []

def refuse(what):
    def called(*args, **kwargs):
        host = args[1] if what == "connect" else args[0]
        asked.append(f"{what} {host}")
        raise OSError("no network here")
    return called

def here(host):
    return host in ("127.0.0.1", "::1", "localhost", b"127.0.0.1", b"localhost", None)

local, lookup = socket.socket.connect, socket.getaddrinfo
socket.socket.connect = lambda s, to: (
    local(s, to) if s.family == socket.AF_UNIX or here(to[0]) else refuse("connect")(s, to)
)
socket.getaddrinfo = lambda host, *a, **k: (
    lookup(host, *a, **k) if here(host) else refuse("getaddrinfo")(host)
)
socket.gethostbyname = refuse("gethostbyname")
before = dict(os.environ)
"""
TOLD = """
print(json.dumps({"asked": asked, "changed": sorted(set(before.items()) ^ set(os.environ.items()))}))
"""
JOBS = {
    "torch and a text": """
from fastsam import FastSAM, Text
import numpy as np
session = FastSAM().open(np.zeros((64, 64, 3), np.uint8), imgsz=64)
session.select(Text("a dog"))
session.label()
""",
    "openvino": """
from fastsam.everything.backends.openvino_network import _openvino
_openvino().Core()
import openvino.tools.ovc
assert "openvino_telemetry" not in sys.modules
""",
    "onnx": """
import onnxruntime
from fastsam.everything.backends.onnx_network import OnnxBackend
""",
    "page": "import fastsam.page.serve",
    "a tracker": """
from fastsam.video.track.ids import *
import fastsam.video.track.ids
""",
    "compat": "from fastsam.compat import ultralytics as shape; shape.FastSAM; import fastsam.compat.results",
}
# The same of whole runs; the photo is one that a package brings along.
SETTING = """
from pathlib import Path
from fastsam import FastSAM
from fastsam.needed import needed
with needed("ultralytics", "find its photo"):
    from ultralytics.utils import ASSETS
"""
RUNS = {
    "demo": "from fastsam.cli.demo import run_demo; list(run_demo(Path('out'), None, 'cpu'))",
    "train": """
import json
from PIL import Image
from fastsam.config import TrainConfig
from fastsam.training.trainer import train
from fastsam.evaluation.runner import evaluate
Path("set/images").mkdir(parents=True)
Image.open(ASSETS / "bus.jpg").resize((96, 96)).save("set/images/a.jpg")
ring = [10, 10, 80, 10, 80, 80, 10, 80]
Path("set/instances.json").write_text(json.dumps({
    "images": [{"id": 1, "file_name": "a.jpg", "height": 96, "width": 96}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [ring]}],
    "categories": [{"id": 1, "name": "\u30d0\u30b9"}],
}))
config = TrainConfig(epochs=1, imgsz=64, batch=1, workers=0, device="cpu", classes=True)
evaluate("set", FastSAM(train(["set"], out="run", config=config)), split="all")
""",
    "page": """
import httpx, re
from fastsam.page import build, serve
page = build()
address = serve(page)
with httpx.Client(base_url=address, timeout=None) as http:
    config = http.get("config").json()
    event = next(e["id"] for e in config["dependencies"] if e["api_name"] == "everything")
    values = {c["id"]: c["props"].get("value") for c in config["components"]}
    inputs = next(e["inputs"] for e in config["dependencies"] if e["id"] == event)
    sent = http.post("gradio_api/upload", files={"files": ("a.jpg", (ASSETS / "bus.jpg").read_bytes())})
    photo = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
    data = [values[i] for i in inputs]
    data[1] = photo
    http.post("gradio_api/queue/join", json={"data": data, "fn_index": event, "session_hash": "x"})
    with http.stream("GET", "gradio_api/queue/data", params={"session_hash": "x"}) as stream:
        done = next(line for line in stream.iter_lines() if "process_completed" in line)
    assert '"success":true' in done.replace(" ", ""), done[:2000]
page.close()
""",
    **{
        backend: f"FastSAM(backend={backend!r}, device='cpu').open(ASSETS / 'bus.jpg', imgsz=320)"
        for backend in ("torch", "onnx", "openvino")
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_whole_runs_ask_for_nobody(run: str, tmp_path: Path) -> None:
    if run in ("onnx", "openvino"):
        pytest.importorskip("onnx")
        pytest.importorskip({"onnx": "onnxruntime"}.get(run, run))
    asked(SETTING + RUNS[run], tmp_path)


@pytest.mark.parametrize("job", JOBS)
def test_nobody_is_asked_for(job: str, tmp_path: Path) -> None:
    if job == "openvino":
        pytest.importorskip("openvino")
    asked(JOBS[job], tmp_path)


def asked(code: str, folder: Path) -> None:
    """Run code with every way out watched; nobody may have been asked for."""
    # Neither variable is set: it has to hold by default.
    settings = {k: v for k, v in os.environ.items() if k not in ("YOLO_OFFLINE", "FASTSAM_OFFLINE")}
    settings |= {"HOME": str(folder), "YOLO_CONFIG_DIR": str(folder), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", WATCH + code + TOLD],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout.strip().split("\n")[-1])
    assert told["asked"] == []
    assert [name for name, _ in told["changed"] if "YOLO" in name or "OFFLINE" in name] == []
    assert not list(folder.rglob("openvino_ga_cid"))


def test_the_watch_sees_what_there_is_to_see(tmp_path: Path) -> None:
    """The control: ultralytics imported by itself asks name servers."""
    settings = {k: v for k, v in os.environ.items() if k != "YOLO_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", WATCH + "import ultralytics.utils" + TOLD],
        env=settings | {"YOLO_CONFIG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.strip().split("\n")[-1])["asked"]
