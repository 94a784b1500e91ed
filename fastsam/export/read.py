"""What fastsam and other tools have written -> :class:`Annotations`, image by image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.datasets import CocoImage, read_instances
from fastsam.errors import DatasetError, FastSAMError, InputError, reason_of
from fastsam.export.annotations import Annotations
from fastsam.export.load import load_npz, load_sam_json
from fastsam.export.read_tools import (
    photo_of,
    read_cvat,
    read_geojson,
    read_label_studio,
    read_labelmap,
    read_labelme,
    read_yolo,
)
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_crop
from fastsam.untrusted import MALFORMED, read_json

__all__ = ["read_annotations"]

_COCO_NAMES = ("instances.json", "_annotations.coco.json", "instances_polygons.json")
_SPLITS = ("train", "valid", "test")


def read_annotations(
    source: str | os.PathLike[str], images: str | os.PathLike[str] | None = None
) -> Iterator[Annotations]:
    """Yield the images of an export with their masks and labels; :data:`fastsam.export.FORMATS` says of what.

    Args:
        source: a file: COCO in any form, SA-1B's JSON, LabelMe, Label Studio, GeoJSON, CVAT for images 1.1,
            NPZ, a label map; or a folder of such files, of YOLO (``data.yaml``, or ``labels/`` and
            ``classes.txt``), of COCO (``instances.json``) or of Roboflow (``train/_annotations.coco.json``).
        images: folder of the photos, where they are not where the format has them; a photo that is not there
            costs nothing but formats that show it, and YOLO, whose labels need its size.

    Raises:
        InputError: there is no such file, it is of no known format, or it is damaged.
    """
    path = Path(source)
    folder = None if images is None else Path(images)
    with _reading(path):
        yield from _folder(path, folder) if path.is_dir() else _file(path, folder)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say which file is missing or damaged."""
    if not path.exists():
        raise InputError("no such file or folder", subject=str(path), path=path)
    try:
        yield
    except FastSAMError:
        raise
    except (OSError, EOFError, *MALFORMED) as error:
        problem = f"expected masks of a known format, got something else ({reason_of(error)})"
        raise InputError(problem, subject=str(path), path=path) from error


def _folder(path: Path, images: Path | None) -> Iterator[Annotations]:
    """Yield the images of a folder."""
    for name in _COCO_NAMES:
        if (path / name).is_file():
            yield from _coco(path / name, images)
            return
    splits = [path / split / _COCO_NAMES[1] for split in _SPLITS if (path / split / _COCO_NAMES[1]).is_file()]
    if splits:
        for file in splits:
            yield from _coco(file, images)
        return
    if (path / "data.yaml").is_file() or (path / "labels").is_dir():
        yield from read_yolo(path, images)
        return
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in _BY_SUFFIX]
    if not files:
        raise DatasetError(
            "expected masks of a known format, found no such file", subject=str(path), path=path
        )
    for file in files:
        yield from _file(file, images)


def _file(path: Path, images: Path | None) -> Iterator[Annotations]:
    """Yield the images of a file."""
    read = _BY_SUFFIX.get(path.suffix.lower())
    if read is None:
        raise InputError(f"expected a file of masks ({', '.join(_BY_SUFFIX)})", subject=str(path), path=path)
    yield from read(path, images)


def _json(path: Path, images: Path | None) -> Iterator[Annotations]:
    content = read_json(path, "masks", InputError)
    kinds = content.keys() if isinstance(content, dict) else set[str]()
    if {"images", "annotations"} <= kinds:
        yield from _coco(path, images)
    elif {"image", "annotations"} <= kinds:
        yield _sam(path, content, images)
    elif "shapes" in kinds:
        yield read_labelme(path, content, images)
    elif "features" in kinds:
        yield read_geojson(content, images)
    elif isinstance(content, list):
        yield from read_label_studio(content, images)
    else:
        raise InputError("is JSON, but of no known format of masks", subject=str(path), path=path)


def _npz(path: Path, images: Path | None) -> Iterator[Annotations]:
    masks = load_npz(path)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        labels = [str(name) for name in file["labels"]] if "labels" in file else None
    yield Annotations(path.stem, masks, labels=labels)


def _sam(path: Path, content: Any, images: Path | None) -> Annotations:
    masks, name = load_sam_json(path), str(content["image"].get("file_name") or path.stem)
    found = [entry.get("label") for entry in content["annotations"]]
    labels = [str(label or "") for label in found] if any(found) else None
    return Annotations(Path(name).stem, masks, name, photo_of(images or path.parent, name), labels)


def _coco(path: Path, images: Path | None) -> Iterator[Annotations]:
    beside = path.parent / "images"
    named, categories, _ = read_instances(path, images or (beside if beside.is_dir() else path.parent))
    for name, image in named:
        yield _of_coco(name, image, categories)


def _of_coco(name: str, image: CocoImage, categories: dict[int, str]) -> Annotations:
    size = (image.height, image.width)
    every = [*image.annotations, *image.crowds]
    crops = [Crop(*decode_crop(rle, size)) for rle in [*image.all_rles(), *image.all_rles(crowds=True)]]
    scores = np.array([float(one.get("score", 1.0)) for one in every], np.float32)
    labels = [categories.get(one.get("category_id", -1), "") for one in every]
    crowds = [False] * len(image.annotations) + [True] * len(image.crowds)
    source = str(image.path) if image.path.is_file() else ""
    masks = MaskSet.from_crops(crops, size, scores) if crops else MaskSet.none(size)
    names = [categories[number] for number in sorted(categories)]
    return Annotations(
        str(Path(name).with_suffix("")),
        masks,
        name,
        source,
        labels,
        names,
        crowds=crowds if any(crowds) else None,
    )


_BY_SUFFIX: dict[str, Callable[[Path, Path | None], Iterator[Annotations]]] = {
    ".json": _json,
    ".geojson": _json,
    ".npz": _npz,
    ".xml": read_cvat,
    ".png": read_labelmap,
}
