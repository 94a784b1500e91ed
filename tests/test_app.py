"""The page: a server that clients and a browser's requests talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skimage.data
from PIL import Image

import app
from fastsam.config import RenderConfig, SegmentConfig

ROOT = Path(app.__file__).parent
PHOTO = np.ascontiguousarray(skimage.data.astronaut()[100:160, 200:280])  # 60 x 80
MASKS = np.zeros((3, 60, 80), bool)
MASKS[0, 10:50, 10:40] = MASKS[1, 15:35, 15:30] = MASKS[2, 5:55, 50:70] = True  # whole, its part, another


def test_import_is_light() -> None:
    code = "import app, sys; print(*[m for m in ('torch', 'ultralytics', 'gradio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_unknown_weights_are_told_before_the_server_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--weights", "no-such-weights"]) == 2
    assert "no-such-weights" in capsys.readouterr().err


# ---- the server ----------------------------------------------------------------------------------------


# In a process of its own: the warnings of gradio's dependencies are not ours to turn into errors.
SERVER = """
import sys, numpy as np, app, fastsam
from fastsam.testing import FixedSegmenter

masks = np.load(sys.argv[1])
page = app.build(fastsam.FastSAM(segmenter=FixedSegmenter(masks, [0.9, 0.8, 0.7])))
print(app.serve(page), flush=True)
page.block_thread()
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    np.save(folder / "masks.npy", MASKS)
    command = [sys.executable, "-c", SERVER, str(folder / "masks.npy")]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    with (
        open(folder / "log", "w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as server,
    ):
        assert server.stdout is not None
        found = server.stdout.readline().strip()
        assert found.startswith("http://127.0.0.1:"), (folder / "log").read_text()
        yield found
        server.terminate()


class Visitor:
    """Speaks to the server as the page in a browser does."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=30)
        self.hash = uuid.uuid4().hex
        config = self.http.get("config").json()
        self.values = {c["id"]: c["props"].get("value") for c in config["components"]}
        self.ids = {c["props"].get("label"): c["id"] for c in config["components"]}
        self.events = config["dependencies"]
        self.warnings: list[str] = []
        self.last = ""

    def call(self, event: dict[str, Any], inputs: dict[int, Any], event_data: Any = None) -> list[Any]:
        data = [inputs.get(i, self.values[i]) for i in event["inputs"]]
        body = {"data": data, "event_data": event_data, "fn_index": event["id"], "session_hash": self.hash}
        joined = self.http.post("gradio_api/queue/join", json=body).raise_for_status().json()
        done: dict[str, Any] = {}
        with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": self.hash}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "log":
                    self.warnings.append(message["log"])
                if message.get("msg") == "process_completed" and message["event_id"] == joined["event_id"]:
                    done = message
                    break
        assert done.get("success"), f"process_completed: {done.get('output')}"
        data = list(done["output"]["data"])
        if isinstance(data[-1], str):
            self.last = data[-1]
        return data

    def open(self, path: str, upload: bool = True) -> None:
        if upload:
            with open(path, "rb") as file:
                [path] = self.http.post("gradio_api/upload", files={"files": file}).raise_for_status().json()
        event = next(e for e in self.events if e["api_name"] == "open")
        self.call(event, {self.ids["Photo"]: {"path": path, "meta": {"_type": "gradio.FileData"}}})

    def click(self, x: int, y: int, kind: str = "foreground") -> str:
        event = next(e for e in self.events if [self.ids["Masks"], "select"] in e["targets"])
        self.call(event, {self.ids["The next click is on"]: kind}, {"index": [x, y], "value": None})
        return self.last


@pytest.fixture
def photo_file(tmp_path: Path) -> str:
    path = tmp_path / "astro.png"
    Image.fromarray(PHOTO).save(path)
    return str(path)


@pytest.fixture
def client(address: str, tmp_path: Path) -> Iterator[Any]:
    from gradio_client import Client

    made = Client(address, verbose=False, download_files=str(tmp_path / "downloads"))
    yield made
    made.close()


def test_every_option_has_a_control(client: Any) -> None:
    parameters = client.view_api(return_format="dict")["named_endpoints"]["/open"]["parameters"]
    labels = [parameter["label"] for parameter in parameters]
    wanted = [spec.name for config in (SegmentConfig, RenderConfig) for spec in config.options()]
    assert labels == ["Photo", *wanted]
    defaults = {p["label"]: p["parameter_default"] for p in parameters[1:]}
    assert defaults == {
        spec.name: getattr(config, spec.name)
        for config in (SegmentConfig(), RenderConfig())
        for spec in fields(config)
    }


def test_open_and_save_over_http(client: Any, photo_file: str) -> None:
    from gradio_client import handle_file

    picture, text = client.predict(handle_file(photo_file), conf=0.75, api_name="/open")
    assert "**2 masks** in 80 x 60 px" in text
    with Image.open(picture) as image:
        assert image.size == (80, 60)
    saved = client.predict("png", api_name="/save")
    path = saved["value"] if isinstance(saved, dict) else saved
    assert Path(path).name == "astro_png.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) >= 2


def test_a_photo_that_cannot_be_read_is_told_in_plain_words(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    broken = tmp_path / "broken.png"
    broken.write_text("<script>alert(1)</script>")
    picture, text = client.predict(handle_file(str(broken)), api_name="/open")
    assert picture is None
    assert "is text, not an image" in text
    assert "<script" not in text


def test_visitors_do_not_see_each_other(address: str, photo_file: str) -> None:
    first, second = Visitor(address), Visitor(address)
    first.open(photo_file)
    second.open(photo_file)
    assert "**1 mask**" in first.click(60, 30)
    assert "**2 masks**" in second.click(60, 30, "background")
    assert "**1 mask**" in first.click(22, 24)  # the union of the two masks of the first visitor's clicks
    assert "union of the masks under 2 points" in first.last


def test_clicks_that_are_refused_leave_the_page_as_it_is(address: str) -> None:
    visitor = Visitor(address)
    assert visitor.click(5, 5) == ""
    assert visitor.warnings == ["Open a photo first."]


def test_no_file_of_the_machine_is_served(address: str, photo_file: str) -> None:
    for path in (photo_file, app.__file__):
        assert httpx.get(f"{address}gradio_api/file={path}").status_code == 403
    visitor = Visitor(address)
    with pytest.raises(AssertionError, match="process_completed"):
        visitor.open(photo_file, upload=False)


def test_a_taken_port_is_one_line_and_exit_code_2(address: str, tmp_path: Path) -> None:
    weights = tmp_path / "own.pt"
    weights.write_bytes(b"not looked into before the first photo")
    command = [sys.executable, str(ROOT / "app.py"), "--port", address.rstrip("/").rpartition(":")[2]]
    done = subprocess.run([*command, "--weights", str(weights)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: cannot listen on 127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
