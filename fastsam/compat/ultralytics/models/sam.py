"""``ultralytics.models.sam``."""

from __future__ import annotations

from typing import Any

from fastsam.compat.ultralytics.predictors import Predictor, SAM2Predictor
from fastsam.compat.ultralytics.sam import SAM
from fastsam.compat.ultralytics.video import SAM2VideoPredictor

__all__ = ["SAM", "Predictor", "SAM2Predictor", "SAM2VideoPredictor", "SAM3Predictor"]

SAM3Predictor = Predictor
_ELSEWHERE = {
    "SAM2DynamicInteractivePredictor": "fastsam.video follows objects from frame to frame",
    "SAM3SemanticPredictor": "FastSAM()(image, texts=[...]) answers texts",
    "SAM3VideoPredictor": "SAM2VideoPredictor follows objects of the first frame",
    "SAM3VideoSemanticPredictor": "`fastsam video` finds and follows what texts name",
    "build_sam": "fastsam.compat.ultralytics.SAM(checkpoint) makes a model",
}


def __getattr__(name: str) -> Any:
    """Say what to use instead of what is not here."""
    if name in _ELSEWHERE:
        raise ImportError(
            f"cannot import name {name!r} from 'fastsam.compat.ultralytics': {_ELSEWHERE[name]}"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
