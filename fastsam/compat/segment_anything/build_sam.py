"""SAM's constructors: every size is the one network that this package was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastsam import FastSAM
from fastsam.compat.arguments import our_weights
from fastsam.compat.segment_anything.modeling.sam import Sam

__all__ = [
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]


def build_sam(checkpoint: str | Path | FastSAM | None = None, **_: Any) -> Sam:
    """Return a model that answers like SAM's.

    Args:
        checkpoint: a YOLO segmentation checkpoint's path or name, or a :class:`fastsam.FastSAM`. One of
            SAM's own files gets a warning, and the embedded weights answer.

    Raises:
        WeightsError: the weights cannot be had or used.
    """
    if isinstance(checkpoint, FastSAM):
        return Sam(checkpoint)
    return Sam(FastSAM(our_weights(checkpoint)))


build_sam_vit_h = build_sam_vit_l = build_sam_vit_b = build_sam_vit_t = build_sam

sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
}
