"""``instances.json`` of a folder, and which of its images are for what."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastsam.datasets.masks import annotation_mask, annotation_rle
from fastsam.errors import DatasetError, InputError, check_one_of, reason_of
from fastsam.masks.rle import Rle
from fastsam.untrusted import MALFORMED, limits, read_json, read_text, short, whole

__all__ = [
    "CocoDataset",
    "CocoImage",
    "Split",
    "check_heldout",
    "heldout_names",
    "name_inside",
    "read_coco",
    "read_instances",
]

Split = Literal["train", "heldout", "all"]
HELDOUT_NAME = "heldout.txt"
_LONGEST_NAME = 255  # bytes, of most file systems
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoImage:
    """One image of a dataset and its annotations (COCO mappings); regions of uncounted objects are apart.

    Attributes:
        path: the file.
        height: as listed, pixels.
        width: as listed, pixels.
        annotations: those with a mask, one object each.
        crowds: those of objects that are not told apart.
        file_name: as listed.
    """

    path: Path
    height: int
    width: int
    annotations: tuple[dict[str, Any], ...]
    crowds: tuple[dict[str, Any], ...] = ()
    file_name: str = ""

    @property
    def name(self) -> str:
        """The name that the data set calls it by: relative to ``images/``, sub-folders included."""
        return self.file_name or self.path.name

    def masks(self) -> NDArray[np.bool_]:
        """Return the (N, H, W) boolean masks of the annotations."""
        size = (self.height, self.width)
        found = [annotation_mask(annotation, size) for annotation in self.annotations]
        return np.stack(found) if found else np.zeros((0, *size), bool)

    def rles(self) -> list[Rle]:
        """Return the annotations as RLE, rasterised by COCO's rules; those without a pixel are left out."""
        return [rle for rle in self.all_rles() if coco_mask.area(rle) > 0]

    def all_rles(self, *, crowds: bool = False) -> list[Rle]:
        """Return one RLE for each annotation (or crowd), those without a pixel too."""
        size = (self.height, self.width)
        return [annotation_rle(one, size) for one in (self.crowds if crowds else self.annotations)]

    def crowd_rles(self) -> list[Rle]:
        """Return the regions of objects that are not told apart (``iscrowd``) as RLE."""
        return [rle for rle in self.all_rles(crowds=True) if coco_mask.area(rle) > 0]


@dataclass(frozen=True)
class CocoDataset:
    """The chosen split of a COCO-format folder.

    Attributes:
        root: the folder.
        split: which images were chosen.
        images: those, by file name.
        categories: names by id.
        notes: what refers to something that is not there, counted, for people to read.
    """

    root: Path
    split: Split
    images: tuple[CocoImage, ...]
    categories: dict[int, str]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name


def read_coco(root: str | Path, split: Split = "all") -> CocoDataset:
    """Read a COCO-format folder.

    Args:
        root: folder with ``instances.json`` and ``images/``.
        split: ``"heldout"`` keeps the images that ``heldout.txt`` lists, ``"train"`` the others,
            ``"all"`` every image.

    What refers to something that is not there is counted: in ``notes``, and as a warning of this module's
    logger.

    Raises:
        DatasetError: a file is missing or unreadable, or the split needs a ``heldout.txt``.
    """
    check_one_of(split, get_args(Split), "split", DatasetError)
    root = Path(root)
    source = root / "instances.json"
    if not source.is_file():
        raise DatasetError(f"dataset {root}: expected a file instances.json (COCO format) in it, found none")
    named, categories, notes = read_instances(source, root / "images")
    heldout = heldout_names(root, split)
    notes += check_heldout(root, heldout, [name for name, _ in named])
    for note in notes:
        _log.warning("dataset %s: %s", root, note)
    chosen = tuple(
        image for name, image in named if split == "all" or (name in heldout) == (split == "heldout")
    )
    return CocoDataset(root=root, split=split, images=chosen, categories=categories, notes=notes)


def read_instances(
    source: Path, folder: Path
) -> tuple[list[tuple[str, CocoImage]], dict[int, str], tuple[str, ...]]:
    """Read a file of COCO's: its images by name, its categories, and notes on what refers to nothing.

    Args:
        source: the file.
        folder: where the images are.

    Raises:
        DatasetError: it is unreadable, or something else.
    """
    coco = read_json(source, "dataset", DatasetError)
    try:
        named = _images(coco["images"], coco["annotations"], folder)
        categories = {int(c["id"]): str(c["name"]) for c in coco.get("categories", [])}
        notes = _notes(coco["images"], coco["annotations"], categories)
    except DatasetError as error:
        raise error.about(str(source), source) from error
    except MALFORMED as error:
        raise DatasetError(
            f"expected COCO JSON with 'images' and 'annotations' ({reason_of(error)})",
            subject=str(source),
            path=source,
        ) from error
    return named, categories, notes


def _images(records: list[Any], annotations: list[Any], folder: Path) -> list[tuple[str, CocoImage]]:
    """Return COCO's image records by file name, each with its annotations."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    crowds: dict[int, list[dict[str, Any]]] = {}
    for annotation in annotations:
        if annotation.get("segmentation"):
            kind = crowds if annotation.get("iscrowd") else by_image
            kind.setdefault(annotation["image_id"], []).append(annotation)
    if annotations and not by_image and not crowds:
        raise DatasetError(
            f"expected annotations with a segmentation, none of the {len(annotations)} has one (boxes alone "
            "would teach that nothing here is an object)"
        )
    longest = limits().side_px
    found: dict[Any, tuple[str, CocoImage]] = {}
    for record in records:
        name = name_inside(record["file_name"])
        image = CocoImage(
            path=folder / name,
            height=_side(record, "height", longest),
            width=_side(record, "width", longest),
            annotations=tuple(by_image.get(record["id"], ())),
            crowds=tuple(crowds.get(record["id"], ())),
            file_name=name,
        )
        if found.setdefault(record["id"], (name, image)) != (name, image):
            raise DatasetError(f"two images have the id {short(record['id'])}")
    return sorted(found.values(), key=lambda pair: pair[0])


def _side(record: dict[str, Any], name: str, longest: int) -> int:
    try:
        return whole(record[name], f"image {short(record.get('id'))}, {name}", 1, longest)
    except InputError as error:
        raise DatasetError(str(error)) from error


def name_inside(name: Any) -> str:
    """Return an image's file name, checked to lie in the data set's folder of images."""
    text = name if isinstance(name, str) else ""
    parts = text.replace("\\", "/").split("/")
    if not text or "\0" in text or not parts[0] or ".." in parts or re.match("[A-Za-z]:", text):
        raise DatasetError(f"expected file names inside images/, got {short(name)}")
    if max(len(part.encode("utf-8", "surrogatepass")) for part in parts) > _LONGEST_NAME:
        raise DatasetError(f"expected file names of at most {_LONGEST_NAME} bytes, got {short(text)}")
    return text


def _notes(records: list[Any], annotations: list[Any], categories: dict[int, str]) -> tuple[str, ...]:
    """Return what of a data set refers to something that is not there, counted."""
    known = {record["id"] for record in records}
    names = [str(record["file_name"]) for record in records]
    stray = sum(annotation.get("image_id") not in known for annotation in annotations)
    bare = sum(not annotation.get("segmentation") for annotation in annotations)
    classless = sum(annotation.get("category_id", -1) not in categories for annotation in annotations)
    found = [
        (stray, "annotations are of images that are not listed"),
        (bare, "annotations have no segmentation and are left out"),
        (classless if categories else 0, "annotations are of categories that are not listed"),
        (len(names) - len(set(names)), "images have the file_name of another one"),
    ]
    return tuple(f"{count} {what}" for count, what in found if count)


def check_heldout(root: Path, heldout: frozenset[str], names: Iterable[str]) -> tuple[str, ...]:
    """Return a note on the names in heldout.txt that no image has.

    Raises:
        DatasetError: no image has any of them, so that all would be trained on.
    """
    known = set(names)
    gone = sorted(heldout - known)
    if heldout and len(gone) == len(heldout):
        raise DatasetError(
            f"not one of its {len(heldout)} names is the file_name of an image, such as {short(min(known))}"
            if known
            else "expected images in instances.json, found none",
            subject=str(root / HELDOUT_NAME),
            advice="write one file_name a line, as instances.json has them",
            path=root / HELDOUT_NAME,
        )
    if not gone:
        return ()
    return (f"{len(gone)} names in heldout.txt are of no image, such as {short(gone[0])}",)


def heldout_names(root: Path, split: Split = "all") -> frozenset[str]:
    """Return the names in heldout.txt, none without that file.

    Raises:
        DatasetError: there is no such file and ``split`` is ``"heldout"``.
    """
    listing = root / HELDOUT_NAME
    if listing.is_file():
        return frozenset(line.strip() for line in read_text(listing, "list", DatasetError).split("\n")) - {""}
    if split == "heldout":
        raise DatasetError(
            f"dataset {root}: split 'heldout' needs a file heldout.txt that lists image names; "
            "found none, use split 'all' or write one"
        )
    return frozenset()
