"""A page with the embedded weights, and browser windows on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsam.cli.demo import demo_photo
from tests.browser.window import Window, missing_browser
from tests.page.server import ROOT

SIZE = (810, 1080)

# Colour words instead of a text-image model (FASTSAM_TEST_TEXT_MODEL names one): what is tested is the page.
_SERVER = """
import sys, fastsam
from fastsam.page import build, serve
from fastsam.testing import ColourWordEncoder

words = sys.argv[2] or ColourWordEncoder()
page = build(fastsam.FastSAM(sys.argv[1] or None, device="cpu", text_model=words))
print(serve(page), flush=True)
page.block_thread()
"""


@pytest.fixture(scope="session")
def address(embedded_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if (missing := missing_browser()) is not None:
        pytest.fail(missing)
    folder = tmp_path_factory.mktemp("page")
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads"), "PYTHONPATH": str(ROOT)}
    with (
        open(folder / "log", "w+") as log,
        subprocess.Popen(
            [sys.executable, "-c", _SERVER, os.environ.get("FASTSAM_TEST_WEIGHTS", ""),
             os.environ.get("FASTSAM_TEST_TEXT_MODEL", "")],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder,
        ) as server,
    ):  # fmt: skip
        assert server.stdout is not None
        found = server.stdout.readline().strip()
        assert found.startswith("http://127.0.0.1:"), (folder / "log").read_text()
        yield found
        server.terminate()
        assert "Traceback" not in (folder / "log").read_text(), (folder / "log").read_text()


@pytest.fixture(scope="session")
def photo() -> Path:
    return demo_photo()


@pytest.fixture
def new_window(address: str, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Opens a window on the page; several are several visitors."""
    made: list[Window] = []

    def opened(**options: Any) -> Window:
        window = Window(tmp_path / f"visitor{len(made)}", **options)
        made.append(window)
        window.visit(address)
        return window

    yield opened
    for window in made:
        window.close()


@pytest.fixture(scope="module")
def shared_window(address: str, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    made = Window(tmp_path_factory.mktemp("visitor"))
    made.visit(address)
    made.open(photo, SIZE)
    yield made
    made.close()


@pytest.fixture
def window(shared_window: Window) -> Window:
    """A window with the photo open and nothing asked for; the photo is opened once for all tests."""
    if shared_window.marks:
        shared_window.answered(lambda: shared_window.press("[data-do=clear]"))
    shared_window.press(".fs-bar [data-tool=point]")
    shared_window.press(".fs-bar [data-sign=add]")
    return shared_window
