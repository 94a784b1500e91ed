"""A segmenter of colours, a street for it, and what the commands of video wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner

from fastsam.cli import main as cli
from fastsam.config import SegmentConfig
from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid
from fastsam.video.write.spool import SpooledFrame, read_frames
from tests.video.clips import panned_frames

SIZE = (120, 160)
RED, BLUE, GREEN = (230, 20, 20), (20, 20, 230), (20, 200, 20)
Rgb = NDArray[np.uint8]


class ColourSegmenter:
    """Finds what is plainly red, blue or green, one mask each."""

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {"prepare": 0.1, "network": 1.0, "decode": 0.1}
        self.frames: list[int | None] = []

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        self.frames.append(frame.index)
        found = []
        for colour in (RED, BLUE, GREEN):
            far = np.abs(frame.rgb.astype(int) - colour).max(axis=2)
            mask = cv2.morphologyEx((far < 70).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            if mask.sum() > 60:
                found.append(mask.astype(bool))
        stack = np.array(found, bool).reshape(len(found), *frame.size_hw)
        masks = MaskSet.from_dense(stack, np.linspace(0.9, 0.8, len(found)))
        return replace(masks, pyramid=self._seen(frame))

    def _seen(self, frame: Frame) -> Pyramid:
        """Return mean colours as what a network would see."""
        letterbox = Letterbox(frame.size_hw, (128, 160))
        padded = np.full((128, 160, 3), 128, np.uint8)
        padded[4:124] = frame.rgb
        cells = cv2.resize(padded, (20, 16), interpolation=cv2.INTER_AREA).astype(np.float32) - 128
        maps = (np.ascontiguousarray(cells.transpose(2, 0, 1)).astype(np.float16),)
        return Pyramid(maps, letterbox, "colours", maps)


def street(count: int, blue_from: int = 0, red_until: int = 10**6, green_from: int = 10**6) -> Iterator[Rgb]:
    """A panned street; a red disc goes right, a blue one left, a green one down."""
    for k, rgb in enumerate(panned_frames(count, SIZE, step=1)):
        grey = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
        if k < red_until:
            cv2.circle(grey, (30 + k, 40), 14, RED, -1)
        if k >= blue_from:
            cv2.circle(grey, (130 - k, 85), 14, BLUE, -1)
        if k >= green_from:
            cv2.circle(grey, (100, 20 + (k - green_from)), 10, GREEN, -1)
        yield grey


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def report(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output + repr(done.exception)
    return dict(json.loads(done.stdout))


def rows(out: Path) -> list[SpooledFrame]:
    return list(read_frames(out))


def middle(frame: SpooledFrame, object_id: int) -> tuple[float, float]:
    (found,) = [one for one in frame.objects if one["id"] == object_id]
    x1, y1, x2, y2 = found["box_xyxy"]
    return (x1 + x2) / 2, (y1 + y2) / 2


def real(*arguments: object) -> subprocess.Popen[str]:
    """Start the real command with the real network."""
    command = [sys.executable, "-m", "fastsam", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
