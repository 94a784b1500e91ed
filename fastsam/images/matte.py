"""(photo, mask) -> opacities: soft edges for cut-outs, and colors without a fringe of the old background.

The mask says what the object is; the photo says how sharp its edge is. Around the edge, the opacity is the
mask filtered under the guidance of the photo's colors (guided filter: He, Sun and Tang, ECCV 2010), so that
hair and motion become translucent and hard edges stay hard. Elsewhere a pixel is in or out.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop

__all__ = ["alpha_matte", "soft_cutout", "without_fringe"]

FloatArray = NDArray[np.float32]
_BAND = 1 / 160  # half width of the band around the edge, share of the photo's longer side
_NOISE = 0.02  # differences of color below this are noise, of 1
_WORKING_RADIUS = 4  # of the smaller copy, pixels
_SURE = 0.08  # opacities this close to 0 or 1 are 0 or 1


def alpha_matte(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], band_px: int | None = None) -> FloatArray:
    """Return the (H, W) float32 opacity of a mask's pixels, 0 to 1.

    Args:
        rgb: (H, W, 3) photo.
        mask: (H, W), the object.
        band_px: how far from the mask's edge pixels may be translucent; by default 1/160 of the longer side.
    """
    solid = mask.astype(np.float32)
    radius = _radius(rgb) if band_px is None else band_px
    if mask.all() or not mask.any() or min(mask.shape) < 3:
        return solid
    window = _window(mask, 3 * radius)
    edge = mask[window].astype(np.uint8)
    # Half of a thin object may be its edge, but not all of it.
    depth = cv2.distanceTransform(np.pad(edge, 1), cv2.DIST_L2, 3).max()
    radius = min(radius, max(round(float(depth) / 2), 1))
    guide = rgb[window].astype(np.float32) / np.float32(255)
    soft = _guided(solid[window], guide, radius)
    soft = np.clip((soft - _SURE) / (1 - 2 * _SURE), 0, 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    sure = cv2.erode(edge, kernel, borderValue=1) > 0
    never = cv2.dilate(edge, kernel) == 0
    soft[sure], soft[never] = 1, 0
    if soft.max() < 0.5:  # nothing would be left
        return solid
    solid[window] = soft
    return solid


def without_fringe(
    rgb: NDArray[np.uint8], alpha: FloatArray, band_px: int | None = None
) -> NDArray[np.uint8]:
    """Return the object's own colors in pixels that it shares with the background.

    The colors of object and background are means of their surroundings, corrected by what the pixel shows
    (blur fusion: Forte, arXiv 2006.14970). Opaque pixels stay as they are.

    Args:
        rgb: (H, W, 3) photo.
        alpha: (H, W) opacities, as :func:`alpha_matte` returns them.
        band_px: as there.
    """
    radius = _radius(rgb) if band_px is None else band_px
    shared = (alpha > 0) & (alpha < 1)
    if not shared.any():
        return rgb
    window = _window(shared, 2 * radius)
    image, opacity = rgb[window].astype(np.float32), alpha[window][..., None]
    side = 4 * radius + 1

    def around(weight: FloatArray) -> FloatArray:
        total = np.maximum(_mean(weight[..., 0], side), 1e-4)[..., None]
        return np.asarray(_mean(image * weight, side) / total, np.float32)

    front, behind = around(opacity * opacity), around(1 - opacity)
    front = front + opacity * (image - opacity * front - (1 - opacity) * behind)
    result = rgb.copy()
    part = result[window]
    here = shared[window]
    part[here] = np.clip(np.rint(front[here]), 0, 255).astype(np.uint8)
    return result


def soft_cutout(rgb: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """Return an object on a transparent ground, with soft edges: (h, w, 4) uint8 RGBA of its tight box.

    The box is that of all pixels that are not fully transparent. A mask without pixels gives (0, 0, 4).

    Args:
        rgb: (H, W, 3) photo.
        crop: the object's mask in that photo.
    """
    if not crop.patch.any():
        return np.zeros((0, 0, 4), np.uint8)
    radius, (height, width) = _radius(rgb), rgb.shape[:2]
    margin = 3 * radius
    left, top = max(crop.x0 - margin, 0), max(crop.y0 - margin, 0)
    right = min(crop.x0 + crop.patch.shape[1] + margin, width)
    bottom = min(crop.y0 + crop.patch.shape[0] + margin, height)
    mask = np.zeros((bottom - top, right - left), bool)
    y, x = crop.y0 - top, crop.x0 - left
    mask[y : y + crop.patch.shape[0], x : x + crop.patch.shape[1]] = crop.patch
    photo = np.ascontiguousarray(rgb[top:bottom, left:right])
    alpha = alpha_matte(photo, mask, radius)
    opacity = np.rint(alpha * 255).astype(np.uint8)
    window = _window(opacity > 0, 0)
    colors = without_fringe(photo, alpha, radius) * (opacity > 0)[..., None]
    return np.ascontiguousarray(np.dstack([colors, opacity])[window])


def _radius(rgb: NDArray[np.uint8]) -> int:
    return max(round(float(max(rgb.shape[:2])) * _BAND), 2)


def _window(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the box of a mask, with a margin, as slices."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = max(int(rows[0]) - margin, 0), max(int(columns[0]) - margin, 0)
    return slice(top, int(rows[-1]) + 1 + margin), slice(left, int(columns[-1]) + 1 + margin)


def _mean(values: NDArray[Any], side: int) -> FloatArray:
    filtered = cv2.boxFilter(values, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(filtered, np.float32)


def _guided(soft: FloatArray, guide: FloatArray, radius: int) -> FloatArray:
    """Return the guided filter of ``soft``, guided by (h, w, 3) colors in 0 to 1.

    The coefficients are computed on a smaller copy (fast guided filter: He and Sun, arXiv 1505.00996).
    """
    step = max(radius // _WORKING_RADIUS, 1)
    small = (-(-soft.shape[1] // step), -(-soft.shape[0] // step))
    slope, offset = _coefficients(
        _resized(soft, small), _resized(guide, small), 2 * max(round(radius / step), 1) + 1
    )
    full = (soft.shape[1], soft.shape[0])
    return np.asarray((_resized(slope, full) * guide).sum(axis=-1) + _resized(offset, full), np.float32)


def _coefficients(soft: FloatArray, guide: FloatArray, side: int) -> tuple[FloatArray, FloatArray]:
    """Return slope (h, w, 3) and offset (h, w) of the opacity as a function of the color, per pixel."""
    mean_guide, mean_soft = _mean(guide, side), _mean(soft, side)
    products = guide[..., :, None] * guide[..., None, :]
    size_hw = soft.shape
    covariance = _mean(products.reshape(*size_hw, 9), side).reshape(*size_hw, 3, 3)
    covariance -= mean_guide[..., :, None] * mean_guide[..., None, :]
    covariance += np.eye(3, dtype=np.float32) * np.float32(_NOISE**2)
    cross = _mean(guide * soft[..., None], side) - mean_guide * mean_soft[..., None]
    slope = np.linalg.solve(covariance, cross[..., None])[..., 0].astype(np.float32)
    offset = mean_soft - (slope * mean_guide).sum(axis=-1)
    return _mean(slope, side), _mean(offset, side)


def _resized(values: FloatArray, size_wh: tuple[int, int]) -> FloatArray:
    if (values.shape[1], values.shape[0]) == size_wh:
        return values
    way = cv2.INTER_AREA if size_wh[0] < values.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size_wh, interpolation=way), np.float32)
