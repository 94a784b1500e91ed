"""``segment_anything.modeling``: the model; its layers have no counterpart here."""

from fastsam.compat.segment_anything.modeling.sam import Sam

__all__ = ["Sam"]
