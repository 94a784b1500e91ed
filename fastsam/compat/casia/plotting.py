"""Masks, boxes and points over a photo: what ``FastSAMPrompt.plot`` and ``fast_process`` write."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam import Frame, MaskSet, RenderConfig
from fastsam.compat.arguments import as_array, boxes_inside, points_inside
from fastsam.compat.casia.annotations import mask_stack
from fastsam.errors import ConfigError, ExportError, InputError
from fastsam.images.drawing import overlay
from fastsam.masks.crop import Crop
from fastsam.masks.dense import clean

__all__ = ["drawn", "in_folder", "target_of"]

_TIDY_PX = 64  # better_quality: islands and holes below this many pixels are not drawn
_PICTURES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def drawn(
    frame: Frame,
    annotations: Any,
    bboxes: Any = None,
    points: Any = None,
    point_label: Any = None,
    *,
    random_colours: bool = True,
    better_quality: bool = True,
    contours: bool = True,
    scaled: bool = False,
) -> NDArray[np.uint8]:
    """Return a photo with masks and prompts drawn over it, (H, W, 3) uint8.

    Args:
        frame: the photo.
        annotations: (N, H, W) masks, a list of (H, W) masks, or a list of dicts with a ``segmentation``.
        bboxes: boxes to draw, xyxy.
        points: points to draw.
        point_label: their labels; all foreground by default.
        random_colours: False draws all masks in one colour.
        better_quality: leave out islands and holes of a few pixels.
        contours: draw outlines.
        scaled: masks of another size are scaled to the photo's.

    Raises:
        InputError: the annotations are no masks of this image.
    """
    size_hw = frame.size_hw
    stack = mask_stack(annotations)
    if scaled and len(stack) and stack.shape[1:] != size_hw:
        to_photo = [cv2.resize(mask.astype(np.uint8), size_hw[::-1]) for mask in stack]
        stack = np.stack(to_photo).astype(bool)
    if len(stack) and stack.shape[1:] != size_hw:
        raise InputError(f"annotations: expected masks of the image's shape {size_hw}, got {stack.shape[1:]}")
    crops = [Crop(0, 0, clean(mask, _TIDY_PX) if better_quality else mask) for mask in stack]
    return overlay(
        frame,
        MaskSet.from_crops(crops, size_hw),
        RenderConfig(contours=contours),
        points=None if points is None else points_inside(points, size_hw, 5),
        point_labels=None if points is None else as_array(point_label),
        boxes=None if bboxes is None else boxes_inside(bboxes, size_hw),
        rows=None if random_colours else [0] * len(crops),
    )


def target_of(frame: Frame, output: str | os.PathLike[str] | None) -> Path:
    """Return the file to write: ``output``, or a file named as the photo where that is a folder.

    Raises:
        ConfigError: there is no output.
        ExportError: it is the photo itself, by name.
    """
    if output is None:
        raise ConfigError("plot: expected output_path, a file such as output/dog.jpg, or a folder")
    path, origin = Path(output), Path(frame.source or f"{frame.name}.png")
    if path.suffix.lower() not in _PICTURES:
        return in_folder(
            frame, path, origin.name if origin.suffix.lower() in _PICTURES else f"{origin.stem}.png"
        )
    if frame.source and path.resolve() == origin.resolve():
        raise ExportError(f"plot: {path} is the image itself; choose another file or folder")
    return path


def in_folder(frame: Frame, folder: Path, name: str) -> Path:
    """Return the file of a name in a folder; another name, with a warning, where that is the photo itself."""
    path = folder / name
    if not frame.source or path.resolve() != Path(frame.source).resolve():
        return path
    other = path.with_stem(f"{path.stem}_masks")
    warnings.warn(
        f"plot: {path} is the image itself; {other.name} is written instead", UserWarning, stacklevel=4
    )
    return other
