"""Instance-segmentation datasets in COCO format: reading, splitting, annotations to masks.

A dataset is a folder with ``instances.json`` (COCO), ``images/`` and, optionally, ``heldout.txt``:
one image file name a line, never to be trained on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import DatasetError
from fastsam.masks import decode_rle, fill_polygons

__all__ = ["CocoDataset", "CocoImage", "Split", "annotation_mask", "read_coco"]

Split = Literal["train", "heldout", "all"]


@dataclass(frozen=True)
class CocoImage:
    """One image of a dataset and its annotations (COCO mappings, crowds left out)."""

    path: Path
    height: int
    width: int
    annotations: tuple[dict[str, Any], ...]

    def masks(self) -> NDArray[np.bool_]:
        """Return the (N, H, W) boolean masks of the annotations."""
        size = (self.height, self.width)
        found = [annotation_mask(annotation, size) for annotation in self.annotations]
        return np.stack(found) if found else np.zeros((0, *size), bool)


@dataclass(frozen=True)
class CocoDataset:
    """The chosen split of a COCO-format folder."""

    root: Path
    split: Split
    images: tuple[CocoImage, ...]
    categories: dict[int, str]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name


def annotation_mask(annotation: dict[str, Any], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a COCO annotation: polygons, compressed or uncompressed RLE.

    Raises:
        DatasetError: the segmentation is neither, or its size is not the image's.
    """
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        # COCO's polygons of one object add up (union); only overlapping rings would differ.
        parts = [np.asarray(ring, np.float32).reshape(-1, 2) for ring in segmentation]
        mask = np.zeros(size_hw, bool)
        for part in parts:
            mask |= fill_polygons([part], size_hw)
        return mask
    mask = decode_rle(segmentation)
    if mask.shape != tuple(size_hw):
        raise DatasetError(
            f"annotation {annotation.get('id')}: its RLE is {mask.shape}, its image {tuple(size_hw)} (H, W)"
        )
    return mask


def read_coco(root: str | Path, split: Split = "all") -> CocoDataset:
    """Read a COCO-format folder.

    Args:
        root: folder with ``instances.json`` and ``images/``.
        split: ``"heldout"`` keeps the images that ``heldout.txt`` lists, ``"train"`` the others,
            ``"all"`` every image.

    Raises:
        DatasetError: a file is missing or unreadable, or the split needs a ``heldout.txt``.
    """
    root = Path(root)
    source = root / "instances.json"
    if not source.is_file():
        raise DatasetError(f"dataset {root}: expected a file instances.json (COCO format) in it, found none")
    try:
        coco = json.loads(source.read_text(encoding="utf-8"))
        records, annotations = coco["images"], coco["annotations"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DatasetError(f"{source}: expected COCO JSON with 'images' and 'annotations' ({error!r})") from error
    heldout = _heldout_names(root, split)
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in annotations:
        if not annotation.get("iscrowd") and annotation.get("segmentation"):
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    images = tuple(
        CocoImage(
            path=root / "images" / record["file_name"],
            height=int(record["height"]),
            width=int(record["width"]),
            annotations=tuple(by_image.get(record["id"], ())),
        )
        for record in sorted(records, key=lambda record: str(record["file_name"]))
        if split == "all" or (record["file_name"] in heldout) == (split == "heldout")
    )
    categories = {int(c["id"]): str(c["name"]) for c in coco.get("categories", [])}
    return CocoDataset(root=root, split=split, images=images, categories=categories)


def _heldout_names(root: Path, split: Split) -> frozenset[str]:
    """Return the names in heldout.txt; without that file only the other splits make sense."""
    listing = root / "heldout.txt"
    if listing.is_file():
        return frozenset(listing.read_text(encoding="utf-8").split("\n")) - {""}
    if split == "heldout":
        raise DatasetError(
            f"dataset {root}: split 'heldout' needs a file heldout.txt that lists image names; "
            "found none, use split 'all' or write one"
        )
    return frozenset()
