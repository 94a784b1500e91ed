"""The call shapes of other packages over this one: existing code changes its import.

==============================  ==========================================================================
was                             becomes
==============================  ==========================================================================
CASIA's ``from fastsam``        ``from fastsam.compat import FastSAM, FastSAMPrompt``
``from ultralytics``            ``from fastsam.compat.ultralytics import FastSAM, SAM``
``from segment_anything``       ``from fastsam.compat.segment_anything import SamPredictor, ...``
``from sam2``                   ``from fastsam.compat.sam2.build_sam import build_sam2``, ...
==============================  ==========================================================================

What answers is :class:`fastsam.FastSAM`; nothing here segments or selects, but for ultralytics' own rules of
prompts. Each class lists where it differs from its model; ``docs/moving-over.md`` has all of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsam.compat.casia import FastSAM, FastSAMPrompt
    from fastsam.compat.results import Results
    from fastsam.compat.segment_anything import (
        SamAutomaticMaskGenerator,
        SamPredictor,
        build_sam,
        sam_model_registry,
    )
    from fastsam.compat.ultralytics import FastSAMPredictor

__all__ = [
    "FastSAM",
    "FastSAMPredictor",
    "FastSAMPrompt",
    "Results",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "sam_model_registry",
]

_OWNERS = {
    "FastSAM": "casia",
    "FastSAMPredictor": "ultralytics",
    "FastSAMPrompt": "casia",
    "Results": "results",
    **dict.fromkeys(__all__[4:], "segment_anything"),
}


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    if name not in _OWNERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_OWNERS[name]}"), name)
