"""What scripts read of ultralytics' models, beside calling them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastsam import FastSAM
from fastsam.errors import ConfigError

__all__ = ["ModelAttributes", "network_parameters"]

_NO_SUCH = "has no counterpart here"
# Attributes and methods of ultralytics' models that would promise what is not done, and what to do instead.
_ELSEWHERE = {
    "benchmark": "use `fastsam benchmark`",
    "embed": "use fastsam.FastSAM().open(image).masks.embeddings()",
    "load": "name the checkpoint where the model is made: FastSAM('mine.pt')",
    "reset_weights": _NO_SUCH,
    "save": "the checkpoint is the file in `ckpt_path`",
    "tune": _NO_SUCH,
}


class ModelAttributes:
    """The settings and names of ultralytics' ``Model``; methods that are not done here say so.

    Attributes:
        model: the :class:`fastsam.FastSAM` that answers.
        overrides: keywords for calls that do not give them.
        predictor: None, always; whatever is set has no effect.
        callbacks: event -> functions; they are not called.
    """

    task = "segment"
    model: FastSAM
    cfg = ckpt = metrics = predictor = session = trainer = transforms = None
    training = is_hub_model = False

    def __init__(self) -> None:
        self.overrides: dict[str, Any] = {"task": self.task}
        self.callbacks: dict[str, list[Any]] = {}

    @property
    def ckpt_path(self) -> str | None:
        """The file of the network; None where there is none."""
        path = getattr(self.model.segmenter, "checkpoint", None)
        return None if path is None else str(path)

    @property
    def model_name(self) -> str | None:
        """The same: ultralytics keeps what the model was made of."""
        return self.ckpt_path

    @property
    def checkpoint(self) -> Path:
        """The file of the network.

        Raises:
            ConfigError: the segmenter has none.
        """
        if self.ckpt_path is None:
            raise ConfigError(f"{type(self).__name__}: expected a model of a checkpoint, this has no file")
        return Path(self.ckpt_path)

    def parameters(self) -> Iterator[Any]:
        """Yield the network's weights."""
        return network_parameters(self.model)

    def info(self, detailed: bool = False, verbose: bool = True, imgsz: Any = None) -> Any:
        """Return (layers, parameters, gradients, GFLOPs) of the network, and log it if ``verbose``."""
        from ultralytics.utils.torch_utils import model_info

        from fastsam.everything.backends.torch_network import load_network

        network, _ = load_network(self.checkpoint)
        return model_info(network, detailed=detailed, verbose=verbose)  # type: ignore[no-untyped-call]

    def add_callback(self, event: str, func: Any) -> None:
        """Take a callback, with a warning: nothing here calls it."""
        warnings.warn(
            f"add_callback({event!r}): callbacks are not called here; go through the results of "
            "model(source, stream=True) instead",
            UserWarning,
            stacklevel=2,
        )
        self.callbacks.setdefault(event, []).append(func)

    def clear_callback(self, event: str) -> None:
        """Forget the callbacks of an event."""
        self.callbacks.pop(event, None)

    def reset_callbacks(self) -> None:
        """Forget all callbacks."""
        self.callbacks.clear()

    def __getattr__(self, name: str) -> Any:
        """Say what to do instead of an attribute of ultralytics' that is not here."""
        advice = _ELSEWHERE.get(name)
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}" + (f"; {advice}" if advice else "")
        )


def network_parameters(model: FastSAM) -> Iterator[Any]:
    """Yield the weights of a segmenter's network; of one that is no torch module one empty tensor."""
    import torch

    network = getattr(model.segmenter, "network", None)
    if isinstance(network, torch.nn.Module):
        yield from network.parameters()
    else:
        yield torch.nn.Parameter(torch.zeros(0), requires_grad=False)
