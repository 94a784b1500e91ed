"""What an encoder sees of a mask: a square picture of it, with more or less of what is around."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.dense import box_from_mask
from fastsam.prompts.spec import CropStyle

__all__ = ["FILL_RGB", "LEAST_PX", "MOST_PX", "crop_picture"]

Picture = NDArray[np.uint8]

FILL_RGB = (123, 117, 104)  # the mean colour that CLIP's networks subtract: no signal
LEAST_PX = 16  # of a mask; nobody can tell what a smaller one shows
MOST_PX = 512  # side of a picture, where an encoder does not say what it takes
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_BLUR_PX = 64  # side of the copy that surroundings are blurred on
_MARGINS: dict[CropStyle, float] = {"masked": 0.05, "blurred": 0.15, "context": 0.5}  # of the longer side


def crop_picture(
    frame: Frame, crop: Crop, style: CropStyle, most_px: int = MOST_PX, resample: str = "bilinear"
) -> Picture | None:
    """Return a square (S, S, 3) uint8 RGB picture of one mask; None where the mask is too small to tell.

    The mask is in the middle, with its proportions. What lies outside the image is filled with
    :data:`FILL_RGB`, and for ``"masked"`` everything that is not the mask, so that neighbours do not leak in.

    Args:
        frame: the image.
        crop: the mask's pixels.
        style: ``"masked"``, ``"blurred"`` or ``"context"``.
        most_px: larger pictures are shrunk to this side, so that large masks do not fill the memory; with
            the side of the encoder's input it has nothing left to do.
        resample: how they are shrunk, ``"bilinear"`` or ``"bicubic"``; best as the encoder would.
    """
    x0, y0, patch = crop
    if np.count_nonzero(patch) < LEAST_PX:
        return None
    left, top, right, bottom = (int(value) for value in box_from_mask(patch))
    tight = patch[top:bottom, left:right]
    longer = max(right - left, bottom - top)
    side = longer + 2 * max(round(_MARGINS[style] * longer), 1)
    # the window in the image's frame; it may leave the image
    x = x0 + left - (side - (right - left)) // 2
    y = y0 + top - (side - (bottom - top)) // 2
    if style == "context":
        return _smaller(_window(frame.rgb, x, y, side), most_px, resample)
    rows, columns = y0 + top - y, x0 + left - x
    if style == "masked":
        picture = _filled(side)
        seen = frame.rgb[y0 + top : y0 + bottom, x0 + left : x0 + right]
        here = picture[rows : rows + tight.shape[0], columns : columns + tight.shape[1]]
        cv2.copyTo(seen, tight.astype(np.uint8), here)  # numpy's copyto takes 50 times as long
        return _smaller(picture, most_px, resample)
    inside = np.zeros((side, side), np.uint8)
    inside[rows : rows + tight.shape[0], columns : columns + tight.shape[1]] = tight
    share = _smaller(255 * inside, most_px, resample).astype(np.float32)[..., None] / 255
    picture = _smaller(_window(frame.rgb, x, y, side), most_px, resample)
    return np.asarray(np.rint(share * picture + (1 - share) * _blurred(picture)), np.uint8)


def _filled(side: int) -> Picture:
    """Return a square of the colour that says nothing."""
    picture = np.empty((side, side, 3), np.uint8)
    picture[0] = FILL_RGB
    picture[1:] = picture[0]  # by rows: pixel by pixel takes 30 times as long
    return picture


def _window(rgb: Picture, x: int, y: int, side: int) -> Picture:
    """Return the square at (x, y), filled where it leaves the image."""
    height, width = rgb.shape[:2]
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    if (x2 - x1, y2 - y1) == (side, side):
        return rgb[y1:y2, x1:x2]
    picture = _filled(side)
    picture[y1 - y : y2 - y, x1 - x : x2 - x] = rgb[y1:y2, x1:x2]
    return picture


def _smaller(picture: Picture, most_px: int, resample: str) -> Picture:
    """Return a picture of at most ``most_px`` a side; what is dropped is averaged, not skipped."""
    if picture.shape[0] <= most_px:
        return picture
    shrunk = Image.fromarray(picture).resize((most_px, most_px), _FILTERS[resample], reducing_gap=2.0)
    return np.asarray(shrunk, np.uint8)


def _blurred(picture: Picture) -> Picture:
    """Return a picture without detail; blurred on a small copy, which looks the same and takes no time."""
    side = picture.shape[0]
    small = min(side, _BLUR_PX)
    shrunk = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(shrunk, (0, 0), max(small / 16, 1.0))
    return np.asarray(cv2.resize(soft, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
