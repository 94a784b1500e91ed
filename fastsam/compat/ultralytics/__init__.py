"""ultralytics' call shapes over this package: a script changes one word.

``from fastsam.compat.ultralytics import FastSAM, SAM`` instead of ``from ultralytics import FastSAM, SAM``;
the submodules ``models.fastsam`` and ``models.sam`` are here too. Any other name (``YOLO``, ``ASSETS``,
...) is ultralytics' own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsam.compat.results import Results
    from fastsam.compat.ultralytics.fastsam import FastSAM
    from fastsam.compat.ultralytics.predictors import FastSAMPredictor, Predictor, SAM2Predictor
    from fastsam.compat.ultralytics.sam import SAM
    from fastsam.compat.ultralytics.video import SAM2VideoPredictor

__all__ = [
    "SAM",
    "FastSAM",
    "FastSAMPredictor",
    "Predictor",
    "Results",
    "SAM2Predictor",
    "SAM2VideoPredictor",
]

_OWNERS = {
    "SAM": "fastsam.compat.ultralytics.sam",
    "FastSAM": "fastsam.compat.ultralytics.fastsam",
    "FastSAMPredictor": "fastsam.compat.ultralytics.predictors",
    "Predictor": "fastsam.compat.ultralytics.predictors",
    "Results": "fastsam.compat.results",
    "SAM2Predictor": "fastsam.compat.ultralytics.predictors",
    "SAM2VideoPredictor": "fastsam.compat.ultralytics.video",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use: ours, or ultralytics' own."""
    if name == "models":
        return importlib.import_module(f"{__name__}.models")
    if name in _OWNERS:
        return getattr(importlib.import_module(_OWNERS[name]), name)
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("ultralytics"), name)
