"""Segment Anything's package over this one, with the same tree: a script changes one word.

``from fastsam.compat.segment_anything import sam_model_registry, SamPredictor`` instead of ``from
segment_anything import ...``; the submodules (``build_sam``, ``predictor``, ``automatic_mask_generator``,
``modeling``, ``utils.transforms``, ``utils.amg``) are here too. It also stands in for ``mobile_sam`` and
``segment_anything_hq``.

SAM's own weights cannot run here: the embedded ones, or a YOLO segmentation checkpoint that is named in their
place, answer instead.
"""

from fastsam.compat.segment_anything.automatic_mask_generator import SamAutomaticMaskGenerator
from fastsam.compat.segment_anything.build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from fastsam.compat.segment_anything.predictor import SamPredictor

__all__ = [
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]
