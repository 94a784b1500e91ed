"""Clips with a known answer: shapes that move over a photograph, and a segmenter that knows their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM
from fastsam.config import SegmentConfig, VideoConfig
from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid
from fastsam.testing import ColourWordEncoder
from fastsam.video.stream import Stream
from fastsam.video.track.tracked import Tracked
from tests.drawing import ellipse, rectangle
from tests.video.clips import panned_frames

Mask = NDArray[np.bool_]
Rgb = NDArray[np.uint8]
Path = Callable[[int], tuple[float, float] | None]
SIZE_HW = (96, 128)
PAINT = {
    "red": (230, 20, 20),
    "green": (20, 220, 20),
    "blue": (20, 20, 230),
    "yellow": (235, 235, 20),
    "magenta": (230, 20, 230),
    "black": (0, 0, 0),
}


def still(x: float, y: float) -> Path:
    """Stay at one place."""
    return lambda index: (x, y)


def walk(x: float, y: float, dx: float, dy: float = 0.0, frames: range | None = None) -> Path:
    """Walk so many pixels a frame; seen in some frames only, if given."""
    return lambda index: (x + dx * index, y + dy * index) if frames is None or index in frames else None


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        colour: a name of PAINT.
        path: frame index -> its middle, None where it is not there.
        size: width and height.
        round: an ellipse; else a rectangle.
        score: of its mask.
    """

    colour: str
    path: Path
    size: tuple[int, int] = (24, 20)
    round: bool = True
    score: float = 0.9

    def mask(self, index: int, size_hw: tuple[int, int]) -> Mask:
        """Return its pixels, hidden ones included."""
        place = self.path(index)
        if place is None:
            return np.zeros(size_hw, bool)
        (x, y), (width, height) = place, self.size
        x1, y1 = round(x - width / 2), round(y - height / 2)
        return (ellipse if self.round else rectangle)(size_hw, x1, y1, x1 + width, y1 + height)


class Drawn:
    """Shapes over a photograph; later ones are in front.

    Args:
        shapes: the objects.
        size_hw: of all frames, or a function of the index.
    """

    def __init__(
        self,
        *shapes: Shape,
        size_hw: tuple[int, int] | Callable[[int], tuple[int, int]] = SIZE_HW,
    ) -> None:
        self.shapes = shapes
        self._size = size_hw
        self._photos: dict[tuple[int, int], Rgb] = {}

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return the size of a frame."""
        return self._size(index) if callable(self._size) else self._size

    def masks(self, index: int) -> list[Mask]:
        """Return what is seen of each shape; drawn in the first frame's size, then stretched."""
        masks = [shape.mask(index, self.size_hw(0)) for shape in self.shapes]
        for k in range(len(masks)):
            for front in masks[k + 1 :]:
                masks[k] = masks[k] & ~front
        height, width = self.size_hw(index)
        way = cv2.INTER_NEAREST
        return [cv2.resize(m.astype(np.uint8), (width, height), interpolation=way) > 0 for m in masks]

    def rgb(self, index: int) -> Rgb:
        """Return a frame."""
        size = self.size_hw(index)
        if size not in self._photos:
            photo = next(panned_frames(1, (max(size),) * 2, photo="zidane.jpg"))
            self._photos[size] = photo[: size[0], : size[1]]
        rgb = self._photos[size].copy()
        for shape, mask in zip(self.shapes, self.masks(index), strict=True):
            rgb[mask] = PAINT[shape.colour]
        return rgb

    def frames(self, count: int, start: int = 0) -> Iterator[Rgb]:
        """Yield frames."""
        for index in range(start, start + count):
            yield self.rgb(index)


class DrawnSegmenter:
    """Finds exactly what is seen of the shapes, in the frame of that index.

    Args:
        drawn: the shapes.
        channels: of each of two feature maps; 0 for a segmenter without any.
        blind: frames in which it finds nothing.
        work: called with each frame's index.

    Attributes:
        passes: the indices of the frames that it was shown.
    """

    def __init__(
        self,
        drawn: Drawn,
        channels: int = 32,
        blind: Sequence[int] = (),
        work: Callable[[int], object] = lambda index: None,
    ) -> None:
        self.drawn, self.blind, self.work = drawn, frozenset(blind), work
        self.times_ms: dict[str, float] = {"prepare": 1.0, "network": 2.0, "decode": 3.0}
        self.passes: list[int] = []
        self._mix = np.random.default_rng(0).normal(size=(6, channels))

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return the masks of the shapes that are in sight."""
        self.passes.append(frame.index)
        self.work(frame.index)
        masks = [] if frame.index in self.blind else self.drawn.masks(frame.index)
        seen = [(m, s.score) for m, s in zip(masks, self.drawn.shapes, strict=bool(masks)) if m.any()]
        seen = [(mask, score) for mask, score in seen if score > config.conf]
        stack = np.array([mask for mask, _ in seen], bool).reshape(len(seen), *frame.size_hw)
        found = MaskSet.from_dense(stack, [score for _, score in seen])
        if not self._mix.shape[1]:
            return found
        return MaskSet(found.size_hw, found.boxes_xyxy, found.scores, found.store, self._pyramid(frame))

    def _pyramid(self, frame: Frame) -> Pyramid:
        """Return maps that know colours, as a network's do among much else."""
        letterbox = Letterbox.fit(frame.size_hw, 320)
        (height, width), (top, left) = letterbox.content_hw, letterbox.offset_yx
        net = np.full((*letterbox.net_hw, 3), 114, np.uint8)
        net[top : top + height, left : left + width] = cv2.resize(frame.rgb, (width, height))
        maps = []
        for stride in (8, 16):
            size = (letterbox.net_hw[1] // stride, letterbox.net_hw[0] // stride)
            cells = cv2.resize(net, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 128 - 1
            values = np.concatenate([cells, cells**2], axis=2) @ self._mix
            maps.append(np.ascontiguousarray(values.transpose(2, 0, 1)).astype(np.float16))
        return Pyramid(tuple(maps), letterbox, "drawn")


def model_of(drawn: Drawn, **options: Any) -> FastSAM:
    """Return a model that sees the shapes, and knows words for their colours."""
    return FastSAM(segmenter=DrawnSegmenter(drawn, **options), text_model=ColourWordEncoder())


def stream_of(
    drawn: Drawn, frames: int = 12, channels: int = 32, blind: Sequence[int] = (), **options: Any
) -> Stream:
    """Return a stream of a drawn clip."""
    model = model_of(drawn, channels=channels, blind=blind)
    return model.stream(drawn.frames(frames), config=VideoConfig(), **options)


def streaming(segmenter: Any, source: Any, **options: Any) -> Stream:
    """Return a stream of any source through any segmenter."""
    return FastSAM(segmenter=segmenter).stream(source, **options)


def iou(a: Mask, b: Mask) -> float:
    """Return the overlap of two masks; 1 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def names(drawn: Drawn, tracked: Tracked, least: float = 0.5) -> dict[str, int]:
    """Return which id each shape in sight has, by its colour."""
    found = {}
    for shape, mask in zip(drawn.shapes, drawn.masks(tracked.frame.index), strict=True):
        overlaps = [iou(mask, tracked.masks.mask(k)) for k in range(len(tracked))]
        if mask.any() and overlaps and max(overlaps) >= least:
            found[shape.colour] = int(tracked.ids[int(np.argmax(overlaps))])
    return found
