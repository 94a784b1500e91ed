"""A name or a path in, stage one out: which runtime runs the network, and where converted ones are kept.

PyTorch runs a checkpoint as it is. For ONNX Runtime and OpenVINO it is converted once, to one file that both
read, in ``networks`` beside the folder of downloaded weights: under a hash of all that it depends on. After
that there is no torch in the process until a text is asked for.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ConfigError, ExportError, check_one_of
from fastsam.files import exclusive, file_sha256, file_state, fingerprint, trim_folder
from fastsam.needed import needed
from fastsam.weights.download import Progress
from fastsam.weights.resolve import ResolvedWeights, resolve
from fastsam.weights.table import cache_folder

if TYPE_CHECKING:
    from fastsam.everything.backends.converted import ConvertedBackend
    from fastsam.everything.segmenter import NetworkBackend

__all__ = ["BACKENDS", "OpenedNetwork", "export_network", "open_network"]

BACKENDS = ("auto", "torch", "onnx", "openvino")
_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
_KEPT_FILES = 12  # converted networks; the oldest go
_CONVERSION = 2  # counts up when what a conversion writes changes


@dataclass(frozen=True, eq=False)
class OpenedNetwork:
    """Stage one in memory.

    Attributes:
        segmenter: turns frames into masks.
        location: names the weights, their state and what runs them; equal for equal results.
        defaults: fields of :class:`fastsam.config.SegmentConfig` that the weights want.
    """

    segmenter: NetworkBackend
    location: str
    defaults: Mapping[str, Any]


def open_network(
    weights: str | Path | None = None,
    *,
    backend: str = "auto",
    device: str = "auto",
    progress: Progress | None = None,
) -> OpenedNetwork:
    """Load a network.

    Args:
        weights: as :func:`fastsam.weights.resolve.resolve` takes them; or an ``.onnx`` file, an ``.xml`` file
            with its ``.bin``, or a folder with one such pair, as :func:`export_network` writes them.
        backend: ``"torch"``, ``"onnx"`` (ONNX Runtime) or ``"openvino"``; ``"auto"`` is torch for checkpoints
            and the format's own runtime for converted networks. OpenVINO runs ``.onnx`` files too.
        device: where the network runs; each backend has its own.
        progress: called with (done, total) bytes during a download.

    Raises:
        WeightsError: the weights cannot be had or used.
        MissingPackageError: the backend's package is not installed.
        ConfigError: no such backend or device, or the backend cannot run such files.
        ExportError: the checkpoint had to be converted, and there is no place for that.
    """
    check_one_of(backend, BACKENDS, "backend", ConfigError)
    path = _converted_file(weights)
    if path is not None:
        own = "openvino" if path.suffix == ".xml" else "onnx"
        chosen = own if backend == "auto" else backend
        if chosen != own and (chosen, own) != ("openvino", "onnx"):
            raise ConfigError(
                f"backend: {chosen!r} cannot run {path}; expected auto, {own}"
                f"{' or openvino' if own == 'onnx' else ''}, or a checkpoint"
            )
        network = _load(path, chosen, device)
        return OpenedNetwork(network, _location(path, chosen), network.carried.defaults)
    resolved = resolve(weights, progress=progress)
    if backend in ("auto", "torch"):
        from fastsam.everything.backends.torch_network import (
            TorchBackend,  # torch loads only when it is needed
        )

        segmenter: NetworkBackend = TorchBackend(resolved.path, device)
        return OpenedNetwork(segmenter, _location(resolved.path), _defaults(resolved, segmenter))
    segmenter = _load_cached(resolved, backend, device)
    return OpenedNetwork(segmenter, _location(resolved.path, backend), _defaults(resolved, segmenter))


def _defaults(found: ResolvedWeights, network: NetworkBackend) -> Mapping[str, Any]:
    """Return the options that go with weights: what the file carries, and what the table says of its name."""
    return {**network.carried.defaults, **found.defaults}


def _location(path: Path, runtime: str = "") -> str:
    """Return a file's path and state, and the runtime if it is not torch."""
    parts = [str(path.resolve()), file_state(path)]
    return "|".join([*parts, f"{runtime} {_version(_PACKAGES[runtime])}"] if runtime else parts)


def _version(distribution: str) -> str:
    """Return the version of an installed package, without importing it."""
    try:
        return version(distribution)
    except PackageNotFoundError:  # of another name, such as onnxruntime-gpu
        return ""


def _converted_file(weights: str | Path | None) -> Path | None:
    """Return the file of a converted network; None if ``weights`` is a checkpoint or a name.

    Raises:
        CheckpointError: a folder has several.
    """
    if weights is None:
        return None
    path = Path(os.path.expanduser(weights))
    if path.suffix.lower() in _SUFFIXES.values():
        return path
    if not path.is_dir():
        return None
    pairs = sorted(path.glob("*.xml"))
    if len(pairs) > 1:
        raise CheckpointError(
            f"network {path}: expected a folder with one .xml, found {len(pairs)}; name one of them"
        )
    return pairs[0] if pairs else None


def _load(path: Path, runtime: str, device: str) -> ConvertedBackend:
    """Load a converted network."""
    if runtime == "openvino":
        from fastsam.everything.backends.openvino_network import OpenVinoBackend

        return OpenVinoBackend(path, device)
    from fastsam.everything.backends.onnx_network import OnnxBackend

    return OnnxBackend(path, device)


def _load_cached(found: ResolvedWeights, runtime: str, device: str) -> ConvertedBackend:
    """Load a checkpoint's converted network, which is made where it is not there yet, or is damaged."""
    package = _PACKAGES[runtime]
    with needed(package, f"run a network with the {runtime} backend"):  # before a conversion
        importlib.import_module(package)
    path = _cached_file(found.path)
    if path.is_file():
        with suppress(CheckpointError):
            network = _load(path, runtime, device)
            with suppress(OSError):
                os.utime(path)  # used: others go first
            return network
        path.unlink(missing_ok=True)
    _convert_into_cache(found.path, path)
    return _load(path, runtime, device)


def _cached_file(checkpoint: Path) -> Path:
    """Return where a checkpoint's converted network is kept."""
    parts = [file_sha256(checkpoint), _CONVERSION, _version("torch"), _version("ultralytics")]
    return cache_folder().parent / "networks" / f"{fingerprint(parts)}.onnx"


def _convert_into_cache(checkpoint: Path, target: Path) -> None:
    """Convert a checkpoint, unless another process is faster; let the oldest files go."""
    from fastsam.everything.backends.convert import convert_apart

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target.with_name("lock")):
            if not target.is_file():
                convert_apart(checkpoint, target)
            trim_folder(target.parent, "*.onnx", _KEPT_FILES)
    except OSError as error:
        raise ExportError(
            f"network {target}: a converted network cannot be kept there ({error}); FASTSAM_HOME moves that "
            f"folder, or convert it by hand: fastsam export-model {checkpoint}"
        ) from error


def export_network(weights: str | Path | None, out: str | Path, to: str, *, imgsz: int | None = None) -> Path:
    """Write a checkpoint as a network of another runtime, for machines without torch.

    Args:
        weights: as :func:`fastsam.weights.resolve.resolve` takes them.
        out: an ``.onnx`` file, or an ``.xml`` file that gets its ``.bin`` beside it.
        to: ``"onnx"`` or ``"openvino"``.
        imgsz: the network input size that the file asks for by default; if not given, the weights' own.

    Returns:
        ``out``.

    Raises:
        ConfigError: no such format, the suffix is another one's, or ``imgsz`` is outside its range.
        WeightsError: the weights cannot be had or used.
        MissingPackageError: a package that converts is not installed.
        ExportError: the file cannot be written.
    """
    out = Path(out)
    if to not in _SUFFIXES:
        raise ConfigError(f"to: expected onnx or openvino, got {to!r}")
    if out.suffix != _SUFFIXES[to]:
        raise ConfigError(
            f"out: expected a file name that ends in {_SUFFIXES[to]} for {to}, got {str(out)!r}"
        )
    if to == "openvino":
        with needed("openvino", "write a network for OpenVINO"):
            import openvino  # noqa: F401  before the seconds that follow
    resolved = resolve(weights)
    defaults = {**resolved.defaults, **({} if imgsz is None else {"imgsz": imgsz})}
    SegmentConfig(**defaults)  # before the seconds that follow
    from fastsam.everything.backends.convert import convert_apart

    if to == "onnx":
        convert_apart(resolved.path, out.resolve(), defaults)
        return out
    from fastsam.everything.backends.openvino_network import write_ir

    with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
        network = Path(folder) / "network.onnx"
        convert_apart(resolved.path, network, defaults)
        write_ir(network, out)
    return out
