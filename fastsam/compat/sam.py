"""SAM's ``SamPredictor`` and ``SamAutomaticMaskGenerator``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.compat.arguments import boxes_inside, model_of, warn_ignored
from fastsam.errors import ConfigError, ImageError, PromptError
from fastsam.everything.decode import nms
from fastsam.images.reading import FrameSource
from fastsam.masks.crop import Crop
from fastsam.masks.dense import clean, farthest_point
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.rle import encode_crop
from fastsam.masks.selection import Selection
from fastsam.masks.stores.joined import JoinedStore
from fastsam.model import FastSAM as Model
from fastsam.prompts import Box, MaskLike, Points, Prompt, all_of, select
from fastsam.prompts.box import score as box_ious
from fastsam.prompts.mask import score as mask_ious
from fastsam.session import Session

__all__ = ["SamAutomaticMaskGenerator", "SamPredictor"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]

_LOW_RES = 256  # side of the square that SAM's low-resolution masks live in
_LOGIT = 10.0  # what stands for "inside" in a mask given as logits; minus that outside
_OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class SamPredictor:
    """SAM's ``SamPredictor``: set an image once, then ask about it as often as needed.

    Args:
        model: a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        options: fields of :class:`fastsam.config.SegmentConfig` for :meth:`set_image`.

    Differences from SAM's: the answers are chosen from the masks that the network found in
    :meth:`set_image`, so there may be none (see :meth:`predict`); points outside the image are an error;
    there is no image embedding, and no ``set_torch_image`` or ``predict_torch``.

    Raises:
        WeightsError: the weights cannot be had or used.

    >>> from fastsam import FastSAM
    >>> from fastsam.testing import FixedSegmenter
    >>> predictor = SamPredictor(FastSAM(segmenter=FixedSegmenter(np.ones((1, 4, 6), bool))))
    >>> predictor.set_image(np.zeros((4, 6, 3), np.uint8))
    >>> masks, scores, low_res = predictor.predict(np.array([[2, 2]]), np.array([1]), multimask_output=False)
    >>> masks.shape, scores.shape, low_res.shape
    ((1, 4, 6), (1,), (1, 256, 256))
    """

    def __init__(self, model: Model | str | Path | None = None, **options: Any) -> None:
        self.model = model_of(model)
        self._options = options
        self._session: Session | None = None

    @property
    def is_image_set(self) -> bool:
        """Whether :meth:`predict` has an image to answer about."""
        return self._session is not None

    def reset_image(self) -> None:
        """Forget the image and its masks."""
        self._session = None

    def set_image(self, image: FrameSource, image_format: str = "RGB") -> None:
        """Find all masks of an image.

        Args:
            image: (H, W, 3) uint8 array; also a path, a PIL image, or what :func:`fastsam.read_frame` takes.
            image_format: channel order of an array, ``"RGB"`` or ``"BGR"``.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: unknown ``image_format``, or an option of the constructor is unusable.
        """
        if image_format not in ("RGB", "BGR"):
            raise ConfigError(f"image_format: expected 'RGB' or 'BGR', got {image_format!r}")
        if image_format == "BGR":
            if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
                found = image.shape if isinstance(image, np.ndarray) else type(image).__name__
                raise ImageError(f"image: expected an (H, W, 3) array with image_format='BGR', got {found}")
            image = image[..., ::-1]
        self._session = None  # an image that fails must not be answered with the one before
        self._session = self.model.open(image, **self._options)

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[NDArray[Any], FloatArray, FloatArray]:
        """Return the masks that the prompts mean, about one object.

        Prompts of several kinds combine: the answer is a mask that fits all of them; where no mask does as
        it is, the points add and subtract among the masks that fit the box and ``mask_input``.

        Args:
            point_coords: (P, 2) of (x, y) image pixels.
            point_labels: (P,) 1 foreground, 0 background; all foreground by default.
            box: xyxy; cut to the image.
            mask_input: (1, 256, 256), a row of an earlier call's third value.
            multimask_output: three answers (whole, part, subpart, where a click is ambiguous) instead of one.
            return_logits: masks as float32, 10 inside and -10 outside: they have no soft edges.

        Returns:
            (C, H, W) masks, best first; (C,) how well each answers the prompts, 0..1; (C, 256, 256) the
            masks as logits, area-averaged in SAM's frame (longer side 256, padded right and below). As in
            SAM, C is 3 with ``multimask_output``, else 1: where fewer masks answer, the rest are empty masks
            with the score 0.

        Raises:
            PromptError: no image is set, there is no prompt, or one does not fit the image.
        """
        if self._session is None:
            raise PromptError("predict: expected an image first; call set_image(image)")
        size_hw = self._session.masks.size_hw
        points = None if point_coords is None else _points(point_coords, point_labels, multimask_output)
        if points is None and point_labels is not None:
            raise PromptError("point_labels: expected point_coords with them, got labels alone")
        regions: list[Box | MaskLike] = []
        if box is not None:
            regions.append(_box(box, size_hw))
        if mask_input is not None:
            regions.append(MaskLike(_from_low_res(mask_input, size_hw), group=False))
        answer = _select(self._session, points, regions)
        masks, scores = _stacked(answer, 3 if multimask_output else 1)
        low_res = np.stack([_to_low_res(mask) for mask in masks])
        if return_logits:
            return np.where(masks, np.float32(_LOGIT), np.float32(-_LOGIT)), scores, low_res
        return masks, scores, low_res


def _points(coords: Any, labels: Any, multimask: bool) -> Points:
    """Return the points of one object."""
    shape = np.shape(coords)
    if len(shape) != 2 or shape[1] != 2:
        raise PromptError(
            f"point_coords: expected (P, 2), the points of one object, got shape {shape}; "
            "for several objects use fastsam.Points"
        )
    return Points(coords, labels, multimask)


def _box(box: Any, size_hw: tuple[int, int]) -> Box:
    """Return the one box, cut to the image."""
    prompt = Box(boxes_inside(box, size_hw))
    if len(prompt.xyxy) != 1:
        raise PromptError(f"box: expected one box, (4,), got {len(prompt.xyxy)}; for several use fastsam.Box")
    return prompt


def _select(session: Session, points: Points | None, regions: list[Box | MaskLike]) -> Selection:
    """Return what fits all prompts; where no mask does, what the points make of those that fit the rest."""
    prompts: list[Prompt] = [*regions, *([points] if points is not None else [])]
    if not prompts:
        raise PromptError("predict: expected point_coords, box or mask_input, got no prompt")
    answer: Selection = session.select(prompts[0] if len(prompts) == 1 else all_of(*prompts))
    if points is None:
        return answer
    if len(answer) == 0 and regions:
        answer = select(session.masks[_fitting(session.masks, regions)], points)
    return answer if points.objects[0].foreground else _joined(answer)


def _fitting(masks: MaskSet, regions: list[Box | MaskLike]) -> BoolArray:
    """Return (N,) which masks overlap every region enough to answer it."""
    fits = np.ones(len(masks), bool)
    for region in regions:
        if isinstance(region, Box):
            fits &= box_ious(masks, region)[0] >= region.iou_threshold
        else:
            fits &= mask_ious(masks, region)[0] >= region.threshold
    return fits


def _joined(answer: Selection) -> Selection:
    """Return the union of several answers as one: SAM's shape has no room for "everything but"."""
    if len(answer) < 2:
        return answer
    score = answer.scores.min(keepdims=True)
    return Selection.of(MaskSet.from_dense(answer.masks.union()[None], score), [0], score, answer.reason)


def _stacked(answer: Selection, count: int) -> tuple[BoolArray, FloatArray]:
    """Return ``count`` masks and scores, filled up with empty masks."""
    masks, scores = np.zeros((count, *answer.masks.size_hw), bool), np.zeros(count, np.float32)
    masks[: len(answer)] = np.asarray(answer.masks)
    scores[: len(answer)] = answer.scores
    return masks, scores


def _content_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return the part of SAM's low-resolution square that an image fills."""
    scale = _LOW_RES / max(size_hw)
    height, width = (max(int(side * scale + 0.5), 1) for side in size_hw)
    return height, width


def _to_low_res(mask: BoolArray) -> FloatArray:
    """Return an (H, W) mask as (256, 256) logits in SAM's frame; a mask with pixels stays one."""
    height, width = _content_hw(mask.shape)
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    logits = np.full((_LOW_RES, _LOW_RES), -_LOGIT, np.float32)
    if mask.any():
        # Half covered is the edge, but a mask thinner than a low-res pixel reaches that nowhere.
        edge = min(0.5, float(covered.max()) / 2)
        logits[:height, :width] = np.clip(2 * _LOGIT * (covered - edge), -_LOGIT, _LOGIT)
    return logits


def _from_low_res(mask_input: Any, size_hw: tuple[int, int]) -> BoolArray:
    """Return logits in SAM's low-resolution frame as an (H, W) mask."""
    logits = np.asarray(mask_input)
    if logits.shape not in ((1, _LOW_RES, _LOW_RES), (_LOW_RES, _LOW_RES)) or logits.dtype.kind not in "fiu":
        raise PromptError(
            f"mask_input: expected logits of shape (1, {_LOW_RES}, {_LOW_RES}), such as low_res[:1] of an "
            f"earlier predict, got {logits.dtype} {logits.shape}"
        )
    logits = logits.reshape(_LOW_RES, _LOW_RES).astype(np.float32)
    if not np.isfinite(logits).all():
        raise PromptError("mask_input: expected finite logits, got NaN or infinity")
    height, width = _content_hw(size_hw)
    full = cv2.resize(logits[:height, :width], size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    if not (full > 0).any():
        raise PromptError("mask_input: expected a logit above 0 somewhere, got an empty mask; leave it out")
    return np.asarray(full > 0)


class SamAutomaticMaskGenerator:
    """SAM's ``SamAutomaticMaskGenerator``: everything in an image, as a list of records.

    Args:
        model: a :class:`fastsam.FastSAM`, or a checkpoint's path or name.
        points_per_side, points_per_batch, point_grids, crop_n_points_downscale_factor: no effect, there is no
            grid of points; those that are given get one warning that names them.
        pred_iou_thresh: least ``predicted_iou``; by default whatever the weights' ``conf`` lets through.
            Without a calibration it is the network's confidence, of which SAM's 0.88 would leave little.
        stability_score_thresh: least ``stability_score``; 0 by default.
        stability_score_offset: how far the threshold is moved to measure it. The logits are those of the
            prototypes, whose scale is not SAM's.
        box_nms_thresh: boxes that overlap more than this are duplicates; by default the weights' ``iou``.
        crop_n_layers: also segment 2x2 crops, then 4x4, ...; cut as SAM cuts them. What a crop's inner edge
            cuts is joined with its other half, where SAM drops it.
        crop_nms_thresh: masks of different crops that overlap more than this are the same, smaller crops
            first; IoU of the masks, not of their boxes.
        crop_overlap_ratio: how far the crops of the first layer overlap, share of the image's shorter side.
        min_mask_region_area: islands and holes of fewer pixels are removed, and then what has become a
            duplicate by box.
        output_mode: ``segmentation`` as (H, W) bool, or as uncompressed or compressed COCO RLE.

    Raises:
        WeightsError: the weights cannot be had or used.
        ConfigError: an option is outside its range.
    """

    def __init__(
        self,
        model: Model | str | Path | None = None,
        points_per_side: int | None = None,
        points_per_batch: int | None = None,
        pred_iou_thresh: float | None = None,
        stability_score_thresh: float = 0.0,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float | None = None,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int | None = None,
        point_grids: Any = None,
        min_mask_region_area: int = 0,
        output_mode: OutputMode = "binary_mask",
    ) -> None:
        without_effect = {
            "points_per_side": points_per_side,
            "points_per_batch": points_per_batch,
            "crop_n_points_downscale_factor": crop_n_points_downscale_factor,
            "point_grids": point_grids,
        }
        given = [name for name, value in without_effect.items() if value is not None]
        warn_ignored("SamAutomaticMaskGenerator", given, "masks come from whole views, not from points")
        if output_mode not in _OUTPUT_MODES:
            raise ConfigError(f"output_mode: expected one of {', '.join(_OUTPUT_MODES)}, got {output_mode!r}")
        if not 0 <= stability_score_thresh <= 1 or not stability_score_offset > 0 or min_mask_region_area < 0:
            raise ConfigError(
                "expected stability_score_thresh from 0 to 1, stability_score_offset above 0 and "
                f"min_mask_region_area of at least 0, got {stability_score_thresh!r}, "
                f"{stability_score_offset!r} and {min_mask_region_area!r}"
            )
        if pred_iou_thresh is not None and not 0 <= pred_iou_thresh <= 1:
            raise ConfigError(f"pred_iou_thresh: expected a number from 0 to 1, got {pred_iou_thresh!r}")
        self.model = model_of(model)
        least = 0.0 if pred_iou_thresh is None else pred_iou_thresh
        conf = None if pred_iou_thresh is None else min(pred_iou_thresh, self.model.defaults.conf)
        self._options: dict[str, Any] = {
            "conf": conf,
            "iou": box_nms_thresh,
            "crop_layers": crop_n_layers,
            "tile_iou": crop_nms_thresh,
            "crop_overlap": crop_overlap_ratio,
        }
        nms_thresh = self.model.defaults.iou if box_nms_thresh is None else box_nms_thresh
        self._duplicate_iou = max(nms_thresh, crop_nms_thresh) if crop_n_layers else nms_thresh
        replace(self.model.defaults, **{k: v for k, v in self._options.items() if v is not None})  # checks
        self._least = least
        self._stability = (stability_score_thresh, stability_score_offset)
        self._min_area = min_mask_region_area
        self._output_mode = output_mode

    def generate(self, image: FrameSource) -> list[dict[str, Any]]:
        """Return one record a mask, best ``predicted_iou`` first; an image without masks gives ``[]``.

        Keys: ``segmentation``; ``area`` in pixels; ``bbox``, the XYWH of the mask's pixels;
        ``predicted_iou``, the mask's score: how well it should fit, or the bare confidence;
        ``point_coords``, the pixel farthest from the mask's edge (nothing was clicked); ``stability_score``,
        measured on the logits before islands and holes are removed (see
        :meth:`fastsam.MaskSet.stability_scores`); ``crop_box``, the crop that it was found in as XYWH, the
        whole image for what was joined of several. Masks without a pixel are left out.

        Raises:
            ImageError: the image cannot be read.
        """
        session = self.model.open(image, **self._options)
        masks = session.everything().masks  # the same rows as the session's, with their edges refined
        found_in = _found_in(session.masks)
        threshold, offset = self._stability
        kept = [
            _Kept(*self._cleaned(masks, i), float(masks.scores[i]), stability, found_in[i])
            for i in np.flatnonzero(masks.scores >= self._least).tolist()
            if (stability := float(masks.store.stability(i, offset))) >= threshold
        ]
        return [self._record(one, masks.size_hw) for one in self._without_duplicates(kept)]

    def _cleaned(self, masks: MaskSet, i: int) -> tuple[Crop, bool]:
        """Return a mask without small holes and islands, and whether it had any."""
        x0, y0, patch = masks.crop(i)
        if not self._min_area:
            return _tight(Crop(x0, y0, patch)), False
        # So far around it, a part of the background that goes on further is no small hole.
        height, width = masks.size_hw
        left, top = max(x0 - self._min_area, 0), max(y0 - self._min_area, 0)
        right = min(x0 + patch.shape[1] + self._min_area, width)
        bottom = min(y0 + patch.shape[0] + self._min_area, height)
        around = np.zeros((bottom - top, right - left), bool)
        around[y0 - top : y0 - top + patch.shape[0], x0 - left : x0 - left + patch.shape[1]] = patch
        cleaned = clean(around, self._min_area)
        return _tight(Crop(left, top, cleaned)), bool((cleaned != around).any())

    def _without_duplicates(self, kept: list[_Kept]) -> list[_Kept]:
        """Return the masks with pixels, without those that cleaning has made the same as another."""
        kept = [one for one in kept if one.crop.patch.size]
        if not any(one.changed for one in kept):
            return kept
        boxes = np.array([one.box_xyxy for one in kept], np.float32)
        unchanged = np.array([not one.changed for one in kept], np.float32)
        survivors = set(nms(boxes, unchanged, self._duplicate_iou).tolist())
        return [one for row, one in enumerate(kept) if row in survivors or not one.changed]

    def _record(self, one: _Kept, size_hw: tuple[int, int]) -> dict[str, Any]:
        """Return one mask as SAM's record."""
        x0, y0, patch = one.crop
        x, y = farthest_point(patch)
        segmentation: Any
        if self._output_mode == "coco_rle":
            segmentation = encode_crop(patch, x0, y0, size_hw)
        else:
            segmentation = np.zeros(size_hw, bool)
            segmentation[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] = patch
        if self._output_mode == "uncompressed_rle":
            segmentation = _uncompressed(segmentation)
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

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """The tight box."""
        x0, y0, patch = self.crop
        return x0, y0, x0 + patch.shape[1], y0 + patch.shape[0]


def _tight(crop: Crop) -> Crop:
    """Return a mask cut to its box."""
    tight = Region.from_mask(crop.patch)
    patch = crop.patch[tight.y0 : tight.y1, tight.x0 : tight.x1]
    return Crop(crop.x0 + tight.x0, crop.y0 + tight.y0, patch)


def _found_in(masks: MaskSet) -> NDArray[np.int64]:
    """Return (N, 4) xyxy, the part of the image that each mask was found in."""
    if isinstance(masks.store, JoinedStore):
        return masks.store.found_in
    height, width = masks.size_hw
    return np.tile(np.array([0, 0, width, height], np.int64), (len(masks), 1))


def _uncompressed(mask: BoolArray) -> dict[str, list[int]]:
    """Return COCO's uncompressed RLE: run lengths down the columns, the first of zeros."""
    flat = mask.ravel(order="F")
    turns = np.flatnonzero(np.diff(flat, prepend=False))
    return {"size": list(mask.shape), "counts": np.diff(turns, prepend=0, append=flat.size).tolist()}
