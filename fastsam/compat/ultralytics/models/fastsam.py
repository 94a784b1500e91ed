"""``ultralytics.models.fastsam``."""

from fastsam.compat.ultralytics.fastsam import FastSAM
from fastsam.compat.ultralytics.predictors import FastSAMPredictor
from fastsam.compat.ultralytics.prompt import FastSAMPrompt

__all__ = ["FastSAM", "FastSAMPredictor", "FastSAMPrompt"]
