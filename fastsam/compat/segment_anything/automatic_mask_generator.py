"""SAM's ``SamAutomaticMaskGenerator``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, MaskSet, Session
from fastsam.compat.arguments import core_of, warn_ignored
from fastsam.compat.calling import as_number, as_whole
from fastsam.compat.segment_anything.modeling.sam import Sam
from fastsam.compat.segment_anything.predictor import SamPredictor
from fastsam.compat.segment_anything.scale import IDENTITY, SamScale, scale_of
from fastsam.compat.segment_anything.utils.amg import build_all_layer_point_grids, uncompressed_rle
from fastsam.errors import ConfigError, check_one_of
from fastsam.everything.decode import nms
from fastsam.images.reading import FrameSource
from fastsam.masks.crop import Crop
from fastsam.masks.dense import clean, farthest_point
from fastsam.masks.rle import encode_crop
from fastsam.masks.stores.joined import JoinedStore

__all__ = ["SamAutomaticMaskGenerator"]

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]

_OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")
# SAM's names of what these are here.
_OPTIONS = {
    "box_nms_thresh": "iou",
    "crop_n_layers": "crop_layers",
    "crop_nms_thresh": "tile_iou",
    "crop_overlap_ratio": "crop_overlap",
}
_LEAST_CONF = 0.01  # of the network, however low the thresholds


class SamAutomaticMaskGenerator:
    """SAM's ``SamAutomaticMaskGenerator``: everything in an image, as a list of records.

    Thresholds and scores are on SAM's scale (:mod:`fastsam.compat.segment_anything.scale`), so SAM's
    defaults keep about the masks that the weights' own options give, and lower ones more. A segmenter
    without a network keeps its own scores, and no threshold is its default.

    Args:
        model: what ``sam_model_registry`` gives, a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        points_per_side, point_grids, crop_n_points_downscale_factor: no effect, there is no grid of points;
            where they are not SAM's defaults, one warning names them.
        points_per_batch: no effect.
        pred_iou_thresh: least ``predicted_iou``; .88 by default.
        stability_score_thresh: least ``stability_score``; .95 by default.
        stability_score_offset: how far the threshold of the logits is moved to measure it.
        box_nms_thresh: boxes that overlap more than this are duplicates; by default the weights' ``iou``.
        crop_n_layers: also segment 2x2 crops, then 4x4, ...; cut as SAM cuts them. What a crop's inner edge
            cuts is joined with its other half, where SAM drops it.
        crop_nms_thresh: masks of different crops that overlap more than this are the same, smaller crops
            first; IoU of the masks, not of their boxes.
        crop_overlap_ratio: how far the crops of the first layer overlap, share of the image's shorter side.
        min_mask_region_area: islands and holes of fewer pixels are removed, and then what has become a
            duplicate by box.
        output_mode: ``segmentation`` as (H, W) bool, or as uncompressed or compressed COCO RLE.

    Attributes:
        predictor: a :class:`SamPredictor` of the same model.

    Raises:
        WeightsError: the weights cannot be had or used.
        ConfigError: an option is outside its range.
    """

    _SAM_THRESHOLDS = (0.88, 0.95)
    _SAM_GRID = (32, None, 1)  # points_per_side, point_grids, crop_n_points_downscale_factor

    def __init__(
        self,
        model: Sam | FastSAM | str | Path | None = None,
        points_per_side: int | None = 32,
        points_per_batch: int | None = None,
        pred_iou_thresh: float | None = None,
        stability_score_thresh: float | None = None,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float | None = None,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Any = None,
        min_mask_region_area: float = 0,
        output_mode: OutputMode = "binary_mask",
    ) -> None:
        grid = {
            "points_per_side": points_per_side,
            "point_grids": point_grids,
            "crop_n_points_downscale_factor": crop_n_points_downscale_factor,
        }
        usual = dict(zip(grid, self._SAM_GRID, strict=True))
        given = [name for name, value in grid.items() if value is not None and _differs(value, usual[name])]
        warn_ignored(type(self).__name__, given, "masks come from whole views, not from points")
        check_one_of(output_mode, _OUTPUT_MODES, "output_mode", ConfigError)
        stability_score_offset = as_number(stability_score_offset, "stability_score_offset")
        least_area = as_number(min_mask_region_area, "min_mask_region_area")
        if not stability_score_offset > 0 or least_area < 0:
            raise ConfigError(
                "expected stability_score_offset above 0 and min_mask_region_area of at least 0, got "
                f"{stability_score_offset!r} and {min_mask_region_area!r}"
            )
        self.predictor = SamPredictor(model)
        self.pred_iou_thresh = _threshold(pred_iou_thresh, "pred_iou_thresh")
        self.stability_score_thresh = _threshold(stability_score_thresh, "stability_score_thresh")
        self.stability_score_offset = stability_score_offset
        self.min_mask_region_area = math.ceil(least_area)  # SAM compares with "less than"
        self.output_mode = output_mode
        nms_thresh = None if box_nms_thresh is None else as_number(box_nms_thresh, "box_nms_thresh")
        self._options: dict[str, Any] = {
            "iou": nms_thresh,
            "crop_layers": as_whole(crop_n_layers, "crop_n_layers"),
            "tile_iou": as_number(crop_nms_thresh, "crop_nms_thresh"),
            "crop_overlap": as_number(crop_overlap_ratio, "crop_overlap_ratio"),
        }
        self.points_per_batch = points_per_batch
        self.point_grids = point_grids
        if point_grids is None and points_per_side is not None:
            layers, fewer = self._options["crop_layers"], as_whole(crop_n_points_downscale_factor, "factor")
            self.point_grids = build_all_layer_point_grids(int(points_per_side), layers, fewer)
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        defaults = core_of(self.predictor.model).defaults
        alike = defaults.iou if nms_thresh is None else nms_thresh
        self._duplicate_iou = max(alike, self._options["tile_iou"]) if crop_n_layers else alike
        replace(defaults, **{k: v for k, v in self._options.items() if v is not None})  # checks

    @property
    def model(self) -> Any:
        """The model, as it was given."""
        return self.predictor.model

    def __getattr__(self, name: str) -> Any:
        """Return an option by SAM's name: ``box_nms_thresh``, ``crop_n_layers``, ..."""
        if name in _OPTIONS:
            return self._options[_OPTIONS[name]]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def generate(self, image: FrameSource) -> list[dict[str, Any]]:
        """Return one record a mask, best ``predicted_iou`` first; an image without masks gives ``[]``.

        Keys: ``segmentation``; ``area`` in pixels; ``bbox``, the XYWH of the mask's pixels;
        ``predicted_iou``, the mask's score: how well it should fit, or the confidence where the weights
        cannot tell; ``point_coords``, the pixel farthest from the mask's edge (nothing was clicked);
        ``stability_score``, measured on the logits before islands and holes are removed (see
        :meth:`fastsam.MaskSet.stability_scores`); ``crop_box``, the crop that it was found in as XYWH, the
        whole image for what was joined of several. Masks without a pixel are left out. Where the thresholds
        leave nothing of what was found, a warning says what they would have to be.

        Raises:
            ImageError: the image cannot be read.
        """
        session, kept = self._found(image)
        return [self._record(one, session.size_hw) for one in kept]

    def masks(self, image: FrameSource, **options: Any) -> tuple[Session, MaskSet]:
        """Return an image, and in it the masks that :meth:`generate` gives, with ``predicted_iou`` as scores.

        Args:
            image: as there.
            options: of segmenting, where they are not this generator's own.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is unknown or outside its range.
        """
        session, kept = self._found(image, options)
        crops, scores = [one.crop for one in kept], [one.score for one in kept]
        return session, MaskSet.from_crops(crops, session.size_hw, scores)

    def _found(
        self, image: FrameSource, options: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[Session, list[_Kept]]:
        """Return an image, and the masks that become records."""
        core = core_of(self.predictor.model)
        scale = scale_of(core)
        least_iou, least_stability = self._thresholds(scale)
        asked = {**self._looked_for(core, scale, least_iou), **self._options, **options}
        session = core.open(image, **asked)
        masks = session.everything().masks  # the same rows as the session's, with their edges refined
        found_in = _found_in(session.masks)
        offset = self.stability_score_offset
        qualities = scale.put("quality", masks.scores)
        measured = np.array([masks.store.stability(i, offset) for i in range(len(masks))])
        stabilities = scale.put("stability", measured)
        keeps = (qualities >= least_iou) & (stabilities >= least_stability)
        if len(masks) and not keeps.any():
            warnings.warn(
                f"pred_iou_thresh={least_iou:g} and stability_score_thresh={least_stability:g} remove all "
                f"{len(masks)} masks of this image, whose predicted_iou is {qualities.max():.2f} and whose "
                f"stability_score is {stabilities.max():.2f} at most; lower them",
                UserWarning,
                stacklevel=3,
            )
        kept = [
            _Kept(*self._cleaned(masks, i), float(qualities[i]), float(stabilities[i]), found_in[i])
            for i in np.flatnonzero(keeps).tolist()
        ]
        return session, self._without_duplicates(kept)

    def _thresholds(self, scale: SamScale) -> tuple[float, float]:
        """Return the thresholds: those that were given, else SAM's, where the scale is SAM's."""
        usual = (0.0, 0.0) if scale is IDENTITY else self._SAM_THRESHOLDS
        given = (self.pred_iou_thresh, self.stability_score_thresh)
        first, second = (u if g is None else g for u, g in zip(usual, given, strict=True))
        return first, second

    def _looked_for(self, core: FastSAM, scale: SamScale, least_iou: float) -> dict[str, Any]:
        """Return what to ask the network for: a lower confidence where the threshold is below SAM's own."""
        own = core.defaults
        if scale is IDENTITY:
            return {} if self.pred_iou_thresh is None else {"conf": min(least_iou, own.conf)}
        conf = max(own.conf * min(least_iou / self._SAM_THRESHOLDS[0], 1), min(_LEAST_CONF, own.conf))
        # What fills the gaps between the sure masks stays, whatever the confidence.
        return {"conf": conf, "fill_conf": own.fill_conf, "regions": own.regions}

    def _cleaned(self, masks: MaskSet, i: int) -> tuple[Crop, bool]:
        """Return a mask without small holes and islands, and whether it had any."""
        crop, least = masks.crop(i), self.min_mask_region_area
        if not least:
            return crop.tight(), False
        # With a margin of that many pixels, background that goes on beyond it is not a small hole.
        around = crop.grown(least, masks.size_hw)
        cleaned = clean(around.patch, least)
        return around._replace(patch=cleaned).tight(), bool((cleaned != around.patch).any())

    def _without_duplicates(self, kept: list[_Kept]) -> list[_Kept]:
        """Return the masks with pixels, without those that cleaning has made the same as another."""
        kept = [one for one in kept if one.crop.patch.size]
        if not any(one.changed for one in kept):
            return kept
        boxes = np.array([one.crop.box for one in kept], np.float32)
        unchanged = np.array([not one.changed for one in kept], np.float32)
        survivors = set(nms(boxes, unchanged, self._duplicate_iou).tolist())
        return [one for row, one in enumerate(kept) if row in survivors or not one.changed]

    def _record(self, one: _Kept, size_hw: tuple[int, int]) -> dict[str, Any]:
        """Return one mask as SAM's record."""
        x0, y0, patch = one.crop
        x, y = farthest_point(patch)
        segmentation: Any
        if self.output_mode == "coco_rle":
            segmentation = encode_crop(patch, x0, y0, size_hw)
        else:
            segmentation = np.zeros(size_hw, bool)
            one.crop.paste(segmentation)
        if self.output_mode == "uncompressed_rle":
            segmentation = uncompressed_rle(segmentation)
        left, top, right, bottom = (int(edge) for edge in one.found_in)
        return {
            "segmentation": segmentation,
            "area": int(np.count_nonzero(patch)),
            "bbox": [x0, y0, patch.shape[1], patch.shape[0]],
            "predicted_iou": one.score,
            "point_coords": [[float(x0 + x), float(y0 + y)]],
            "stability_score": one.stability,
            "crop_box": [left, top, right - left, bottom - top],
        }


@dataclass(frozen=True, eq=False)
class _Kept:
    """A mask that becomes a record."""

    crop: Crop  # tight
    changed: bool  # by removing holes and islands
    score: float
    stability: float
    found_in: NDArray[np.int64]  # xyxy


def _threshold(value: float | None, name: str) -> float | None:
    """Return a threshold from 0 to 1, or None."""
    number = None if value is None else as_number(value, name)
    if number is not None and not 0 <= number <= 1:
        raise ConfigError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return number


def _differs(value: Any, usual: Any) -> bool:
    """Tell whether an option of the grid is not SAM's default."""
    return usual is None or not np.array_equal(value, usual)


def _found_in(masks: MaskSet) -> NDArray[np.int64]:
    """Return (N, 4) xyxy, the part of the image that each mask was found in."""
    if isinstance(masks.store, JoinedStore):
        return masks.store.found_in
    height, width = masks.size_hw
    return np.tile(np.array([0, 0, width, height], np.int64), (len(masks), 1))
