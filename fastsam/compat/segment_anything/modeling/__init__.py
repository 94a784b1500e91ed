"""``segment_anything.modeling``: the model; its layers have no counterpart here."""

from typing import Any

from fastsam.compat.segment_anything.modeling.sam import Sam

__all__ = ["Sam"]


def __getattr__(name: str) -> Any:
    """Say that SAM's layers are not here."""
    if name in ("ImageEncoderViT", "MaskDecoder", "PromptEncoder", "TinyViT", "TwoWayTransformer"):
        raise ImportError(f"fastsam.compat.segment_anything has no {name}: SAM's network is not here")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
