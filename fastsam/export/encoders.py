"""The masks of one image -> the bytes of one file, a function a format."""

from __future__ import annotations

import csv
import io
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastsam.errors import ExportError
from fastsam.export.annotations import Annotations, Row
from fastsam.masks.polygons import INSET_PX, edge_polygons

__all__ = [
    "AMG_COLUMNS", "encode_csv", "encode_geojson", "encode_labelmap", "encode_labelme", "encode_npz",
    "encode_sam", "facts_of", "to_csv", "to_json",
]  # fmt: skip

_MOST_LABELS = 2**16 - 1  # 0 is "no mask"
_PIXELS = "pixels: x to the right, y down, (0, 0) is the top left corner of the image"
_CSV_COLUMNS = [
    "image", "id", "label", "level", "score", "stability_score", "area_px", "x1", "y1", "x2", "y2",
    "point_input_x", "point_input_y",
]  # fmt: skip
AMG_COLUMNS = [
    "id", "area", "bbox_x0", "bbox_y0", "bbox_w", "bbox_h", "point_input_x", "point_input_y", "predicted_iou",
    "stability_score", "label", "level",
]  # fmt: skip


def to_json(content: Any) -> bytes:
    """Return compact JSON, UTF-8; bytes of file names that are no UTF-8 are escaped."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(content, separators=(",", ":")).encode()


def to_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str], item: Annotations) -> bytes:
    """Return a table as UTF-8; columns of what was not measured are left out."""
    absent = {
        name
        for name, values in (
            ("label", item.labels),
            ("level", item.levels),
            ("stability_score", item.stability_scores),
            ("point_input_x", item.points_xy),
            ("point_input_y", item.points_xy),
        )
        if values is None
    }
    text = io.StringIO()
    header = [name for name in columns if name not in absent]
    writer = csv.DictWriter(text, header, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")


def encode_npz(item: Annotations, _folder: Path) -> bytes:
    """Return a compressed NPZ; ``load_npz`` reads it."""
    packed = item.store.packed
    arrays: dict[str, Any] = {
        "size_hw": np.array(item.masks.size_hw, np.int64),
        "boxes_xyxy": item.masks.boxes_xyxy,
        "scores": item.masks.scores,
        "windows": item.store.windows,
        "bits": np.concatenate(packed) if packed else np.zeros(0, np.uint8),
    }
    for name in ("labels", "levels"):
        values = getattr(item, name)
        if values is not None:
            arrays[name] = np.array([str(value) for value in values], dtype=np.str_)
    for name in ("stability_scores", "points_xy"):
        if getattr(item, name) is not None:
            arrays[name] = getattr(item, name)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def encode_sam(item: Annotations, _folder: Path) -> bytes:
    """Return SA-1B's JSON of one image; ``load_sam_json`` reads it."""
    height, width = item.masks.size_hw
    annotations = []
    for row in item.rows():
        entry = {
            "id": row.number,
            "segmentation": row.rle(),
            "bbox": row.box_xywh,
            "area": row.area_px,
            "predicted_iou": row.score,
            "crop_box": [0, 0, width, height],
            **row.measured,
        }
        if item.points_xy is not None:
            entry["point_coords"] = [[float(value) for value in item.points_xy[row.number]]]
        if item.labels is not None:
            entry["label"] = row.label
        annotations.append(entry)
    # SA-1B numbers its images; a checksum of the name is the same in every run.
    image = {
        "image_id": zlib.crc32(item.name.encode()),
        "width": width,
        "height": height,
        "file_name": item.image_name,
    }
    return to_json({"image": image, "annotations": annotations})


def encode_labelme(item: Annotations, folder: Path) -> bytes:
    """Return a LabelMe annotation; the islands of a mask share a ``group_id``, holes are bridged."""
    shapes: list[dict[str, Any]] = []
    for row in item.objects():
        rings = row.outlines(0, INSET_PX)
        for ring in rings:
            shapes.append(
                {
                    "label": row.label,
                    "points": ring.tolist(),
                    "group_id": row.number if len(rings) > 1 else None,
                    "description": f"score {row.score:.3f}",
                    "shape_type": "polygon",
                    "flags": {},
                    "mask": None,
                }
            )
    image = item.image_name
    if item.source and os.path.isfile(item.source):
        try:
            image = Path(os.path.relpath(item.source, folder / "labelme")).as_posix()
        except ValueError:  # another drive of Windows
            image = os.path.abspath(item.source)
    height, width = item.masks.size_hw
    return to_json(
        {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": image,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
    )


def facts_of(item: Annotations, row: Row) -> dict[str, Any]:
    """Return everything that a table says about a mask, under all names."""
    x, y, width, height = row.box_xywh
    facts: dict[str, Any] = {
        "image": item.image_name, "id": row.number, "label": row.label, **row.measured,
        "score": row.score, "area_px": row.area_px, "x1": x, "y1": y, "x2": x + width, "y2": y + height,
        "area": row.area_px, "predicted_iou": row.score,
        "bbox_x0": x, "bbox_y0": y, "bbox_w": width, "bbox_h": height,
    }  # fmt: skip
    if item.points_xy is not None:
        point = item.points_xy[row.number]
        facts |= {"point_input_x": float(point[0]), "point_input_y": float(point[1])}
    return facts


def encode_csv(item: Annotations, _folder: Path) -> bytes:
    """Return a table with a row for each mask."""
    return to_csv([facts_of(item, row) for row in item.rows()], _CSV_COLUMNS, item)


def encode_labelmap(item: Annotations, _folder: Path) -> bytes:
    """Return a 16-bit grey PNG: the row of the mask that holds a pixel, plus 1; 0 where none does.

    Where masks overlap the smaller is in front; ``Session.everything(disjoint=True)`` gives none that do.

    Raises:
        ExportError: there are more masks than 16 bits can tell apart.
    """
    if len(item.masks) > _MOST_LABELS:
        raise ExportError(
            f"labelmap of {item.name!r}: expected {_MOST_LABELS} masks at most (16 bit), "
            f"got {len(item.masks)}; choose fewer (max_det, conf), or another format, such as npz"
        )
    decoded = replace(item.masks, store=item.store)
    stream = io.BytesIO()
    Image.fromarray(decoded.label_map().astype(np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def encode_geojson(item: Annotations, _folder: Path) -> bytes:
    """Return a FeatureCollection of polygons along pixel edges: exact, with holes."""
    features = []
    for row in item.rows():
        corner = np.array([row.x0, row.y0])
        parts = [[(ring + corner).tolist() for ring in part] for part in edge_polygons(row.patch)]
        closed = [[[*ring, ring[0]] for ring in part] for part in parts]
        geometry: dict[str, Any] | None = {"type": "MultiPolygon", "coordinates": closed}
        if len(closed) < 2:
            geometry = {"type": "Polygon", "coordinates": closed[0]} if closed else None
        properties = {"label": row.label, "score": row.score, "area_px": row.area_px, **row.measured}
        features.append({"type": "Feature", "id": row.number, "geometry": geometry, "properties": properties})
    height, width = item.masks.size_hw
    image = {"file_name": item.image_name, "width": width, "height": height}
    return to_json(
        {"type": "FeatureCollection", "image": image, "coordinate_unit": _PIXELS, "features": features}
    )
