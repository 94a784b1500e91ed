"""``ultralytics.models.fastsam``."""

from fastsam.compat.ultralytics.fastsam import FastSAM
from fastsam.compat.ultralytics.predictors import FastSAMPredictor

__all__ = ["FastSAM", "FastSAMPredictor"]
