"""A mask in plain JSON types: one shape for the command, the page, searches and videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastsam.export.annotations import Annotations, Row, all_classes
from fastsam.masks.rows import MaskRows

__all__ = ["coco_record", "mask_facts", "mask_record"]


def mask_record(rows: MaskRows, i: int) -> dict[str, Any]:
    """Return row ``i`` of an answer.

    Args:
        rows: a selection, a result or a frame of a video.
        i: which mask of it.

    Returns:
        what tells the row from others (``row``, ``group`` and ``level`` of a photo's mask, ``id`` of a
        video's), and what :func:`mask_facts` has.
    """
    return {
        **rows.row_facts(i),
        **mask_facts(
            label=rows.labels[i] if rows.labels else "",
            score=float(rows.scores[i]),
            mask_score=float(rows.masks.scores[i]),
            box_xyxy=rows.masks.boxes_xyxy[i],
            area_px=int(rows.masks.areas_px[i]),
            rle=rows.masks.rle(i),
        ),
    }


def _rings(row: Row, corners: int, inset_px: float) -> list[list[float]]:
    return [ring.ravel().round(3).tolist() for ring in row.outlines(corners, inset_px)]


def mask_facts(
    *,
    label: str,
    score: float,
    mask_score: float,
    box_xyxy: Any,
    area_px: int,
    rle: Mapping[str, Any],
    exact: bool = False,
) -> dict[str, Any]:
    """Return what every record of a mask says, under the names that all of them use.

    Args:
        label: what the mask shows; empty where nothing tells.
        score: how well it fits what was asked: of everything, its quality; in a video, how sure it is that it
            shows that object.
        mask_score: how good the mask is.
        box_xyxy: image pixels.
        area_px: number of pixels.
        rle: the pixels, COCO's compressed RLE.
        exact: write each number so that it reads back as the same float32; else scores have 4 decimals and
            boxes 2.

    >>> known = {"box_xyxy": (0, 0, 1, 1), "area_px": 1, "rle": {"size": [1, 1], "counts": "01"}}
    >>> mask_facts(label="", score=0.71239, mask_score=0.9, **known)["score"]
    0.7124
    """
    return {
        "label": label,
        "score": _decimal(score, None if exact else 4),
        "mask_score": _decimal(mask_score, None if exact else 4),
        "box_xyxy": [_decimal(edge, None if exact else 2) for edge in box_xyxy],
        "area_px": int(area_px),
        "segmentation": dict(rle),
    }


def _decimal(value: Any, digits: int | None) -> float:
    """Return a number with so many digits; with None the shortest that reads back as the same float32."""
    if isinstance(value, int):
        return value
    return float(str(np.float32(value))) if digits is None else round(float(value), digits)


def coco_record(
    item: Annotations, *, corners: int | None = None, crowds: bool = True, inset_px: float = 0.0
) -> dict[str, Any]:
    """Return a COCO dataset of one image: ``images``, ``annotations`` and ``categories``, ids from 1 on.

    Args:
        item: the image and its masks; those without a pixel are left out.
        corners: write outlines along pixel edges, holes bridged, instead of RLE; those of more corners are
            simplified.
        inset_px: move outlines inwards, see :func:`fastsam.masks.polygons.outlines`.
        crowds: write regions of objects that are not told apart, too.
    """
    height, width = item.masks.size_hw
    rows = [row for row in item.rows() if row.area_px and (crowds or not row.crowd)]
    names = all_classes(item.classes, (row.label for row in rows)) if rows or item.classes else []
    categories = {label: i for i, label in enumerate(names, 1)}
    annotations = [
        {
            "id": i,
            "image_id": 1,
            "category_id": categories[row.label],
            "segmentation": row.rle() if corners is None else _rings(row, corners, inset_px),
            "area": row.area_px,
            "bbox": row.box_xywh,
            "iscrowd": int(row.crowd),
            "score": row.score,
            **row.measured,
        }
        for i, row in enumerate(rows, 1)
    ]
    return {
        "info": {"classes": list(item.classes)},
        "images": [{"id": 1, "file_name": item.image_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": i, "name": label} for label, i in categories.items()],
    }
