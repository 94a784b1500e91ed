"""A served page, and visitors who speak to it over HTTP as the page in a browser does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import fastsam

ROOT = Path(fastsam.__file__).parent.parent

# In a process of its own: the warnings of gradio's dependencies are not ours to turn into errors.
_FIXED = """
import sys, numpy as np, fastsam
from fastsam.page import build, serve
from fastsam.testing import ColourWordEncoder, FixedSegmenter

masks = np.load(sys.argv[1])
encoder = ColourWordEncoder() if sys.argv[2] else None
model = fastsam.FastSAM(segmenter=FixedSegmenter(masks, [0.9, 0.8, 0.7]), text_model=encoder)
page = build(model)
print(serve(page, uploads_mb=int(sys.argv[3])), flush=True)
page.block_thread()
"""


@contextmanager
def served(folder: Path, masks: np.ndarray, *, words: bool = False, uploads_mb: int = 1024) -> Iterator[str]:
    """Serve a page whose segmenter always finds these masks; give its address."""
    np.save(folder / "masks.npy", masks)
    command = [sys.executable, "-c", _FIXED, str(folder / "masks.npy"), "words" if words else ""]
    command.append(str(uploads_mb))
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads"), "PYTHONPATH": str(ROOT)}
    with (
        open(folder / "log", "w+") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder
        ) as server,
    ):
        assert server.stdout is not None
        found = server.stdout.readline().strip()
        assert found.startswith("http://127.0.0.1:"), (folder / "log").read_text()
        try:
            yield found
        finally:
            server.terminate()


class RefusedError(Exception):
    """The server has refused an event."""


class Visitor:
    """Speaks to the server as the page in a browser does."""

    def __init__(self, address: str, timeout_s: float = 60) -> None:
        self.http = httpx.Client(base_url=address, timeout=timeout_s)
        self.hash = uuid.uuid4().hex
        config = self.http.get("config").json()
        self.values = {c["id"]: c["props"].get("value") for c in config["components"]}
        self.canvas = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "canvas")
        self.events = config["dependencies"]
        self.toasts: list[str] = []
        self.scene: dict[str, Any] = {}

    def close(self) -> None:
        self.http.close()

    def trigger(self, name: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """Trigger an event of the canvas; return its message, or None where the canvas stays as it was."""
        event = next(e for e in self.events if [self.canvas, name] in e["targets"])
        found = self.call(event, [self.values[i] for i in event["inputs"]], data)
        if not isinstance(found, str):
            return None
        message: dict[str, Any] = json.loads(found)
        if message["kind"] == "scene":
            self.scene = message["scene"]
        return message

    def call(self, event: dict[str, Any], values: list[Any], data: Any = None) -> Any:
        """Call a function of the page; return what the canvas is sent, or else its last output."""
        body = {"data": values, "event_data": data, "fn_index": event["id"], "session_hash": self.hash}
        joined = self.http.post("gradio_api/queue/join", json=body).raise_for_status().json()
        data = self._output(joined["event_id"])["data"]
        outputs = list(event["outputs"])
        return data[outputs.index(self.canvas)] if self.canvas in outputs else data[-1]

    def _output(self, event_id: str) -> dict[str, Any]:
        with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": self.hash}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "log":
                    self.toasts.append(message["log"])
                if message.get("msg") == "process_completed" and message["event_id"] == event_id:
                    if not message["success"]:
                        raise RefusedError(message["output"]["error"])
                    return dict(message["output"])
        raise AssertionError("the server closed the line")

    def upload(self, content: bytes, name: str = "photo.png") -> str:
        sent = self.http.post("gradio_api/upload", files={"files": (name, content)})
        return str(sent.raise_for_status().json()[0])

    def open(self, content: bytes, name: str = "photo.png") -> dict[str, Any]:
        message = self.trigger("photo", {"path": self.upload(content, name), "name": name})
        assert message is not None
        return message

    def act(self, do: str, **what: Any) -> dict[str, Any]:
        message = self.trigger("act", {"do": do, "scene": self.scene.get("id", ""), **what})
        assert message is not None
        return dict(message["answer"])

    def click(self, x: float, y: float, sign: str = "add") -> dict[str, Any]:
        return self.act("mark", kind="point", xy=[[x, y]], sign=sign)
