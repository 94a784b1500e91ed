"""The PyTorch backend: any ultralytics YOLOv8-seg, YOLO11-seg or FastSAM checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError
from fastsam.everything.backend import NetworkBackend, Outputs
from fastsam.everything.checkpoint import load_checkpoint, network_of, quality_of
from fastsam.everything.quality import QualityModel
from fastsam.optional import require

__all__ = ["TorchBackend", "load_network", "pick_device"]


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


def load_network(checkpoint: str | Path) -> tuple[Any, QualityModel | None]:
    """Return a checkpoint's network as it is run: float32, on the CPU, fused; and its calibration, if any.

    The network is the ``torch.nn.Module`` of ultralytics, whose attributes torch's types do not know.

    Raises:
        CheckpointError: as :func:`fastsam.everything.checkpoint.load_checkpoint`, or the file holds no YOLO
            segmentation network.
    """
    path = Path(checkpoint)
    content = load_checkpoint(path)
    model: Any = network_of(content, path)
    quality = quality_of(content, path)
    model.model[-1].end2end = False  # YOLO26 heads: the one-to-many branch, with NMS, is the one we decode
    network = model.fuse(verbose=False)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network, quality


class TorchBackend(NetworkBackend):
    """A network in PyTorch.

    Args:
        checkpoint: path of the ``.pt`` file; read without running what is pickled in it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    """

    def __init__(self, checkpoint: str | Path, device: str = "auto") -> None:
        self._torch = require("torch", "run the network")
        device = pick_device(device)
        network, quality = load_network(checkpoint)
        self._model = network.to(device)
        super().__init__(Path(checkpoint), device, int(max(self._model.stride)), quality)
        self._maps: list[Any] = []
        # What the head sees of the image is kept: masks are compared by it.
        self._model.model[-1].register_forward_pre_hook(lambda _, given: self._maps.extend(given[0]))

    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network; see :meth:`fastsam.everything.backend.NetworkBackend.forward`."""
        self._maps.clear()
        with self._torch.inference_mode():
            outputs = self._model(self._torch.from_numpy(image).to(self.device))
            predictions, prototypes = outputs[0] if isinstance(outputs[0], tuple) else outputs[:2]
            maps = tuple(values[0].half().cpu().numpy() for values in self._maps)
            self._maps.clear()
            return predictions[0].float().cpu().numpy(), prototypes[0].float().cpu().numpy(), maps
