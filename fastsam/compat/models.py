"""What the two FastSAM call shapes share: a segmenter behind a model that is called with images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastsam import FastSAM, Frame, Session
from fastsam.compat.arguments import as_array, core_of, device_name, is_tensor
from fastsam.compat.attributes import ModelAttributes
from fastsam.compat.calling import Call, as_whole
from fastsam.compat.sources import frames_of
from fastsam.errors import ConfigError
from fastsam.needed import needed
from fastsam.weights.table import table

__all__ = ["CalledModel", "imgsz_for"]

# What ultralytics runs where a call says nothing else; CASIA's code leaves it to ultralytics.
_THEIR_DEFAULTS: Mapping[str, Any] = {"conf": 0.25, "iou": 0.7, "imgsz": 640, "max_det": 300}
# Their masks and scores are the network's own.
_PLAIN: Mapping[str, Any] = {
    "quality": False,
    "edge_radius": 0.0,
    "min_region_share": 0.0,
    "fill_conf": 1.0,
    "regions": 0,
    "beyond_boxes": False,
}
_STRIDE = 32
_log = logging.getLogger(__name__)


class CalledModel(ModelAttributes):
    """A model as ultralytics has it: loaded by a name, moved to a device, called with images.

    Attributes:
        names: class number -> name.
    """

    def __init__(self, model: Any = None, text_model: Any = None, *, bgr: bool) -> None:
        super().__init__()
        if isinstance(model, CalledModel):  # ultralytics takes a model for a model, too
            model = model.model
        self._given, self._text_model, self._bgr = model, text_model, bgr
        self._told_size = False
        self.model: FastSAM = core_of(model, text_model)
        self.names = {0: "object"}

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        name = str(getattr(self.model.segmenter, "device", "cpu"))
        with needed("torch", "tell the device"):
            import torch
        return torch.device(name if name.split(":")[0] in ("cpu", "cuda", "mps", "xpu") else "cpu")

    def to(self, device: Any = None, *_: Any, **__: Any) -> Any:
        """Move the network to a device; a dtype changes nothing. Return the model itself."""
        self._move(device)
        return self

    def cpu(self) -> Any:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | str | None = None) -> Any:
        """Move to a GPU."""
        return self.to("cuda" if device is None else device)

    def eval(self) -> Any:
        """Return the model: it never trains."""
        return self

    def fuse(self) -> Any:
        """Return the model: its layers are fused already."""
        return self

    def half(self) -> Any:
        """Return the model: it computes as its device does best."""
        return self

    float = half

    def _move(self, device: Any) -> None:
        """Load the weights again where the caller wants them on another device."""
        here = str(getattr(self.model.segmenter, "device", None))
        if device is None or isinstance(self._given, FastSAM) or _same_device(device_name(device), here):
            return
        self.model = core_of(self._given, self._text_model, device_name(device))

    def _read(self, keywords: Mapping[str, Any], known: Iterable[str] = ()) -> Call:
        """Return what a call asks for, :attr:`overrides` included, and move to its device."""
        call = Call.read(type(self).__name__, {**self.overrides, **keywords}, known)
        self._move(call.device)
        return call

    def _frames(self, source: Any, call: Call) -> Iterator[Frame]:
        """Yield the images of a source, of a video every ``vid_stride``-th."""
        taken = 0
        for frame in frames_of(source, bgr=self._bgr):
            taken += frame.t_ms is not None
            if frame.t_ms is None or (taken - 1) % call.vid_stride == 0:
                yield frame

    def _sessions(self, source: Any, call: Call, *, plain: bool) -> Iterator[Session]:
        """Yield each image with its masks.

        Args:
            source: as :func:`fastsam.compat.sources.frames_of` takes it.
            call: its options; see :meth:`_options`.
            plain: as there.
        """
        for frame in self._frames(source, call):
            yield self.model.open(frame, **self._options(frame, source, call, plain=plain))

    def _options(self, frame: Frame, source: Any, call: Call, *, plain: bool) -> dict[str, Any]:
        """Return the options of segmenting an image of a source.

        Args:
            frame: the image.
            source: what it is of; a tensor is the network's input already.
            call: ``conf``, ``iou``, ``imgsz`` and ``max_det``, where they were given.
            plain: as ultralytics would: the network's own masks and confidences, and its defaults.
        """
        given = dict(call.options)
        if plain:
            given = {**_PLAIN, **(_THEIR_DEFAULTS if self._is_named() else {}), **given}
        size = given.pop("imgsz", None)
        chosen = max(frame.size_hw) if is_tensor(source) else imgsz_for(frame, size)
        return {**given, "imgsz": self._sensible(chosen)}

    def _sensible(self, imgsz: int | None) -> int | None:
        """Return the size at which the embedded weights answer; scripts ask for that of FastSAM's, 1024."""
        own = self.model.defaults.imgsz
        if imgsz is None or imgsz <= own or self._is_named() or isinstance(self._given, FastSAM):
            return imgsz
        if not self._told_size:
            _log.warning(
                "imgsz=%d: the embedded weights were trained at %d px and answer at that size; name other "
                "weights, such as FastSAM-s, for larger ones",
                imgsz,
                own,
            )
            self._told_size = True
        return own

    def _is_named(self) -> bool:
        """Tell whether the caller named a checkpoint that is not the embedded one."""
        if self._given is None or not isinstance(self._given, (str, Path)):
            return False
        embedded = {entry.name for entry in table() if entry.embedded} | {"default"}
        return str(self._given) not in embedded


def imgsz_for(frame: Frame, imgsz: Any) -> int | None:
    """Return the longer side of the network's input for ultralytics' ``imgsz``: a number, or (height, width).

    >>> import numpy as np
    >>> wide = Frame(np.zeros((100, 200, 3), np.uint8))
    >>> imgsz_for(wide, (640, 640)), imgsz_for(wide, (64, 640)), imgsz_for(wide, 1000)
    (640, 128, 1024)

    Raises:
        ConfigError: it is neither.
    """
    if imgsz is None:
        return None
    try:
        sides = [as_whole(side, "imgsz") for side in np.atleast_1d(np.asarray(as_array(imgsz), dtype=object))]
    except ConfigError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise ConfigError(f"imgsz: expected a whole number or (height, width), got {imgsz!r}")
    height, width = (-(-side // _STRIDE) * _STRIDE for side in (sides * 2)[:2])
    gain = min(height / frame.size_hw[0], width / frame.size_hw[1])
    return max(round(max(frame.size_hw) * gain), _STRIDE)


def _same_device(wanted: str, here: str) -> bool:
    """Tell whether a device is the one that the network is on."""
    return wanted in ("auto", here) or {wanted, here} == {"cuda", "cuda:0"}
