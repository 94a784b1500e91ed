"""CASIA's annotations: masks as a list of dicts, their boxes, and the pictures of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam import MaskSet
from fastsam.compat.arguments import as_array
from fastsam.errors import InputError

__all__ = [
    "bbox_of",
    "crop_image",
    "filter_masks",
    "format_results",
    "mask_set",
    "mask_stack",
    "segment_image",
    "xywh_to_xyxy",
]

BoolArray = NDArray[np.bool_]

_INSIDE = 0.8  # of a mask that lies in a larger one: it is the same thing
_LEAST_PX = 100  # smaller masks are not shown to a text-image model


def format_results(result: Any, filter: int = 0) -> list[dict[str, Any]]:
    """Return a dict a mask of ``filter`` pixels or more; ``[]`` of a result without masks.

    Keys: ``id``, ``segmentation`` (H, W) bool array, ``bbox`` (x1, y1, x2, y2, confidence, class) and
    ``score`` as tensors, ``area`` in pixels.
    """
    found = []
    for i, mask in enumerate([] if result.masks is None else result.masks.data):
        segmentation = np.asarray(as_array(mask)) == 1
        area = int(np.count_nonzero(segmentation))
        if area >= filter:
            bbox, score = result.boxes.data[i], result.boxes.conf[i]
            found.append({"id": i, "segmentation": segmentation, "bbox": bbox, "score": score, "area": area})
    return found


def filter_masks(annotations: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], set[int]]:
    """Sort annotations by area, largest first; return those in no larger one, and the rows of the others."""
    annotations.sort(key=lambda one: one["area"], reverse=True)
    gone: set[int] = set()
    for row, one in enumerate(annotations):
        mask = np.asarray(one["segmentation"], bool)
        larger = [a["segmentation"] for a in annotations[:row] if a["area"] > one["area"]]
        share = max((np.count_nonzero(mask & whole) for whole in larger), default=0)
        if share > _INSIDE * np.count_nonzero(mask):
            gone.add(row)
    return [one for row, one in enumerate(annotations) if row not in gone], gone


def bbox_of(mask: Any) -> list[int]:
    """Return the tight box of an (H, W) mask, xyxy; zeros for an empty one."""
    x, y, width, height = cv2.boundingRect(np.asarray(as_array(mask)).astype(np.uint8))
    return [x, y, x + width, y + height]


def xywh_to_xyxy(box: Any) -> list[Any]:
    """Return one box, or several, as (x1, y1, x2, y2)."""
    if len(box) and np.ndim(box[0]) > 0:
        return [xywh_to_xyxy(one) for one in box]
    x, y, width, height = box
    return [x, y, x + width, y + height]


def segment_image(image: Any, bbox: Sequence[int]) -> Image.Image:
    """Return an image of the same size, white but for what is in the box (xyxy)."""
    rgb = np.asarray(image)
    x1, y1, x2, y2 = (int(edge) for edge in bbox)
    picture = np.full(rgb.shape, 255, np.uint8)
    picture[y1:y2, x1:x2] = rgb[y1:y2, x1:x2]
    return Image.fromarray(picture).convert("RGB")


def crop_image(
    annotations: Sequence[dict[str, Any]], image: Any
) -> tuple[list[Image.Image], list[list[int]], list[int], list[int], Sequence[dict[str, Any]]]:
    """Return the picture and the box of each annotation, [], the rows that are too small, and all of them.

    Args:
        annotations: as :func:`format_results` gives them.
        image: a path, a PIL image or an RGB array.
    """
    photo = image if isinstance(image, Image.Image) else _opened(image)
    height, width = annotations[0]["segmentation"].shape
    if photo.size != (width, height):
        photo = photo.resize((width, height))
    small = [row for row, one in enumerate(annotations) if np.sum(one["segmentation"]) <= _LEAST_PX]
    boxes = [bbox_of(one["segmentation"]) for row, one in enumerate(annotations) if row not in small]
    return [segment_image(photo, box) for box in boxes], boxes, [], small, annotations


def _opened(image: Any) -> Image.Image:
    if isinstance(image, np.ndarray):
        return Image.fromarray(image)
    with Image.open(image) as opened:
        return opened.convert("RGB")


def mask_stack(annotations: Any) -> BoolArray:
    """Return masks, however they were given, as one (N, H, W) array; (0, 0, 0) where there are none.

    Args:
        annotations: (N, H, W) or (H, W) masks, a list of (H, W) masks, or a list of dicts with a
            ``segmentation``.

    Raises:
        InputError: these are no masks of one size.
    """
    if getattr(annotations, "ndim", 0) == 2:
        annotations = [annotations]
    found = [
        np.asarray(as_array(item["segmentation"] if isinstance(item, Mapping) else item))
        for item in annotations
    ]
    if len({mask.shape for mask in found}) > 1 or any(mask.ndim != 2 for mask in found):
        shapes = sorted({mask.shape for mask in found})
        raise InputError(f"annotations: expected (H, W) masks of one size, got shapes {shapes}")
    return np.stack(found).astype(bool) if found else np.zeros((0, 0, 0), bool)


def mask_set(annotations: Any, size_hw: tuple[int, int]) -> MaskSet:
    """Return annotations as masks, with their scores where they have them.

    Args:
        annotations: as :func:`mask_stack` takes them.
        size_hw: (height, width), where there is none.

    Raises:
        InputError: these are no masks of one size.
    """
    stack = mask_stack(annotations)
    if len(stack) == 0:
        return MaskSet.none(size_hw)
    scores = [
        one.get("score", one.get("predicted_iou", 1.0)) if isinstance(one, Mapping) else 1.0
        for one in annotations
    ]
    return MaskSet.from_dense(stack, np.array([float(score) for score in scores], np.float32))
