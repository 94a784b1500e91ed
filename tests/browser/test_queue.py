"""A slow network: visitors see where they stand in the queue."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.window import Window
from tests.page.server import ROOT

pytestmark = pytest.mark.browser

_SLOW = """
import sys, time, pathlib, fastsam, numpy as np
from fastsam.page import build, serve
from fastsam.masks.maskset import MaskSet

gate = pathlib.Path(sys.argv[1])

class Slow:
    times_ms = {"network": 0.0}

    def segment(self, frame, config):
        while not gate.exists():
            time.sleep(0.05)
        return MaskSet.from_dense(np.ones((1, *frame.size_hw), bool), [0.9])

page = build(fastsam.FastSAM(segmenter=Slow()))
print(serve(page), flush=True)
page.block_thread()
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The network answers nobody before this file is there."""
    return tmp_path / "gate"


@pytest.fixture
def slow_address(gate: Path, tmp_path: Path) -> Iterator[str]:
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "uploads"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _SLOW, str(gate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        gate.touch()
        server.terminate()


def test_waiting_visitors_see_their_place(slow_address: str, gate: Path, tmp_path: Path) -> None:
    windows = [Window(tmp_path / f"visitor{k}") for k in range(3)]
    try:
        for window in windows:
            window.visit(slow_address)
            window.press("[data-example=coffee]")

        def places() -> list[str]:
            return [window.find("#canvas [data-testid=status-tracker]").text for window in windows]

        windows[0].wait(
            lambda: "processing" in places()[0] and all("queue: " in place for place in places()[1:]),
            "a visible place",
        )
        gate.touch()
        for window in windows:
            window.wait(lambda window=window: window.masks == 1, "everything")
    finally:
        for window in windows:
            window.close()
