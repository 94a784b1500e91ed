"""The PyTorch backend: segmentation checkpoints of ultralytics (YOLOv8 to YOLO26, YOLOE) and of CASIA."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ConfigError, MissingPackageError, reason_of
from fastsam.everything.carried import Carried, carried_by, usable_names
from fastsam.everything.segmenter import NetworkBackend, Outputs
from fastsam.files import file_sha256
from fastsam.needed import needed
from fastsam.weights.checkpoint import load_checkpoint, network_of

__all__ = ["TorchBackend", "Watch", "load_network", "one_to_many", "pick_device"]

_BACKBONE_LEVELS = 2  # the finer ones tell edges, which all things have
_MAX_STRIDE = 1024
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
    """Return a checkpoint's network ready to run (float32, on the CPU, fused), and what the file carries.

    The network is the ``torch.nn.Module`` of ultralytics, whose attributes torch's types do not know.

    Raises:
        CheckpointError: as :func:`fastsam.weights.checkpoint.load_checkpoint`, or the file holds no YOLO
            segmentation network.
    """
    path = Path(checkpoint)
    content = load_checkpoint(path)
    model: Any = network_of(content, path)
    carried = carried_by(content, path)
    _check_input(model, path)
    with _layers_that_fit(path):
        one_to_many(model.model[-1])
        network = model.fuse(verbose=False)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        _try(network)
    names = usable_names(getattr(model, "names", None))
    return network, replace(carried, defaults={**_trained_with(content), **carried.defaults}, names=names)


def _trained_with(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input size that a network was trained with, as an option of segmenting, where it says so."""
    trained = content.get("train_args")
    imgsz = trained.get("imgsz") if isinstance(trained, dict) else None
    try:
        return {"imgsz": SegmentConfig(imgsz=imgsz).imgsz} if type(imgsz) is int else {}
    except ConfigError:
        return {}


@contextmanager
def _layers_that_fit(path: Path) -> Iterator[None]:
    """Turn whatever damaged layers raise into a CheckpointError."""
    try:
        yield
    except (MissingPackageError, CheckpointError):
        raise
    except Exception as error:  # a file decides what its layers hold, and so what they trip over
        reason = reason_of(error).split("\n")[0][:200]
        raise CheckpointError(
            f"its layers do not fit together ({type(error).__name__}: {reason})",
            subject=f"checkpoint {path}",
            advice="take another copy, or save it again with the ultralytics that made it",
            path=path,
        ) from error


def _check_input(model: Any, path: Path) -> None:
    """Refuse networks of grey or multispectral images, and those that wait for the names of classes."""
    with needed("torch", "run the network"):
        import torch
    what = f"checkpoint {path}"
    first = next((layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)), None)
    channels = getattr(first, "in_channels", 3)
    if channels != 3:
        raise CheckpointError(
            f"expected a network of RGB images, got one of {channels} channels",
            subject=what,
            advice="fastsam reads every image as RGB",
            path=path,
        )
    head = model.model[-1]
    named = hasattr(head, "lrpc") or getattr(head, "is_fused", False) or hasattr(model, "pe")
    if hasattr(head, "reprta") and not named:
        raise CheckpointError(
            "a YOLOE network without classes finds nothing by itself",
            subject=what,
            advice="use its prompt-free kind (name ends in -seg-pf), or give it classes with ultralytics: "
            'model = YOLOE("FILE.pt"); model.set_classes([...]); model.save("NEW.pt")',
            path=path,
        )


def one_to_many(head: Any) -> None:
    """Leave a head with the branch whose boxes go through NMS, which is the one that is decoded here.

    YOLO26 and YOLOv10 have two. Where fusing has removed it, the one-to-one branch takes its place:
    its raw output is of the same form.
    """
    layers = head._modules
    for name in [name for name in layers if name.startswith("one2one_")]:
        kept = name.removeprefix("one2one_")
        branch = layers.pop(name)
        if layers.get(kept) is None and branch is not None:
            layers[kept] = branch


def _try(network: Any) -> None:
    """Run the network once, on the smallest input that has all levels."""
    with needed("torch", "run the network"):
        import torch
    stride = int(max(network.stride))
    if not 1 <= stride <= _MAX_STRIDE:
        raise ValueError(f"expected a stride of 1 to {_MAX_STRIDE}, got {stride}")
    with torch.inference_mode():
        outputs = _outputs(network(torch.zeros(1, 3, 2 * stride, stride)))
    if any(part.ndim != rank or len(part) != 1 for part, rank in zip(outputs, (3, 4), strict=True)):
        shapes = [tuple(part.shape) for part in outputs]
        raise ValueError(f"expected predictions and prototypes, got {shapes}")


def _outputs(given: Any) -> tuple[Any, Any]:
    """Return predictions and prototypes of what a network gives; ultralytics has nested them in two ways."""
    predictions, prototypes = given[0] if isinstance(given[0], tuple) else given[:2]
    return predictions, prototypes


class _OfThread:
    """An attribute with a separate value for each thread, starting with the class's value."""

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
        network.model[-1].register_forward_pre_hook(  # a head of YOLOE gets the vectors of its texts, too
            lambda head, given: self.maps.extend(given[0][: head.nl])
        )
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
    def network(self) -> Any:
        """The ``torch.nn.Module``."""
        return self._model

    @property
    def passes_at_once(self) -> int:
        """How many passes, in as many threads, are sooner done than one after the other."""
        self._cores = self._torch.get_num_threads()
        return 2 if self.device == "cpu" and self._cores > 1 else 1

    def share_cores(self, passes: int) -> None:
        """Use a share of the cores for this thread's passes, because ``passes`` run at once; 1 uses all."""
        self._torch.set_num_threads(max(self._cores // passes, 1))

    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network; see :meth:`fastsam.everything.segmenter.NetworkBackend.forward`."""
        self._watch.clear()
        with self._torch.inference_mode():
            predictions, prototypes = _outputs(self._model(self._torch.from_numpy(image).to(self.device)))
            maps, backbone = (
                tuple(values[0].half().cpu().numpy() for values in kept)
                for kept in (self._watch.maps, self._watch.backbone)
            )
            self._watch.clear()
            return Outputs(
                predictions[0].float().cpu().numpy(), prototypes[0].float().cpu().numpy(), maps, backbone
            )
