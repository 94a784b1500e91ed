"""Class-agnostic recall and precision, by COCO's own evaluation, and the best mask of each object.

An image is matched once (:func:`match_image`), the matches of many images are pooled afterwards
(:func:`recall_and_precision`). Both steps run pycocotools' ``COCOeval`` with ``useCats = 0``; its
``summarize`` is left out, because its numbers of detections are fixed at 1, 10 and 100.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastsam.errors import RecordError
from fastsam.masks.rle import Rle

__all__ = [
    "AREAS",
    "IOU_THRESHOLDS",
    "MAX_DETS",
    "ImageMatches",
    "best_ious",
    "match_image",
    "mean",
    "recall_and_precision",
    "score_correlation",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Kind = Literal["mask", "box"]

IOU_THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
MAX_DETS = (10, 100, 1000)
# COCO's size classes, square pixels.
AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
_TYPES: dict[str, str] = {"mask": "segm", "box": "bbox"}


@dataclass(frozen=True, eq=False)
class ImageMatches:
    """COCO's greedy one-to-one matching of the N detections of one image with its G objects.

    Attributes:
        scores: (N,) float64, falling.
        matched: (A, T, N) bool, per area range and IoU threshold: the detection has an object.
        ignored: (A, T, N) bool: the detection counts neither for nor against, as it belongs to another
            area range or lies in a crowd.
        objects: (A, G) bool: the object is in the area range.
    """

    scores: FloatArray
    matched: BoolArray
    ignored: BoolArray
    objects: BoolArray

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, as :meth:`from_arrays` takes them."""
        return {name: getattr(self, name) for name in ("scores", "matched", "ignored", "objects")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ImageMatches:
        """Return the matches that :meth:`arrays` took apart."""
        return cls(**{name: arrays[name] for name in ("scores", "matched", "ignored", "objects")})


def _coco(annotations: list[dict[str, Any]], size_hw: tuple[int, int]) -> Any:
    """Return a COCO index of one image."""
    index = COCO()
    index.dataset = {
        "images": [{"id": 1, "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    index.createIndex()
    return index


def _annotations(
    masks: Sequence[Rle], boxes_xyxy: NDArray[Any], areas: Sequence[float], crowds: int = 0
) -> list[dict[str, Any]]:
    """Return COCO annotations of one image, the last ``crowds`` of them as crowds.

    Ids begin at 1, since COCOeval takes 0 for "no match".
    """
    first_crowd = len(masks) - crowds
    return [
        {
            "id": k + 1,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": int(k >= first_crowd),
            "segmentation": dict(mask),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "area": float(area),
        }
        for k, (mask, (x1, y1, x2, y2), area) in enumerate(zip(masks, boxes_xyxy, areas, strict=True))
    ]


def match_image(
    masks: Sequence[Rle],
    boxes_xyxy: NDArray[Any],
    scores: NDArray[Any],
    objects: Sequence[Rle],
    *,
    kind: Kind = "mask",
    areas: Sequence[str] = tuple(AREAS),
    crowds: Sequence[Rle] = (),
) -> tuple[ImageMatches, FloatArray]:
    """Match the detections of one image with its objects, as COCO does.

    A detection that matches no object and lies in a crowd counts neither for nor against. What it shares with
    a crowd is measured by its own area, and a crowd takes any number of detections.

    Args:
        masks: N detected masks.
        boxes_xyxy: (N, 4) detected boxes, image frame.
        scores: (N,) confidences, falling.
        objects: G true masks; their boxes are the tight ones.
        kind: overlap of masks or of boxes.
        areas: names of :data:`AREAS`.
        crowds: regions of several objects that are not separated (``iscrowd``).

    Returns:
        the matches, and the (N, G) IoU of each detection with each object.

    Raises:
        RecordError: the arrays do not fit together, or the scores do not fall.
    """
    values = np.asarray(scores, np.float64)
    if len(masks) != len(values) or np.shape(boxes_xyxy) != (len(masks), 4):
        raise RecordError(
            f"detections: expected as many masks, boxes (N, 4) and scores, got {len(masks)} masks, "
            f"boxes {np.shape(boxes_xyxy)}, scores {values.shape}"
        )
    if (np.diff(values) > 0).any():
        raise RecordError("scores: expected the best detection first, got scores that rise")
    count, total = len(masks), len(objects)
    shape = (len(areas), len(IOU_THRESHOLDS), count)
    nothing = ImageMatches(
        values, np.zeros(shape, bool), np.zeros(shape, bool), np.zeros((len(areas), total), bool)
    )
    if count == 0 and total == 0:
        return nothing, np.zeros((0, 0))
    evaluation = _evaluated(masks, boxes_xyxy, values, objects, kind, areas, crowds)
    every = total + len(crowds)
    ious = np.asarray(evaluation.ious[1, -1], np.float64).reshape(count, every)[:, :total]
    evaluated = evaluation.evalImgs
    return (
        ImageMatches(
            scores=values,
            matched=np.stack([e["dtMatches"] > 0 for e in evaluated]).reshape(shape),
            ignored=np.stack([e["dtIgnore"] for e in evaluated]).astype(bool).reshape(shape),
            # COCOeval puts what it ignores, so every crowd, last.
            objects=np.stack([np.asarray(e["gtIgnore"])[:total] == 0 for e in evaluated]).reshape(
                len(areas), total
            ),
        ),
        ious,
    )


def _evaluated(
    masks: Sequence[Rle],
    boxes_xyxy: NDArray[Any],
    scores: FloatArray,
    objects: Sequence[Rle],
    kind: Kind,
    areas: Sequence[str],
    crowds: Sequence[Rle],
) -> Any:
    """Return a COCOeval that has matched one image."""
    truths = [*objects, *crowds]
    height, width = (truths + list(masks))[0]["size"]
    true_boxes = np.array([coco_mask.toBbox(o) for o in truths], np.float64).reshape(-1, 4)
    true_boxes[:, 2:] += true_boxes[:, :2]
    boxes = np.asarray(boxes_xyxy, np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    detected_areas = sides.prod(axis=1) if kind == "box" else [coco_mask.area(m) for m in masks]
    detections = _annotations(masks, boxes, [float(a) for a in detected_areas])
    for annotation, score in zip(detections, scores, strict=True):
        annotation["score"] = float(score)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks
        true_areas = [float(coco_mask.area(o)) for o in truths]
        truth = _coco(_annotations(truths, true_boxes, true_areas, len(crowds)), (height, width))
        evaluation = COCOeval(truth, _coco(detections, (height, width)), _TYPES[kind])
        _set_params(evaluation, areas, 1)
        evaluation.evaluate()
    return evaluation


def _set_params(evaluation: Any, areas: Sequence[str], images: int) -> None:
    """Make a COCOeval class-agnostic, with our numbers of detections and sizes."""
    params = evaluation.params
    params.useCats = 0
    params.catIds = [1]
    params.imgIds = list(range(1, images + 1))
    params.iouThrs = IOU_THRESHOLDS
    params.maxDets = list(MAX_DETS)
    params.areaRng = [list(AREAS[name]) for name in areas]
    params.areaRngLbl = list(areas)


def recall_and_precision(
    matches: Sequence[ImageMatches], areas: Sequence[str] = tuple(AREAS)
) -> dict[str, float | None]:
    """Pool the matches of many images to COCO's average recall and precision.

    Args:
        matches: one an image; all with the area ranges ``areas``.
        areas: names of :data:`AREAS`.

    Returns:
        ``AR@10``, ``AR@100``, ``AR@1000`` (mean over IoU .50:.05:.95), the same by size as
        ``AR@1000_small`` and so on, and ``AP`` over the first 1000; None without objects.
    """
    evaluation = COCOeval(iouType="segm")
    _set_params(evaluation, areas, len(matches))
    evaluation.evalImgs = [_as_coco(one, a) for a in range(len(areas)) for one in matches]
    evaluation._paramsEval = evaluation.params
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    recall, precision = (
        evaluation.eval["recall"],
        evaluation.eval["precision"],
    )  # (T, 1, A, M), (T, R, 1, A, M)
    results: dict[str, float | None] = {}
    for a, area in enumerate(areas):
        for m, count in enumerate(MAX_DETS):
            results[f"AR@{count}" + ("" if area == "all" else f"_{area}")] = _known_mean(recall[:, 0, a, m])
    results["AP"] = _known_mean(precision[:, :, 0, areas.index("all"), -1])
    return results


def _as_coco(one: ImageMatches, a: int) -> dict[str, Any]:
    """Return what COCOeval's ``evaluateImg`` returned for one area range."""
    return {
        "dtScores": one.scores,
        "dtMatches": one.matched[a],
        "dtIgnore": one.ignored[a],
        "gtIgnore": ~one.objects[a],
    }


def _known_mean(values: NDArray[Any]) -> float | None:
    """Return the mean, leaving out COCO's -1 for "no object"."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def mean(values: NDArray[Any]) -> float | None:
    """Return the mean of the finite values, None if there are none.

    >>> mean(np.array([1.0, np.nan, 3.0])), mean(np.array([]))
    (2.0, None)
    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if finite.size else None


def score_correlation(scores: NDArray[Any], ious: NDArray[Any]) -> dict[str, float | None]:
    """Return how well scores tell the masks' true IoUs: Pearson's r and Spearman's rank correlation.

    Masks whose IoU is not known (NaN) are left out.

    >>> score_correlation(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.3, 0.4]))["score_iou_spearman"]
    1.0
    """
    known = np.isfinite(ious)
    scores, ious = np.asarray(scores)[known], np.asarray(ious)[known]
    pairs = {"pearson": (scores, ious), "spearman": (_ranks(scores), _ranks(ious))}
    figures: dict[str, float | None] = {}
    for name, (a, b) in pairs.items():
        varies = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
        figures[f"score_iou_{name}"] = float(np.corrcoef(a, b)[0, 1]) if varies else None
    return figures


def _ranks(values: NDArray[Any]) -> FloatArray:
    """Return the rank of each value; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse.reshape(-1)], np.float64)


def best_ious(ious: FloatArray) -> FloatArray:
    """Return (G,) the best IoU of each object in an (N, G) matrix; 0 where nothing was detected.

    >>> best_ious(np.array([[0.2, 0.0], [0.5, 0.1]])).tolist()
    [0.5, 0.1]
    """
    return np.asarray(ious.max(axis=0, initial=0.0), np.float64)
