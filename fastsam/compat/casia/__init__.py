"""CASIA's ``FastSAM`` and ``FastSAMPrompt``."""

from fastsam.compat.casia.model import FastSAM
from fastsam.compat.casia.prompt import FastSAMPrompt

__all__ = ["FastSAM", "FastSAMPrompt"]
