"""Files that fastsam (or SA-1B) wrote -> MaskSet."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.errors import FastSAMError, InputError, reason_of
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_crop
from fastsam.masks.stores.crops import CropStore
from fastsam.untrusted import MALFORMED, at_most, read_json, whole

__all__ = ["load_npz", "load_sam_json"]

_LONGEST_SIDE = 1 << 24
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error)


def load_npz(path: str | os.PathLike[str]) -> MaskSet:
    """Return the masks, boxes and scores of a file of the format ``npz``.

    Raises:
        InputError: there is no such file, or fastsam has not written it.
    """
    with _reading(path, "an NPZ of masks that fastsam exported"):
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            size, boxes, scores, windows, bits = (
                file[name] for name in ("size_hw", "boxes_xyxy", "scores", "windows", "bits")
            )
        height, width = (whole(int(side), "size_hw", 0, _LONGEST_SIDE) for side in size)
        spans = windows.astype(np.int64).reshape(len(scores), 4)
        counts = -(-(spans[:, 2] - spans[:, 0]) * (spans[:, 3] - spans[:, 1]) // 8)
        inside = (spans[:, :2] >= 0).all() and (spans[:, 2:] <= [width, height]).all()
        if not inside or (spans[:, 2:] < spans[:, :2]).any() or counts.sum() != len(bits):
            raise InputError("its arrays do not fit together")
        packed = np.split(bits.astype(np.uint8), np.cumsum(counts)[:-1]) if len(counts) else []
        return MaskSet((height, width), boxes, scores, CropStore((height, width), tuple(packed), spans))


def load_sam_json(path: str | os.PathLike[str]) -> MaskSet:
    """Return the masks of a file of the format ``sam-json``, or of SA-1B itself.

    Scores are ``predicted_iou``, 1 where it is absent.

    Raises:
        InputError: there is no such file, or it is not of that format.
    """
    with _reading(path, "SA-1B's JSON of one image, with 'image' and 'annotations'"):
        at_most(os.path.getsize(path), "json_bytes", "bytes")
        content = read_json(Path(path).read_bytes(), "its content")
        sides = (whole(content["image"][side], side, 1, _LONGEST_SIDE) for side in ("height", "width"))
        size = next(sides), next(sides)
        annotations = content["annotations"]
        crops = [_tight(entry["segmentation"], size) for entry in annotations]
        scores = np.array([entry.get("predicted_iou", 1.0) for entry in annotations], np.float32)
        return MaskSet.from_crops(crops, size, scores)


@contextmanager
def _reading(path: str | os.PathLike[str], wanted: str) -> Iterator[None]:
    """Say which file is missing, or is not the one that was wanted."""
    name = os.fspath(path)
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("no such file", subject=name, path=name) from error
    except FastSAMError as error:
        raise InputError(f"expected {wanted}; {error}", subject=name, path=name) from error
    except (OSError, EOFError, RuntimeError, *MALFORMED, *_ZIP_ERRORS) as error:
        problem = f"expected {wanted}, got something else ({reason_of(error)})"
        raise InputError(problem, subject=name, path=name) from error


def _tight(rle: Any, size_hw: tuple[int, int]) -> Crop:
    """Return a mask cut to its box; none is in memory at full size."""
    return Crop(*decode_crop(rle, size_hw))
