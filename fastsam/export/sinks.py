"""One sink a format: the masks of an image -> files in a folder."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from fastsam.errors import ExportError
from fastsam.export.annotations import DEFAULT_LABEL, Annotations
from fastsam.export.encoders import (
    AMG_COLUMNS,
    encode_csv,
    encode_geojson,
    encode_labelmap,
    encode_labelme,
    encode_npz,
    encode_sam,
    facts_of,
    to_csv,
    to_json,
)
from fastsam.export.records import coco_record
from fastsam.files import replacing, replacing_folder, safe_name, write_bytes
from fastsam.images.matte import soft_cutout
from fastsam.masks.crop import Crop
from fastsam.masks.polygons import yolo_polygon
from fastsam.untrusted import MALFORMED

__all__ = ["FORMATS", "Format", "Sink"]


class Sink(ABC):
    """Writes the images of a run in one format."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def target(self, name: str) -> Path:
        """Return the file or folder that is there when an image is done."""

    @abstractmethod
    def add(self, item: Annotations) -> list[Path]:
        """Write one image and return its files."""

    def close(self) -> list[Path]:
        """Write what belongs to the run as a whole and return those files."""
        return []


# --- one file or folder an image ------------------------------------------------------------------


class FileSink(Sink):
    """One file an image."""

    pattern: ClassVar[str]
    encode: ClassVar[Callable[[Annotations, Path], bytes]]

    def target(self, name: str) -> Path:
        """Return the image's file."""
        return self.folder / self.pattern.format(name)

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's file."""
        return [write_bytes(self.target(item.name), type(self).encode(item, self.folder))]


class NpzSink(FileSink):
    """``NAME.npz``."""

    pattern, encode = "{}.npz", encode_npz


class SamJsonSink(FileSink):
    """``NAME.json``."""

    pattern, encode = "{}.json", encode_sam


class LabelmeSink(FileSink):
    """``labelme/NAME.json``: in a folder of its own, since SA-1B's file has the same name."""

    pattern, encode = "labelme/{}.json", encode_labelme


class CsvSink(FileSink):
    """``NAME.csv``."""

    pattern, encode = "{}.csv", encode_csv


class LabelMapSink(FileSink):
    """``NAME_labels.png``."""

    pattern, encode = "{}_labels.png", encode_labelmap


class GeoJsonSink(FileSink):
    """``NAME.geojson``."""

    pattern, encode = "{}.geojson", encode_geojson


class PngSink(Sink):
    """``NAME_masks/000.png`` ... (0 and 255) and ``NAME_masks/metadata.csv``, as SAM's ``amg.py``."""

    def target(self, name: str) -> Path:
        """Return the image's folder."""
        return self.folder / f"{name}_masks"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's folder; an earlier one is replaced."""
        digits = max(len(str(len(item.masks) - 1)), 3)
        facts, names = [], []
        with replacing_folder(self.target(item.name)) as folder:
            for row in item.rows():
                full = np.zeros(row.size_hw, np.uint8)
                height, width = row.patch.shape
                full[row.y0 : row.y0 + height, row.x0 : row.x0 + width] = row.patch * np.uint8(255)
                names.append(f"{row.number:0{digits}d}.png")
                Image.fromarray(full).save(folder / names[-1], compress_level=1)
                facts.append(facts_of(item, row))
            names.append("metadata.csv")
            (folder / names[-1]).write_bytes(to_csv(facts, AMG_COLUMNS, item))
        return [self.target(item.name) / name for name in names]


class CutoutSink(Sink):
    """``NAME_cutouts/000.png`` ...: each object on a transparent ground, with soft edges."""

    def target(self, name: str) -> Path:
        """Return the image's folder."""
        return self.folder / f"{name}_cutouts"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's folder; an earlier one is replaced. Masks without pixels have no file."""
        if item.rgb is None:
            raise ExportError(
                f"format 'cutout': expected the photo of {item.name!r}, got masks only; pass rgb=frame.rgb"
            )
        digits = max(len(str(len(item.masks) - 1)), 3)
        names = []
        with replacing_folder(self.target(item.name)) as folder:
            for row in item.rows():
                if row.area_px:
                    kind = "" if item.labels is None else f"_{safe_name(row.label)}"
                    names.append(f"{row.number:0{digits}d}{kind}.png")
                    picture = soft_cutout(item.rgb, Crop(row.x0, row.y0, row.patch))
                    Image.fromarray(picture).save(folder / names[-1], compress_level=3)
        return [self.target(item.name) / name for name in names]


# --- one file a run ---------------------------------------------------------------------------------


class YoloSink(Sink):
    """``labels/NAME.txt`` with a polygon a line, and ``classes.txt`` with the names of the class ids.

    A class keeps its id when a later run adds images to the same folder. One process writes at a time.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        listing = folder / "classes.txt"
        self._classes = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []

    def target(self, name: str) -> Path:
        """Return the image's label file."""
        return self.folder / "labels" / f"{name}.txt"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's label file, after the class names that it needs."""
        found = [(row.label, yolo_polygon(row.patch, (row.x0, row.y0), row.size_hw)) for row in item.rows()]
        lines = [(label, polygon) for label, polygon in found if polygon]
        fresh = [label for label in dict.fromkeys(label for label, _ in lines) if label not in self._classes]
        if fresh:
            self._classes += fresh
            self._write_classes()
        number = {label: i for i, label in enumerate(self._classes)}
        text = "".join(f"{number[label]} {polygon}\n" for label, polygon in lines)
        return [write_bytes(self.target(item.name), text.encode())]

    def _write_classes(self) -> Path:
        text = "".join(f"{label}\n" for label in self._classes or [DEFAULT_LABEL])
        return write_bytes(self.folder / "classes.txt", text.encode())

    def close(self) -> list[Path]:
        """Write ``classes.txt``, also where no image had a mask."""
        return [self._write_classes()]


class CocoSink(Sink):
    """``instances.json`` for the run, merged at close from ``coco_parts/NAME.json``, one for each image.

    The parts are COCO files themselves. They stay, so that an interrupted run loses nothing and a later
    one adds to it. Categories are the labels in alphabetical order, ids count from 1.
    """

    def target(self, name: str) -> Path:
        """Return the image's part."""
        return self.folder / "coco_parts" / f"{name}.json"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's part."""
        return [write_bytes(self.target(item.name), to_json(coco_record(item)))]

    def close(self) -> list[Path]:
        """Merge the parts; one of them is in memory at a time."""
        parts = sorted((self.folder / "coco_parts").glob("*.json"))
        images: list[dict[str, Any]] = []
        labels: set[str] = set()
        for path in parts:
            part = _read_part(path)
            images.append({**part["images"][0], "id": len(images) + 1})
            labels |= {category["name"] for category in part["categories"]}
        numbers = {label: i for i, label in enumerate(sorted(labels or {DEFAULT_LABEL}), 1)}
        head = {
            "info": {"description": "masks found by fastsam"},
            "licenses": [],
            "images": images,
            "categories": [{"id": i, "name": label, "supercategory": ""} for label, i in numbers.items()],
        }
        target = self.folder / "instances.json"
        with replacing(target) as stream:
            stream.write(to_json(head)[:-1] + b',"annotations":[')
            for i, annotation in enumerate(_merged(parts, numbers), 1):
                stream.write((b"\n" if i == 1 else b",\n") + to_json({**annotation, "id": i}))
            stream.write(b"]}\n")
        return [target]


def _read_part(path: Path) -> dict[str, Any]:
    """Return the COCO file of one image."""
    try:
        part = json.loads(path.read_bytes())
        if part["images"][0]["id"] and {"annotations", "categories"} <= part.keys():
            return dict(part)
    except (OSError, *MALFORMED):
        pass  # the same message for all of them
    raise ExportError(
        f"{path}: expected a COCO file of one image, got something else; "
        "delete it and export that image again"
    )


def _merged(parts: Sequence[Path], numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the annotations of all parts under the ids of the whole."""
    for image_id, path in enumerate(parts, 1):
        part = _read_part(path)
        names = {category["id"]: category["name"] for category in part["categories"]}
        for annotation in part["annotations"]:
            category_id = numbers[names[annotation["category_id"]]]
            yield {**annotation, "image_id": image_id, "category_id": category_id}


# --- the table --------------------------------------------------------------------------------------


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
        "sam-json", ".json", "NAME.json: as SA-1B, with RLE; load_sam_json reads it", "image", SamJsonSink
    ),
    Format("yolo", ".txt", "labels/NAME.txt: YOLO polygons, and classes.txt", "image", YoloSink),
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
    Format("geojson", ".geojson", "NAME.geojson: exact polygons in pixels, y down", "image", GeoJsonSink),
)
FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}
"""The formats by name; pictures are written by :func:`fastsam.images.drawing.save_image`."""
