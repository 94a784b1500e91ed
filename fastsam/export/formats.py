"""The table of formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastsam.export.run_sinks import (
    CocoPolygonSink,
    CocoSink,
    CvatSink,
    LabelStudioSink,
    RoboflowSink,
    YoloSink,
)
from fastsam.export.sinks import (
    CsvSink,
    CutoutSink,
    GeoJsonSink,
    LabelMapSink,
    LabelmeSink,
    NpzSink,
    PngSink,
    SamJsonSink,
    Sink,
)

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True)
class Format:
    """A row of :data:`FORMATS`.

    Attributes:
        name: as users write it.
        extension: of the files, with the dot.
        help: one line on what is written where.
        per: whether there is a file for each image, or one for the whole run.
        sink: what writes it.
    """

    name: str
    extension: str
    help: str
    per: Literal["image", "run"]
    sink: type[Sink]


_ROWS = (
    Format("png", ".png", "NAME_masks/: a PNG a mask and metadata.csv, as SAM's amg.py", "image", PngSink),
    Format("npz", ".npz", "NAME.npz: lossless, packed; load_npz reads it", "image", NpzSink),
    Format("coco", ".json", "instances.json: COCO with RLE, for the whole run", "run", CocoSink),
    Format(
        "coco-polygons",
        ".json",
        "instances_polygons.json: COCO with polygons, for the whole run",
        "run",
        CocoPolygonSink,
    ),
    Format(
        "sam-json", ".json", "NAME.json: as SA-1B, with RLE; load_sam_json reads it", "image", SamJsonSink
    ),
    Format("yolo", ".txt", "data.yaml, images/, labels/: a dataset that YOLO trains on", "image", YoloSink),
    Format("labelme", ".json", "labelme/NAME.json: polygons to edit in LabelMe", "image", LabelmeSink),
    Format("csv", ".csv", "NAME.csv: a row a mask, without its pixels", "image", CsvSink),
    Format(
        "labelmap",
        ".png",
        "NAME_labels.png: 16 bit, each pixel its mask's row + 1, 0 for none; the smaller in front",
        "image",
        LabelMapSink,
    ),
    Format(
        "cutout",
        ".png",
        "NAME_cutouts/: a PNG an object, transparent around it, soft edges",
        "image",
        CutoutSink,
    ),
    Format(
        "roboflow",
        ".json",
        "roboflow/: photos with _annotations.coco.json, train and valid",
        "run",
        RoboflowSink,
    ),
    Format("cvat", ".xml", "cvat.xml: polygons to edit in CVAT (for images 1.1)", "run", CvatSink),
    Format(
        "label-studio",
        ".json",
        "label_studio.json: tasks with polygons to edit in Label Studio",
        "run",
        LabelStudioSink,
    ),
    Format("geojson", ".geojson", "NAME.geojson: exact polygons in pixels, y down", "image", GeoJsonSink),
)
FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}
"""The formats by name; pictures are written by :func:`fastsam.images.drawing.save_image`."""
