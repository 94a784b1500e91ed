"""SAM's ``utils.onnx``, which cannot be had."""

from __future__ import annotations

from typing import Any

from fastsam.errors import ConfigError

__all__ = ["SamOnnxModel"]


class SamOnnxModel:
    """SAM's decoder for ONNX; there is none.

    Raises:
        ConfigError: always.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ConfigError(
            "SamOnnxModel: expected no export of SAM's decoder, which is not here; "
            "`fastsam export-model` writes the network that finds the masks"
        )
