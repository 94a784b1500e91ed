"""Files that fastsam (or SA-1B) wrote -> MaskSet."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.errors import FastSAMError, InputError
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_crop
from fastsam.masks.stores.crops import CropStore

__all__ = ["load_npz", "load_sam_json"]


def load_npz(path: str | os.PathLike[str]) -> MaskSet:
    """Return the masks, boxes and scores of a file of the format ``npz``.

    Raises:
        InputError: there is no such file, or fastsam has not written it.
    """
    wanted = f"{os.fspath(path)}: expected an NPZ of masks that fastsam exported"
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            size, boxes, scores, windows, bits = (
                file[name] for name in ("size_hw", "boxes_xyxy", "scores", "windows", "bits")
            )
        height, width = (int(side) for side in size)
        spans = windows.astype(np.int64).reshape(len(scores), 4)
        counts = -(-(spans[:, 2] - spans[:, 0]) * (spans[:, 3] - spans[:, 1]) // 8)
        inside = (spans[:, :2] >= 0).all() and (spans[:, 2:] <= [width, height]).all()
        if not inside or (spans[:, 2:] < spans[:, :2]).any() or counts.sum() != len(bits):
            raise InputError(f"{wanted}; its arrays do not fit together")
        packed = np.split(bits.astype(np.uint8), np.cumsum(counts)[:-1]) if len(counts) else []
        return MaskSet((height, width), boxes, scores, CropStore((height, width), tuple(packed), spans))
    except FastSAMError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{os.fspath(path)}: no such file") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{wanted}, got something else ({error})") from error


def load_sam_json(path: str | os.PathLike[str]) -> MaskSet:
    """Return the masks of a file of the format ``sam-json``, or of SA-1B itself.

    Scores are ``predicted_iou``, 1 where it is absent.

    Raises:
        InputError: there is no such file, or it is not of that format.
    """
    wanted = f"{os.fspath(path)}: expected SA-1B's JSON of one image, with 'image' and 'annotations'"
    try:
        content = json.loads(Path(path).read_bytes())
        size = int(content["image"]["height"]), int(content["image"]["width"])
        annotations = content["annotations"]
        crops = [_tight(entry["segmentation"], size) for entry in annotations]
        scores = np.array([entry.get("predicted_iou", 1.0) for entry in annotations], np.float32)
    except FileNotFoundError as error:
        raise InputError(f"{os.fspath(path)}: no such file") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{wanted}, got something else ({error})") from error
    return MaskSet.from_crops(crops, size, scores)


def _tight(rle: Any, size_hw: tuple[int, int]) -> Crop:
    """Return a mask cut to its box; none is in memory at full size."""
    crop = Crop(*decode_crop(rle))
    size = tuple(int(side) for side in rle["size"])
    if size != size_hw:
        raise InputError(f"segmentation: expected an RLE of the image's size {size_hw}, got {size}")
    return crop
