"""What a frame looks like in the files of a run: the overlay with its trails, and DAVIS' PNG."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ExportError
from fastsam.files import replacing
from fastsam.images.drawing import colours_of
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.spool import SpooledFrame

__all__ = ["Trails", "davis_palette", "fit", "id_map", "write_id_map"]

Picture = NDArray[np.uint8]
_TOP_8_BIT = 254  # 255 is DAVIS' "void"
_TOP_16_BIT = 65535


class Trails:
    """Where each object was in the past frames, as a line that fades.

    Args:
        length: over so many frames; 0 draws nothing.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._now = 0
        self._points: dict[int, deque[tuple[int, int, int]]] = {}  # id -> (when, x, y), oldest first

    def add(self, boxes_xyxy: dict[int, Any]) -> None:
        """Take note of the boxes of one more frame, by id; an object is at the middle of its box."""
        if not self._length:
            return
        self._now += 1
        for object_id, (x1, y1, x2, y2) in boxes_xyxy.items():
            if x2 > x1 and y2 > y1:
                points = self._points.setdefault(object_id, deque(maxlen=self._length + 1))
                points.append((self._now, int(x1 + x2) // 2, int(y1 + y2) // 2))
        oldest = self._now - self._length
        gone = [object_id for object_id, points in self._points.items() if points[-1][0] < oldest]
        for object_id in gone:
            del self._points[object_id]

    def replay(self, frames: Iterable[SpooledFrame]) -> None:
        """Take note of the frames of an earlier run."""
        for frame in frames:
            self.add({found["id"]: found["box_xyxy"] for found in frame.objects})

    def draw(self, canvas: Picture, seed: int) -> None:
        """Draw the lines in place; each has its object's colour."""
        thickness = max(round(min(canvas.shape[:2]) / 180), 1)
        ids = np.array(list(self._points), np.int64)
        for colour, points in zip(colours_of(ids, seed).tolist(), self._points.values(), strict=True):
            for (_, x0, y0), (when, x1, y1) in zip(points, list(points)[1:], strict=False):
                opacity = 1 - (self._now - when) / self._length
                if opacity > 0:
                    _mix_line(canvas, (x0, y0), (x1, y1), colour, thickness, opacity)


def _mix_line(
    canvas: Picture, start: tuple[int, int], end: tuple[int, int], colour: Any, thickness: int, opacity: float
) -> None:
    """Draw a line that the picture shows through."""
    margin = thickness + 1
    x0, x1 = max(min(start[0], end[0]) - margin, 0), max(start[0], end[0]) + margin + 1
    y0, y1 = max(min(start[1], end[1]) - margin, 0), max(start[1], end[1]) + margin + 1
    part = canvas[y0:y1, x0:x1]
    if part.size:
        drawn = part.copy()
        shifted = [(x - x0, y - y0) for x, y in (start, end)]
        cv2.line(drawn, shifted[0], shifted[1], colour, thickness, cv2.LINE_AA)
        part[:] = cv2.addWeighted(drawn, opacity, part, 1 - opacity, 0)


def fit(rgb: Picture, size_hw: tuple[int, int]) -> Picture:
    """Return a picture in another size: as large as fits, in the middle, on black.

    >>> fit(np.full((2, 2, 3), 9, np.uint8), (2, 4))[..., 0].tolist()
    [[0, 9, 9, 0], [0, 9, 9, 0]]
    """
    height, width = size_hw
    if rgb.shape[:2] == (height, width):
        return rgb
    scale = min(height / rgb.shape[0], width / rgb.shape[1])
    inner_h, inner_w = (
        min(max(round(side * scale), 1), most) for side, most in zip(rgb.shape, size_hw, strict=False)
    )
    if rgb.shape[:2] != (inner_h, inner_w):
        rgb = np.asarray(cv2.resize(rgb, (inner_w, inner_h), interpolation=cv2.INTER_AREA), np.uint8)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    canvas[top : top + inner_h, left : left + inner_w] = rgb
    return canvas


# --- DAVIS ------------------------------------------------------------------------------------------


def davis_palette() -> list[int]:
    """Return DAVIS' (PASCAL VOC's) 256 colours as PIL takes them: 0 is black, 1 is dark red."""
    colours = np.zeros((256, 3), np.uint8)
    for number in range(256):
        for bit in range(8):
            for channel in range(3):
                colours[number, channel] |= ((number >> (3 * bit + channel)) & 1) << (7 - bit)
    return [int(value) for value in colours.ravel()]


_PALETTE = davis_palette()


def id_map(tracked: Tracked) -> NDArray[np.uint16]:
    """Return a frame's ids as (H, W) uint16, 0 where nothing is; of masks that overlap the surer is in front.

    Raises:
        ExportError: an id is above 65535.
    """
    if len(tracked) and tracked.ids.max() > _TOP_16_BIT:
        raise ExportError(
            f"davis: a PNG can hold ids up to {_TOP_16_BIT}, frame {tracked.frame.index} has "
            f"{tracked.ids.max()}; use the format ytvis, mots or jsonl"
        )
    numbers = np.zeros(tracked.frame.size_hw, np.uint16)
    for i in np.argsort(tracked.scores, kind="stable").tolist():
        tracked.masks.crop(i).paste(numbers, tracked.ids[i])
    return numbers


def write_id_map(numbers: NDArray[np.uint16], path: Path) -> Path:
    """Write ids as DAVIS does, an 8-bit PNG with its palette; as 16-bit grey where one is above 254.

    255 means "void" to DAVIS' and YouTube-VOS' tools, which read 8 bits.
    """
    if numbers.max(initial=0) > _TOP_8_BIT:
        image = Image.fromarray(numbers)
    else:
        image = Image.fromarray(numbers.astype(np.uint8))
        image.putpalette(_PALETTE)
    with replacing(path) as stream:
        image.save(stream, "PNG", compress_level=4)
    return path
