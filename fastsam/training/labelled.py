"""What ``fastsam annotate`` reads and writes: a COCO-format folder, or images without labels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsam.datasets import CocoImage, check_heldout, heldout_names, read_coco
from fastsam.errors import DatasetError, ExportError, FastSAMError, ImageError
from fastsam.files import as_export_errors, write_bytes
from fastsam.images.listing import images_below
from fastsam.images.reading import image_size_hw
from fastsam.untrusted import read_json

__all__ = ["NEW_CLASS", "Content", "read_content", "write_dataset"]

NEW_CLASS = "object"
_SUPERCATEGORY = "found by a model"


@dataclass(frozen=True)
class Content:
    """What a folder holds.

    Attributes:
        coco: as ``instances.json`` has it.
        images: those of it, by name.
    """

    coco: dict[str, Any]
    images: tuple[CocoImage, ...]


def read_content(root: Path, wrong: Callable[[str, FastSAMError], None]) -> Content:
    """Read a dataset; a bare ``images/`` folder becomes an unlabelled one.

    Args:
        root: the folder.
        wrong: is told of each image whose size cannot be read; it has no place in the dataset.

    Raises:
        DatasetError: it is neither, or has no image that can be read.
    """
    source = root / "instances.json"
    if source.is_file():
        return Content(read_json(source, "dataset", DatasetError), read_coco(root).images)
    folder = root / "images"
    if not folder.is_dir():
        raise DatasetError(
            f"dataset {root}: expected instances.json or a folder images/ in it, found neither"
        )
    records: list[dict[str, Any]] = []
    images: list[CocoImage] = []
    for path in images_below(folder):
        name = path.relative_to(folder).as_posix()
        try:
            height, width = image_size_hw(path)
        except ImageError as error:
            wrong(name, error)
            continue
        records.append({"id": len(records) + 1, "file_name": name, "height": height, "width": width})
        images.append(CocoImage(path, height, width, (), (), name))
    if not images:
        raise DatasetError(f"dataset {root}: expected images in {folder}, found none that can be read")
    check_heldout(root, heldout_names(root), [image.name for image in images])
    return Content({"images": records, "annotations": [], "categories": []}, tuple(images))


def write_dataset(
    root: Path,
    out: Path,
    coco: dict[str, Any],
    found: dict[str, list[dict[str, Any]]],
    classes: Sequence[str],
) -> None:
    """Write the dataset: old and new annotations, the list of held-out images, a link to the images.

    Args:
        root: the dataset that was annotated.
        out: the folder to write into.
        coco: its content.
        found: new annotations by file name, their class in ``"class"``.
        classes: to list beside the dataset's own, in this order.

    Raises:
        ExportError: the folder cannot be written to.
    """
    old = list(coco.get("categories", []))
    used = {one["class"] for annotations in found.values() for one in annotations}
    wanted = [*classes, *([NEW_CLASS] if not classes or NEW_CLASS in used else [])]
    numbers = {str(category["name"]): int(category["id"]) for category in old}
    added: list[dict[str, Any]] = []
    for name in dict.fromkeys(wanted):
        if name not in numbers:
            numbers[name] = 1 + max((int(c["id"]) for c in [*old, *added]), default=0)
            added.append({"id": numbers[name], "name": name, "supercategory": _SUPERCATEGORY})
    number = 1 + max((_whole(one.get("id")) for one in coco["annotations"]), default=0)
    fresh = []
    for record in coco["images"]:
        for one in found.get(record["file_name"], ()):
            about = {key: value for key, value in one.items() if key != "class"}
            ids = {"id": number, "image_id": record["id"], "category_id": numbers[one["class"]]}
            fresh.append(ids | about)
            number += 1
    whole = {**coco, "annotations": [*coco["annotations"], *fresh], "categories": [*old, *added]}
    _link(root / "images", out / "images")
    if (root / "heldout.txt").is_file():
        with as_export_errors(out):
            content = (root / "heldout.txt").read_bytes()
        write_bytes(out / "heldout.txt", content)
    write_bytes(out / "instances.json", json.dumps(whole).encode())


def _whole(value: Any) -> int:
    return value if type(value) is int else 0


def _link(images: Path, link: Path) -> None:
    """Link to the images of the dataset; a link to others is replaced, a folder is not."""
    with as_export_errors(link):
        if link.is_symlink() and link.resolve() != images.resolve():
            link.unlink()
        if os.path.lexists(link) and not link.is_symlink():
            raise ExportError("is in the way of the link to the images", subject=str(link), path=link)
        if not link.is_symlink():
            link.symlink_to(images.resolve(), target_is_directory=True)
