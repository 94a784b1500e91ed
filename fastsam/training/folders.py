"""Folders to train on: COCO-format data sets, and what ``segment --format coco`` or ``yolo`` wrote.

A YOLO folder has ``data.yaml`` (``train``, ``val``, ``names``), or ``labels/`` and ``classes.txt``. Its
labels are read as COCO annotations, so that nothing after this module knows where they came from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.datasets import CocoDataset, CocoImage, Split, read_coco
from fastsam.errors import DatasetError, translated
from fastsam.images.listing import IMAGE_EXTENSIONS
from fastsam.images.reading import image_size_hw
from fastsam.needed import needed
from fastsam.untrusted import MALFORMED, read_text, short

__all__ = ["read_folder"]

_CORNERS_AT_LEAST = 3


def read_folder(folder: str | Path, split: Split, images: str | Path | None = None) -> CocoDataset:
    """Return the chosen split of a folder in COCO or YOLO format.

    Args:
        folder: has ``instances.json``; or ``data.yaml``; or ``labels/`` with ``classes.txt``.
        split: of a YOLO folder, ``"train"`` is its ``train`` and ``"heldout"`` its ``val``; where it has no
            ``data.yaml``, everything is for training.
        images: where the images are, if not where the format has them.

    Raises:
        DatasetError: it is neither, or a file is missing or damaged.
    """
    root = Path(folder)
    if (root / "instances.json").is_file():
        return _with_images(read_coco(root, split), images)
    if (root / "data.yaml").is_file() or (root / "labels").is_dir():
        return _read_yolo(root, split, images)
    raise DatasetError(
        "expected instances.json (COCO), or data.yaml or labels/ (YOLO) in it, found none of them",
        subject=f"dataset {root}",
        path=root,
    )


def _with_images(dataset: CocoDataset, images: str | Path | None) -> CocoDataset:
    """Return a data set whose paths lead to the images: in images/, in the folder itself, or as told."""
    folders = [dataset.root / "images", dataset.root] if images is None else [Path(images)]

    def located(image: CocoImage) -> CocoImage:
        for folder in folders:
            if os.path.isfile(folder / image.name):
                return replace(image, path=folder / image.name)
        raise DatasetError(
            f"instances.json lists it, but there is no such file in {' or '.join(map(str, folders))}",
            subject=f"image {image.name}",
            advice="say where the images are with --images",
            path=folders[0] / image.name,
        )

    return replace(dataset, images=tuple(located(image) for image in dataset.images))


def _read_yolo(root: Path, split: Split, images: str | Path | None) -> CocoDataset:
    """Read a folder in YOLO format."""
    described = _description(root)
    names = _class_names(root, described)
    pairs: dict[Path, Path] = {}
    if images is not None or not described:
        folder = root / "images" if images is None else Path(images)
        if split != "heldout":
            pairs = dict(_beside_labels(root / "labels", folder))
    else:
        base = root / str(described.get("path") or "")
        base = base if base.is_dir() else root
        parts = {"train": ("train",), "heldout": ("val", "test"), "all": ("train", "val", "test")}[split]
        for path in (path for part in parts for path in _listed(base, root, described.get(part))):
            pairs[path] = _label_of(path)
    if not pairs and split != "heldout":
        raise DatasetError("expected images with labels, found none", subject=f"dataset {root}", path=root)
    found = tuple(
        _image(path, os.path.relpath(path, root) if path.is_relative_to(root) else path.name, label, names)
        for path, label in sorted(pairs.items())
    )
    return CocoDataset(root, split, found, dict(enumerate(names)))


def _description(root: Path) -> dict[str, Any]:
    path = root / "data.yaml"
    if not path.is_file():
        return {}
    with needed("yaml", "read data.yaml"):
        import yaml
    text = read_text(path, "dataset", DatasetError)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, *MALFORMED) as error:
        raise DatasetError(
            f"expected YAML ({short(str(error))[1:-1]})", subject=f"dataset {path}", path=path
        ) from error
    if not isinstance(found, dict):
        raise DatasetError("expected a mapping of train, val and names", subject=f"dataset {path}", path=path)
    return found


def _class_names(root: Path, described: Mapping[str, Any]) -> list[str]:
    """Return the names of the class ids, in order."""
    listing = root / "classes.txt"
    given = described.get("names")
    if isinstance(given, Mapping):
        return [str(given[key]) for key in sorted(given, key=lambda key: int(key))]
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [str(name) for name in given]
    if listing.is_file():
        return [line for line in read_text(listing, "list", DatasetError).splitlines() if line.strip()]
    return ["object"]


def _listed(base: Path, root: Path, part: Any) -> Iterator[Path]:
    """Yield the images of an entry of data.yaml: a folder, a list of images in a text file, or several."""
    for entry in part if isinstance(part, list) else [part] if part else []:
        path = next((where / str(entry) for where in (base, root) if (where / str(entry)).exists()), None)
        if path is None:
            raise DatasetError(
                f"data.yaml names {short(str(entry))}, which is not there",
                subject=f"dataset {root}",
                path=root,
            )
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.suffix.lower() in IMAGE_EXTENSIONS)
        else:
            for line in read_text(path, "list", DatasetError).splitlines():
                if line.strip():
                    yield path.parent / line.strip()


def _label_of(image: Path) -> Path:
    """Return where YOLO keeps the label of an image: images/ becomes labels/, the last one counts."""
    head, found, tail = str(image).rpartition(f"{os.sep}images{os.sep}")
    moved = Path(f"{head}{os.sep}labels{os.sep}{tail}") if found else image
    return moved.with_suffix(".txt")


def _beside_labels(labels: Path, images: Path) -> Iterator[tuple[Path, Path]]:
    """Yield image and label where both are there under one name, sub-folders included."""
    if not images.is_dir():
        raise DatasetError(
            f"expected the images of {labels}, found no folder {images}",
            subject=f"dataset {labels.parent}",
            advice="say where the images are with --images",
            path=images,
        )
    found = {
        str(file.relative_to(images).with_suffix("")): file
        for file in sorted(images.rglob("*"))
        if file.suffix.lower() in IMAGE_EXTENSIONS
    }
    by_stem = {file.stem: file for file in found.values()}
    for label in sorted(labels.rglob("*.txt")):
        file = found.get(str(label.relative_to(labels).with_suffix(""))) or by_stem.get(label.stem)
        if file is None:
            raise DatasetError(
                f"no image of that name in {images}",
                subject=f"label {label}",
                advice="say where the images are with --images",
                path=label,
            )
        yield file, label


def _image(path: Path, name: str, label: Path, names: Sequence[str]) -> CocoImage:
    """Return an image with the polygons of its label file; one without a file has no objects."""
    if not os.path.isfile(path):
        raise DatasetError("is listed, but there is no such file", subject=f"image {path}", path=path)
    height, width = image_size_hw(path)
    annotations: list[dict[str, Any]] = []
    text = read_text(label, "label", DatasetError) if label.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        with translated(
            *MALFORMED,
            to=DatasetError,
            problem=f"line {number}: expected a class and a polygon, x and y in 0..1 ({{reason}})",
            subject=f"label {label}",
            path=label,
        ):
            kind, ring = int(line.split()[0]), np.array(line.split()[1:], np.float64).reshape(-1, 2)
            if not 0 <= kind < len(names):
                raise ValueError(f"class {kind} of {len(names)}")
            if len(ring) < _CORNERS_AT_LEAST or not ((ring >= 0) & (ring <= 1)).all():
                raise ValueError(f"{len(ring)} corners" if ring.size else "no corners")
        corners = (ring * [width, height]).ravel().tolist()
        annotations.append({"id": number, "category_id": kind, "segmentation": [corners]})
    return CocoImage(path, height, width, tuple(annotations), (), name)
