"""The ONNX Runtime backend: a network that fastsam has converted to ONNX; no torch in the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import CheckpointError, ConfigError
from fastsam.everything.backends.converted import ConvertedBackend, wanted_threads
from fastsam.everything.backends.published import Port
from fastsam.everything.segmenter import Outputs
from fastsam.needed import needed

__all__ = ["OnnxBackend"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def _provider(runtime: Any, device: str) -> tuple[str, str]:
    """Return a device's name and ONNX Runtime's word for it.

    Raises:
        ConfigError: unknown, or this build of ONNX Runtime cannot use it.
    """
    name = "cpu" if device == "auto" else str(device)
    provider = _PROVIDERS.get(name)
    if provider is None:
        raise ConfigError(f"device: expected auto, cpu or cuda with ONNX Runtime, got {device!r}")
    if provider not in runtime.get_available_providers():
        raise ConfigError(
            f"device: got {device!r}, which this build of ONNX Runtime cannot use (it has "
            f"{', '.join(runtime.get_available_providers())}); cuda needs: pip install onnxruntime-gpu"
        )
    return name, provider


class OnnxBackend(ConvertedBackend):
    """A converted network in ONNX Runtime, on as many threads as ``OMP_NUM_THREADS`` says, else all cores.

    Args:
        path: the ``.onnx`` file, as ``fastsam export-model`` writes it.
        device: ``"auto"`` (the CPU), ``"cpu"`` or ``"cuda"``.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        CheckpointError: the file is not an ONNX network, or has an unknown form.
        ConfigError: the device is not there.
    """

    def __init__(self, path: str | Path, device: str = "auto") -> None:
        with needed("onnxruntime", "run a network with ONNX Runtime"):
            import onnxruntime as runtime
        path = Path(path)
        device, provider = _provider(runtime, device)
        if not path.is_file():
            raise CheckpointError(f"network {path}: expected an .onnx file, found nothing there")
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised; it would also talk of thread affinities
        options.intra_op_num_threads = wanted_threads()
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # its errors have no base of their own
            reason = str(error).strip().split("\n")[0][:300]
            raise CheckpointError(
                f"network {path}: expected an ONNX network, ONNX Runtime cannot read it ({reason})"
            ) from error
        if (used := self._session.get_providers())[0] != provider:
            raise ConfigError(
                f"device: expected one that works, got {device!r}, and ONNX Runtime fell back to {used}"
            )
        super().__init__(
            path,
            device,
            self._session.get_modelmeta().custom_metadata_map,
            [_port(value) for value in self._session.get_inputs()],
            [_port(value) for value in self._session.get_outputs()],
        )
        self._input = self._session.get_inputs()[0].name

    def forward(self, image: NDArray[np.float32]) -> Outputs:
        """Run the bare network; see :meth:`fastsam.everything.segmenter.NetworkBackend.forward`."""
        return self._outputs(self._session.run(None, {self._input: self._fed(image)}), image)


def _port(value: Any) -> Port:
    sides = (side if isinstance(side, int) else None for side in value.shape)
    return Port(value.name, tuple(sides), "float16" in value.type)
