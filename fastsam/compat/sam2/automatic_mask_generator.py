"""SAM 2's ``SAM2AutomaticMaskGenerator``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastsam import FastSAM
from fastsam.compat.arguments import check_keywords, warn_ignored
from fastsam.compat.segment_anything.automatic_mask_generator import OutputMode, SamAutomaticMaskGenerator
from fastsam.compat.segment_anything.modeling.sam import Sam

__all__ = ["SAM2AutomaticMaskGenerator"]


class SAM2AutomaticMaskGenerator(SamAutomaticMaskGenerator):
    """SAM 2's mask generator: as SAM's, with SAM 2's order of arguments and its defaults (.8 and .95).

    Args:
        model: what ``build_sam2`` gives, a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        mask_threshold: no effect, where it is not 0.
        use_m2m: no effect.
        multimask_output: no effect: there are no points, and all nested masks come.
        others: none; unknown names are an error.

    All others are those of :class:`fastsam.compat.segment_anything.SamAutomaticMaskGenerator`.

    Raises:
        WeightsError: the weights cannot be had or used.
        ConfigError: an option is unknown or outside its range.
    """

    _SAM_THRESHOLDS = (0.8, 0.95)

    def __init__(
        self,
        model: Sam | FastSAM | str | Path | None = None,
        points_per_side: int | None = 32,
        points_per_batch: int | None = None,
        pred_iou_thresh: float | None = None,
        stability_score_thresh: float | None = None,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float | None = None,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Any = None,
        min_mask_region_area: float = 0,
        output_mode: OutputMode = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        **others: Any,
    ) -> None:
        check_keywords("SAM2AutomaticMaskGenerator", others)
        warn_ignored(type(self).__name__, ["mask_threshold"] if mask_threshold else [], "masks are cut at 0")
        super().__init__(
            model,
            points_per_side,
            points_per_batch,
            pred_iou_thresh,
            stability_score_thresh,
            stability_score_offset,
            box_nms_thresh,
            crop_n_layers,
            crop_nms_thresh,
            crop_overlap_ratio,
            crop_n_points_downscale_factor,
            point_grids,
            min_mask_region_area,
            output_mode,
        )

    @classmethod
    def from_pretrained(cls, model_id: str, **options: Any) -> SAM2AutomaticMaskGenerator:
        """Return a generator of the embedded model: nothing is downloaded for ``model_id``."""
        options.pop("device", None)
        return cls(Sam(), **options)
