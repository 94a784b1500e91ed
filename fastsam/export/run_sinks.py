"""Formats with files for the run as a whole: YOLO, COCO in three forms, CVAT, Label Studio."""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsam.errors import ExportError
from fastsam.export.annotations import DEFAULT_LABEL, Annotations, all_classes
from fastsam.export.encoders import to_json
from fastsam.export.pictures import put_picture
from fastsam.export.records import coco_record
from fastsam.export.sinks import Sink
from fastsam.export.tools import (
    cvat_footer,
    cvat_header,
    cvat_image,
    label_config,
    label_studio_task,
)
from fastsam.files import exclusive, replacing, write_bytes
from fastsam.masks.polygons import INSET_PX, yolo_polygon
from fastsam.untrusted import MALFORMED, read_text

__all__ = [
    "CocoPolygonSink", "CocoSink", "CvatSink", "LabelStudioSink", "RoboflowSink", "YoloSink", "split_of",
]  # fmt: skip

_VALIDATION = 10  # one image in so many
_CORNERS = 512  # of an outline that is written exactly


def split_of(name: str) -> str:
    """Return ``"train"`` or ``"valid"``: the same for an image of this name in every run.

    >>> split_of("bus"), split_of("zidane")
    ('train', 'train')
    """
    return "train" if zlib.crc32(name.encode()) % _VALIDATION else "valid"


class YoloSink(Sink):
    """A dataset that YOLO trains on: ``images/``, ``labels/``, ``data.yaml`` and ``classes.txt``.

    ``train.txt`` and ``val.txt`` split it, one image in ten for validation. A class keeps its id when a later
    run, or another process, adds images to the same folder. Images are left out where nobody has the photo.
    """

    def __init__(self, folder: Path, classes: Sequence[str] = ()) -> None:
        super().__init__(folder, classes)
        self._listing = folder / "classes.txt"

    def target(self, name: str) -> Path:
        """Return the image's label file."""
        return self.folder / "labels" / f"{name}.txt"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image and its label file, after the class names that it needs."""
        rows = [(row, yolo_polygon(row.patch, (row.x0, row.y0), row.size_hw)) for row in item.objects()]
        lines = [(row.label, polygon) for row, polygon in rows]
        number = self._numbers(item.classes, dict.fromkeys(label for label, _ in lines))
        text = "".join(f"{number[label]} {polygon}\n" for label, polygon in lines)
        picture = put_picture(item, self.folder / "images")
        label = write_bytes(self.target(item.name), text.encode())
        return [label] if picture is None else [label, picture]

    def _numbers(self, classes: Sequence[str], found: Sequence[str] | dict[str, Any]) -> dict[str, int]:
        """Return the ids of the classes, after writing down those that are new."""
        with self._alone():
            listed = self._listed()
            names = list(dict.fromkeys([*listed, *self.classes, *classes, *found]))
            if names != listed:
                self._write(names)
        return {name: i for i, name in enumerate(names)}

    def _alone(self) -> Any:
        """Hold the list of classes against other processes."""
        return exclusive_beside(self._listing)

    def _listed(self) -> list[str]:
        if not self._listing.is_file():
            return []
        return [line for line in read_text(self._listing, "list", ExportError).splitlines() if line.strip()]

    def _write(self, names: Sequence[str]) -> Path:
        text = "".join(f"{name}\n" for name in names)
        return write_bytes(self._listing, text.encode(errors="backslashreplace"))

    def close(self) -> list[Path]:
        """Write ``classes.txt``, also where no image had a mask, and what a trainer reads."""
        with self._alone():
            names = list(dict.fromkeys([*self._listed(), *self.classes])) or [DEFAULT_LABEL]
            files = [self._write(names)]
        pictures = sorted(path.name for path in (self.folder / "images").glob("[!.]*"))
        if not pictures:
            return files
        parts: dict[str, list[str]] = {"train": [], "valid": []}
        for name in pictures:
            parts[split_of(Path(name).stem)].append(name)
        for full, empty in (("train", "valid"), ("valid", "train")):
            if not parts[empty]:  # trainers want both
                parts[empty] = parts[full][: max(1, len(pictures) // _VALIDATION)]
        if len(pictures) > 1:
            parts["train"] = [name for name in parts["train"] if name not in parts["valid"]]
        for part, listing in (("train", "train.txt"), ("valid", "val.txt")):
            lines = "".join(f"./images/{name}\n" for name in parts[part])
            files.append(write_bytes(self.folder / listing, lines.encode()))
        quoted = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(names))
        text = f"train: train.txt\nval: val.txt\nnames:\n{quoted}"
        return [*files, write_bytes(self.folder / "data.yaml", text.encode())]


class _PartsSink(Sink):
    """A file for the run that is made at close from parts, one for each image.

    The parts stay, so that an interrupted run loses nothing and a later one adds to it.
    """

    parts: ClassVar[str]

    def target(self, name: str) -> Path:
        """Return the image's part."""
        return self.folder / self.parts / f"{name}.json"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's part."""
        return [write_bytes(self.target(item.name), to_json(self.part(item)))]

    @abstractmethod
    def part(self, item: Annotations) -> dict[str, Any]:
        """Return what is kept of an image."""

    def _files(self) -> list[Path]:
        return sorted((self.folder / self.parts).glob("[!.]*.json"))

    def _names(self, parts: Sequence[Path]) -> list[str]:
        """Return the classes in the order of their ids."""
        known, found = dict.fromkeys(self.classes), set[str]()
        for path in parts:
            part = _read_part(path)
            known |= dict.fromkeys(part["info"].get("classes", ()))
            found |= {category["name"] for category in part["categories"]}
        return all_classes(list(known), found)


class CocoSink(_PartsSink):
    """``instances.json`` for the run, merged at close from ``coco_parts/NAME.json``.

    The parts are COCO files themselves. Categories are the classes that were asked for, in that order, then
    other labels by alphabet; ids count from 1.
    """

    parts, file = "coco_parts", "instances.json"
    corners: ClassVar[int | None] = None

    def part(self, item: Annotations) -> dict[str, Any]:
        """Return a COCO dataset of the image."""
        return coco_record(item, corners=self.corners)

    def close(self) -> list[Path]:
        """Merge the parts; one of them is in memory at a time."""
        parts = self._files()
        return [self._merge(parts, self.folder / self.file, self._names(parts))]

    def _merge(self, parts: Sequence[Path], target: Path, names: Sequence[str]) -> Path:
        numbers = {label: i for i, label in enumerate(names, 1)}
        images = [{**_read_part(path)["images"][0], "id": i} for i, path in enumerate(parts, 1)]
        head = {
            "info": {"description": "masks found by fastsam"},
            "licenses": [],
            "images": images,
            "categories": [{"id": i, "name": label, "supercategory": ""} for label, i in numbers.items()],
        }
        with replacing(target) as stream:
            stream.write(to_json(head)[:-1] + b',"annotations":[')
            for i, annotation in enumerate(_merged(parts, numbers), 1):
                stream.write((b"\n" if i == 1 else b",\n") + to_json({**annotation, "id": i}))
            stream.write(b"]}\n")
        return target


class CocoPolygonSink(CocoSink):
    """``instances_polygons.json``: COCO with polygons, for tools that read no RLE."""

    parts, file, corners = "coco_polygon_parts", "instances_polygons.json", _CORNERS


class RoboflowSink(CocoSink):
    """``roboflow/train`` and ``roboflow/valid``: photos and ``_annotations.coco.json`` in one folder each."""

    parts, file, corners = "roboflow_parts", "_annotations.coco.json", _CORNERS

    def add(self, item: Annotations) -> list[Path]:
        """Write the photo and the image's part."""
        picture = put_picture(item, self.folder / "roboflow" / split_of(item.name))
        name = item.name if picture is None else picture.name
        part = coco_record(item, corners=_CORNERS, crowds=False, inset_px=INSET_PX)
        part["images"][0]["file_name"] = name
        files = [write_bytes(self.target(item.name), to_json(part))]
        return files if picture is None else [*files, picture]

    def close(self) -> list[Path]:
        """Write the list of each folder."""
        parts = self._files()
        names = self._names(parts)
        written = []
        for split in ("train", "valid"):
            mine = [path for path in parts if split_of(path.stem) == split]
            if mine or split == "train":
                written.append(self._merge(mine, self.folder / "roboflow" / split / self.file, names))
        return written


class CvatSink(_PartsSink):
    """``cvat.xml``: CVAT's "for images 1.1", polygons; the islands of a mask share a group."""

    parts = "cvat_parts"

    def part(self, item: Annotations) -> dict[str, Any]:
        """Return a COCO dataset of the image, outlines simplified for people to edit."""
        return coco_record(item, corners=0, crowds=False)

    def close(self) -> list[Path]:
        """Write the file."""
        parts = self._files()
        target = self.folder / "cvat.xml"
        with replacing(target) as stream:
            stream.write(cvat_header(self._names(parts)))
            for number, path in enumerate(parts):
                stream.write(cvat_image(_read_part(path), number))
            stream.write(cvat_footer())
        return [target]


class LabelStudioSink(_PartsSink):
    """``label_studio.json``: tasks with predictions, and ``label_studio.xml``, the labels of the project."""

    parts = "label_studio_parts"

    def part(self, item: Annotations) -> dict[str, Any]:
        """Return a COCO dataset of the image, outlines simplified for people to edit."""
        return coco_record(item, corners=0, crowds=False)

    def close(self) -> list[Path]:
        """Write the tasks and the labels."""
        parts = self._files()
        target = self.folder / "label_studio.json"
        with replacing(target) as stream:
            for number, path in enumerate(parts):
                stream.write(
                    (b",\n" if number else b"[") + to_json(label_studio_task(_read_part(path), number))
                )
            stream.write(b"]\n" if parts else b"[]\n")
        config = write_bytes(self.folder / "label_studio.xml", label_config(self._names(parts)))
        return [target, config]


def exclusive_beside(path: Path) -> Any:
    """Hold a file of a folder against other processes, for a moment; waits for them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return exclusive(path.with_name(f".{path.name}.lock"))


def _read_part(path: Path) -> dict[str, Any]:
    """Return the COCO file of one image."""
    try:
        part = json.loads(path.read_bytes())
        listed = [str(category["name"]) for category in part["categories"]]
        whole = {"annotations", "categories"} <= part.keys() and part["images"][0]["id"]
        if whole and isinstance(part.setdefault("info", {}), dict) and listed is not None:
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
