"""Pictures of the images that a model does worst on: the objects, and the best mask that it has for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastsam.config import EvalConfig, RenderConfig
from fastsam.datasets import CocoImage
from fastsam.images.drawing import overlay, save_image
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import refine
from fastsam.masks.rle import decode_rle, rle_iou_matrix

if TYPE_CHECKING:
    from fastsam.segmenter import Segmenter

__all__ = ["save_worst"]

_LOOK = RenderConfig(alpha=0.6, scores=True)
_GAP_PX = 8


def save_worst(
    segmenter: Segmenter, images: list[tuple[float, CocoImage]], config: EvalConfig, folder: Path
) -> list[Path]:
    """Draw images side by side: annotated objects on the left, on the right the best mask of each.

    An object and its mask have the same colour; the number on a mask is its IoU with the object.

    Args:
        segmenter: stage one.
        images: mean best IoU of an image's objects, and the image.
        config: the protocol that the mean was measured with.
        folder: where the pictures go, named ``01-0.123-name.jpg``, in the order given.

    Raises:
        ExportError: the folder cannot be written.
    """
    files = []
    for number, (figure, image) in enumerate(images, start=1):
        frame = read_frame(image.path)
        masks = refine(segmenter.segment(frame, config.segment), frame.rgb, config.segment)
        picture = _side_by_side(frame, masks, image)
        files.append(save_image(picture, folder / f"{number:02d}-{figure:.3f}-{frame.name}.jpg"))
    return files


def _side_by_side(frame: Frame, found: MaskSet, image: CocoImage) -> np.ndarray:
    """Return the two pictures beside each other."""
    objects = image.rles()
    truth = MaskSet.from_dense(np.stack([decode_rle(rle) for rle in objects]))
    ious = rle_iou_matrix([found.rle(i) for i in range(len(found))], objects)
    rows = [k for k in range(len(objects)) if len(found) and ious[:, k].max() > 0]
    best = [int(ious[:, k].argmax()) for k in rows]
    chosen = MaskSet.from_crops(
        [found.crop(i) for i in best], frame.size_hw, [ious[i, k] for i, k in zip(best, rows, strict=True)]
    )
    pictures = [overlay(frame, truth, RenderConfig(alpha=0.6)), overlay(frame, chosen, _LOOK, rows=rows)]
    return np.hstack([pictures[0], np.full((frame.size_hw[0], _GAP_PX, 3), 255, np.uint8), pictures[1]])
