"""Instance-segmentation datasets in COCO format: reading, splitting, annotations to masks; captions.

A dataset is a folder with ``instances.json`` (COCO), ``images/`` and, optionally, ``heldout.txt``:
one image file name a line, never to be trained on. ``captions.json`` maps file names to lists of sentences.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastsam.errors import DatasetError, InputError, check_one_of, reason_of
from fastsam.images.frame import Frame
from fastsam.images.reading import image_size_hw, read_frame
from fastsam.masks.polygons import fill_polygons
from fastsam.masks.rle import Rle, decode_rle, encode_rle
from fastsam.needed import needed
from fastsam.untrusted import MALFORMED, limits, read_json, read_text, short, whole

__all__ = [
    "CAPTIONS_NAME",
    "CaptionedImage",
    "CocoDataset",
    "CocoImage",
    "Split",
    "annotation_mask",
    "annotation_rle",
    "boundary_file",
    "check_listed",
    "check_partial",
    "heldout_names",
    "known_ious",
    "read_boundaries",
    "read_captions",
    "read_coco",
    "read_listed",
]

CROWD_SHARE = 0.5  # a mask of which this much lies in a crowd is one of its uncounted objects
Split = Literal["train", "heldout", "all"]
CAPTIONS_NAME = "captions.json"
HELDOUT_NAME = "heldout.txt"
_LONGEST_NAME = 255  # bytes, of most file systems
_MOST_OUTSIDE = 4  # image sides that a corner may lie beyond its image


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
        found = [annotation_rle(annotation, (self.height, self.width)) for annotation in self.annotations]
        return [rle for rle in found if coco_mask.area(rle) > 0]

    def crowd_rles(self) -> list[Rle]:
        """Return the regions of objects that are not told apart (``iscrowd``) as RLE."""
        found = [annotation_rle(annotation, (self.height, self.width)) for annotation in self.crowds]
        return [rle for rle in found if coco_mask.area(rle) > 0]


@dataclass(frozen=True)
class CaptionedImage:
    """One image and the sentences that people described it with."""

    path: Path
    captions: tuple[str, ...]


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


def annotation_mask(annotation: dict[str, Any], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a COCO annotation: polygons, compressed or uncompressed RLE.

    Raises:
        DatasetError: the segmentation is neither, or its size is not the image's.
    """
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        # COCO's polygons of one object add up (union); only overlapping rings would differ.
        mask = np.zeros(size_hw, bool)
        for ring in _rings(annotation, size_hw):
            mask |= fill_polygons([ring.astype(np.float32)], size_hw)
        return mask
    try:
        return decode_rle(segmentation, size_hw)
    except InputError as error:
        raise DatasetError(f"annotation {short(annotation.get('id'))}: {error}") from error


def _rings(annotation: dict[str, Any], size_hw: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Return the polygons of an annotation as (K, 2) rings, checked; native code trusts every number."""
    what = f"annotation {short(annotation.get('id'))}"
    try:
        rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in annotation["segmentation"]]
    except MALFORMED as error:
        raise DatasetError(f"{what}: expected polygons as flat lists of x, y ({reason_of(error)})") from error
    far = _MOST_OUTSIDE * max(size_hw) + 1_000
    for ring in rings:
        if not np.isfinite(ring).all():
            raise DatasetError(f"{what}: expected polygons of finite numbers")
        if ring.size and np.abs(ring).max() > far:
            raise DatasetError(
                f"{what}: expected corners near its image of {size_hw[1]}x{size_hw[0]}, got one at "
                f"{ring.ravel()[np.abs(ring).argmax()]:g}"
            )
    return rings


def annotation_rle(annotation: dict[str, Any], size_hw: tuple[int, int]) -> Rle:
    """Return a COCO annotation as compressed RLE, its polygons rasterised as pycocotools does.

    Figures are only comparable with published ones on these pixels; :func:`annotation_mask` draws
    polygons about half a pixel wider, as YOLO's trainer does.

    Raises:
        DatasetError: as :func:`annotation_mask`.
    """
    segmentation = annotation["segmentation"]
    if not isinstance(segmentation, list):
        return encode_rle(annotation_mask(annotation, size_hw))
    rings = [ring.ravel().tolist() for ring in _rings(annotation, size_hw) if len(ring) >= 3]
    if not rings:
        return encode_rle(np.zeros(size_hw, bool))
    raw = coco_mask.merge(coco_mask.frPyObjects(rings, *size_hw))
    return {"size": [int(n) for n in raw["size"]], "counts": raw["counts"].decode("ascii")}


def boundary_file(root: str | Path, image: CocoImage) -> Path:
    """Return where BSDS keeps what its annotators drew on an image.

    Raises:
        DatasetError: it is not there.
    """
    source = Path(root) / "groundTruth_test" / f"{image.path.stem}.mat"
    if not source.is_file():
        raise DatasetError(
            f"dataset {root}: boundaries need the annotators' file {source.relative_to(root)} (BSDS500), "
            "found none; measure without boundaries or on a BSDS folder"
        )
    return source


def read_boundaries(root: str | Path, image: CocoImage) -> list[NDArray[np.bool_]]:
    """Return the (H, W) boundaries that each human annotator of a BSDS image drew.

    Args:
        root: dataset folder with ``groundTruth_test/<image stem>.mat``, as in BSDS500.
        image: one of its images.

    Raises:
        DatasetError: the file is missing or not of BSDS, or its size is not the image's.
        MissingPackageError: scipy is not installed.
    """
    source = boundary_file(root, image)
    with needed("scipy", "read BSDS boundaries"):
        from scipy import io as reader
    try:
        cells = reader.loadmat(source)["groundTruth"].reshape(-1)
        found = [np.asarray(cell["Boundaries"][0, 0]).astype(bool) for cell in cells]
    except Exception as error:  # scipy raises many kinds on damaged files
        raise DatasetError(f"{source}: expected a BSDS500 groundTruth file ({error!r})") from error
    for boundaries in found:
        if boundaries.shape != (image.height, image.width):
            raise DatasetError(
                f"{source}: its boundaries are {boundaries.shape}, "
                f"its image ({image.height}, {image.width}) (H, W)"
            )
    return found


def read_coco(root: str | Path, split: Split = "all") -> CocoDataset:
    """Read a COCO-format folder.

    Args:
        root: folder with ``instances.json`` and ``images/``.
        split: ``"heldout"`` keeps the images that ``heldout.txt`` lists, ``"train"`` the others,
            ``"all"`` every image.

    Raises:
        DatasetError: a file is missing or unreadable, or the split needs a ``heldout.txt``.
    """
    check_one_of(split, get_args(Split), "split", DatasetError)
    root = Path(root)
    source = root / "instances.json"
    if not source.is_file():
        raise DatasetError(f"dataset {root}: expected a file instances.json (COCO format) in it, found none")
    coco = read_json(source, "dataset", DatasetError)
    try:
        named = _images(coco["images"], coco["annotations"], root / "images")
        categories = {int(c["id"]): str(c["name"]) for c in coco.get("categories", [])}
        notes = _notes(coco["images"], coco["annotations"])
    except DatasetError as error:
        raise error.about(str(source), source) from error
    except MALFORMED as error:
        raise DatasetError(
            f"expected COCO JSON with 'images' and 'annotations' ({reason_of(error)})",
            subject=str(source),
            path=source,
        ) from error
    heldout = heldout_names(root, split)
    if heldout and heldout.isdisjoint(name for name, _ in named):
        raise DatasetError(
            f"not one of its {len(heldout)} names is the file_name of an image, such as {short(named[0][0])}"
            if named
            else "expected images in instances.json, found none",
            subject=str(root / HELDOUT_NAME),
            advice="write one file_name a line, as instances.json has them",
            path=root / HELDOUT_NAME,
        )
    chosen = tuple(
        image for name, image in named if split == "all" or (name in heldout) == (split == "heldout")
    )
    return CocoDataset(root=root, split=split, images=chosen, categories=categories, notes=notes)


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
        name = _name_inside(record["file_name"])
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


def _name_inside(name: Any) -> str:
    """Return an image's file name, checked to lie in the data set's folder of images."""
    text = name if isinstance(name, str) else ""
    parts = text.replace("\\", "/").split("/")
    if not text or "\0" in text or not parts[0] or ".." in parts or re.match("[A-Za-z]:", text):
        raise DatasetError(f"expected file names inside images/, got {short(name)}")
    if max(len(part.encode("utf-8", "surrogatepass")) for part in parts) > _LONGEST_NAME:
        raise DatasetError(f"expected file names of at most {_LONGEST_NAME} bytes, got {short(text)}")
    return text


def _notes(records: list[Any], annotations: list[Any]) -> tuple[str, ...]:
    """Return what of a data set refers to something that is not there, counted."""
    known = {record["id"] for record in records}
    stray = sum(annotation.get("image_id") not in known for annotation in annotations)
    bare = sum(not annotation.get("segmentation") for annotation in annotations)
    found = [
        (stray, "annotations are of images that are not listed"),
        (bare, "annotations have no segmentation and are left out"),
    ]
    return tuple(f"{count} {what}" for count, what in found if count)


def read_listed(image: CocoImage) -> Frame:
    """Read a data set's image, and compare its size with the listed one.

    Raises:
        DatasetError: they differ, so that the annotations would lie elsewhere.
        ImageError: there is no readable image.
    """
    frame = read_frame(image.path)
    _check_size(image, frame.size_hw)
    return frame


def check_listed(image: CocoImage) -> None:
    """Compare an image's size with the listed one by its header alone.

    Raises:
        DatasetError: as :func:`read_listed`; or there is no such file.
        ImageError: it is no image.
    """
    if not os.path.isfile(image.path):
        raise DatasetError(
            "instances.json lists it, but there is no such file",
            subject=f"image {image.path}",
            path=image.path,
        )
    _check_size(image, image_size_hw(image.path))


def _check_size(image: CocoImage, found_hw: tuple[int, int]) -> None:
    if found_hw == (image.height, image.width):
        return
    turned = found_hw == (image.width, image.height)
    raise DatasetError(
        f"instances.json says {image.width}x{image.height}, the file is {found_hw[1]}x{found_hw[0]}; "
        "its annotations would not fit",
        subject=str(image.path),
        advice="it was labelled before its EXIF rotation: turn its pixels, or list its upright size"
        if turned
        else "",
        path=image.path,
    )


def read_captions(root: str | Path, split: Split = "all") -> tuple[CaptionedImage, ...]:
    """Read the captions of a folder, in the order of the images' names; ``split`` as for :func:`read_coco`.

    Raises:
        DatasetError: there is no ``captions.json``, it is something else, or the split needs a
            ``heldout.txt``.
    """
    root = Path(root)
    source = root / CAPTIONS_NAME
    form = '{"IMAGE.jpg": ["a sentence", ...], ...}'
    if not source.is_file():
        raise DatasetError(f"{source}: expected JSON such as {form}, found no such file")
    read = read_json(source, "captions", DatasetError)
    if not isinstance(read, dict) or not all(
        isinstance(said, list) and all(isinstance(sentence, str) for sentence in said)
        for said in read.values()
    ):
        raise DatasetError(f"{source}: expected {form}, got something else")
    heldout = heldout_names(root, split)
    return tuple(
        CaptionedImage(root / "images" / _name_inside(name), tuple(said))
        for name, said in sorted(read.items())
        if said and (split == "all" or (name in heldout) == (split == "heldout"))
    )


def check_partial(partial: Sequence[str], datasets: Sequence[CocoDataset]) -> None:
    """Raise DatasetError for a name of a partly labelled dataset that is none of the datasets'."""
    unknown = sorted(set(partial) - {dataset.name for dataset in datasets})
    if unknown:
        raise DatasetError(f"partial: {unknown} not among the datasets {[d.name for d in datasets]}")


def known_ious(ious: NDArray[np.float64], masks: Sequence[Rle], crowds: Sequence[Rle]) -> NDArray[np.float64]:
    """Return (N,) the best IoU of each mask with an object; NaN for masks of a crowd, whose fit nobody knows.

    Args:
        ious: (N, G).
        masks: the N masks.
        crowds: regions of objects that are not told apart.
    """
    best = np.asarray(ious.max(axis=1, initial=0.0), np.float64)
    if len(masks) and len(crowds):
        inside = coco_mask.iou(list(masks), list(crowds), [1] * len(crowds)).max(axis=1)
        best[(inside >= CROWD_SHARE) & (best < CROWD_SHARE)] = np.nan
    return best


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
