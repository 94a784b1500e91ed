"""Decoded pixels of any mode, depth and orientation to (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageError, reason_of
from fastsam.untrusted import short

ORIENTATION_TAG = 0x0112


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
_BAND_PIXELS = 1 << 22  # converted at once: copies of a whole large image would take gigabytes
_SAMPLED = 1 << 20  # values that the range of a 16-bit image is taken from
_OUTLIERS = 0.001  # share of the values at either end that does not count
_NARROW = 0.25  # share of its range of bits below which an image is stretched to what it uses

GreyRange: TypeAlias = "Literal['auto', 'full'] | tuple[float, float]"


@dataclass(frozen=True)
class PixelRules:
    """How depth and opacity become 8-bit RGB.

    Attributes:
        grey_range: which 16-bit values become black and white. ``"auto"`` is 0 to the smallest of 2**8 - 1,
            2**9 - 1, ... 2**16 - 1 that holds all but 0.1 % of the values; where they use less than a quarter
            of that, as thermal cameras do, the values that they use. ``"full"`` is 0 to 65,535; or two
            numbers.
        transparency: ``"white"`` lays transparent pixels on white, ``"ignore"`` takes their colours as they
            are: for files that keep another band, such as infrared, where opacity belongs.
    """

    grey_range: GreyRange = "auto"
    transparency: Literal["white", "ignore"] = "white"

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            ConfigError: neither a known word nor two rising numbers.
        """
        if self.transparency not in ("white", "ignore"):
            raise ConfigError(f"transparency: expected white or ignore, got {short(self.transparency)}")
        if self.grey_range in ("auto", "full"):
            return
        try:
            low, high = (float(value) for value in self.grey_range)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"grey_range: expected auto, full or two numbers, got {short(self.grey_range)}"
            ) from error
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ConfigError(f"grey_range: expected two rising numbers, got {short(self.grey_range)}")


DEFAULT_RULES = PixelRules()


def rgb_of(image: Image.Image, what: str, rules: PixelRules = DEFAULT_RULES) -> NDArray[np.uint8]:
    """Return the first frame of a PIL image, upright, as RGB."""
    if 0 in image.size:
        raise ImageError(f"expected at least 1x1 pixel, got {image.width}x{image.height}", subject=what)
    try:
        image.load()
        return rgb_from_pil(upright(image), what, rules)
    except ImageError:
        raise
    except Exception as error:  # decoders fail in their own ways
        raise ImageError(
            f"is damaged or cut off: it begins as {image.format or 'a PIL image'}, but cannot be "
            f"decoded ({type(error).__name__}: {reason_of(error)})",
            subject=what,
            advice="copy or download it again",
        ) from error


def is_turned(image: Image.Image) -> bool:
    """Tell whether EXIF says that width and height change places; the image need not be decoded yet.

    PIL gives the size of a TIFF as it is after that.
    """
    return image.format != "TIFF" and orientation(image) in (5, 6, 7, 8)


def orientation(image: Image.Image) -> int:
    """Return EXIF's orientation from the header alone, 1 where there is none."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # PIL would decode the whole image to look behind it
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo; it has no rotation then
        return 1


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF rotation."""
    try:
        method = _UPRIGHT.get(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo; it has no rotation then
        return image
    return image if method is None else image.transpose(method)


def rgb_from_pil(image: Image.Image, what: str, rules: PixelRules = DEFAULT_RULES) -> NDArray[np.uint8]:
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
        return rgb_from_array(values, what, rules)
    if image.has_transparency_data and rules.transparency == "white":
        return _in_bands(image, lambda part: _on_white(part.convert("RGBA")))
    if image.mode == "RGBA":  # PIL would lay "RGBa", but not these, on black
        return _in_bands(image, lambda part: np.asarray(part)[..., :3])
    return _in_bands(image, lambda part: np.asarray(part if part.mode == "RGB" else part.convert("RGB")))


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Convert an image some rows at a time, so that no second copy of a large one is ever in memory."""
    width, height = image.size
    rows = max(_BAND_PIXELS // width, 1)
    if rows >= height:
        return convert(image)
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        rgb[top:bottom] = convert(image.crop((0, top, width, bottom)))
    return rgb


def _on_white(rgba: Image.Image) -> NDArray[np.uint8]:
    page = Image.new("RGBA", rgba.size, "white")
    return np.asarray(Image.alpha_composite(page, rgba).convert("RGB"))


def rgb_from_array(array: NDArray[Any], what: str, rules: PixelRules = DEFAULT_RULES) -> NDArray[np.uint8]:
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
    levels = to_uint8(array, what, rules.grey_range)
    if levels.ndim == 2 or levels.shape[2] == 1:
        return np.repeat(levels.reshape(*levels.shape[:2], 1), 3, axis=2)
    if levels.shape[2] == 4 and rules.transparency == "white":
        return _on_white(Image.fromarray(np.ascontiguousarray(levels)))
    return np.array(levels[..., :3], order="C")


def to_uint8(array: NDArray[Any], what: str, grey_range: GreyRange = "auto") -> NDArray[np.uint8]:
    """Scale the values of an array to 0..255; ``grey_range`` is for 16 bits."""
    if array.dtype == np.uint8:
        return cast(NDArray[np.uint8], array)
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return _from_16_bits(array, grey_range)
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


def _from_16_bits(array: NDArray[np.uint16], grey_range: GreyRange) -> NDArray[np.uint8]:
    """Scale 16-bit values by a table, some rows at a time."""
    low, high = _range_of(array) if grey_range == "auto" else (0.0, 65535.0)
    if not isinstance(grey_range, str):
        low, high = (float(value) for value in grey_range)
    steps = (np.arange(1 << 16, dtype=np.float64) - low) * (255 / (high - low))
    table = np.rint(steps.clip(0, 255)).astype(np.uint8)
    levels = np.empty(array.shape, np.uint8)
    rows = max(_BAND_PIXELS // max(array[:1].size, 1), 1)
    for top in range(0, len(array), rows):
        levels[top : top + rows] = table[array[top : top + rows]]
    return levels


def _range_of(array: NDArray[np.uint16]) -> tuple[float, float]:
    """Return which values are black and white, whatever a few hot pixels say; see :class:`PixelRules`."""
    colours = array[..., :3] if array.ndim == 3 and array.shape[2] == 4 else array
    flat = colours.reshape(-1)
    ranked = np.sort(flat[:: max(len(flat) // _SAMPLED, 1)])
    aside = int(_OUTLIERS * len(ranked))
    low, high = int(ranked[aside]), int(ranked[len(ranked) - 1 - aside])
    full = 2 ** max(high.bit_length(), 8) - 1
    if full > 255 and 0 < high - low < _NARROW * full:
        return float(low), float(high)
    return 0.0, float(full)
