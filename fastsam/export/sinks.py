"""Formats with files of their own for each image: masks -> files in a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from fastsam.errors import ExportError
from fastsam.export.annotations import Annotations
from fastsam.export.encoders import (
    AMG_COLUMNS,
    encode_csv,
    encode_geojson,
    encode_labelmap,
    encode_labelme,
    encode_npz,
    encode_sam,
    facts_of,
    to_csv,
)
from fastsam.files import replacing_folder, safe_name, write_bytes
from fastsam.images.matte import soft_cutout
from fastsam.masks.crop import Crop

__all__ = [
    "CsvSink", "CutoutSink", "FileSink", "GeoJsonSink", "LabelMapSink", "LabelmeSink", "NpzSink", "PngSink",
    "SamJsonSink", "Sink",
]  # fmt: skip


class Sink(ABC):
    """Writes the images of a run in one format.

    Args:
        folder: to write into.
        classes: names that are listed in this order, found or not.
    """

    def __init__(self, folder: Path, classes: Sequence[str] = ()) -> None:
        self.folder = folder
        self.classes = tuple(classes)

    @abstractmethod
    def target(self, name: str) -> Path:
        """Return the file or folder that is there when an image is done."""

    @abstractmethod
    def add(self, item: Annotations) -> list[Path]:
        """Write one image and return its files."""

    def close(self) -> list[Path]:
        """Write what belongs to the run as a whole and return those files."""
        return []


# --- one file or folder an image ------------------------------------------------------------------


class FileSink(Sink):
    """One file an image."""

    pattern: ClassVar[str]
    encode: ClassVar[Callable[[Annotations, Path], bytes]]

    def target(self, name: str) -> Path:
        """Return the image's file."""
        return self.folder / self.pattern.format(name)

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's file."""
        return [write_bytes(self.target(item.name), type(self).encode(item, self.folder))]


class NpzSink(FileSink):
    """``NAME.npz``."""

    pattern, encode = "{}.npz", encode_npz


class SamJsonSink(FileSink):
    """``NAME.json``."""

    pattern, encode = "{}.json", encode_sam


class LabelmeSink(FileSink):
    """``labelme/NAME.json``: in a folder of its own, since SA-1B's file has the same name.

    ``labelme/labels.txt`` lists the classes, where they are known.
    """

    pattern, encode = "labelme/{}.json", encode_labelme

    def close(self) -> list[Path]:
        """Write the list of classes."""
        if not self.classes:
            return []
        text = "".join(f"{name}\n" for name in self.classes)
        return [write_bytes(self.folder / "labelme" / "labels.txt", text.encode(errors="backslashreplace"))]


class CsvSink(FileSink):
    """``NAME.csv``."""

    pattern, encode = "{}.csv", encode_csv


class LabelMapSink(FileSink):
    """``NAME_labels.png``."""

    pattern, encode = "{}_labels.png", encode_labelmap


class GeoJsonSink(FileSink):
    """``NAME.geojson``."""

    pattern, encode = "{}.geojson", encode_geojson


class PngSink(Sink):
    """``NAME_masks/000.png`` ... (0 and 255) and ``NAME_masks/metadata.csv``, as SAM's ``amg.py``."""

    def target(self, name: str) -> Path:
        """Return the image's folder."""
        return self.folder / f"{name}_masks"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's folder; an earlier one is replaced."""
        digits = max(len(str(len(item.masks) - 1)), 3)
        facts, names = [], []
        with replacing_folder(self.target(item.name)) as folder:
            for row in item.rows():
                full = np.zeros(row.size_hw, np.uint8)
                height, width = row.patch.shape
                full[row.y0 : row.y0 + height, row.x0 : row.x0 + width] = row.patch * np.uint8(255)
                names.append(f"{row.number:0{digits}d}.png")
                Image.fromarray(full).save(folder / names[-1], compress_level=1)
                facts.append(facts_of(item, row))
            names.append("metadata.csv")
            (folder / names[-1]).write_bytes(to_csv(facts, AMG_COLUMNS, item))
        return [self.target(item.name) / name for name in names]


class CutoutSink(Sink):
    """``NAME_cutouts/000.png`` ...: each object on a transparent ground, with soft edges."""

    def target(self, name: str) -> Path:
        """Return the image's folder."""
        return self.folder / f"{name}_cutouts"

    def add(self, item: Annotations) -> list[Path]:
        """Write the image's folder; an earlier one is replaced. Masks without pixels have no file."""
        if item.rgb is None:
            raise ExportError(
                f"format 'cutout': expected the photo of {item.name!r}, got masks only; pass rgb=frame.rgb"
            )
        digits = max(len(str(len(item.masks) - 1)), 3)
        names = []
        with replacing_folder(self.target(item.name)) as folder:
            for row in item.rows():
                if row.area_px:
                    kind = "" if item.labels is None else f"_{safe_name(row.label)}"
                    names.append(f"{row.number:0{digits}d}{kind}.png")
                    picture = soft_cutout(item.rgb, Crop(row.x0, row.y0, row.patch))
                    Image.fromarray(picture).save(folder / names[-1], compress_level=3)
        return [self.target(item.name) / name for name in names]
