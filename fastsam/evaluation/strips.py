"""Pictures of clips: some frames from left to right, the truth above, a row for each method below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig
from fastsam.evaluation.clips import AnnotatedClip
from fastsam.evaluation.vos_metrics import region_similarity
from fastsam.images.drawing import overlay, save_image
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet

__all__ = ["save_strip"]

Picture = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

_FRAMES = 6
_TILE_WIDTH = 320
_LOOK = RenderConfig(alpha=0.5)


def save_strip(clip: AnnotatedClip, answers: Mapping[str, BoolArray], path: Path) -> Path:
    """Draw a clip's frames, evenly spaced, with the truth and each method's masks; return the file.

    On each answer stand the method's name and its J, the mean over the objects.

    Args:
        clip: the clip.
        answers: by method, (T, K, H, W) masks of the clip's objects from the second frame on.
        path: the image file to write.

    Raises:
        ExportError: it cannot be written.
    """
    columns = []
    for number in sorted(set(np.linspace(0, len(clip) - 1, _FRAMES).round().astype(int).tolist())):
        frame, truth = clip.frame(number), np.stack(list(clip.truth(number).values()))
        tiles = [_tile(frame, truth, f"truth {number}")]
        for name, masks in answers.items():
            drawn_masks = truth if number == 0 else masks[number - 1]
            j = np.mean([region_similarity(m, t) for m, t in zip(drawn_masks, truth, strict=True)])
            tiles.append(_tile(frame, drawn_masks, f"{name} {'given' if number == 0 else f'{j:.2f}'}"))
        columns.append(np.vstack(tiles))
    return save_image(np.hstack(columns), path)


def _tile(frame: Frame, masks: BoolArray, text: str) -> Picture:
    """Return a small picture of a frame with masks over it; an object keeps its colour."""
    rows = np.flatnonzero(masks.any(axis=(1, 2)))
    drawn = overlay(frame, MaskSet.from_dense(masks[rows]), _LOOK, rows=rows.tolist())
    height = max(round(frame.size_hw[0] * _TILE_WIDTH / frame.size_hw[1]), 1)
    small = np.ascontiguousarray(cv2.resize(drawn, (_TILE_WIDTH, height), interpolation=cv2.INTER_AREA))
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(small, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
    return np.asarray(small, np.uint8)
