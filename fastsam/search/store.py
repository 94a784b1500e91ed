"""An index on disk: the models that made it, a table of masks, and a memory-mapped matrix of vectors.

``index.json`` names the models. ``masks.jsonl`` has one line per image, in the order of indexing; the last
line that names a file is valid. ``vectors.f16`` has float16 rows: for each image one row per mask, then one
with the mean of its masks. A line is written after its rows, so an interrupted run loses at most one image.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, ExportError
from fastsam.files import replacing, write_bytes
from fastsam.masks.rle import Rle
from fastsam.untrusted import MALFORMED

__all__ = ["HEADER", "Header", "ImageEntry", "IndexStore"]

FloatArray = NDArray[np.float32]
HEADER = "index.json"
_TABLE, _VECTORS = "masks.jsonl", "vectors.f16"
_FORMAT = 2
_UNUSED = 0.5  # share of unused rows above which the files are rewritten


@dataclass(frozen=True)
class Header:
    """The models of an index: its vectors can only be compared with those of the same models.

    Attributes:
        network: fingerprint of the segmenter's network.
        text_model: fingerprint of the text-image model.
        segment: the options that the masks were found with.
        network_width: length of the network's vectors.
        text_width: length of the text-image model's vectors.
    """

    network: str
    text_model: str
    segment: dict[str, Any]
    network_width: int
    text_width: int

    @property
    def width(self) -> int:
        """Numbers per row."""
        return self.network_width + self.text_width


@dataclass(frozen=True)
class ImageEntry:
    """One image: its state when it was indexed, and its masks.

    Attributes:
        file: absolute path.
        state: of the file (:func:`fastsam.files.file_state`).
        size_hw: of the image.
        first: the row of its first mask; the row after its last one holds the mean of its masks.
        boxes_xyxy: of N masks.
        scores: N.
        rles: N.
    """

    file: str
    state: str
    size_hw: tuple[int, int]
    first: int
    boxes_xyxy: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]
    rles: tuple[Rle, ...]

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.rles)

    @property
    def end(self) -> int:
        """The row after its rows."""
        return self.first + len(self.rles) + 1

    def line(self) -> str:
        """Return its line of the table."""
        masks = [
            {"box": box, "score": score, "counts": rle["counts"]}
            for box, score, rle in zip(self.boxes_xyxy, self.scores, self.rles, strict=True)
        ]
        return json.dumps(
            {
                "file": self.file,
                "state": self.state,
                "size": self.size_hw,
                "first": self.first,
                "masks": masks,
            }
        )

    @classmethod
    def read(cls, line: str) -> ImageEntry | None:
        """Return the entry of a line; None if a crash has damaged it."""
        try:
            data = json.loads(line)
            height, width = (int(side) for side in data["size"])
            masks = data["masks"]
            return cls(
                str(data["file"]),
                str(data["state"]),
                (height, width),
                int(data["first"]),
                tuple(tuple(float(edge) for edge in mask["box"]) for mask in masks),
                tuple(float(mask["score"]) for mask in masks),
                tuple(Rle(size=[height, width], counts=str(mask["counts"])) for mask in masks),
            )
        except MALFORMED:
            return None


class IndexStore:
    """The files of an index.

    Args:
        folder: of the index.

    Raises:
        ConfigError: the folder holds no index, or one that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = _header(folder)
        self.entries: dict[str, ImageEntry] = {}
        self._rows = self._size() // max(2 * self.header.width, 1)
        table = folder / _TABLE
        lines = table.read_text(encoding="utf-8", errors="replace").split("\n") if table.is_file() else []
        for line in lines:
            entry = ImageEntry.read(line)
            if entry is None or entry.end > self._rows:
                continue
            self.entries.pop(entry.file, None)
            if entry.state != _REMOVED:
                self.entries[entry.file] = entry
        self._ends_with_newline = not lines or lines[-1] == ""

    @classmethod
    def create(cls, folder: Path, header: Header) -> IndexStore:
        """Return a new, empty index.

        Raises:
            ExportError: it cannot be written.
        """
        content = {"format": _FORMAT, **header.__dict__}
        write_bytes(folder / HEADER, json.dumps(content, indent=1, sort_keys=True).encode())
        return cls(folder)

    def _size(self) -> int:
        path = self.folder / _VECTORS
        return path.stat().st_size if path.is_file() else 0

    def __len__(self) -> int:
        """Return the number of masks."""
        return sum(len(entry) for entry in self.entries.values())

    def vectors(self) -> NDArray[np.float16]:
        """Return the (rows, width) matrix, memory-mapped."""
        width = self.header.width
        if not self.entries:
            return np.zeros((0, width), np.float16)
        rows = self._size() // (2 * width)
        return np.memmap(self.folder / _VECTORS, np.float16, "r", shape=(rows, width))

    def add(self, entry: ImageEntry, rows: FloatArray) -> ImageEntry:
        """Append an image with the rows of its masks and their mean; return the entry with its place.

        Raises:
            ExportError: the files cannot be written.
        """
        width = self.header.width
        try:
            with (self.folder / _VECTORS).open("ab") as stream:
                stream.truncate(stream.tell() - stream.tell() % (2 * width))  # a row that a crash has cut off
                first = stream.seek(0, os.SEEK_END) // (2 * width)
                stream.write(rows.astype(np.float16).tobytes())
            placed = ImageEntry(**{**entry.__dict__, "first": first})
            self._append(placed.line())
        except OSError as error:
            raise ExportError(f"index {str(self.folder)!r}: cannot be written ({error})") from error
        self.entries[placed.file] = placed
        return placed

    def drop(self, file: str) -> None:
        """Record that a file is no longer there.

        Raises:
            ExportError: the table cannot be written.
        """
        entry = self.entries.pop(file)
        try:
            self._append(ImageEntry(file, _REMOVED, entry.size_hw, 0, (), (), ()).line())
        except OSError as error:
            raise ExportError(f"index {str(self.folder)!r}: cannot be written ({error})") from error

    def _append(self, line: str) -> None:
        with (self.folder / _TABLE).open("a", encoding="utf-8") as stream:
            stream.write(("" if self._ends_with_newline else "\n") + line + "\n")
        self._ends_with_newline = True

    def compact(self) -> None:
        """Rewrite the files if most rows belong to images that have changed or are gone.

        Raises:
            ExportError: they cannot be written.
        """
        used = sum(len(entry) + 1 for entry in self.entries.values())
        rows = self._size() // max(2 * self.header.width, 1)
        if rows == 0 or 1 - used / rows <= _UNUSED:
            return
        old, first, lines = self.vectors(), 0, []
        # The table goes first: for a moment there is an index without images, never one with wrong rows.
        entries: list[ImageEntry] = []
        for entry in self.entries.values():
            entries.append(ImageEntry(**{**entry.__dict__, "first": first}))
            lines.append(entries[-1].line())
            first = entries[-1].end
        chunks = [np.array(old[entry.first : entry.end]) for entry in self.entries.values()]
        write_bytes(self.folder / _TABLE, b"")
        with replacing(self.folder / _VECTORS) as stream:
            for chunk in chunks:
                stream.write(chunk.tobytes())
        write_bytes(self.folder / _TABLE, "".join(line + "\n" for line in lines).encode())
        self.entries = {entry.file: entry for entry in entries}

    def __iter__(self) -> Iterator[ImageEntry]:
        """Yield the images in the order of their rows."""
        return iter(sorted(self.entries.values(), key=lambda entry: entry.first))


_REMOVED = "removed"


def _header(folder: Path) -> Header:
    path = folder / HEADER
    if not path.is_file():
        raise ConfigError(
            f"index {str(folder)!r}: expected a folder that `fastsam index` has written, found no {HEADER}"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT:
            raise ValueError("another format")
        return Header(**data)
    except (OSError, *MALFORMED) as error:
        raise ConfigError(
            f"index {str(folder)!r}: its {HEADER} cannot be read ({error}); remove the folder and index again"
        ) from error
