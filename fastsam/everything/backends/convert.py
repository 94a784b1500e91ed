"""A checkpoint -> a network in ONNX, which ONNX Runtime and OpenVINO read. Owns the need for torch.

OpenVINO's own converter is not used: it calls its maker's statistics server at each conversion.

Run as a program, it converts in a process of its own, so that torch stays out of the one that asks:
``python -m fastsam.everything.backends.convert CHECKPOINT TARGET DEFAULTS`` prints an error as one JSON line.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastsam.errors
from fastsam.errors import CheckpointError, FastSAMError
from fastsam.everything.backends.converted import METADATA_KEY, NetworkCard, output_names
from fastsam.everything.backends.torch_network import Watch, load_network
from fastsam.files import file_sha256, write_bytes
from fastsam.needed import needed

if TYPE_CHECKING:
    from torch import nn

__all__ = ["convert", "convert_apart"]

_OPSET = 17
_REFUSED = 3  # exit code: the error is reported on stdout
_STRIDES = (2, 3)  # of the traced input, in rows and columns of the coarsest map: unlike each other


def convert(checkpoint: str | Path, target: str | Path, defaults: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint's network as an ``.onnx`` file, atomically.

    Args:
        checkpoint: anything that :class:`fastsam.everything.backends.torch_network.TorchBackend` loads.
        target: the file.
        defaults: fields of :class:`fastsam.config.SegmentConfig` that the weights want.

    Raises:
        CheckpointError: the checkpoint cannot be used, or has layers that ONNX does not have.
        MissingPackageError: torch or onnx is not installed.
        ExportError: the file cannot be written.
    """
    with needed("onnx", "convert a network"):  # torch would ask for it at the end
        import onnx  # noqa: F401
    checkpoint, target = Path(checkpoint), Path(target)
    network, carried = load_network(checkpoint)
    head, watch = network.model[-1], Watch(network)
    card = NetworkCard(
        file_sha256(checkpoint),
        int(max(network.stride)),
        int(head.nc),
        int(head.nl),
        watch.levels,
        replace(carried, defaults={**carried.defaults, **(defaults or {})}),
    )
    content = _exported(network, watch, card, checkpoint)
    write_bytes(target, content)


def _traceable(network: Any, watch: Watch) -> nn.Module:
    """Return a module with one input whose outputs are the network's own and the watched maps."""
    with needed("torch", "convert a network"):
        import torch

    class Traceable(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Any) -> tuple[Any, ...]:
            watch.clear()
            outputs = self.network(image)
            predictions, prototypes = outputs[0] if isinstance(outputs[0], tuple) else outputs[:2]
            return predictions, prototypes, *watch.maps, *watch.backbone

    network.model[-1].dynamic = True  # anchors are laid for the input's size in every pass
    module: nn.Module = Traceable().eval()
    return module


def _exported(network: nn.Module, watch: Watch, card: NetworkCard, path: Path) -> bytes:
    """Return the bytes of an ONNX file."""
    with needed("torch", "convert a network"):
        import torch
    with needed("onnx", "convert a network"):
        import onnx
    rows, columns = (card.stride * number for number in _STRIDES)
    names, stream = output_names(card.maps, card.backbone), io.BytesIO()
    free = {name: {2: f"height_{k}", 3: f"width_{k}"} for k, name in enumerate(names[1:])}
    try:
        with warnings.catch_warnings():
            # That the exporter is deprecated: its heir needs two packages more and many times as long. And of
            # sizes that tracing might fix; the tests run what comes out at other sizes.
            warnings.simplefilter("ignore")
            export: Any = torch.onnx.export  # its type knows of no streams
            export(
                _traceable(network, watch),
                (torch.zeros(1, 3, rows, columns),),
                stream,
                input_names=["image"],
                output_names=names,
                opset_version=_OPSET,
                dynamic_axes={"image": {2: "height", 3: "width"}, "predictions": {2: "anchors"}, **free},
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise CheckpointError(
            f"checkpoint {path}: PyTorch {torch.__version__} cannot convert it to ONNX ({reason}); "
            "use the torch backend"
        ) from error
    model = onnx.load_from_string(stream.getvalue())
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card.to_json()
    content: bytes = model.SerializeToString()
    return content


def convert_apart(checkpoint: Path, target: Path, defaults: Mapping[str, Any] | None = None) -> None:
    """Run :func:`convert` in a separate process, so that this one does not load torch.

    Raises:
        FastSAMError: as :func:`convert`.
    """
    root = str(Path(fastsam.errors.__file__).resolve().parents[1])
    folders = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(  # noqa: S603  this package, in this Python
        [sys.executable, "-m", __name__, str(checkpoint), str(target), json.dumps(dict(defaults or {}))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    if done.returncode == _REFUSED:
        report = json.loads(done.stdout.strip().split("\n")[-1])
        raise getattr(fastsam.errors, report["error"])(report["message"])
    last = [line for line in done.stderr.strip().split("\n") if line][-1:] or ["no word of why"]
    raise CheckpointError(
        f"checkpoint {checkpoint}: converting it failed (exit code {done.returncode}: {last[0][:300]}); "
        "use the torch backend"
    )


def _main(arguments: list[str]) -> int:
    """Convert; tell an error of ours on stdout."""
    checkpoint, target, defaults = arguments
    try:
        convert(checkpoint, target, json.loads(defaults))
    except FastSAMError as error:
        sys.stdout.write(json.dumps({"error": type(error).__name__, "message": str(error)}) + "\n")
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
