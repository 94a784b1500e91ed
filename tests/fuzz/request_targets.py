"""Targets that come from outside as requests: the command line, the page's messages, HTTP, training."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from fastsam import FastSAM
from fastsam.errors import FastSAMError
from fastsam.images.frame import Frame
from fastsam.page.photo import steps
from fastsam.page.photo.state import PhotoState
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.page.video.api import requests_from
from fastsam.testing import FixedSegmenter
from fastsam.training.dataset import write_yolo_dataset
from fastsam.training.folders import read_folder
from fastsam.training.run_folder import RunFolder
from tests.fuzz.targets import _COCO, _PROMPTS, anything, as_json, disturbed, mutated, pictures, target

_PHOTO = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
_WORDS = (
    "",
    "-1",
    "0",
    "1",
    "0.5",
    "nan",
    "1e999",
    "3,4",
    "1,2,30,20",
    "1,2;9,9",
    "9" * 400,
    "\u00b2",
    "a",
    "{}",
    "[",
)


@functools.cache
def model() -> FastSAM:
    """Three masks, whatever the photo shows."""
    dense = np.zeros((3, 40, 50), bool)
    dense[0, 5:30, 5:40] = dense[1, 10:20, 10:20] = dense[2, 25:35, 30:45] = True
    return FastSAM(segmenter=FixedSegmenter(dense, [0.9, 0.8, 0.7]))


# --- the command --------------------------------------------------------------------------------------

_FLAGS = (
    "--point", "--box", "--polygon", "--conf", "--iou", "--imgsz", "--max-det", "--tile", "--level",
    "--format", "--alpha", "--seed", "--containment", "--edge-radius", "--crop-layers", "--backend",
    "--device",
)  # fmt: skip


@target
def command_line(rng: random.Random, folder: Path) -> None:
    """``fastsam segment`` with odd values, odd prompts and damaged photos; only exit codes may come of it."""
    from fastsam.cli.main import app

    photo = folder / "a.png"
    photo.write_bytes(rng.choice(pictures()) if rng.random() < 0.7 else mutated(rng.choice(pictures()), rng))
    words = ["segment", str(photo), "--out", str(folder / "out")]
    for flag in rng.sample(_FLAGS, rng.choice((0, 1, 1, 2))):
        words += [flag, rng.choice(_WORDS)]
    if rng.random() < 0.5:
        raw = as_json(disturbed(rng.choice(_PROMPTS), rng, 0.12), rng).decode("utf-8", "replace")
        words += ["--prompt", raw[:100_000]]
    if rng.random() < 0.2:
        words += shlex.split(
            rng.choice(("--json", "--no-resume", "--disjoint", "--nonsense", "--format coco"))
        )
    heard = io.StringIO()
    with (
        patch("fastsam.cli.console.load_model", lambda *_, **__: model()),
        contextlib.redirect_stdout(heard),
        contextlib.redirect_stderr(heard),
    ):
        try:
            app(words)
        except SystemExit as done:
            if done.code not in (0, 1, 2, None):
                raise AssertionError(f"exit code {done.code}") from done


# --- the page -----------------------------------------------------------------------------------------

_MESSAGES: tuple[dict[str, Any], ...] = (
    {"do": "mark", "kind": "point", "xy": [[3.0, 4.0]], "sign": "add"},
    {"do": "mark", "kind": "box", "xy": [[3.0, 4.0], [20.0, 20.0]], "sign": "erase"},
    {"do": "mark", "kind": "scribble", "xy": [[3.0, 4.0], [9.0, 9.0], [20.0, 3.0]], "sign": "add"},
    {"do": "undo"}, {"do": "redo"}, {"do": "clear"}, {"do": "keep"}, {"do": "level", "value": "part"},
    {"do": "combine", "value": "all"}, {"do": "remove", "id": 1}, {"do": "rename", "id": 1, "name": "a"},
    {"do": "carry"}, {"do": "threshold", "id": 1, "value": 0.5},
)  # fmt: skip


@functools.cache
def visitor() -> PageSession:
    """Somebody with a photo open."""
    who = PageSession(MemoryBudget(1 << 30))
    steps.open_photo(who, SharedModel(model=model()), Frame(_PHOTO, "a"), {})
    return who


@target
def page_message(rng: random.Random, folder: Path) -> None:
    """What the canvas of a browser may send."""
    who = visitor()
    message = disturbed(rng.choice(_MESSAGES), rng, 0.1)
    if isinstance(message, dict) and rng.random() < 0.9:
        message.setdefault("scene", who.state.scene)
    step = rng.choice((steps.act, steps.act, steps.peek))
    found = step(who, message if isinstance(message, dict) else {"do": message})
    json.loads(found) if found is not None else None
    if rng.random() < 0.1:
        who.act(lambda before: PhotoState(session=before.session, scene=before.scene))
    if rng.random() < 0.3:
        requests_from(disturbed([{"frame": 0, "points": [[1, 2]]}, rng.choice(_PROMPTS)], rng, 0.1))


class _Served:
    """The page on a port of this machine, in threads of this process; what its functions trip over."""

    def __init__(self) -> None:
        from fastsam.page import build, serve, video
        from fastsam.page.photo import api, tab  # noqa: F401
        from fastsam.page.shared import refusals

        self.foreign: list[BaseException] = []
        plain = refusals.as_api_error

        @contextlib.contextmanager
        def watched(gr: Any) -> Iterator[None]:
            with plain(gr):
                try:
                    yield
                except FastSAMError:
                    raise
                except Exception as error:
                    self.foreign.append(error)
                    raise

        with patch.object(api, "as_api_error", watched), patch.object(sys, "stderr", io.StringIO()):
            api.as_api_error = watched  # its functions look it up when they run
            self.address = serve(build(model()))
        assert video is not None
        self.port = int(self.address.rstrip("/").rpartition(":")[2])
        import httpx

        self.http = httpx.Client(base_url=self.address, timeout=15)
        config = self.http.get("config").json()
        self.events = {e["api_name"]: e["id"] for e in config["dependencies"] if e["api_name"] is not False}
        self._open(config)

    def _open(self, config: dict[str, Any]) -> None:
        """Open a photo for the session that the requests are of."""
        stream = io.BytesIO()
        Image.fromarray(_PHOTO).save(stream, "PNG")
        sent = self.http.post("gradio_api/upload", files={"files": ("a.png", stream.getvalue())}).json()[0]
        values = {c["id"]: c["props"].get("value") for c in config["components"]}
        event = next(e for e in config["dependencies"] if e["api_name"] == "everything")
        data = [values[i] for i in event["inputs"]]
        data[1] = {"path": sent, "meta": {"_type": "gradio.FileData"}}
        body = {"data": data, "fn_index": event["id"], "session_hash": "fuzz"}
        self.http.post("gradio_api/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": "fuzz"}) as lines:
            done = next(line for line in lines.iter_lines() if "process_completed" in line)
        if '"success":true' not in done.replace(" ", ""):
            raise AssertionError(done[:500])


@functools.cache
def served() -> _Served:
    """Start it once a process."""
    return _Served()


@target
def http(rng: random.Random, folder: Path) -> None:
    """Requests of all sorts to the running page; it answers each, and the next one, too."""
    page = served()
    page.foreign.clear()
    if rng.random() < 0.3:
        _raw(page.port, rng)
    else:
        body = disturbed(
            {
                "data": [None, disturbed(rng.choice(_PROMPTS), rng), None, False],
                "fn_index": page.events.get(rng.choice(("point", "box", "text", "everything")), 0),
                "session_hash": "fuzz",
            },
            rng,
        )
        path = rng.choice(
            ("gradio_api/queue/join", "gradio_api/run/point", "gradio_api/call/box", "gradio_api/upload")
        )
        kind = rng.choice(("application/json", "text/plain", "multipart/form-data; boundary=x"))
        origin = rng.choice(
            ({}, {}, {"origin": "https://evil.example"}, {"origin": page.address.rstrip("/")})
        )
        content = as_json(body, rng)
        answer = page.http.post(path, content=content, headers={"content-type": kind, **origin})
        if origin.get("origin", "").startswith("https") and answer.status_code != 403:
            raise AssertionError(f"a foreign page got {answer.status_code}")
    if page.http.get("gradio_api/app_id").status_code != 200:
        raise AssertionError("the page does not answer any more")
    if page.foreign:
        raise page.foreign[0]


def _raw(port: int, rng: random.Random) -> None:
    """Send bytes that are no proper request, or not quite."""
    length = rng.choice(("2", "0", "-1", "99", "9" * 30, "x"))
    request = (
        f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{{}}"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=15) as line:
        line.sendall(mutated(request.encode(), rng))
        line.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while line.recv(1 << 16):
                pass


# --- training -----------------------------------------------------------------------------------------


@target
def training_folder(rng: random.Random, folder: Path) -> None:
    """Folders to train on, and what an earlier run left."""
    root, out = folder / "set", folder / "run"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    picture = rng.choice(pictures())
    (root / "images" / "a.png").write_bytes(picture if rng.random() < 0.8 else mutated(picture, rng))
    if rng.random() < 0.4:
        (root / "instances.json").write_bytes(as_json(disturbed(_COCO, rng), rng))
    else:
        label = rng.choice((b"0 .1 .1 .9 .1 .9 .9\n", b"0 .5 .5 .2 .2\n", b"", b"7 0 0 1 1 0 1"))
        (root / "labels" / "a.txt").write_bytes(mutated(label, rng) if rng.random() < 0.7 else label)
        text = json.dumps(
            {"train": "images", "val": anything(rng), "names": rng.choice((["x"], {"0": "x"}, 3))}
        )
        (root / "data.yaml").write_bytes(mutated(text.encode(), rng) if rng.random() < 0.5 else text.encode())
    (out / "dataset").mkdir(parents=True)
    made = {"set__a": {"image": "0", "masks": "1", "copy": "set__a.png", "state": "1|2", "thin": "0"}}
    (out / "dataset" / "made.json").write_bytes(as_json(disturbed(made, rng), rng))
    (out / "run.json").write_bytes(as_json(disturbed({"settings": {"epochs": 3}, "trained": True}, rng), rng))
    found = read_folder(root, rng.choice(("train", "heldout", "all")))
    write_yolo_dataset([found], out / "dataset", names=rng.choice((None, ["x", "thing"])))
    RunFolder(out).check_resumable({"epochs": 3})
