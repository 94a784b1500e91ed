"""The call shapes of CASIA's FastSAM and of SAM, over this package: existing code changes its import.

What answers is :mod:`fastsam.model`; nothing here segments or selects. Code written for CASIA's
repository::

    from fastsam.compat import FastSAM, FastSAMPrompt      # was: from fastsam import FastSAM, FastSAMPrompt

and code written for SAM::

    from fastsam.compat import SamAutomaticMaskGenerator, SamPredictor   # was: from segment_anything ...

Each class lists where it differs from its model. Not there yet: ``FastSAMPrompt.text_prompt`` (text
prompts come in a later version).
"""

from fastsam.compat.casia import Boxes, FastSAM, FastSAMPrompt, Masks, Results
from fastsam.compat.sam import SamAutomaticMaskGenerator, SamPredictor

__all__ = [
    "Boxes",
    "FastSAM",
    "FastSAMPrompt",
    "Masks",
    "Results",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
]
