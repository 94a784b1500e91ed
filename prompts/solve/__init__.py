"""Answers that are made where no mask is what the clicks mean: evidence for each cell, added up.

See :mod:`fastsam.prompts.solve.clicks` for what clicks do, :mod:`fastsam.prompts.solve.evidence` for what
counts as evidence.
"""

from fastsam.prompts.solve.scene import Scene

__all__ = ["Scene"]
