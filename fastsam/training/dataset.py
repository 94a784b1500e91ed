"""COCO datasets -> one class-agnostic YOLO dataset that ultralytics trains on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.datasets import CocoDataset, CocoImage, check_partial
from fastsam.errors import DatasetError
from fastsam.everything.network_input import network_input
from fastsam.files import write_bytes
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.polygons import yolo_polygon

__all__ = ["write_yolo_dataset"]


PARTIAL_FILE = "partial.json"


def _write_image(image: CocoImage, images: Path, labels: Path, stem: str) -> Path:
    """Link one image under ``images`` and write its label file; returns the link."""
    link = images / f"{stem}{image.path.suffix}"
    if not image.path.is_file():
        raise DatasetError(f"image {image.path}: instances.json lists it, but there is no such file")
    if not link.exists():
        link.symlink_to(image.path.resolve())
    label = labels / f"{stem}.txt"
    if not label.exists():
        found = [yolo_polygon(mask) for mask in image.masks()]
        write_bytes(label, "\n".join(f"0 {line}" for line in found if line).encode())
    return link


def write_yolo_dataset(datasets: Sequence[CocoDataset], out: str | Path, partial: Sequence[str] = ()) -> Path:
    """Write COCO datasets as one class-agnostic YOLO segmentation dataset; returns its data.yaml.

    Images are linked, not copied; a second call goes on where the first one stopped.

    Args:
        datasets: what to train on, each already cut to its training split.
        out: folder to write into.
        partial: names of datasets that label only some of their objects.

    Raises:
        DatasetError: no image at all, one that is missing, two that would share a label file, or a name
            in ``partial`` that is no dataset's.
    """
    out = Path(out).resolve()
    check_partial(partial, datasets)
    images, labels = out / "images", out / "labels"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    listed: list[str] = []
    partly: list[str] = []
    owners: dict[str, Path] = {}
    for dataset in datasets:
        for image in dataset.images:
            stem = f"{dataset.name}__{image.path.stem}"
            if owners.setdefault(stem, image.path) != image.path:
                raise DatasetError(
                    f"image {image.path}: its label file would be that of {owners[stem]}; "
                    "rename one of the images, or one of the dataset folders"
                )
            link = _write_image(image, images, labels, stem)
            listed.append(str(link))
            if dataset.name in partial:
                partly.append(link.name)
    if not listed:
        raise DatasetError(f"datasets {[d.name for d in datasets]}: expected at least one training image")
    (out / "train.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    (out / PARTIAL_FILE).write_text(json.dumps(partly), encoding="utf-8")
    description = out / "data.yaml"
    # ultralytics wants a validation set; quality is measured by `fastsam eval`, so this one stays tiny.
    (out / "val.txt").write_text("\n".join(listed[:2]) + "\n", encoding="utf-8")
    description.write_text(
        f"path: {json.dumps(str(out))}\ntrain: train.txt\nval: val.txt\nnames:\n  0: object\n",
        encoding="utf-8",
    )
    return description


def network_sample(path: str, imgsz: int) -> NDArray[np.float32]:
    """Return an image as a (3, imgsz, imgsz) array in 0..1, letterboxed."""
    bgr = cv2.imread(path)
    if bgr is None:
        raise DatasetError(f"image {path}: cannot be read")
    rgb = np.ascontiguousarray(bgr[..., ::-1], np.uint8)
    letterbox = Letterbox.fit((rgb.shape[0], rgb.shape[1]), imgsz, square=True)
    return np.asarray(network_input(rgb, letterbox)[0])
