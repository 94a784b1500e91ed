"""Pack the training images of COCO-format folders and their masks into a few files.

python -m recipes.nano_seg.pack --data DATA --out PACK

A part is a zip archive of less than 30 MB: the photos as they are, and ``labels.json``. Images that a
folder's ``heldout.txt`` lists never enter a part. Labels that teachers add come beside the parts, in
``filled.jsonl`` (:mod:`recipes.nano_seg.teachers`).
"""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.datasets import annotation_rle, heldout_names, read_coco
from fastsam.masks.rle import Rle, decode_rle

PART_BYTES = 28_000_000
FILLED = "filled.jsonl"


@dataclass(frozen=True)
class Source:
    """A folder of the data, how often its photos are drawn, and how far its labels are complete.

    Attributes:
        name: the folder.
        share: of the photos drawn in training; shares are relative.
        background: weight of what is not labelled in the objectness loss.
        unlabelled: photos without masks; teachers label them.
        fill: whether teachers add objects.
    """

    name: str
    share: float
    background: float
    unlabelled: bool = False
    fill: bool = True


SOURCES = (
    Source("coco_mix", 0.20, 0.3),
    Source("coco_people", 0.10, 0.3),
    Source("coco_more", 0.09, 0.3),
    Source("bsds500", 0.13, 0.5),
    Source("clothing_ccp", 0.09, 0.3),
    Source("camvid", 0.08, 0.7),
    Source("facade", 0.08, 0.8),
    Source("car_parts", 0.07, 0.3),
    Source("labelme_facade", 0.06, 0.4),
    Source("food_plates", 0.06, 0.3),
    Source("flickr8k_1000", 0.04, 0.2, unlabelled=True),
    Source("caltech_outlines", 0.02, 0.3),
    Source("cwfid", 0.02, 0.3, fill=False),
    Source("nuclei_dsb2018", 0.02, 1.0, fill=False),
)
LEAST_SIDE = 300  # smaller unlabelled photos have too little to see
CUT_OUTS = "caltech_outlines"  # whole objects with clean outlines, to be pasted elsewhere


@dataclass(eq=False)
class Picture:
    """One packed photo.

    Attributes:
        source, name: where it comes from.
        size_hw: its size.
        part: the archive that holds it.
        rles: masks of its objects.
        crowds: regions that hold objects which are not told apart.
        filled: masks that the teachers added; None while they have not looked at it.
    """

    source: str
    name: str
    size_hw: tuple[int, int]
    part: Path
    rles: list[Rle] = field(default_factory=list)
    crowds: list[Rle] = field(default_factory=list)
    filled: list[Rle] | None = None

    @property
    def key(self) -> str:
        """The name inside the archive."""
        return f"{self.source}/{self.name}"


def _photos(data: Path, source: Source) -> Iterator[tuple[str, Path, tuple[int, int], list[Rle], list[Rle]]]:
    """Yield name, file, size, masks and crowds of each training photo of a source."""
    root = data / source.name
    if source.unlabelled:
        heldout = heldout_names(root)
        for path in sorted((root / "images").iterdir()):
            image = None if path.name in heldout else cv2.imread(str(path))
            if image is not None and max(image.shape[:2]) >= LEAST_SIDE:
                yield path.name, path, (image.shape[0], image.shape[1]), [], []
        return
    for image in read_coco(root, split="train").images:
        size = (image.height, image.width)
        crowds = [annotation_rle(annotation, size) for annotation in image.crowds]
        yield image.path.name, image.path, size, image.rles(), crowds


def write_pack(data: Path, out: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write the parts of all sources that ``data`` holds; returns them."""
    out.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    rows: list[dict[str, Any]] = []
    archive: zipfile.ZipFile | None = None
    written = 0

    def close() -> None:
        nonlocal archive, rows, written
        if archive is not None:
            archive.writestr("labels.json", json.dumps(rows))
            archive.close()
            os.replace(parts[-1].with_suffix(".part"), parts[-1])
        archive, rows, written = None, [], 0

    for source in SOURCES:
        if not (data / source.name).is_dir():
            continue
        for name, path, size, masks, crowds in _photos(data, source):
            raw = path.read_bytes()
            row = {"key": f"{source.name}/{name}", "size": size, "masks": masks, "crowds": crowds}
            taken = len(raw) + len(json.dumps(row))
            if archive is not None and written + taken > part_bytes:
                close()
            if archive is None:
                parts.append(out / f"part-{len(parts):02d}.zip")
                archive = zipfile.ZipFile(parts[-1].with_suffix(".part"), "w", zipfile.ZIP_STORED)
            archive.writestr(f"images/{source.name}/{name}", raw)
            rows.append(row)
            written += taken
    close()
    return parts


def read_pack(folder: Path) -> list[Picture]:
    """Return the pictures of all parts, with what the teachers have added so far."""
    pictures: list[Picture] = []
    for part in sorted(folder.glob("part-*.zip")):
        with zipfile.ZipFile(part) as archive:
            rows = json.loads(archive.read("labels.json"))
        for row in rows:
            source, _, name = row["key"].partition("/")
            size = (int(row["size"][0]), int(row["size"][1]))
            pictures.append(Picture(source, name, size, part, row["masks"], row["crowds"]))
    read_filled(folder, pictures)
    return pictures


def read_filled(folder: Path, pictures: list[Picture]) -> int:
    """Give pictures the masks that teachers added since; returns how many pictures have been looked at."""
    path = folder / FILLED
    if not path.is_file():
        return 0
    by_key = {picture.key: picture for picture in pictures}
    count = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            key, masks = json.loads(line)
        except ValueError:
            continue  # the line that is being written
        if key in by_key:
            by_key[key].filled = masks
            count += 1
    return count


class Photos:
    """Reads photos out of the archives; each process opens its own files."""

    def __init__(self) -> None:
        self._open: dict[Path, zipfile.ZipFile] = {}

    def bgr(self, picture: Picture) -> NDArray[np.uint8]:
        """Return the (H, W, 3) photo."""
        if picture.part not in self._open:
            self._open[picture.part] = zipfile.ZipFile(picture.part)
        raw = self._open[picture.part].read(f"images/{picture.key}")
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None or image.shape[:2] != picture.size_hw:
            raise ValueError(f"{picture.key}: expected a photo of {picture.size_hw} (H, W)")
        return np.asarray(image, np.uint8)


def decoded(rles: list[Rle]) -> NDArray[np.uint8]:
    """Return (H, W, N) masks of 0 and 1; N is at least 1."""
    return np.stack([decode_rle(rle) for rle in rles], axis=2).astype(np.uint8)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for part in write_pack(args.data, args.out):
        print(part.name, part.stat().st_size)


if __name__ == "__main__":
    main()
