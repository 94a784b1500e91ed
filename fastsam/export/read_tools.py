"""Readers of YOLO, LabelMe, CVAT, Label Studio, GeoJSON and label maps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.datasets.coco import name_inside
from fastsam.errors import DatasetError, InputError
from fastsam.export.annotations import Annotations
from fastsam.images.listing import images_below
from fastsam.images.reading import image_size_hw, opened_image
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import rasterise
from fastsam.masks.rle import Rle, decode_crop, decode_rle, encode_rle
from fastsam.needed import needed
from fastsam.untrusted import at_most, limits, number, read_text, whole

__all__ = [
    "photo_of", "read_cvat", "read_geojson", "read_label_studio", "read_labelmap", "read_labelme",
    "read_yolo",
]  # fmt: skip

_MOST_OUTSIDE = 4  # image sides that a corner may lie beyond its image
_LOCAL = "/data/local-files/?d="  # Label Studio's address of a file in its local storage


def photo_of(folder: Path | None, name: str) -> str:
    """Return the path of a photo inside a folder; nothing where it is not there."""
    try:
        inside = name_inside(name)
    except DatasetError:
        return ""
    return str(folder / inside) if folder is not None and (folder / inside).is_file() else ""


def _ring(values: Any, what: str) -> NDArray[np.float64]:
    """Return a ring as (K, 2), checked: native code trusts every number."""
    ring = np.asarray(values, np.float64).reshape(-1, 2)
    if not np.isfinite(ring).all():
        raise InputError(f"{what}: expected finite corners")
    return ring


def _side(value: Any, what: str) -> int:
    return whole(value, what, 1, limits().side_px)


class _Masks:
    """Islands -> masks: those of one key add up.

    Args:
        size_hw: of the image.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        at_most(size_hw[0] * size_hw[1], "image_pixels", "pixels of an image")
        self.size_hw = size_hw
        self._of: dict[Any, Rle] = {}
        self._label: dict[Any, str] = {}
        self._score: dict[Any, float] = {}

    def add(self, key: Any, rings: Sequence[NDArray[np.float64]], label: str, score: float = 1.0) -> None:
        """Add islands to a mask; None is a mask of its own."""
        far = _MOST_OUTSIDE * max(self.size_hw) + 1_000
        if any(ring.size and np.abs(ring).max() > far for ring in rings):
            raise InputError(f"expected corners near the image of {self.size_hw[1]}x{self.size_hw[0]}")
        self.add_mask(key, rasterise(rings, self.size_hw), label, score)

    def add_mask(self, key: Any, mask: NDArray[np.bool_], label: str, score: float = 1.0) -> None:
        """Add pixels to a mask; None is a mask of its own."""
        key = ("alone", len(self._of)) if key is None else key
        if key in self._of:
            mask = mask | decode_rle(self._of[key], self.size_hw)
        self._of[key] = encode_rle(mask)
        self._label.setdefault(key, label)
        self._score.setdefault(key, score)

    def annotations(self, name: str, source: str, classes: Sequence[str] = ()) -> Annotations:
        """Return all of them."""
        crops = [Crop(*decode_crop(rle, self.size_hw)) for rle in self._of.values()]
        scores = np.array(list(self._score.values()), np.float32)
        masks = MaskSet.from_crops(crops, self.size_hw, scores) if crops else MaskSet.none(self.size_hw)
        labels = list(self._label.values())
        stem = str(Path(name).with_suffix(""))
        return Annotations(stem, masks, name, source, labels, classes)


def read_yolo(root: Path, images: Path | None) -> Iterator[Annotations]:
    """Yield the images of a YOLO folder that have a label file."""
    classes = _yolo_names(root)
    folder = images or root / "images"
    if not folder.is_dir():
        raise DatasetError(
            f"expected the photos in {folder}, found no such folder",
            subject=str(root),
            advice="say where the photos are",
            path=root,
        )
    for photo in images_below(folder):
        name = photo.relative_to(folder)
        label = (root / "labels" / name).with_suffix(".txt")
        if not label.is_file():
            continue
        height, width = image_size_hw(photo)
        found = _Masks((height, width))
        for line in read_text(label, "label", DatasetError).splitlines():
            kind, *values = line.split()
            ring = _ring([float(value) for value in values], str(label)) * [width, height]
            found.add(None, [ring], classes[int(kind)])
        yield found.annotations(name.as_posix(), str(photo), classes)


def _yolo_names(root: Path) -> list[str]:
    listing = root / "classes.txt"
    if listing.is_file():
        return [line for line in read_text(listing, "list", DatasetError).splitlines() if line.strip()]
    with needed("yaml", "read data.yaml"):
        import yaml
    try:
        names = yaml.safe_load(read_text(root / "data.yaml", "dataset", DatasetError))["names"]
    except yaml.YAMLError as error:
        raise DatasetError("expected YAML", subject=str(root / "data.yaml"), path=root) from error
    return [str(names[i]) for i in sorted(names)] if isinstance(names, dict) else [str(one) for one in names]


def read_labelme(path: Path, content: Any, images: Path | None) -> Annotations:
    """Return the polygons, rectangles and circles of a LabelMe file; those of a group are one mask."""
    found = _Masks((_side(content["imageHeight"], "imageHeight"), _side(content["imageWidth"], "imageWidth")))
    for shape in content["shapes"]:
        ring = _ring(shape["points"], str(path))
        kind = shape.get("shape_type") or "polygon"
        if kind == "rectangle":
            (x1, y1), (x2, y2) = ring
            ring = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
        elif kind == "circle":
            angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
            ring = ring[0] + np.hypot(*(ring[1] - ring[0])) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        elif kind != "polygon":
            continue
        words = str(shape.get("description") or "").split()
        score = float(words[1]) if len(words) == 2 and words[0] == "score" else 1.0
        group = shape.get("group_id")
        key = None if group is None else (str(shape["label"]), group)
        found.add(key, [ring], str(shape["label"]), number(score, "score"))
    name = str(content.get("imagePath") or path.stem)
    source = (
        os.path.normpath(path.parent / name) if images is None else photo_of(images, os.path.basename(name))
    )
    known = source if source and os.path.isfile(source) else ""
    return found.annotations(os.path.basename(name.replace("\\", "/")), known)


def read_geojson(content: Any, images: Path | None) -> Annotations:
    """Return the polygons of a GeoJSON file of fastsam, in pixels."""
    image = content["image"]
    found = _Masks((_side(image["height"], "height"), _side(image["width"], "width")))
    for feature in content["features"]:
        geometry, about = feature["geometry"], feature["properties"]
        if geometry is None:
            continue
        parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        key, label, score = feature["id"], str(about["label"]), number(about["score"], "score")
        for part in parts:
            mask = np.zeros(found.size_hw, bool)
            for ring in part:  # holes cancel out
                mask ^= rasterise([_ring(ring, "GeoJSON")], found.size_hw)
            found.add_mask(key, mask, label, score)
    name = str(image.get("file_name") or "image")
    return found.annotations(name, photo_of(images, name))


def read_cvat(path: Path, images: Path | None) -> Iterator[Annotations]:
    """Yield the images of CVAT's XML for images 1.1: polygons, boxes and masks; a group is one mask."""
    text = read_text(path, "masks")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("expected XML without a document type", subject=str(path), path=path)
    try:
        root = ElementTree.fromstring(text.encode())  # noqa: S314 - without entities
    except ElementTree.ParseError as error:
        raise InputError(f"expected XML ({error})", subject=str(path), path=path) from error
    classes = [str(name.text) for name in root.iterfind("./meta//label/name")]
    for image in root.iter("image"):
        about = image.attrib
        found = _Masks((_side(int(about["height"]), "height"), _side(int(about["width"]), "width")))
        for shape in image:
            values, label = shape.attrib, shape.attrib.get("label", "")
            key = (label, values["group_id"]) if values.get("group_id", "0") != "0" else None
            if shape.tag == "polygon":
                corners = [pair.split(",") for pair in values["points"].split(";")]
                found.add(key, [_ring([[float(v) for v in pair] for pair in corners], "points")], label)
            elif shape.tag == "box":
                x1, y1, x2, y2 = (float(values[edge]) for edge in ("xtl", "ytl", "xbr", "ybr"))
                found.add(key, [_ring([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], "box")], label)
            elif shape.tag == "mask":
                found.add_mask(key, _cvat_mask(values, found.size_hw), label)
        yield found.annotations(about["name"], photo_of(images or path.parent, about["name"]), classes)


def _cvat_mask(values: Any, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask of CVAT's: runs along rows inside a box, the first of background."""
    left, top, width, height = (int(values[side]) for side in ("left", "top", "width", "height"))
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size_hw[1] or top + height > size_hw[0]:
        raise InputError("mask: expected a box inside the image")
    runs = [int(count) for count in values["rle"].split(",")]
    if min(runs) < 0 or max(runs) > width * height or sum(runs) != width * height:
        raise InputError(f"mask: expected runs of {width * height} pixels in all")
    mask = np.zeros(size_hw, bool)
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask[top : top + height, left : left + width] = inside.reshape(height, width)
    return mask


def read_label_studio(tasks: list[Any], images: Path | None) -> Iterator[Annotations]:
    """Yield the polygons of Label Studio's tasks: people's annotations, else predictions."""
    for task in tasks:
        answers = task.get("annotations") or task.get("predictions") or []
        regions = [
            one for answer in answers[:1] for one in answer["result"] if one["type"] == "polygonlabels"
        ]
        name = str(task["data"]["image"]).rpartition(_LOCAL)[2]
        size = _size_of(regions, photo_of(images, name))
        if size is None:
            continue  # nobody knows how large it is
        found = _Masks(size)
        for region in regions:
            value = region["value"]
            ring = _ring(value["points"], "points") * [size[1] / 100, size[0] / 100]
            told = region.get("meta", {}).get("text")
            label, score = str(value["polygonlabels"][0]), number(region.get("score", 1.0), "score")
            found.add(str(told) if told else None, [ring], label, score)
        yield found.annotations(name, photo_of(images, name))


def _size_of(regions: list[Any], photo: str) -> tuple[int, int] | None:
    if regions:
        first = regions[0]
        return _side(first["original_height"], "height"), _side(first["original_width"], "width")
    return image_size_hw(photo) if photo else None


def read_labelmap(path: Path, images: Path | None) -> Iterator[Annotations]:
    """Yield the masks of a label map of fastsam: each value but 0 is one."""
    with path.open("rb") as stream, opened_image(stream, str(path)) as image:
        if image.mode not in ("L", "I;16", "I", "P"):
            raise InputError("expected a picture of numbers, 8 or 16 bit", subject=str(path), path=path)
        values = np.asarray(Image.Image.copy(image))
    numbers = [int(value) for value in np.unique(values) if value]
    found = _Masks((values.shape[0], values.shape[1]))
    for value in numbers:
        found.add_mask(value, values == value, "")
    name = path.stem.removesuffix("_labels")
    yield found.annotations(name, "")
