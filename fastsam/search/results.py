"""Search results as files: a table, photos with the masks drawn on them, cut-outs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.config import RenderConfig
from fastsam.export import unique_names
from fastsam.export.records import mask_facts
from fastsam.files import writable_folder, write_bytes
from fastsam.images.drawing import cutout, overlay, save_image
from fastsam.images.reading import read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import rle_area_px
from fastsam.search.index import Hit

__all__ = ["hit_record", "write_hits"]

_COLUMNS = ["rank", "file", "row", "score", "mask_score", "x1", "y1", "x2", "y2", "group", "overlay", "crop"]


def hit_record(hit: Hit) -> dict[str, Any]:
    """Return a hit in plain JSON types: its file, row and group, and the fields of every mask record.

    >>> rle = {"size": [1, 1], "counts": "01"}
    >>> hit_record(Hit("/a.jpg", 3, 0.71239, (0, 0, 1, 1), 0.9, rle))["score"]
    0.7124
    """
    facts = mask_facts(
        label="",
        score=hit.score,
        mask_score=hit.mask_score,
        box_xyxy=hit.box_xyxy,
        area_px=rle_area_px(hit.rle),
        rle=hit.rle,
    )
    return {"file": hit.file, "row": hit.row, "group": hit.group, **facts}


def write_hits(hits: Sequence[Hit], out: str | Path, config: RenderConfig | None = None) -> list[Path]:
    """Write hits into a folder and return the files, ``found.csv`` and ``found.jsonl`` first.

    ``overlays/`` has each photo with its hits and their scores drawn on it, ``crops/`` each hit cut out as
    RGBA with a transparent background. Files of an earlier search with the same names are replaced.

    Args:
        hits: best first.
        out: folder, created if missing.
        config: how overlays are drawn.

    Raises:
        ExportError: the folder cannot be written.
        ImageError: a photo is missing or has changed.
    """
    folder = writable_folder(Path(out))
    files = list(dict.fromkeys(hit.file for hit in hits))
    rows = [{"rank": k + 1, **hit_record(hit), "overlay": "", "crop": ""} for k, hit in enumerate(hits)]
    drawn: list[Path] = []
    for file, name in zip(files, unique_names(files), strict=True):
        ranks = [k for k, hit in enumerate(hits) if hit.file == file]
        drawn += _draw(file, name, ranks, hits, rows, folder, config)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for row in rows:
        flat = row | dict(zip(("x1", "y1", "x2", "y2"), row["box_xyxy"], strict=True))
        table.writerow([flat[name] for name in _COLUMNS])
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return [
        write_bytes(folder / "found.csv", text.getvalue().encode(errors="backslashreplace")),
        write_bytes(folder / "found.jsonl", lines.encode()),
        *drawn,
    ]


def _draw(
    file: str,
    name: str,
    ranks: Sequence[int],
    hits: Sequence[Hit],
    rows: Sequence[dict[str, Any]],
    folder: Path,
    config: RenderConfig | None,
) -> list[Path]:
    """Write the pictures of one photo's hits and enter their names in the rows."""
    frame = read_frame(file)
    masks = MaskSet.from_dense(np.stack([hits[k].mask() for k in ranks]))
    captions = [f"{hits[k].score:.2f}" for k in ranks]
    picture = folder / "overlays" / f"{name}.jpg"
    written = [save_image(overlay(frame, masks, config, labels=captions), picture)]
    for i, k in enumerate(ranks):
        crop = folder / "crops" / f"{k + 1:04d}_{name}.png"
        written.append(save_image(cutout(frame, masks, i), crop))
        rows[k]["overlay"], rows[k]["crop"] = (str(path.relative_to(folder)) for path in (picture, crop))
    return written
