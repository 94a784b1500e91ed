"""(Frame, MaskSet) -> pictures: overlays and cut-outs.

Everything is drawn inside each mask's own box, on one copy of the photo: memory does not grow with the
number of masks. All pictures are uint8 arrays in the image frame, RGB or RGBA.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fastsam.config import RenderConfig
from fastsam.errors import ExportError, PromptError, RecordError
from fastsam.files import replacing_path
from fastsam.images.frame import Frame
from fastsam.masks.coordinates import check_boxes, check_points
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet

__all__ = ["colours", "colours_of", "cutout", "overlay", "save_image"]

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

_GREEN: Colour = (40, 200, 80)
_RED: Colour = (235, 60, 60)
_WHITE: Colour = (255, 255, 255)
_SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "DejaVuSans.ttf", "NotoSans-Regular.ttf",
)  # fmt: skip
_ROWS_AT_ONCE = 256  # bounds what is tinted at a time
_HELD_PX = 8_000_000  # decoded pixels that are held for drawing; beyond that masks are decoded again
_GOLDEN = 0.6180339887498949  # turns of the hue circle: neighbours in the list are never alike
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")


def colours(count: int, seed: int = 0) -> Picture:
    """Return ``count`` distinct colours, (count, 3) uint8 RGB; the first ones do not depend on ``count``.

    >>> bool((colours(3) == colours(300)[:3]).all())
    True
    """
    return colours_of(np.arange(count), seed)


def colours_of(rows: NDArray[np.int64], seed: int) -> Picture:
    """Return the colours of some rows of the list that :func:`colours` begins, (K, 3) uint8 RGB."""
    hue = (seed * 0.7548776662 + 0.58 + rows * _GOLDEN) % 1
    # Lightness and chroma change in another rhythm than the hue, so that a hue that comes back after
    # many rows comes back lighter or darker.
    lightness = np.array([0.72, 0.62, 0.80])[(rows // 5) % 3]
    return _from_oklch(lightness, 0.17, hue * 2 * np.pi)


def _from_oklch(lightness: NDArray[Any], chroma: float, hue: NDArray[Any]) -> Picture:
    """Convert OKLCH, in which equal steps look equal, to sRGB (bottosson.github.io/posts/oklab)."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    lms = [
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ]
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(np.stack(lms, axis=-1) ** 3 @ to_linear.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), np.uint8)


def overlay(
    frame: Frame,
    masks: MaskSet,
    config: RenderConfig | None = None,
    *,
    points: Any = None,
    point_labels: Any = None,
    boxes: Any = None,
    labels: Sequence[str] | None = None,
    rows: Sequence[int] | None = None,
) -> Picture:
    """Return the photo with masks, and the prompt they answer, drawn over it: (H, W, 3) uint8 RGB.

    Larger masks are drawn first, so that small ones stay visible.

    Args:
        frame: the photo.
        masks: masks of that photo.
        config: opacity, outlines, boxes, scores, colours.
        points: (P, 2) prompt points, (x, y) image pixels.
        point_labels: (P,) 1 for foreground (green), 0 for background (red); all foreground by default.
        boxes: (n, 4) prompt boxes, xyxy image pixels.
        labels: a text for each mask.
        rows: the colour number of each mask, its position by default. A selection keeps the colours of
            the everything set with ``rows=selection.indices``, a video with its track ids.

    Raises:
        RecordError: the masks are of another image size, or labels or rows are not one a mask.
        PromptError: points, their labels or boxes do not fit the image.
    """
    config = config or RenderConfig()
    _check(frame, masks, labels, rows)
    canvas = np.array(frame.rgb)
    colour_rows = np.arange(len(masks)) if rows is None else np.asarray(rows, np.int64)
    chosen = [cast(Colour, tuple(colour)) for colour in colours_of(colour_rows, config.seed).tolist()]
    areas, crop = _decoded(masks)
    order = np.argsort(-areas, kind="stable")
    line = _line_width(frame.size_hw)
    outlines: list[tuple[int, Sequence[Any]]] = []
    anchors: dict[int, tuple[int, int]] = {}
    for i in order[areas[order] > 0].tolist():
        one = crop(i)
        _tint(one.cut(canvas), one.patch, chosen[i], config.alpha)
        if config.contours:
            outlines.append((i, _outline(one.patch, one.x0, one.y0)))
        if config.scores or labels is not None:
            anchors[i] = _anchor(one)
    for i, rings in outlines:  # after all fills: a fill would dim the outlines below it
        cv2.drawContours(canvas, rings, -1, _lighter(chosen[i]), line, cv2.LINE_AA)
    if config.boxes:
        for i in order.tolist():
            _rectangle(canvas, masks.boxes_xyxy[i], chosen[i], line)
    for i, at in anchors.items():
        _write(canvas, _caption(masks, i, config, labels), at, chosen[i])
    _draw_prompt(canvas, points, point_labels, boxes)
    return canvas


def _check(frame: Frame, masks: MaskSet, labels: Sequence[str] | None, rows: Sequence[int] | None) -> None:
    if masks.size_hw != frame.size_hw:
        raise RecordError(
            f"masks: expected those of frame {frame.name!r}, (H, W) = {frame.size_hw}, got {masks.size_hw}"
        )
    for name, values in (("labels", labels), ("rows", rows)):
        if values is not None and len(values) != len(masks):
            raise RecordError(f"{name}: expected {len(masks)}, one for each mask, got {len(values)}")
    if rows is not None and len(rows) and min(rows) < 0:
        raise RecordError(f"rows: expected colour numbers of at least 0, got {min(rows)}")


def _decoded(masks: MaskSet) -> tuple[NDArray[np.int64], Callable[[int], Crop]]:
    """Return the areas of masks and what gives their pixels: decoded once where they fit into memory."""
    sides = np.maximum(masks.boxes_xyxy[:, 2:] - masks.boxes_xyxy[:, :2], 0) + 1
    if sides.prod(axis=1).sum() > _HELD_PX:
        return masks.areas_px, masks.crop
    crops = [masks.crop(i) for i in range(len(masks))]
    areas = [np.count_nonzero(crop.patch) for crop in crops]
    return np.array(areas, np.int64), crops.__getitem__


def _line_width(size_hw: tuple[int, int]) -> int:
    """Return a line width that looks alike on small and large images."""
    return max(round(min(size_hw) / 500), 1)


def _tint(region: Picture, patch: NDArray[np.bool_], colour: Colour, alpha: float) -> None:
    """Mix a colour into a part of the canvas, in place."""
    table = _mixtures(colour, alpha)
    for start in range(0, len(patch), _ROWS_AT_ONCE):
        strip = region[start : start + _ROWS_AT_ONCE]
        tinted = cv2.LUT(strip, table)
        cv2.copyTo(tinted, patch[start : start + _ROWS_AT_ONCE].view(np.uint8), strip)


@lru_cache(maxsize=256)
def _mixtures(colour: Colour, alpha: float) -> Picture:
    """Return what each level of each channel becomes under a colour, (256, 1, 3)."""
    levels = np.arange(256)[:, None]
    mixed = np.rint(levels * (1 - alpha) + np.array(colour) * alpha).astype(np.uint8)
    return mixed.reshape(256, 1, 3)


def _outline(patch: NDArray[np.bool_], x0: int, y0: int) -> Sequence[Any]:
    """Return the outer and inner contours of a patch, in image pixels."""
    found, _ = cv2.findContours(
        patch.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x0, y0)
    )
    return found


def _lighter(colour: Colour) -> Colour:
    """Return a colour half way to white: outlines stay visible on their own fill."""
    red, green, blue = ((value + 255) // 2 for value in colour)
    return red, green, blue


def _rectangle(canvas: Picture, box_xyxy: Any, colour: Colour, line: int) -> None:
    """Draw a box along its outermost pixels; a box without pixels is left out."""
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    if x2 > x1 and y2 > y1:
        last = (max(round(x2) - 1, round(x1)), max(round(y2) - 1, round(y1)))
        cv2.rectangle(canvas, (round(x1), round(y1)), last, colour, line, cv2.LINE_8)


def _draw_prompt(canvas: Picture, points: Any, point_labels: Any, boxes: Any) -> None:
    """Draw prompt boxes, then points, in place."""
    height, width = canvas.shape[:2]
    line = _line_width((height, width))
    if boxes is not None:
        for box in check_boxes(boxes, (height, width)):
            _rectangle(canvas, box, _WHITE, 2 * line + 1)
            _rectangle(canvas, box, _GREEN, line)
    if points is None:
        if point_labels is not None:
            raise PromptError("point_labels: expected points to go with them, got none")
        return
    checked = check_points(points, (height, width))
    kinds = np.ones(len(checked), int) if point_labels is None else np.asarray(point_labels).reshape(-1)
    if kinds.shape != (len(checked),) or not np.isin(kinds, (0, 1)).all():
        raise PromptError(
            f"point_labels: expected {len(checked)} of 1 (foreground) or 0 (background), got {point_labels!r}"
        )
    radius = max(round(min(height, width) / 90), 2)
    for (x, y), kind in zip(checked, kinds, strict=True):
        at = (int(x), int(y))
        cv2.circle(canvas, at, radius + max(line, 1), _WHITE, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(canvas, at, radius, _GREEN if kind else _RED, cv2.FILLED, cv2.LINE_AA)


# --- text -------------------------------------------------------------------------------------------


def _caption(masks: MaskSet, i: int, config: RenderConfig, labels: Sequence[str] | None) -> str:
    parts = [str(labels[i])] if labels is not None else []
    parts += [f"{masks.scores[i]:.2f}"] if config.scores else []
    return " ".join(" ".join(parts).split())


def _anchor(crop: Crop) -> tuple[int, int]:
    """Return a point deep inside a mask, for its text."""
    return crop.deepest(max(max(crop.patch.shape) // 128, 1)) or (crop.x0, crop.y0)


@lru_cache(maxsize=8)
def _font(size_px: int, ascii: bool) -> Any:
    """Return PIL's own font, which is the same everywhere; what it cannot write goes to the system's."""
    for name in () if ascii else _SYSTEM_FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size_px)


def _rasterise(text: str, size_px: int) -> NDArray[np.float32]:
    """Return a line of text as (h, w, 1) opacities in 0..1, with a margin."""
    font = _font(size_px, text.isascii())
    left, top, right, bottom = font.getbbox(text)
    margin = max(size_px // 4, 1)
    size = (round(right - left) + 2 * margin, round(size_px * 1.1) + 2 * margin)
    image = Image.new("L", size, 0)
    middle = (size[1] - (bottom - top)) / 2 - top
    ImageDraw.Draw(image).text((margin - left, middle), text, fill=255, font=font)
    return np.asarray(image, np.float32)[..., None] / np.float32(255)


@lru_cache(maxsize=256)  # a video writes the same words on every frame
def _plate(text: str, size_px: int, colour: Colour) -> Picture:
    """Return a line of text on a plate of a colour, (h, w, 3)."""
    opacity = _rasterise(text, size_px)
    dark = np.dot(colour, (0.299, 0.587, 0.114)) < 128
    ink = np.array(_WHITE if dark else (0, 0, 0), np.float32)
    return np.rint(np.array(colour, np.float32) * (1 - opacity) + ink * opacity).astype(np.uint8)


def _write(canvas: Picture, text: str, at_xy: tuple[int, int], colour: Colour) -> None:
    """Write a line of text on a plate of the mask's colour, centred at a point, inside the image."""
    if not text:
        return
    height, width = canvas.shape[:2]
    plate = _plate(text, max(round(min(height, width) / 55), 9), colour)
    x = min(max(at_xy[0] - plate.shape[1] // 2, 0), max(width - plate.shape[1], 0))
    y = min(max(at_xy[1] - plate.shape[0] // 2, 0), max(height - plate.shape[0], 0))
    region = canvas[y : y + plate.shape[0], x : x + plate.shape[1]]
    region[:] = plate[: region.shape[0], : region.shape[1]]


# --- single pictures --------------------------------------------------------------------------------


def cutout(frame: Frame, masks: MaskSet, i: int) -> Picture:
    """Return the pixels of mask ``i`` on a transparent ground: (h, w, 4) uint8 RGBA of its tight box.

    Pixels outside the mask are zero in all channels; an empty mask gives (0, 0, 4).

    Raises:
        RecordError: the masks are of another image size.
        IndexError: there is no mask ``i``.
    """
    _check(frame, masks, None, None)
    crop = masks[int(i)].crop(0).tight()
    inside = crop.patch
    rgb = crop.cut(frame.rgb)
    rgba = np.zeros((*inside.shape, 4), np.uint8)
    rgba[..., :3] = rgb * inside[..., None]
    rgba[..., 3] = inside * np.uint8(255)
    return rgba


def save_image(rgb: NDArray[np.uint8], path: str | os.PathLike[str]) -> Path:
    """Write an RGB, RGBA or grey uint8 array as an image file of the suffix's format, atomically.

    Transparent pixels are kept by PNG, WebP, TIFF and AVIF; JPEG and BMP get them on white.

    Raises:
        ExportError: unknown suffix, nothing to write, or the file cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ExportError(
            f"image {str(target)!r}: expected a suffix of {', '.join(_SUFFIXES)}, got {suffix!r}"
        )
    if 0 in rgb.shape:
        raise ExportError(f"image {str(target)!r}: expected at least 1x1 pixel, got shape {rgb.shape}")
    image = Image.fromarray(rgb)
    if image.mode == "RGBA" and suffix in (".jpg", ".jpeg", ".bmp"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    options: dict[str, Any] = {"quality": 92} if suffix in (".jpg", ".jpeg", ".webp", ".avif") else {}
    with replacing_path(
        target, ValueError, KeyError, RuntimeError, what="image"
    ) as partial:  # PIL's encoders
        image.save(partial, **options)
    return target
