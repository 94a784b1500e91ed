"""What a run can write (:data:`FORMATS`), and the text formats: YTVIS JSON, MOT CSV, KITTI MOTS.

Text is made from the spool when the run is done. None of the formats holds a video's masks in memory: one
frame is read at a time, and YTVIS, which wants the frames of an object side by side, takes as many objects
at a time as fit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.export.annotations import DEFAULT_LABEL, all_classes
from fastsam.export.encoders import to_json
from fastsam.files import replacing
from fastsam.masks.rle import Rle, decode_rle, encode_rle
from fastsam.video.write.spool import SPOOL, SpooledFrame

__all__ = ["FORMATS", "Format", "write_mot", "write_mots", "write_ytvis"]

_GROUP_BYTES = 64 << 20  # YTVIS: RLE text of the objects that are put together at a time
_NULL_BYTES = 64  # what an absent frame of an object costs at most, in memory


@dataclass
class _Object:
    """What is known of an object after one reading."""

    labels: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def label(self) -> str:
        """What it is called most often."""
        return self.labels.most_common(1)[0][0]


def _survey(
    frames: Iterable[SpooledFrame], classes: Sequence[str]
) -> tuple[dict[int, _Object], dict[str, int]]:
    """Return every object with pixels by id, and the category numbers by label: those asked for first."""
    objects: dict[int, _Object] = defaultdict(_Object)
    for frame in frames:
        for found in _visible(frame):
            known = objects[found["id"]]
            known.labels[found.get("label") or DEFAULT_LABEL] += 1
            known.scores.append(found["score"])
            known.size += len(found["segmentation"]["counts"])
    labels = all_classes(classes, {known.label for known in objects.values()})
    return dict(sorted(objects.items())), {label: i for i, label in enumerate(labels, 1)}


def _visible(frame: SpooledFrame) -> list[dict[str, Any]]:
    """Return the objects that have pixels: no format here can say "nothing"."""
    return [found for found in frame.objects if found["area_px"]]


# --- YTVIS ------------------------------------------------------------------------------------------


def write_ytvis(frames: Iterable[SpooledFrame], path: Path, name: str, classes: Sequence[str] = ()) -> Path:
    """Write YouTube-VIS' (COCO-video) JSON of one video: a track an object, an RLE or null a frame.

    ``annotations`` carry ``score`` too, so that the same list is YTVIS' results format. Categories are
    ``classes``, then other labels by alphabet, ids count from 1; a track's label is the one it has most
    often.

    Args:
        frames: of the run; read several times.
        path: of the file.
        name: of the video; its frames are called ``NAME/00000.jpg``, by their number in the source.
        classes: what objects may be called, in the order of their ids.
    """
    objects, categories = _survey(frames, classes)
    indices, size = list[int](), (0, 0)
    for frame in frames:
        size = size if indices else frame.size_hw
        indices.append(frame.index)
    head = {
        "info": {"description": "masks found by fastsam"},
        "licenses": [],
        "categories": [{"id": i, "name": label, "supercategory": ""} for label, i in categories.items()],
        "videos": [
            {
                "id": 1,
                "width": size[1],
                "height": size[0],
                "length": len(indices),
                "file_names": [f"{name}/{index:05d}.jpg" for index in indices],
            }
        ],
    }
    with replacing(path) as stream:
        stream.write(to_json(head)[:-1] + b',"annotations":[')
        number = 0
        for group in _groups(objects, len(indices)):
            for object_id, parts in _collect(frames, group, len(indices)).items():
                known, number = objects[object_id], number + 1
                track = {
                    "id": object_id,
                    "video_id": 1,
                    "category_id": categories[known.label],
                    "score": round(float(np.mean(known.scores)), 6),
                    "width": size[1],
                    "height": size[0],
                    "length": len(indices),
                    "iscrowd": 0,
                    **parts,
                }
                stream.write((b"\n" if number == 1 else b",\n") + to_json(track))
        stream.write(b"]}\n")
    return path


def _groups(objects: dict[int, _Object], length: int) -> Iterator[list[int]]:
    """Yield ids whose tracks fit into memory together."""
    group, size = list[int](), 0
    for object_id, known in objects.items():
        mine = known.size + _NULL_BYTES * length
        if group and size + mine > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(object_id)
        size += mine
    if group:
        yield group


def _collect(frames: Iterable[SpooledFrame], ids: list[int], length: int) -> dict[int, dict[str, Any]]:
    """Return what YTVIS lists frame by frame, for some objects."""
    tracks = {
        object_id: {key: [None] * length for key in ("segmentations", "bboxes", "areas")} for object_id in ids
    }
    for row, frame in enumerate(frames):
        for found in _visible(frame):
            track: dict[str, list[Any]] | None = tracks.get(found["id"])
            if track is not None:
                track["segmentations"][row] = found["segmentation"]
                track["bboxes"][row] = _xywh(found)
                track["areas"][row] = found["area_px"]
    return tracks


def _xywh(found: dict[str, Any]) -> list[int]:
    x1, y1, x2, y2 = found["box_xyxy"]
    return [x1, y1, x2 - x1, y2 - y1]


# --- MOT and MOTS -----------------------------------------------------------------------------------


def write_mot(frames: Iterable[SpooledFrame], path: Path, name: str, classes: Sequence[str] = ()) -> Path:
    """Write MOTChallenge's CSV: ``frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z``.

    Frames and box corners count from 1, as the challenge has it; x, y and z are -1: there is no 3D.
    """
    with replacing(path) as stream:
        for frame in frames:
            for found in _visible(frame):
                x, y, width, height = _xywh(found)
                numbers = f"{frame.index + 1},{found['id']},{x + 1},{y + 1},{width},{height}"
                stream.write(f"{numbers},{found['score']:.6g},-1,-1,-1\n".encode())
    return path


def write_mots(frames: Iterable[SpooledFrame], path: Path, name: str, classes: Sequence[str] = ()) -> Path:
    """Write KITTI MOTS' text: ``time_frame id class_id img_height img_width rle``.

    Frames count from 0, classes as in :func:`write_ytvis`. MOTS allows no overlap: where masks share
    pixels, the surer one has them.
    """
    objects, categories = _survey(frames, classes)
    with replacing(path) as stream:
        for frame in frames:
            height, width = frame.size_hw
            for found, rle in _apart(frame):
                number = categories[objects[found["id"]].label]
                line = f"{frame.index} {found['id']} {number} {height} {width} {rle['counts']}\n"
                stream.write(line.encode())
    return path


def _apart(frame: SpooledFrame) -> Iterator[tuple[dict[str, Any], Rle]]:
    """Yield the objects of a frame with what is left of their masks when the surer ones are cut out."""
    taken = np.zeros(frame.size_hw, bool)
    for found in sorted(_visible(frame), key=lambda found: -found["score"]):
        mask = decode_rle(found["segmentation"])
        x1, y1, x2, y2 = found["box_xyxy"]
        if not taken[y1:y2, x1:x2].any():
            taken |= mask
            yield found, found["segmentation"]
            continue
        rest = mask & ~taken
        taken |= mask
        if rest.any():
            yield found, encode_rle(rest)


# --- the table --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """A row of :data:`FORMATS`.

    Attributes:
        name: as users write it.
        file: what is there when the run is done.
        help: one line on what is in it.
        write: makes a text format from the spool; None for what grows frame by frame.
    """

    name: str
    file: str
    help: str
    write: Callable[[Iterable[SpooledFrame], Path, str, Sequence[str]], Path] | None = None


_ROWS = (
    Format("video", "overlay.mp4", "the masks drawn over the frames, H.264, with the source's sound"),
    Format("davis", "davis/", "a PNG a frame, pixels are object ids, DAVIS' palette"),
    Format(
        "ytvis", "ytvis.json", "YouTube-VIS' (COCO-video) JSON: an RLE a frame for each object", write_ytvis
    ),
    Format("mot", "mot.txt", "MOTChallenge's CSV: a box a line", write_mot),
    Format("mots", "mots.txt", "KITTI MOTS' text: a mask a line, none overlap", write_mots),
    Format("jsonl", SPOOL, "a line of JSON a frame, with times and RLE; always written"),
)
FORMATS: dict[str, Format] = {row.name: row for row in _ROWS}
"""What a video run can write, by name."""
