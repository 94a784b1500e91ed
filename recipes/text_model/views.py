"""A stored window -> what the image tower sees in training: many looks of one mask."""

from __future__ import annotations

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.prompts.text.crops import FILL_RGB
from recipes.text_model.pictures import SIDE, Picture

Image = NDArray[np.uint8]
# how often each look is taken: the mask alone, with blurred surroundings, with a part of them, all of its box
LOOKS = {"masked": 0.5, "blurred": 0.15, "pasted": 0.1, "context": 0.25}
_MARGINS = {"masked": (0.0, 0.15), "blurred": (0.02, 0.3), "pasted": (0.02, 0.2), "context": (0.0, 0.5)}


def decoded(row: Picture) -> tuple[Image, Image]:
    """Return the (SIDE, SIDE, 3) RGB window and its (SIDE, SIDE) mask of 0..255."""
    window = cv2.imdecode(np.frombuffer(row.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    mask = cv2.imdecode(np.frombuffer(row.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    return window, mask


def plain(row: Picture, size: int, look: str = "masked") -> Image:
    """Return the look that prompts/text/crops.py would give, for measuring."""
    window, mask = decoded(row)
    margin = {"masked": 0.05, "blurred": 0.15, "context": 0.5}[look]
    return _cut(_dressed(window, mask, look, None), margin, 0, 0, 1, size)


def random_view(row: Picture, other: Picture, size: int, rng: random.Random) -> Image:
    """Return a random look of a row; ``other`` lends its window as a background.

    Colours are kept but for a little brightness and contrast, since texts name them.
    """
    window, mask = decoded(row)
    look = rng.choices(list(LOOKS), weights=list(LOOKS.values()))[0]
    if rng.random() < 0.4:  # masks of stage one are not exact
        kernel = np.ones((rng.choice((3, 5, 9)),) * 2, np.uint8)
        mask = (cv2.erode if rng.random() < 0.5 else cv2.dilate)(mask, kernel)
    if rng.random() < 0.2:  # something stands in front
        x, y, w, h = (rng.randrange(SIDE // 4, 3 * SIDE // 4) for _ in range(4))
        mask = mask.copy()
        mask[y : y + h // 3, x : x + w // 3] = 0
    picture = _dressed(window, mask, look, decoded(other)[0] if look == "pasted" else None)
    low, high = _MARGINS[look]
    margin = rng.uniform(low, high)
    view = _cut(picture, margin, rng.gauss(0, 0.03), rng.gauss(0, 0.03), rng.uniform(0.85, 1.18), size)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    if rng.random() < 0.5:
        view = cv2.convertScaleAbs(view, alpha=rng.uniform(0.8, 1.2), beta=rng.uniform(-20, 20))
    if rng.random() < 0.15:  # small masks are upsampled
        small = rng.randrange(24, 80)
        view = cv2.resize(cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    return np.ascontiguousarray(view)


def photo_view(rgb: Image, size: int, rng: random.Random) -> Image:
    """Return a random large part of a photo."""
    height, width = rgb.shape[:2]
    h, w = int(height * rng.uniform(0.75, 1)), int(width * rng.uniform(0.75, 1))
    y, x = rng.randint(0, height - h), rng.randint(0, width - w)
    view = cv2.resize(rgb[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(view[:, ::-1] if rng.random() < 0.5 else view)


def _dressed(window: Image, mask: Image, look: str, behind: Image | None) -> Image:
    if look == "context":
        return window
    share = mask.astype(np.float32)[..., None] / 255
    if look == "blurred":
        around = cv2.resize(cv2.GaussianBlur(cv2.resize(window, (48, 48)), (0, 0), 3), (SIDE, SIDE))
    else:
        around = np.full_like(window, FILL_RGB) if behind is None else behind
    return np.asarray(np.rint(share * window + (1 - share) * around), np.uint8)


def _cut(picture: Image, margin: float, dx: float, dy: float, aspect: float, size: int) -> Image:
    """Return the middle with a margin, moved by shares of the mask's longer side, stretched by an aspect."""
    longer = SIDE / 2
    width, height = longer * (1 + 2 * margin) * aspect**0.5, longer * (1 + 2 * margin) / aspect**0.5
    x, y = SIDE / 2 + dx * longer - width / 2, SIDE / 2 + dy * longer - height / 2
    matrix = np.array([[size / width, 0, -x * size / width], [0, size / height, -y * size / height]])
    return np.asarray(
        cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=FILL_RGB), np.uint8
    )
