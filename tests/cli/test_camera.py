"""``fastsam camera``, with a segmenter of colours, a server for a camera, and a scripted window."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fastsam.cli import video as cli_video
from fastsam.cli.flags import ModelFlags
from fastsam.video import window as window_module
from fastsam.video.window import CvWindow, Event, why_no_window
from tests.cli.colours import ColourSegmenter, Rgb, middle, report, rows, run, street
from tests.video.runs import decoded
from tests.video.servers import jpegs, mjpeg_server


class ScriptedWindow:
    """A window in which somebody does what the test says, a list for each picture."""

    def __init__(self, *steps: list[Event]) -> None:
        self.steps, self.pictures, self.closed = list(steps), list[Rgb](), 0

    def show(self, rgb: Rgb) -> list[Event]:
        self.pictures.append(rgb)
        return self.steps.pop(0) if self.steps else []

    def close(self) -> None:
        self.closed += 1


def live(count: int = 200) -> Callable[[], Iterator[bytes | float]]:
    """A street that waits a moment after each picture."""

    def visit() -> Iterator[bytes | float]:
        for picture in jpegs(street(count)):
            yield picture
            yield 0.04

    return visit


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedWindow]:
    def show(*steps: list[Event]) -> ScriptedWindow:
        made = ScriptedWindow(*steps)
        monkeypatch.setattr(cli_video, "open_window", lambda title: made)
        return made

    return show


def test_a_camera_is_recorded(segmenter: ColourSegmenter, tmp_path: Path) -> None:
    out = tmp_path / "cam.mp4"
    with mjpeg_server(live()) as url:
        told = report("camera", url, "--no-show", "--out", out, "--frames", "8", "--text", "red")
    assert told["objects"] == 1
    assert 1 <= told["frames"] <= 8
    assert len(decoded(out)[0]) == told["frames"]
    again = run("camera", "http://127.0.0.1:9/", "--no-show", "--out", out)
    assert again.exit_code != 0


def test_what_a_camera_has_recorded_is_not_lost(segmenter: ColourSegmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ("--no-show", "--out", out, "--seconds", "0.3", "--format", "mot")
    with mjpeg_server(live(), live(), live(), live()) as url:
        report("camera", url, *flags)
        before = (out / "mot.txt").read_bytes()
        refused = run("camera", url, *flags)
        assert "holds what was recorded of a live source" in str(refused.exception)
        assert (out / "mot.txt").read_bytes() == before
        assert report("camera", url, *flags, "--overwrite")["frames"] >= 1


def test_what_was_recorded_before_a_camera_was_lost_is_kept(
    segmenter: ColourSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelFlags().load()
    stream = model.stream
    monkeypatch.setattr(model, "stream", lambda *given, **options: stream(*given, reconnect_s=0.1, **options))
    out = tmp_path / "cam.mp4"
    with mjpeg_server(live(6)) as url:
        done = run("camera", url, "--no-show", "--out", out)
    assert done.exit_code == 1
    assert "did not come back within 0.1 s" in done.stderr
    assert "end to end" in done.stdout
    assert 1 <= len(decoded(out)[0]) <= 6


def test_clicks_follow_and_drop_objects(
    segmenter: ColourSegmenter, shown: Callable[..., ScriptedWindow], tmp_path: Path
) -> None:
    """Both discs have ids; a click picks one, another the other, a click on no mask makes a region;
    right clicks drop the first and that; then q."""
    frames = list(street(1)) * 60
    window = shown(
        [], [Event("add", 30, 40)], [Event("add", 130, 85)], [Event("add", 2, 2)], [Event("remove", 30, 40)],
        [Event("remove", 2, 2)], [Event("quit")],
    )  # fmt: skip
    out = tmp_path / "out"

    def still() -> Iterator[bytes | float]:
        for picture in jpegs(frames):
            yield picture
            yield 0.03

    with mjpeg_server(still) as url:
        done = run("camera", url, "--show", "--out", out, "--format", "jsonl")
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert window.closed == 1
    ids = [frame.ids.tolist() for frame in rows(out)]
    assert ids == [[1, 2], [1, 2], [3], [3, 4], [3, 4, 5], [4, 5], [4]]
    assert middle(rows(out)[2], 3) == pytest.approx((30, 40), abs=4)
    assert "end to end" in done.stdout


def test_ctrl_c_ends_a_recording_in_peace(
    segmenter: ColourSegmenter, shown: Callable[..., ScriptedWindow], tmp_path: Path
) -> None:
    window = shown()

    def interrupted(rgb: Rgb) -> list[Event]:
        window.pictures.append(rgb)
        if len(window.pictures) == 3:
            raise KeyboardInterrupt
        return []

    window.show = interrupted  # type: ignore[method-assign]
    out = tmp_path / "cam.mkv"
    with mjpeg_server(live()) as url:
        done = run("camera", url, "--show", "--out", out)
    assert done.exit_code == 0, done.output
    assert len(decoded(out)[0]) == 3
    assert window.closed == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected --out, for no window can be shown: there is no display"),
        (["--show"], "window: cannot be opened, there is no display"),
        (["--no-show"], "--no-show: expected --out"),
        (["77", "--no-show", "--out", "x.mp4"], "camera 77: cannot be opened"),
        (["--no-show", "--out", "x.mp4", "--format", "mot"], "--format: expected a folder"),
    ],
)
def test_mistakes_of_camera_are_ours(
    segmenter: ColourSegmenter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(window_module.sys, "platform", "linux")
    done = run("camera", *flags)
    assert message in str(done.exception), done.output
    assert os.listdir(tmp_path) == []
    assert why_no_window().startswith("there is no display")


def test_an_opencv_window_tells_of_clicks_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Rgb] = []
    keys, heard = [-1, ord("q"), -1], {}
    visible = [1.0, 1.0, 0.0]
    monkeypatch.setattr(window_module, "why_no_window", lambda: "")
    fakes: dict[str, Any] = {
        "namedWindow": lambda *_: None,
        "resizeWindow": lambda *_: None,
        "setMouseCallback": lambda title, heed: heard.update(heed=heed),
        "imshow": lambda title, bgr: drawn.append(bgr),
        "waitKey": lambda wait: keys.pop(0),
        "getWindowProperty": lambda *_: visible.pop(0),
        "destroyWindow": lambda title: None,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(window_module.cv2, name, fake)
    with CvWindow("street") as opened:
        heard["heed"](cv2.EVENT_LBUTTONDOWN, 3, 4, 0, None)
        heard["heed"](cv2.EVENT_MOUSEMOVE, 5, 4, 0, None)
        heard["heed"](cv2.EVENT_RBUTTONDOWN, 6, 7, 0, None)
        (rgb,) = street(1)
        assert opened.show(rgb) == [Event("add", 3, 4), Event("remove", 6, 7)]
        assert opened.show(rgb) == [Event("quit")]
        assert opened.show(rgb) == [Event("quit")]
    np.testing.assert_array_equal(drawn[0][..., ::-1], rgb)
