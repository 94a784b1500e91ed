"""Decoded pixels of any mode, depth and orientation to (H, W, 3) uint8 RGB."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ImageError

_ORIENTATION_TAG = 0x0112


_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_FLOAT_SLACK = 1e-4  # what rounding in a resize or a colour conversion leaves outside 0..1


def rgb_of(image: Image.Image, what: str) -> NDArray[np.uint8]:
    """Return the first frame of a PIL image, upright, as RGB."""
    if 0 in image.size:
        raise ImageError(f"expected at least 1x1 pixel, got {image.width}x{image.height}", subject=what)
    try:
        image.load()
        return rgb_from_pil(upright(image), what)
    except ImageError:
        raise
    except Exception as error:  # decoders fail in their own ways
        raise ImageError(
            f"is damaged or cut off: it begins as {image.format or 'a PIL image'}, but cannot be "
            f"decoded ({type(error).__name__}: {error})",
            subject=what,
            advice="copy or download it again",
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF rotation."""
    try:
        method = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo; it has no rotation then
        return image
    return image if method is None else image.transpose(method)


def rgb_from_pil(image: Image.Image, what: str) -> NDArray[np.uint8]:
    """Return any mode that PIL decodes as (H, W, 3) RGB."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if values.dtype.itemsize == 4 and values.dtype.kind in "iu":  # 32-bit integers: grey TIFF, PGM
            if values.min() < 0 or values.max() > 65535:
                raise ImageError(
                    f"expected grey values in 0..65535, got {values.min()}..{values.max()}",
                    subject=what,
                    advice="scale them to 8 bits first",
                )
            values = values.astype(np.uint16)
        return rgb_from_array(values, what)
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _on_white(rgba: Image.Image) -> NDArray[np.uint8]:
    page = Image.new("RGBA", rgba.size, "white")
    return np.asarray(Image.alpha_composite(page, rgba).convert("RGB"))


def rgb_from_array(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    """Return a checked copy of an array as (H, W, 3) uint8 RGB."""
    wanted = "an RGB array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "channels come last: use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "pass the images of a batch one at a time"
        raise ImageError(f"expected {wanted}, got shape {array.shape}", subject=what, advice=hint)
    if array.size == 0:
        raise ImageError(f"expected at least 1x1 pixel, got shape {array.shape}", subject=what)
    levels = to_uint8(array, what)
    if levels.ndim == 2 or levels.shape[2] == 1:
        return np.repeat(levels.reshape(*levels.shape[:2], 1), 3, axis=2)
    if levels.shape[2] == 4:
        return _on_white(Image.fromarray(np.ascontiguousarray(levels)))
    return np.array(levels, order="C")


def to_uint8(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    """Scale the values of an array to 0..255."""
    if array.dtype == np.uint8:
        return cast(NDArray[np.uint8], array)
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        full = float(2 ** max(int(array.max()).bit_length(), 8) - 1)
        return np.rint(array * np.float32(255 / full)).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ImageError(
            f"expected dtype uint8, uint16, bool or float, got {array.dtype}",
            subject=what,
            advice="for values in 0..255 use array.astype(np.uint8)",
        )
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(
            "expected finite numbers, got NaN or infinity",
            subject=what,
            advice="replace them with np.nan_to_num first",
        )
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise ImageError(
            f"expected floats in 0..1, got {low:g}..{high:g}",
            subject=what,
            advice="divide by 255 if they are 0..255, "
            "otherwise scale with (array - array.min()) / (array.max() - array.min())",
        )
    levels: NDArray[np.float32] = np.clip(array, 0, 1).astype(np.float32) * np.float32(255)
    return np.rint(levels).astype(np.uint8)
