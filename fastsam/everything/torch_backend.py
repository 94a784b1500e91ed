"""The PyTorch backend: any ultralytics YOLOv8-seg, YOLO11-seg or FastSAM checkpoint."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError
from fastsam.everything.checkpoint import load_checkpoint, network_of, quality_of
from fastsam.everything.decode import decode
from fastsam.everything.encode import network_input
from fastsam.geometry import Letterbox
from fastsam.optional import require
from fastsam.pyramid import Pyramid
from fastsam.records import Frame, MaskSet

__all__ = ["TorchBackend", "pick_device"]

Maps = tuple[NDArray[np.float16], ...]
Outputs = tuple[NDArray[np.float32], NDArray[np.float32], Maps]
_BACKBONE_LEVELS = 2  # the finer ones tell edges, which all things have


def pick_device(device: str = "auto") -> str:
    """Return a torch device name; ``"auto"`` prefers cuda, then mps, then cpu.

    Raises:
        ConfigError: torch does not know the device, or this machine lacks it.
    """
    torch = require("torch", "run the network")
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    name = f"cuda:{device}" if str(device).isdigit() else str(device)
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f"device: expected auto, cpu, or a device that this machine has, got {device!r} ({reason})"
        ) from error
    return name


def _backbone_taps(model: Any) -> list[Any]:
    """Return the backbone's layers whose outputs the neck takes, finest first; none if not listed."""
    description = getattr(model, "yaml", None) or {}
    count = len(description.get("backbone", ()))
    return [model.model[i] for i in sorted(set(model.save)) if 0 <= i < count]


class TorchBackend:
    """A network in memory: ``segment`` turns a frame into its masks.

    Args:
        checkpoint: path of the ``.pt`` file; read without running what is pickled in it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Attributes:
        sha256: of the checkpoint's bytes; equal for equal feature maps.
        quality: how to tell a mask's expected IoU, where the checkpoint carries a calibration.
        times_ms: how long the last ``segment`` took: ``prepare``, ``network``, ``decode``.
    """

    def __init__(self, checkpoint: str | Path, device: str = "auto") -> None:
        self._torch = require("torch", "run the network")
        self.device = pick_device(device)
        self.checkpoint = Path(checkpoint)
        content = load_checkpoint(checkpoint)
        with self.checkpoint.open("rb") as stream:
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        model: Any = network_of(content, self.checkpoint)
        self.quality = quality_of(content, self.checkpoint)
        model.model[
            -1
        ].end2end = False  # YOLO26 heads: the one-to-many branch, with NMS, is the one we decode
        self._model = model.fuse(verbose=False).to(self.device)
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        self._maps: list[Any] = []
        # What the head sees of the image is kept, and what the backbone hands to the neck: masks are compared
        # by it.
        self._model.model[-1].register_forward_pre_hook(lambda _, given: self._maps.extend(given[0]))
        self._backbone: list[Any] = []
        for layer in _backbone_taps(self._model)[-_BACKBONE_LEVELS:]:
            layer.register_forward_hook(lambda _, __, found: self._backbone.append(found))
        self.stride = int(max(model.stride))
        self.times_ms: dict[str, float] = {}

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return all masks of a frame, best score first; they stay on the prototype grid."""
        start = time.perf_counter()
        letterbox = Letterbox.fit(frame.size_hw, config.imgsz, stride=self.stride)
        image = network_input(frame.rgb, letterbox)
        prepared = time.perf_counter()
        predictions, prototypes, maps = self.forward(image)
        passed = time.perf_counter()
        pyramid = Pyramid(maps, letterbox, self.sha256, self._taken(self._backbone))
        masks = decode(predictions, prototypes, letterbox, config, self.quality, pyramid)
        done = time.perf_counter()
        self.times_ms = {
            "prepare": 1e3 * (prepared - start),
            "network": 1e3 * (passed - prepared),
            "decode": 1e3 * (done - passed),
        }
        return masks

    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network on a (1, 3, H, W) input in 0..1.

        Returns:
            predictions (4 + classes + C, anchors) float32, prototypes (C, H / 4, W / 4) float32, and the
            feature maps (C, h, w) float16 that the head saw, finest first.
        """
        self._maps.clear()
        self._backbone.clear()
        with self._torch.inference_mode():
            outputs = self._model(self._torch.from_numpy(image).to(self.device))
            predictions, prototypes = outputs[0] if isinstance(outputs[0], tuple) else outputs[:2]
            maps = self._taken(self._maps)
            return predictions[0].float().cpu().numpy(), prototypes[0].float().cpu().numpy(), maps

    def _taken(self, kept: list[Any]) -> Maps:
        """Return the maps that a pass has left, and let go of them."""
        maps = tuple(values[0].half().cpu().numpy() for values in kept)
        kept.clear()
        return maps
