"""What a run over a video has found so far, one JSON line a frame: all text formats are made from it.

A line is whole or it is not there: each is flushed when its frame is done, and what a crash has torn is
cut off when the run goes on. Nothing of it but one line at a time is in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ExportError
from fastsam.export.annotations import Annotations
from fastsam.export.encoders import to_json
from fastsam.export.records import mask_facts
from fastsam.files import as_export_errors
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import Rle, decode_rle
from fastsam.untrusted import MALFORMED
from fastsam.video.track.tracked import Tracked

__all__ = ["Spool", "SpooledFrame", "read_frames"]

SPOOL = "frames.jsonl"


@dataclass(frozen=True)
class SpooledFrame:
    """A line of ``frames.jsonl``: what was found in one frame.

    Attributes:
        index: the frame's number in the source, from 0.
        t_ms: its time; None where the source has none.
        size_hw: its size.
        objects: for each mask ``id``, ``score``, ``mask_score``, ``box_xyxy`` (tight, whole pixels),
            ``area_px``, ``segmentation`` (COCO's compressed RLE), and ``label``, empty where nothing tells.
        lost: ids of followed objects that are not seen.
        times_ms: what each stage took.
    """

    index: int
    t_ms: float | None
    size_hw: tuple[int, int]
    objects: tuple[dict[str, Any], ...]
    lost: tuple[int, ...] = ()
    times_ms: dict[str, float] | None = None

    @property
    def ids(self) -> NDArray[np.int64]:
        """(K,) int64 ids."""
        return np.array([found["id"] for found in self.objects], np.int64)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(K,) float32, how sure it is that each mask shows its object."""
        return np.array([found["score"] for found in self.objects], np.float32)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What each object is; None where nothing tells of any."""
        named = tuple(str(found.get("label", "")) for found in self.objects)
        return named if any(named) else None

    @property
    def rles(self) -> list[Rle]:
        """The K masks as COCO's compressed RLE."""
        return [found["segmentation"] for found in self.objects]

    def masks(self) -> MaskSet:
        """Return the K masks; boxes are tight."""
        crops = [Crop(0, 0, decode_rle(rle)) for rle in self.rles]
        return MaskSet.from_crops(crops, self.size_hw, [found["mask_score"] for found in self.objects])

    @classmethod
    def from_tracked(cls, tracked: Tracked) -> SpooledFrame:
        """Return the line of a frame."""
        item = Annotations(tracked.frame.name, tracked.masks)
        objects = []
        for row, object_id, score in zip(item.rows(), tracked.ids, tracked.scores, strict=True):
            x, y, width, height = row.box_xywh
            facts = mask_facts(
                label=tracked.labels[row.number] if tracked.labels else "",
                score=score,
                mask_score=row.score,
                box_xyxy=[x, y, x + width, y + height],
                area_px=row.area_px,
                rle=row.rle(),
                exact=True,
            )
            objects.append({"id": int(object_id), **facts})
        frame = tracked.frame
        times = {name: round(float(value), 3) for name, value in tracked.times_ms.items()}
        lost = tuple(int(i) for i in tracked.lost)
        return cls(frame.index, frame.t_ms, frame.size_hw, tuple(objects), lost, times)

    def line(self) -> bytes:
        """Return it as a line of JSON."""
        content = {
            "index": self.index, "t_ms": self.t_ms, "size_hw": self.size_hw, "objects": self.objects,
            "lost": self.lost, "times_ms": self.times_ms or {},
        }  # fmt: skip
        return to_json(content) + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> SpooledFrame | None:
        """Return a line's content; None for one that is torn or none of ours."""
        if not line.endswith(b"\n"):
            return None
        try:
            content = json.loads(line)
            height, width = content["size_hw"]
            return cls(
                int(content["index"]),
                None if content["t_ms"] is None else float(content["t_ms"]),
                (int(height), int(width)),
                tuple(content["objects"]),
                tuple(content["lost"]),
                dict(content["times_ms"]),
            )
        except MALFORMED:
            return None


def read_frames(out: str | os.PathLike[str]) -> Iterator[SpooledFrame]:
    """Yield what a run has found, frame by frame; it ends where a crash has torn the last line.

    Raises:
        ExportError: the folder holds no run.
    """
    path = Path(out) / SPOOL
    try:
        with path.open("rb") as stream:
            for line in stream:
                frame = SpooledFrame.parse(line)
                if frame is None:
                    return
                yield frame
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be read ({error.strerror or error}); expected the output folder of a video run"
        ) from error


class Spool:
    """The frames of a run, appended one by one.

    Attributes:
        count: how many frames it holds.
        last: the last one; None where there is none.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.count = 0
        self.last: SpooledFrame | None = None
        self._stream: BufferedRandom | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.out / SPOOL

    def __iter__(self) -> Iterator[SpooledFrame]:
        """Yield the frames from the first."""
        if not self.count:
            return
        for number, frame in enumerate(read_frames(self.out), 1):
            yield frame
            if number == self.count:
                return

    def open(self, keep: int) -> None:
        """Go on after the first ``keep`` frames; what follows them is cut off.

        Raises:
            ExportError: the file cannot be written, or has fewer frames.
        """
        with as_export_errors(self.path):
            self._stream = stream = self.path.open("r+b" if keep else "w+b")
            while self.count < keep:
                self.last = SpooledFrame.parse(stream.readline())
                if self.last is None:
                    raise ExportError(f"{self.path}: expected {keep} frames, got {self.count}")
                self.count += 1
            stream.truncate(stream.tell())
            stream.seek(0, os.SEEK_END)

    def append(self, frame: SpooledFrame) -> None:
        """Add a frame; when this returns, a crash of the program cannot lose it."""
        if self._stream is None:
            raise ExportError(f"{self.path}: is closed")
        with as_export_errors(self.path):
            self._stream.write(frame.line())
            self._stream.flush()
        self.count += 1
        self.last = frame

    def sync(self) -> None:
        """Make sure that a failure of the power cannot lose what was added."""
        if self._stream is not None:
            with as_export_errors(self.path):
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            with as_export_errors(self.path):
                stream.close()
