"""Annotated photographs, and objects cut out of them: what :mod:`made_clips` is made of."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from fastsam.datasets import annotation_mask, heldout_names, read_coco  # noqa: E402

MOVES = frozenset({
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "bird",
    "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "umbrella",
    "suitcase", "kite", "skateboard", "surfboard", "backpack", "handbag", "teddy bear",
    "fire hydrant", "sports ball", "stop sign",
})  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """A training photograph and the masks in it that can be cut out."""

    path: Path
    cuts: tuple[tuple[str, dict[str, Any]], ...]
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class CutOut:
    """An object without its background: colours go on beyond the mask, alpha is soft."""

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    category: str
    source: str


def read_photos(folders: list[Path]) -> list[Photo]:
    """Return the training photographs of the folders, in order of name."""
    found = []
    for folder in folders:
        if (folder / "instances.json").is_file():
            dataset = read_coco(folder, "train")
            for image in dataset.images:
                cuts = [
                    (dataset.categories[a["category_id"]], a)
                    for a in image.annotations
                    if dataset.categories[a["category_id"]] in MOVES
                ]
                found.append(Photo(image.path, tuple(cuts), (image.height, image.width)))
        else:
            held = heldout_names(folder, "train")
            for path in sorted((folder / "images").iterdir()):
                if path.name not in held:
                    with Image.open(path) as opened:
                        found.append(Photo(path, (), (opened.height, opened.width)))
    return found


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of a photograph."""
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def usable(annotation: dict[str, Any], size_hw: tuple[int, int]) -> bool:
    """Return whether an object is large enough and inside its photograph, by its box alone."""
    x, y, w, h = annotation["bbox"]
    inside = x > 2 and y > 2 and x + w < size_hw[1] - 2 and y + h < size_hw[0] - 2
    return bool(inside and min(w, h) >= 45 and w * h >= 7000)


def cut_out(photo: Photo, category: str, annotation: dict[str, Any]) -> CutOut | None:
    """Return an object without its background; None where its mask is not one clear piece."""
    mask = annotation_mask(annotation, photo.size_hw).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    area = int(stats[largest, cv2.CC_STAT_AREA])
    x, y, w, h = (int(stats[largest, i]) for i in range(4))
    if area < 0.9 * mask.sum() or area < 4000 or area < 0.25 * w * h or w > 4 * h or h > 4.5 * w:
        return None
    rgb = read_rgb(photo.path)
    if rgb.shape[:2] != photo.size_hw:
        return None
    room = 8
    left, top = max(0, x - room), max(0, y - room)
    window = np.s_[top : y + h + room, left : x + w + room]
    inner = cv2.erode((labels[window] == largest).astype(np.uint8), np.ones((3, 3), np.uint8))
    # Beyond the mask the nearest colour inside goes on, so that soft edges show nothing of the old photo.
    _, nearest = cv2.distanceTransformWithLabels(
        1 - inner, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    colours[nearest[inner > 0]] = rgb[window][inner > 0]
    spread = cv2.GaussianBlur(colours[nearest], (0, 0), 1.0)
    filled = np.where(inner[..., None] > 0, rgb[window].astype(np.float32), spread)
    alpha = cv2.GaussianBlur(np.pad(inner.astype(np.float32), room), (0, 0), 1.1)
    filled = np.pad(filled, ((room, room), (room, room), (0, 0)), mode="edge")
    return CutOut(filled, alpha, category, f"{photo.path.parent.parent.name}/{photo.path.name}")


def draw_cut(
    rng: np.random.Generator, photos: list[Photo], category: str | None = None, other: str = ""
) -> CutOut | None:
    """Return a random cut-out, of a category and not from photo ``other`` where asked."""
    pool = [
        (photo, name, annotation)
        for photo in photos
        for name, annotation in photo.cuts
        if usable(annotation, photo.size_hw) and category in (None, name)
    ]
    names = sorted({name for _, name, _ in pool})
    if category is None and names:  # people are most of the objects: every second one is something else
        want = "person" if "person" in names and rng.random() < 0.45 else names[int(rng.integers(len(names)))]
        pool = [row for row in pool if row[1] == want]
    for number in rng.permutation(len(pool))[:30]:
        cut = cut_out(*pool[number])
        if cut is not None and cut.source != other:
            return cut
    return None
