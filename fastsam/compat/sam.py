"""SAM's ``SamPredictor`` and ``SamAutomaticMaskGenerator``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.compat.arguments import boxes_inside, model_of, warn_ignored
from fastsam.errors import ConfigError, ImageError, PromptError
from fastsam.masks import clean, encode_rle, farthest_point
from fastsam.pipeline import FastSAM as Model
from fastsam.pipeline import Session
from fastsam.records import MaskSet, Selection
from fastsam.sources import FrameSource
from prompts import Box, MaskLike, Points, Prompt, all_of, select
from prompts.box import score as box_ious
from prompts.mask import score as mask_ious

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
        points_per_side, points_per_batch, point_grids: no effect, there is no grid of points.
        pred_iou_thresh: least ``predicted_iou``; by default whatever the weights' ``conf`` lets through.
            Without a calibration it is the network's confidence, of which SAM's 0.88 would leave little.
        stability_score_thresh: least ``stability_score``; 0 by default.
        stability_score_offset: how far the threshold is moved to measure it. The logits are those of the
            prototypes, whose scale is not SAM's.
        box_nms_thresh: boxes that overlap more than this are duplicates; by default the weights' ``iou``.
        crop_n_layers, crop_nms_thresh, crop_overlap_ratio, crop_n_points_downscale_factor: no effect,
            the image is not cropped.
        min_mask_region_area: islands and holes of fewer pixels are removed.
        output_mode: ``segmentation`` as (H, W) bool, or as uncompressed or compressed COCO RLE.

    Arguments without effect get one warning that names them.

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
        crop_n_layers: int | None = None,
        crop_nms_thresh: float | None = None,
        crop_overlap_ratio: float | None = None,
        crop_n_points_downscale_factor: int | None = None,
        point_grids: Any = None,
        min_mask_region_area: int = 0,
        output_mode: OutputMode = "binary_mask",
    ) -> None:
        without_effect = {
            "points_per_side": points_per_side,
            "points_per_batch": points_per_batch,
            "crop_n_layers": crop_n_layers,
            "crop_nms_thresh": crop_nms_thresh,
            "crop_overlap_ratio": crop_overlap_ratio,
            "crop_n_points_downscale_factor": crop_n_points_downscale_factor,
            "point_grids": point_grids,
        }
        given = [name for name, value in without_effect.items() if value is not None]
        warn_ignored("SamAutomaticMaskGenerator", given, "all masks come from one pass over the whole image")
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
        self._options = {"conf": conf, "iou": box_nms_thresh}
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
        :meth:`fastsam.MaskSet.stability_scores`); ``crop_box``, the whole image as XYWH. Masks without a
        pixel are left out.

        Raises:
            ImageError: the image cannot be read.
        """
        masks = self.model.open(image, **self._options).everything().masks
        masks = masks[masks.scores >= self._least]
        threshold, offset = self._stability
        stability = masks.stability_scores(offset)
        records = []
        for i in np.flatnonzero(stability >= threshold):
            mask = clean(masks.mask(int(i)), self._min_area)
            if mask.any():
                records.append(self._record(mask, float(masks.scores[i]), float(stability[i])))
        return records

    def _record(self, mask: BoolArray, score: float, stability: float) -> dict[str, Any]:
        """Return one mask as SAM's record."""
        height, width = mask.shape
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x0, y0 = int(columns[0]), int(rows[0])
        x1, y1 = int(columns[-1]) + 1, int(rows[-1]) + 1
        x, y = farthest_point(mask[y0:y1, x0:x1])
        segmentation: Any = mask
        if self._output_mode == "uncompressed_rle":
            segmentation = _uncompressed(mask)
        elif self._output_mode == "coco_rle":
            segmentation = encode_rle(mask)
        return {
            "segmentation": segmentation,
            "area": int(np.count_nonzero(mask)),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "predicted_iou": score,
            "point_coords": [[x0 + x, y0 + y]],
            "stability_score": stability,
            "crop_box": [0, 0, width, height],
        }


def _uncompressed(mask: BoolArray) -> dict[str, list[int]]:
    """Return COCO's uncompressed RLE: run lengths down the columns, the first of zeros."""
    flat = mask.ravel(order="F")
    turns = np.flatnonzero(np.diff(flat, prepend=False))
    return {"size": list(mask.shape), "counts": np.diff(turns, prepend=0, append=flat.size).tolist()}
