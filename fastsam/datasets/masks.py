"""COCO annotations -> pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastsam.errors import DatasetError, InputError, reason_of
from fastsam.masks.rle import Rle, decode_rle, encode_rle
from fastsam.untrusted import MALFORMED, short

__all__ = ["annotation_mask", "annotation_rle", "known_ious"]

CROWD_SHARE = 0.5  # a mask of which this much lies in a crowd is one of its uncounted objects
_MOST_OUTSIDE = 4  # image sides that a corner may lie beyond its image


def annotation_mask(annotation: dict[str, Any], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a COCO annotation: polygons, compressed or uncompressed RLE.

    The pixels are those of :func:`annotation_rle`.

    Raises:
        DatasetError: the segmentation is neither, or its size is not the image's.
    """
    if isinstance(annotation["segmentation"], list):
        return decode_rle(annotation_rle(annotation, size_hw))
    try:
        return decode_rle(annotation["segmentation"], size_hw)
    except InputError as error:
        raise DatasetError(f"annotation {short(annotation.get('id'))}: {error}") from error


def _rings(annotation: dict[str, Any], size_hw: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Return the polygons of an annotation as (K, 2) rings, checked; native code trusts every number."""
    what = f"annotation {short(annotation.get('id'))}"
    try:
        rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in annotation["segmentation"]]
    except MALFORMED as error:
        raise DatasetError(f"{what}: expected polygons as flat lists of x, y ({reason_of(error)})") from error
    far = _MOST_OUTSIDE * max(size_hw) + 1_000
    for ring in rings:
        if not np.isfinite(ring).all():
            raise DatasetError(f"{what}: expected polygons of finite numbers")
        if ring.size and np.abs(ring).max() > far:
            raise DatasetError(
                f"{what}: expected corners near its image of {size_hw[1]}x{size_hw[0]}, got one at "
                f"{ring.ravel()[np.abs(ring).argmax()]:g}"
            )
    return rings


def annotation_rle(annotation: dict[str, Any], size_hw: tuple[int, int]) -> Rle:
    """Return a COCO annotation as compressed RLE, its polygons rasterised as pycocotools does.

    Figures are only comparable with published ones on these pixels. Polygons of one object add up.

    Raises:
        DatasetError: as :func:`annotation_mask`.
    """
    segmentation = annotation["segmentation"]
    if not isinstance(segmentation, list):
        return encode_rle(annotation_mask(annotation, size_hw))
    rings = [ring.ravel().tolist() for ring in _rings(annotation, size_hw) if len(ring) >= 3]
    if not rings:
        return encode_rle(np.zeros(size_hw, bool))
    raw = coco_mask.merge(coco_mask.frPyObjects(rings, *size_hw))
    return {"size": [int(n) for n in raw["size"]], "counts": raw["counts"].decode("ascii")}


def known_ious(ious: NDArray[np.float64], masks: Sequence[Rle], crowds: Sequence[Rle]) -> NDArray[np.float64]:
    """Return (N,) the best IoU of each mask with an object; NaN for masks of a crowd, whose fit nobody knows.

    Args:
        ious: (N, G).
        masks: the N masks.
        crowds: regions of objects that are not told apart.
    """
    best = np.asarray(ious.max(axis=1, initial=0.0), np.float64)
    if len(masks) and len(crowds):
        inside = coco_mask.iou(list(masks), list(crowds), [1] * len(crowds)).max(axis=1)
        best[(inside >= CROWD_SHARE) & (best < CROWD_SHARE)] = np.nan
    return best
