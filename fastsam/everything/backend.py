"""What every stage-one backend offers, and what the ones that run a YOLO network share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.everything.decode import decode
from fastsam.everything.encode import network_input
from fastsam.everything.quality import QualityModel
from fastsam.geometry import Letterbox
from fastsam.pyramid import Pyramid
from fastsam.records import Frame, MaskSet

__all__ = ["NetworkBackend", "Outputs", "Segmenter"]


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


class Segmenter(Protocol):
    """Turns a frame into all its masks.

    Attributes:
        times_ms: how long the steps of the last ``segment`` took, by name.
    """

    times_ms: dict[str, float]

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return the masks of a frame, best score first."""


class NetworkBackend(ABC):
    """A network in memory: ``segment`` turns a frame into its masks.

    Args:
        checkpoint: the file that it was read from.
        device: where it runs.
        stride: the sides of its input are multiples of this.
        quality: how to tell a mask's expected IoU, where the file carries a calibration.

        sha256: of the checkpoint that it is, or was converted from; equal for equal feature maps.

    Attributes:
        times_ms: how long the last ``segment`` took: ``prepare``, ``network``, ``decode``.
    """

    def __init__(
        self, checkpoint: Path, device: str, stride: int, quality: QualityModel | None, sha256: str
    ) -> None:
        self.sha256 = sha256
        self.checkpoint, self.device = checkpoint, device
        self.stride, self.quality = stride, quality
        self.times_ms: dict[str, float] = {}

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return all masks of a frame, best score first; they stay on the prototype grid."""
        start = time.perf_counter()
        letterbox = Letterbox.fit(frame.size_hw, config.imgsz, stride=self.stride)
        image = network_input(frame.rgb, letterbox)
        prepared = time.perf_counter()
        found = self.forward(image)
        passed = time.perf_counter()
        pyramid = Pyramid(found.maps, letterbox, self.sha256, found.backbone)
        masks = decode(found.predictions, found.prototypes, letterbox, config, self.quality, pyramid)
        done = time.perf_counter()
        self.times_ms = {
            "prepare": 1e3 * (prepared - start),
            "network": 1e3 * (passed - prepared),
            "decode": 1e3 * (done - passed),
        }
        return masks

    @abstractmethod
    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network on a (1, 3, H, W) input in 0..1, both sides multiples of ``stride``."""
