"""The PyTorch backend: any ultralytics YOLOv8-seg, YOLO11-seg or FastSAM checkpoint."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError
from fastsam.everything.carried import Carried, carried_by
from fastsam.everything.segmenter import NetworkBackend, Outputs
from fastsam.needed import require
from fastsam.weights.checkpoint import load_checkpoint, network_of
from fastsam.weights.download import file_sha256

__all__ = ["TorchBackend", "Watch", "load_network", "pick_device"]

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


def load_network(checkpoint: str | Path) -> tuple[Any, Carried]:
    """Return a checkpoint's network as it is run: float32, on the CPU, fused; and what it carries.

    The network is the ``torch.nn.Module`` of ultralytics, whose attributes torch's types do not know.

    Raises:
        CheckpointError: as :func:`fastsam.weights.checkpoint.load_checkpoint`, or the file holds no YOLO
            segmentation network.
    """
    path = Path(checkpoint)
    content = load_checkpoint(path)
    model: Any = network_of(content, path)
    carried = carried_by(content, path)
    model.model[-1].end2end = False  # YOLO26 heads: the one-to-many branch, with NMS, is the one we decode
    network = model.fuse(verbose=False)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network, carried


class Watch:
    """Keeps what a network's head sees of the image, and what its backbone hands to the neck, in each pass.

    Masks are compared by it. Networks whose backbone is not listed have no such maps. Threads have their own.
    """

    def __init__(self, network: Any) -> None:
        self._kept = threading.local()
        network.model[-1].register_forward_pre_hook(lambda _, given: self.maps.extend(given[0]))
        count = len((getattr(network, "yaml", None) or {}).get("backbone", ()))
        taps = [network.model[i] for i in sorted(set(network.save)) if 0 <= i < count]
        self.levels = len(taps[-_BACKBONE_LEVELS:])
        for layer in taps[-_BACKBONE_LEVELS:]:
            layer.register_forward_hook(lambda _, __, found: self.backbone.append(found))

    @property
    def maps(self) -> list[Any]:
        """What the head saw in this thread's last pass, finest first."""
        return self._list("maps")

    @property
    def backbone(self) -> list[Any]:
        """What the backbone handed to the neck in this thread's last pass, finest first."""
        return self._list("backbone")

    def _list(self, name: str) -> list[Any]:
        kept: list[Any] = self._kept.__dict__.setdefault(name, [])
        return kept

    def clear(self) -> None:
        """Let go of them."""
        self.maps.clear()
        self.backbone.clear()


class TorchBackend(NetworkBackend):
    """A network in PyTorch.

    Args:
        checkpoint: path of the ``.pt`` file; read without running what is pickled in it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    """

    def __init__(self, checkpoint: str | Path, device: str = "auto") -> None:
        self._torch = require("torch", "run the network")
        device = pick_device(device)
        network, carried = load_network(checkpoint)
        self._model = network.to(device)
        sha256 = file_sha256(Path(checkpoint))
        super().__init__(Path(checkpoint), device, int(max(self._model.stride)), carried, sha256)
        self._watch = Watch(self._model)
        self._cores = self._torch.get_num_threads()

    @property
    def passes_at_once(self) -> int:
        """How many passes, in as many threads, are sooner done than one after the other."""
        self._cores = self._torch.get_num_threads()
        return 2 if self.device == "cpu" and self._cores > 1 else 1

    def share_cores(self, passes: int) -> None:
        """Let this thread's passes take their share of the cores, where so many run at once; 1 takes all."""
        self._torch.set_num_threads(max(self._cores // passes, 1))

    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network; see :meth:`fastsam.everything.segmenter.NetworkBackend.forward`."""
        self._watch.clear()
        with self._torch.inference_mode():
            outputs = self._model(self._torch.from_numpy(image).to(self.device))
            predictions, prototypes = outputs[0] if isinstance(outputs[0], tuple) else outputs[:2]
            maps, backbone = (
                tuple(values[0].half().cpu().numpy() for values in kept)
                for kept in (self._watch.maps, self._watch.backbone)
            )
            self._watch.clear()
            return Outputs(
                predictions[0].float().cpu().numpy(), prototypes[0].float().cpu().numpy(), maps, backbone
            )
