"""COCO datasets -> one YOLO dataset that ultralytics trains on; originals are out of its reach.

Ultralytics repairs JPEG files where they lie, so each image is a copy. A copy or a label of an earlier run is
used again only where its source is the same, byte by byte, and so is the file itself.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.datasets import CocoDataset, CocoImage, check_listed, check_partial, read_listed
from fastsam.errors import DatasetError, FastSAMError, ImageError
from fastsam.everything.network_input import network_input
from fastsam.files import as_export_errors, file_state, write_bytes
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.polygons import yolo_polygon
from fastsam.untrusted import read_json, short

__all__ = ["YoloDataset", "class_names", "network_sample", "write_yolo_dataset"]

OBJECT = "object"
_MADE = "made.json"  # what each copy and label was made from
_SHORTEST_SIDE_PX = 10  # ultralytics leaves smaller images out
# Formats whose pixels ultralytics reads as we do; others are written as PNG.
_AS_THEY_ARE = {("JPEG", "RGB"): ".jpg", ("JPEG", "L"): ".jpg", ("PNG", "RGB"): ".png", ("PNG", "L"): ".png"}
_ORIENTATION_TAG = 274


@dataclass(frozen=True)
class YoloDataset:
    """What was written.

    Attributes:
        description: its data.yaml.
        images: the copies, in order.
        partial: file names of those in which only some objects are labelled.
        names: of the classes.
        notes: what was left out, counted, for people to read.
    """

    description: Path
    images: tuple[Path, ...]
    partial: frozenset[str]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def class_names(datasets: Sequence[CocoDataset]) -> tuple[str, ...]:
    """Return the class names of all datasets, each once, in the order of their ids.

    Raises:
        DatasetError: there is none.
    """
    names = [name for dataset in datasets for _, name in sorted(dataset.categories.items())]
    if not names:
        raise DatasetError(
            "classes: expected categories in instances.json, found none", advice="train without classes"
        )
    return tuple(dict.fromkeys(names))


class _Writer:
    """Copies and labels, and what they were made from.

    Args:
        out: the folder.
        names: of the classes; ``("object",)`` for masks of one class.
        keep: masks keep their classes.
    """

    def __init__(self, out: Path, names: Sequence[str], keep: bool) -> None:
        self.images, self.labels, self._record = out / "images", out / "labels", out / _MADE
        self._number = {name: i for i, name in enumerate(names)}
        self._keep = keep
        self._before = self._read()
        self.made: dict[str, dict[str, str]] = {}
        self.left_out: Counter[str] = Counter()
        with as_export_errors(out):
            for folder in (self.images, self.labels):
                folder.mkdir(parents=True, exist_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            found = read_json(self._record) if self._record.is_file() else {}
        except FastSAMError:
            return {}  # damaged: everything is made again
        return found if isinstance(found, dict) else {}

    def add(self, image: CocoImage, categories: dict[int, str], stem: str) -> Path | None:
        """Copy an image and write its label; None if it is left out."""
        try:
            return self._add(image, categories, stem)
        except ImageError:
            self.left_out["images are damaged and left out"] += 1
            return None

    def _add(self, image: CocoImage, categories: dict[int, str], stem: str) -> Path | None:
        check_listed(image)
        if min(image.height, image.width) < _SHORTEST_SIDE_PX:
            self.left_out[f"images under {_SHORTEST_SIDE_PX} pixels are left out"] += 1
            return None
        try:
            content = image.path.read_bytes()
        except OSError as error:
            raise DatasetError(f"cannot be read ({error.strerror})", subject=f"image {image.path}") from error
        found = image.annotations
        kinds = [self._kind(annotation, categories) if self._keep else 0 for annotation in found]
        labelled = json.dumps([image.height, image.width, kinds, found], sort_keys=True, default=str)
        asked = {"image": _digest(content), "masks": _digest(labelled.encode())}
        before = self._before.get(stem)
        if not isinstance(before, dict) or not self._whole(stem, before, asked):
            before = self._make(image, content, kinds, stem) | asked
        self.made[stem] = before
        if thin := int(before.get("thin") or 0):
            self.left_out["masks without a pixel are left out"] += thin
        return self.images / before["copy"]

    def _kind(self, annotation: dict[str, Any], categories: dict[int, str]) -> int:
        name = categories.get(annotation.get("category_id", -1))
        if name is None:
            raise DatasetError(
                f"annotation {short(annotation.get('id'))}: its category "
                f"{short(annotation.get('category_id'))} is not among the categories"
            )
        return self._number[name]

    def _whole(self, stem: str, before: dict[str, Any], asked: dict[str, str]) -> bool:
        """Tell whether copy and label are there, unchanged, and of the same source."""
        if any(before.get(name) != value for name, value in asked.items()):
            return False
        known = before.get("copy") in (f"{stem}.jpg", f"{stem}.png") and str(before.get("thin")).isdecimal()
        if not known:
            return False
        try:
            state = file_state(self.images / str(before.get("copy")))
            label = (self.labels / f"{stem}.txt").read_bytes()
        except OSError:
            return False
        return before.get("state") == state and before.get("label") == _digest(label)

    def _make(self, image: CocoImage, content: bytes, kinds: Sequence[int], stem: str) -> dict[str, str]:
        rgb = read_listed(image).rgb
        suffix = _suffix(content)
        if suffix is None:
            stream = io.BytesIO()
            Image.fromarray(rgb).save(stream, "PNG", compress_level=1)
            content, suffix = stream.getvalue(), ".png"
        copy = write_bytes(self.images / f"{stem}{suffix}", content)
        outlines = [yolo_polygon(mask) for mask in image.masks()]
        lines = [f"{kind} {line}" for kind, line in zip(kinds, outlines, strict=True) if line]
        text = "\n".join(lines).encode()
        write_bytes(self.labels / f"{stem}.txt", text)
        return {
            "copy": copy.name,
            "state": file_state(copy),
            "label": _digest(text),
            "thin": str(len(outlines) - len(lines)),
        }

    def close(self) -> None:
        """Write down what was made; ultralytics' own notes of the labels may be of other ones."""
        write_bytes(self._record, json.dumps(self.made).encode())
        (self.labels.parent / "labels.cache").unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _suffix(content: bytes) -> str | None:
    """Return the suffix of an image whose file can be copied as it is."""
    with Image.open(io.BytesIO(content)) as image:
        turned = image.getexif().get(_ORIENTATION_TAG, 1) != 1
        seen_through = "transparency" in image.info
        return None if turned or seen_through else _AS_THEY_ARE.get((str(image.format), image.mode))


def write_yolo_dataset(
    datasets: Sequence[CocoDataset],
    out: str | Path,
    partial: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> YoloDataset:
    """Write COCO datasets as one YOLO segmentation dataset; a second call makes what has changed.

    Args:
        datasets: what to train on, each already cut to its training split.
        out: folder to write into.
        partial: names of datasets that label only some of their objects. Images with crowds count as such.
        names: of the classes that masks keep; None makes each an ``"object"``.

    Raises:
        DatasetError: no image at all, one that is missing or not as large as listed, two that would share a
            label file, or a name in ``partial`` that is no dataset's.
        ExportError: the folder cannot be written to.
    """
    out = Path(out).resolve()
    check_partial(partial, datasets)
    writer = _Writer(out, names or (OBJECT,), names is not None)
    listed: list[Path] = []
    partly: list[str] = []
    owners: dict[str, Path] = {}
    notes = [f"{dataset.name}: {note}" for dataset in datasets for note in dataset.notes]
    for dataset in datasets:
        for image in dataset.images:
            inside = Path(image.name.replace("\\", "/")).with_suffix("").as_posix()
            stem = f"{dataset.name}__{inside.replace('/', '__')}"
            if owners.setdefault(stem, image.path) != image.path:
                raise DatasetError(
                    f"image {image.path}: its label file would be that of {owners[stem]}; "
                    "rename one of the images, or one of the dataset folders"
                )
            copy = writer.add(image, dataset.categories, stem)
            if copy is None:
                continue
            listed.append(copy)
            if dataset.name in partial or image.crowds:
                partly.append(copy.name)
    if not listed:
        raise DatasetError(f"datasets {[d.name for d in datasets]}: expected at least one training image")
    writer.close()
    notes += [f"{count} {what}" for what, count in writer.left_out.items()]
    kept = tuple(names or (OBJECT,))
    return YoloDataset(_describe(out, listed, kept), tuple(listed), frozenset(partly), kept, tuple(notes))


def _describe(out: Path, listed: Sequence[Path], names: Sequence[str]) -> Path:
    """Write the lists of images and data.yaml."""
    write_bytes(out / "train.txt", "".join(f"{path}\n" for path in listed).encode())
    # ultralytics wants a validation set; quality is measured by `fastsam eval`, so this one stays tiny.
    write_bytes(out / "val.txt", "".join(f"{path}\n" for path in listed[:2]).encode())
    classes = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(names))
    text = f"path: {json.dumps(str(out))}\ntrain: train.txt\nval: val.txt\nnames:\n{classes}"
    return write_bytes(out / "data.yaml", text.encode())


def network_sample(path: str, imgsz: int) -> NDArray[np.float32]:
    """Return an image as a (3, imgsz, imgsz) array in 0..1, letterboxed."""
    bgr = cv2.imread(path)
    if bgr is None:
        raise DatasetError(f"image {path}: cannot be read")
    rgb = np.ascontiguousarray(bgr[..., ::-1], np.uint8)
    letterbox = Letterbox.fit((rgb.shape[0], rgb.shape[1]), imgsz, square=True)
    return np.asarray(network_input(rgb, letterbox)[0])
