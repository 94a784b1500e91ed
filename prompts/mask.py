"""Mask prompts: the IoU of each mask with a drawn region, or how much of a scribble it covers.

Where one mask does not explain what was drawn, several may together (:mod:`fastsam.prompts.group`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError, PromptError
from fastsam.masks.coordinates import check_points
from fastsam.masks.levels import SAME_IOU
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import fill_polygons
from fastsam.masks.region import Region
from fastsam.masks.rle import decode_rle
from fastsam.masks.selection import Selection
from fastsam.prompts.group import MARGIN, STROKE_SHARE, masks_inside
from fastsam.prompts.point import click_prior
from fastsam.prompts.ranking import best_row
from fastsam.prompts.spec import MaskLike

__all__ = ["answer", "rasterise", "score"]

_AS_GOOD = 0.02  # of two masks that cover a scribble this equally, neither is better for it
_SCRIBBLE_PIXELS = 2000  # a longer stroke is sampled evenly


def rasterise(prompt: MaskLike, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the prompt's (H, W) pixels.

    Raises:
        PromptError: its size is not the image's, a point leaves the image, or nothing is marked.
    """
    height, width = size_hw
    if prompt.kind == "polygon":
        mask = fill_polygons([_inside(prompt.value, size_hw)], size_hw)
    elif prompt.kind == "scribble":
        mask = _stroke(_inside(prompt.value, size_hw), prompt.width_px, size_hw)
    elif prompt.kind == "rle":
        size = prompt.value.get("size")
        if isinstance(size, (list, tuple)) and len(size) == 2 and tuple(size) != (height, width):
            raise _wrong_size(size, size_hw)  # before decoding: it may claim any size
        try:
            mask = decode_rle(prompt.value)
        except InputError as error:
            raise PromptError(f"mask: {error}") from error
    else:
        mask = prompt.value
    if mask.shape != (height, width):
        raise _wrong_size(mask.shape, size_hw)
    if not mask.any():
        raise PromptError("mask: expected at least one marked pixel, got an empty mask")
    return mask


def _wrong_size(found_hw: Sequence[Any], size_hw: tuple[int, int]) -> PromptError:
    return PromptError(
        f"mask: expected the image's size {size_hw[1]}x{size_hw[0]}, got {found_hw[1]}x{found_hw[0]}; "
        "resize it with nearest-neighbour first"
    )


def _inside(points: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return drawn points; the right and bottom edges count as the last pixel."""
    last = np.array([size_hw[1] - 1, size_hw[0] - 1])
    edge = (points > last) & (points <= last + 1)
    return check_points(np.where(edge, last, points), size_hw).astype(np.float32)


def _stroke(line: NDArray[np.float32], width_px: float, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that are nearer than half a width to a polyline of pixels."""
    canvas = np.zeros(size_hw, np.uint8)
    pixels = np.floor(line).astype(np.int32)
    cv2.polylines(canvas, [pixels], False, 1)
    canvas[pixels[0, 1], pixels[0, 0]] = 1  # OpenCV draws no polyline of one point
    if width_px > 1:  # OpenCV's thick lines come out up to two pixels too thick
        margin = min(math.ceil(width_px / 2), max(size_hw))
        (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
        near = canvas[max(top - margin, 0) : bottom + margin + 1, max(left - margin, 0) : right + margin + 1]
        near[:] = cv2.distanceTransform(1 - near, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) < width_px / 2
    return canvas.astype(bool)


def score(masks: MaskSet, prompt: MaskLike, *, decided: bool = True) -> NDArray[np.float32]:
    """Return (1, N): IoU with the region, or the covered share of a scribble.

    IoU is exact for the best mask, and with ``decided`` for all that reach the prompt's threshold; the
    others are estimates below.
    """
    drawn = rasterise(prompt, masks.size_hw)
    if prompt.kind == "scribble":
        covered = masks.hits(_pixels(drawn)).mean(axis=1, dtype=np.float32)
        return np.asarray(covered).reshape(1, -1)
    return np.asarray(masks.ious(Region.from_mask(drawn), prompt.threshold if decided else None)[None])


def _pixels(drawn: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (P, 2) pixels of a stroke, evenly sampled where they are many."""
    y, x = np.nonzero(drawn)
    pick = np.linspace(0, len(x) - 1, min(len(x), _SCRIBBLE_PIXELS)).astype(np.int64)
    return np.stack([x[pick], y[pick]], axis=1).astype(np.float64)


def _stroke_ranks(
    masks: MaskSet, pixels: NDArray[np.float64], covered: NDArray[np.float32], threshold: float
) -> NDArray[np.float32]:
    """Return (N,) ranks: by covered share, and among those that cover enough and as much as the best
    does, by what a click on the stroke's middle pixel would mean.
    """
    middle = pixels[((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmin()][None]
    as_good = (covered >= covered.max() - _AS_GOOD) & (covered >= threshold)
    prior = click_prior(masks, middle, masks.hits(middle) & as_good[:, None])
    return np.asarray(np.where(as_good, 1 + prior, covered), np.float32)


def answer(masks: MaskSet, prompt: MaskLike) -> Selection:
    """Return the mask that fits the drawn region best, or nothing when it fits too little.

    A scribble lies in many nested masks: among those that cover as much of it as the best does, the one
    answers that a click along the stroke would mean. With ``prompt.group``, several masks answer as one
    group where they fit clearly better together; the score of each is that of the group.
    """
    drawn = rasterise(prompt, masks.size_hw)
    values = score(masks, prompt, decided=False)[0]
    stroke = _pixels(drawn) if prompt.kind == "scribble" else None
    what = "IoU" if stroke is None else "share of the scribble"
    ranks = values
    if stroke is not None and len(masks):
        ranks = _stroke_ranks(masks, stroke, values, prompt.threshold)
    best = best_row(masks, ranks)
    reached = 0.0 if best is None else float(values[best])
    if prompt.group and best is not None and reached < SAME_IOU:
        rows, together = _masks_along(masks, stroke) if stroke is not None else _masks_over(masks, drawn)
        if len(rows) > 1 and together >= max(reached + MARGIN, prompt.threshold):
            fits = f"{what} {together:.2f}, the best one alone {reached:.2f}"
            reason = f"mask prompt: {len(rows)} masks together ({fits})"
            return Selection.of(masks, rows, np.full(len(rows), together), reason)
    if best is None or reached < prompt.threshold or reached <= 0:
        below = f"no answer, the best {what} {reached:.2f} is below {prompt.threshold:g}"
        found = "no masks to choose from" if best is None else below
        return Selection.of(masks, [], [], f"mask prompt: {found}")
    return Selection.of(masks, [best], [values[best]], f"mask prompt: best {what}, {reached:.2f}")


def _masks_over(masks: MaskSet, drawn: NDArray[np.bool_]) -> tuple[list[int], float]:
    """Return the masks that explain a region together, and the IoU of their union with it."""
    rows = masks_inside(masks, drawn)
    union = masks[rows].union()
    return rows, float(np.count_nonzero(union & drawn) / np.count_nonzero(union | drawn))


def _masks_along(masks: MaskSet, pixels: NDArray[np.float64]) -> tuple[list[int], float]:
    """Return masks that each hold a good share of a scribble, and what they hold of it together.

    What is left of the stroke is asked about as if it were alone, until no mask holds enough of it.
    """
    under = masks.hits(pixels)
    left = np.ones(len(pixels), bool)
    rows: list[int] = []
    while left.any():
        covered = (under & left).sum(axis=1) / np.float32(len(pixels))
        best = best_row(masks, _stroke_ranks(masks, pixels[left], covered.astype(np.float32), STROKE_SHARE))
        if best is None or covered[best] < STROKE_SHARE:
            break
        rows.append(best)
        left &= ~under[best]
    return rows, float(np.mean(~left))
