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

local = socket.socket.connect
socket.socket.connect = lambda s, to: local(s, to) if s.family == socket.AF_UNIX else refuse("connect")(s, to)
socket.getaddrinfo, socket.gethostbyname = refuse("getaddrinfo"), refuse("gethostbyname")
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
    "compat": "from fastsam.compat import ultralytics as shape; shape.FastSAM; import fastsam.compat.results",
}


@pytest.mark.parametrize("job", JOBS)
def test_nobody_is_asked_for(job: str, tmp_path: Path) -> None:
    if job == "openvino":
        pytest.importorskip("openvino")
    # Neither variable is set: it has to hold by default.
    settings = {k: v for k, v in os.environ.items() if k not in ("YOLO_OFFLINE", "FASTSAM_OFFLINE")}
    settings |= {"HOME": str(tmp_path), "YOLO_CONFIG_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", WATCH + JOBS[job] + TOLD],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout.strip().split("\n")[-1])
    assert told["asked"] == []
    assert [name for name, _ in told["changed"] if "OFFLINE" in name] == []
    assert not list(tmp_path.rglob("openvino_ga_cid"))


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
