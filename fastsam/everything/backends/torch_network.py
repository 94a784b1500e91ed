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
from fastsam.needed import needed
from fastsam.weights.checkpoint import load_checkpoint, network_of
from fastsam.weights.download import file_sha256

__all__ = ["TorchBackend", "Watch", "load_network", "pick_device"]

_BACKBONE_LEVELS = 2  # the finer ones tell edges, which all things have
_OF_ONE_SIZE = ("anchors", "strides", "shape")  # what a YOLO head keeps of the last input's size


def pick_device(device: str = "auto") -> str:
    """Return a torch device name; ``"auto"`` prefers cuda, then mps, then cpu.

    Raises:
        ConfigError: torch does not know the device, or this machine lacks it.
    """
    with needed("torch", "run the network"):
        import torch
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


class _OfThread:
    """An attribute of which each thread has a value of its own, and which starts as the class has it."""

    def __init__(self, name: str, start: Any) -> None:
        self._name, self._start = name, start

    def __get__(self, owner: Any, _: type | None = None) -> Any:
        if owner is None:
            return self._start
        return owner.__dict__["_of_thread"].__dict__.get(self._name, self._start)

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__["_of_thread"].__dict__[self._name] = value


def keep_sizes_apart(head: Any) -> None:
    """Let threads share a YOLO head: it lays its anchors once for an input size and keeps them on itself.

    Another thread's input of another size would replace them in the middle of a pass: boxes of another
    picture, or an error. A lock would let passes wait for each other; values of each
    thread's own cost nothing.
    """
    kind = type(head)
    names = [name for name in _OF_ONE_SIZE if hasattr(kind, name)]
    for name in names:
        head.__dict__.pop(name, None)
    values = {name: _OfThread(name, getattr(kind, name)) for name in names}
    head.__dict__["_of_thread"] = threading.local()
    head.__class__ = type(kind.__name__, (kind,), {**values, "__module__": kind.__module__})


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
        with needed("torch", "run the network"):
            import torch
        self._torch = torch
        device = pick_device(device)
        network, carried = load_network(checkpoint)
        self._model = network.to(device)
        keep_sizes_apart(self._model.model[-1])
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
