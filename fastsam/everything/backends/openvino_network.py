"""The OpenVINO backend: a network that fastsam has converted; no torch in the process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import CheckpointError, ConfigError
from fastsam.everything.backends.converted import METADATA_KEY, ConvertedBackend, NetworkCard, wanted_threads
from fastsam.everything.backends.published import Port, sidecar
from fastsam.everything.segmenter import Outputs
from fastsam.files import replacing_path
from fastsam.needed import needed

__all__ = ["OpenVinoBackend", "write_ir"]


def _openvino() -> Any:
    with needed("openvino", "run a network with OpenVINO"):
        import openvino
    return openvino


def _read(core: Any, path: Path) -> Any:
    """Read an ``.onnx`` or an ``.xml`` with its ``.bin``.

    Raises:
        CheckpointError: it is not there, or OpenVINO cannot read it.
    """
    for file in [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]:
        if not file.is_file():
            raise CheckpointError(
                f"expected a file {file.name} there, found none",
                subject=f"network {path}",
                advice="OpenVINO keeps a network in two, .xml and .bin",
                path=path,
            )
    try:
        return core.read_model(path)
    except RuntimeError as error:
        reason = [line for line in str(error).strip().split("\n") if line][-1][:300]
        raise CheckpointError(
            f"network {path}: expected an ONNX or OpenVINO network, OpenVINO cannot read it ({reason})"
        ) from error


def _metadata(model: Any) -> str | None:
    """Return what the file says of itself: OpenVINO puts what an ONNX file says under ``framework``."""
    for place in ([METADATA_KEY], ["framework", METADATA_KEY]):
        if model.has_rt_info(place):
            return str(model.get_rt_info(place).value)
    return None


def _said(model: Any, path: Path) -> dict[str, str]:
    """Return all that a file says of itself: our metadata, or those that ultralytics writes."""
    ours = _metadata(model)
    if ours is not None:
        return {METADATA_KEY: ours}
    card = sidecar(path)
    for name in ("stride", "task"):
        if model.has_rt_info(["framework", name]):  # of an ONNX file
            card[name] = str(model.get_rt_info(["framework", name]).value)
    return card


def _port(port: Any) -> Port:
    """Return the name and the sides of an input or output."""
    sides = (side.get_length() if side.is_static else None for side in port.get_partial_shape())
    return Port(str(min(port.get_names(), default="?")), tuple(sides), "f16" in str(port.get_element_type()))


def _device(core: Any, device: str) -> str:
    """Return OpenVINO's name of a device.

    Raises:
        ConfigError: this machine does not have it.
    """
    name = "CPU" if device == "auto" else str(device).upper()
    if name not in core.available_devices:
        raise ConfigError(
            f"device: expected auto or one that OpenVINO finds on this machine "
            f"({', '.join(core.available_devices).lower()}), got {device!r}"
        )
    return name


class OpenVinoBackend(ConvertedBackend):
    """A converted network in OpenVINO: float32, one image at a time as fast as it goes.

    It runs on as many threads as ``OMP_NUM_THREADS`` says, else on all cores. The sides of the input stay
    free: compiled for one size, a pass costs a few per cent less (docs/backends.md), each new size half a
    second more.

    Args:
        path: an ``.xml`` with its ``.bin``, or an ``.onnx``, as ``fastsam export-model`` writes them.
        device: ``"auto"`` (the CPU), ``"cpu"``, or what OpenVINO calls it, such as ``"gpu"``.

    Raises:
        MissingPackageError: openvino is not installed.
        CheckpointError: the file is not a network, or has an unknown form.
        ConfigError: the device is not there.
    """

    def __init__(self, path: str | Path, device: str = "auto") -> None:
        core = _openvino().Core()
        name = _device(core, device)
        path = Path(path)
        model = _read(core, path)
        super().__init__(
            path,
            name.lower(),
            _said(model, path),
            [_port(port) for port in model.inputs],
            [_port(port) for port in model.outputs],
        )
        # Some processors would otherwise compute in bfloat16, which moves masks.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if name == "CPU":
            options["ENABLE_CPU_PINNING"] = False  # on a busy machine a pinned thread waits for its core
            options["INFERENCE_NUM_THREADS"] = wanted_threads()  # 0 is its own choice
        try:
            self._request = core.compile_model(model, name, options).create_infer_request()
        except RuntimeError as error:
            raise CheckpointError(f"network {path}: OpenVINO cannot use it ({error})") from error
        self._lock = threading.Lock()  # a request holds the outputs of one pass

    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network; see :meth:`fastsam.everything.segmenter.NetworkBackend.forward`."""
        with self._lock:
            outputs = self._request.infer([self._fed(image)], share_inputs=True, share_outputs=True)
            return self._outputs([outputs[k] for k in range(len(outputs))], image)


def write_ir(network: Path, target: Path) -> None:
    """Write an ``.onnx`` network as OpenVINO's pair of ``.xml`` and ``.bin``, in float32.

    Args:
        network: the ``.onnx`` file.
        target: the ``.xml``; the ``.bin`` goes beside it.

    Raises:
        MissingPackageError: openvino is not installed.
        CheckpointError: the file is not a network, or has an unknown form.
        ExportError: the pair cannot be written.
    """
    openvino = _openvino()
    model = _read(openvino.Core(), network)
    model.set_rt_info(NetworkCard.from_json(_metadata(model), network).to_json(), [METADATA_KEY])
    with replacing_path(target, RuntimeError, what="network", beside=[".bin"]) as partial:
        openvino.save_model(model, partial, compress_to_fp16=False)
