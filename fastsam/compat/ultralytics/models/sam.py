"""``ultralytics.models.sam``."""

from fastsam.compat.ultralytics.predictors import Predictor, SAM2Predictor
from fastsam.compat.ultralytics.sam import SAM

__all__ = ["SAM", "Predictor", "SAM2Predictor"]
