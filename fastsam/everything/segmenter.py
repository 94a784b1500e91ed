"""What the backends that run a YOLO network share."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.everything.carried import Carried
from fastsam.everything.decode import decode
from fastsam.everything.network_input import network_input
from fastsam.everything.regions import photo_on_grid
from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.pyramid import Pyramid
from fastsam.segmenter import Part, Segmentation, Segmenter

__all__ = ["NetworkBackend", "Outputs", "part_window", "placed"]

Window = tuple[int, int, int, int]  # x0, y0, x1, y1, net pixels


class Outputs(NamedTuple):
    """What a network gives for one image.

    Attributes:
        predictions: (4 + classes + C, anchors) float32.
        prototypes: (C, H / 4, W / 4) float32.
        maps: (C, h, w) float16 each, what the head saw, finest first.
        backbone: likewise, what the backbone handed to the neck: its coarser levels.
    """

    predictions: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    maps: tuple[NDArray[np.float16], ...]
    backbone: tuple[NDArray[np.float16], ...] = ()


class NetworkBackend(Segmenter):
    """A network in memory: ``segment`` turns a frame, or a part of one, into its masks.

    Args:
        checkpoint: the file that it was read from.
        device: where it runs.
        stride: the sides of its input are multiples of this.
        carried: what the file says beyond its layers.
        fingerprint: SHA-256 of its checkpoint, or of the one that it was converted from; equal for equal
            feature maps.
    """

    takes_parts = True

    def __init__(
        self, checkpoint: Path, device: str, stride: int, carried: Carried, fingerprint: str
    ) -> None:
        self.fingerprint = fingerprint
        self.checkpoint, self.device = checkpoint, device
        self.stride, self.carried = stride, carried

    def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        """Return all masks of a frame, best score first; they stay on the prototype grid.

        The network sees a part at the scale of the whole frame, so a part of half its pixels takes about half
        the time, and its masks lie where they are in the whole frame.

        Args:
            frame: the whole image.
            config: which masks are wanted.
            part: look at no more than this, widened to whole steps of the network.
        """
        start = time.perf_counter()
        letterbox = Letterbox.fit(frame.size_hw, config.imgsz, stride=self.stride)
        window = None if part is None else part_window(letterbox, part.box_xyxy, self.stride)
        if window == (0, 0, letterbox.net_hw[1], letterbox.net_hw[0]):
            window = None
        image = network_input(frame.rgb, letterbox)
        if window is not None:
            x0, y0, x1, y1 = window
            image = np.ascontiguousarray(image[:, :, y0:y1, x0:x1])
        prepared = time.perf_counter()
        outputs = self.forward(image)
        if window is not None:
            outputs = placed(outputs, window, letterbox.net_hw, None if part is None else part.before)
        passed = time.perf_counter()
        # Exports of ultralytics give no maps.
        pyramid = None
        if outputs.maps:
            pyramid = Pyramid(outputs.maps, letterbox, self.fingerprint, outputs.backbone)
        grid_hw = (outputs.prototypes.shape[1], outputs.prototypes.shape[2])
        photo = photo_on_grid(image, grid_hw) if config.regions and window is None else None
        masks = decode(
            outputs.predictions, outputs.prototypes, letterbox, config, self.carried, pyramid, photo
        )
        if window is not None:
            masks = masks[~_cut_off(masks.boxes_xyxy, window, letterbox)]
        done = time.perf_counter()
        times_ms = {
            "prepare": 1e3 * (prepared - start),
            "network": 1e3 * (passed - prepared),
            "decode": 1e3 * (done - passed),
        }
        return Segmentation.of(masks, times_ms)

    @abstractmethod
    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network on a (1, 3, H, W) input in 0..1, both sides multiples of ``stride``."""


_PART_STEP = 2  # strides: parts come in few sizes, and each costs some networks time when it is new
_CUT_PX = 2.0  # net pixels from the part's edge at which a mask ends there


def part_window(letterbox: Letterbox, box_xyxy: Sequence[float], stride: int) -> Window:
    """Return the part of the net frame that holds a box, in whole steps from the frame's corner.

    >>> part_window(Letterbox.fit((384, 640), 640), (100, 100, 140, 130), 32)
    (64, 64, 192, 192)
    """
    step = _PART_STEP * stride
    x1, y1, x2, y2 = letterbox.boxes_to_net(np.array([box_xyxy], np.float32))[0].tolist()
    height, width = letterbox.net_hw
    left, top = int(max(x1, 0) // step * step), int(max(y1, 0) // step * step)
    right, bottom = min(int(-(-x2 // step) * step), width), min(int(-(-y2 // step) * step), height)
    return min(left, width - stride), min(top, height - stride), max(right, stride), max(bottom, stride)


def placed(found: Outputs, window: Window, net_hw: tuple[int, int], before: Pyramid | None) -> Outputs:
    """Return what a network gave for a part of the net frame, as if it were of the whole.

    Args:
        found: of the part.
        window: where it lies.
        net_hw: the whole frame.
        before: feature maps that stand for those of the rest; zeros where there are none that fit.
    """
    predictions = found.predictions.copy()
    predictions[0] += window[0]
    predictions[1] += window[1]
    earlier = ((), ()) if before is None else (before.maps, before.backbone)
    maps, backbone = (
        tuple(_laid(part, window, net_hw, old[k] if k < len(old) else None) for k, part in enumerate(parts))
        for parts, old in zip((found.maps, found.backbone), earlier, strict=True)
    )
    return Outputs(predictions, _laid(found.prototypes, window, net_hw, None), maps, backbone)


def _laid(
    part: NDArray[Any], window: Window, net_hw: tuple[int, int], under: NDArray[Any] | None
) -> NDArray[Any]:
    """Return a map of the whole frame with a part of it laid over zeros, or over an earlier map."""
    x0, y0, _, _ = window
    cell = (window[3] - y0) // part.shape[1]
    whole = np.zeros((part.shape[0], net_hw[0] // cell, net_hw[1] // cell), part.dtype)
    if under is not None and under.shape == whole.shape:
        whole[:] = under
    whole[:, y0 // cell : y0 // cell + part.shape[1], x0 // cell : x0 // cell + part.shape[2]] = part
    return whole


def _cut_off(boxes_xyxy: NDArray[np.float32], window: Window, letterbox: Letterbox) -> NDArray[np.bool_]:
    """Return (N,) whether a mask's box ends at the part's edge where the image goes on."""
    height, width = letterbox.image_hw
    image = letterbox.boxes_to_net(np.array([[0, 0, width, height]], np.float32))[0]
    boxes = letterbox.boxes_to_net(boxes_xyxy)
    edges = np.array(window, np.float32)
    inner = np.abs(edges - np.clip(image, 0, None)) > _CUT_PX
    near = np.abs(boxes - edges) <= _CUT_PX
    return np.asarray((near & inner).any(axis=1))
