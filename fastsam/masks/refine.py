"""MaskSet -> MaskSet: duplicates, masks inside others, one mask a pixel, edges that follow the photo, holes.

What each step is worth is measured (docs/evaluation.md); a checkpoint's defaults turn on what helps it.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import InputError
from fastsam.masks.crop import Crop, lookup
from fastsam.masks.dense import clean
from fastsam.masks.levels import overlaps
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.rle import rle_iou_matrix
from fastsam.masks.stores.store import Bounds, MaskStore, exact_bounds

__all__ = [
    "RefinedMasks",
    "RefinedStore",
    "containment_nms",
    "drop_duplicates",
    "fill_and_drop",
    "follow_edges",
    "grid_cell_px",
    "partition",
    "refine",
]

FloatArray = NDArray[np.float32]

_GUIDE_NOISE = 0.01  # std, of a 0..1 image, below which colour changes are noise (He et al.'s epsilon)
_LEAST_REST = 0.1  # of a mask, for it to stay in a partition
_PIXELS_AT_ONCE = 1 << 23  # limits the five float copies of a mask's window
_MEMORY_BYTES = 32 << 20  # of refined masks of one image: 268 million pixels
_WORKING_RADIUS = 4  # pixels; filters of a larger radius run on a smaller copy


def refine(
    masks: MaskSet, rgb: NDArray[np.uint8], config: SegmentConfig, cell_px: float | FloatArray | None = None
) -> MaskSet:
    """Return the same masks with the edges and regions that ``config`` asks for; decoded when asked for.

    Rows, boxes and scores stay: a refined mask never leaves the box of the mask it came from.

    Args:
        masks: of the photo.
        rgb: the photo, (H, W, 3).
        config: what to do; with everything turned off, ``masks`` is returned unchanged.
        cell_px: side of a cell of the grid that the masks came from, image pixels, one for all or (N,); by
            default that of their own (:func:`grid_cell_px`).

    Raises:
        InputError: masks and photo are of different sizes.
    """
    if masks.size_hw != rgb.shape[:2]:
        raise InputError(f"refine: expected masks of the photo's size {rgb.shape[:2]}, got {masks.size_hw}")
    if len(masks) == 0 or (config.edge_radius == 0 and config.min_region_share == 0):
        return masks
    radii = np.zeros(len(masks), np.int64)
    if config.edge_radius > 0:
        cells = np.broadcast_to(grid_cell_px(masks) if cell_px is None else cell_px, len(masks))
        radii = np.maximum(np.rint(config.edge_radius * cells.astype(np.float64)), 1).astype(np.int64)
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return replace(masks, store=RefinedStore(masks.store, grey, radii, config.min_region_share))


def grid_cell_px(masks: MaskSet) -> FloatArray:
    """Return (N,) the side of a cell of each mask's grid, image pixels; 1 for masks that have no grid."""
    return masks.store.cells_px


class RefinedMasks:
    """Refined masks of one image, packed to bits: each is refined once, however often it is looked at.

    Bounded: the masks that nobody has looked at for longest go first. May be shared by threads. Copies and
    pickles begin empty.
    """

    def __init__(self, limit_bytes: int = _MEMORY_BYTES) -> None:
        self._limit, self._bytes = limit_bytes, 0
        self._packed: OrderedDict[int, tuple[int, int, tuple[int, int], NDArray[np.uint8]]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[RefinedMasks], tuple[int]]:
        """Leave the masks out."""
        return RefinedMasks, (self._limit,)

    def get(self, number: int) -> Crop | None:
        """Return a mask; None if it is not known (any more)."""
        with self._lock:
            if number not in self._packed:
                return None
            self._packed.move_to_end(number)
            x0, y0, shape, bits = self._packed[number]
        patch = np.unpackbits(bits, count=shape[0] * shape[1]).view(bool).reshape(shape)
        return Crop(x0, y0, patch)

    def put(self, number: int, crop: Crop) -> None:
        """Remember a mask."""
        bits = np.packbits(crop.patch)
        with self._lock:
            before = self._packed.pop(number, None)
            self._bytes += bits.nbytes - (0 if before is None else before[3].nbytes)
            shape = (crop.patch.shape[0], crop.patch.shape[1])
            self._packed[number] = crop.x0, crop.y0, shape, bits
            while self._bytes > self._limit:
                self._bytes -= self._packed.popitem(last=False)[1][3].nbytes


@dataclass(frozen=True, eq=False)
class RefinedStore(MaskStore):
    """Masks of another store, refined one by one when their pixels are needed.

    Attributes:
        inner: where the masks come from.
        grey: (H, W) uint8, the photo's brightness.
        radii: (N,) int64 of :func:`follow_edges`, pixels; 0 leaves edges alone.
        min_region_share: of :func:`fill_and_drop`; 0 leaves holes and islands alone.
        numbers: (N,) int64, what the masks are called in ``memory``; by default their rows.
        memory: what was refined already.
    """

    inner: MaskStore
    grey: NDArray[np.uint8]
    radii: NDArray[np.int64]
    min_region_share: float
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    memory: RefinedMasks = field(default_factory=lambda: RefinedMasks())

    def __post_init__(self) -> None:
        """Number the masks, unless they were taken from others."""
        if len(self.numbers) != len(self.inner):
            object.__setattr__(self, "numbers", np.arange(len(self.inner)))

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.inner)

    def take(self, index: NDArray[np.int64]) -> RefinedStore:
        """Return the masks at ``index``; what is known of them is shared."""
        return replace(
            self, inner=self.inner.take(index), radii=self.radii[index], numbers=self.numbers[index]
        )

    @property
    def cells_px(self) -> FloatArray:
        """(N,) of the unrefined masks."""
        return self.inner.cells_px

    def crop(self, i: int, step: int = 1) -> Crop:
        """Return mask ``i``, which is decoded and refined when it is first asked for."""
        number = int(self.numbers[i])
        crop = self.memory.get(number)
        if crop is None:
            crop = self._refined(i)
            self.memory.put(number, crop)
        return Crop(crop.x0, crop.y0, crop.patch[::step, ::step])

    def _refined(self, i: int) -> Crop:
        x0, y0, patch = self.inner.crop(i)
        if self.radii[i] and patch.any():
            patch = follow_edges(Crop(x0, y0, patch), self.grey, int(self.radii[i]))
        if self.min_region_share and patch.any():
            patch = fill_and_drop(patch, self.min_region_share)
        return Crop(x0, y0, patch)

    def hits(self, pixels_xy: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Look up each pixel in each mask."""
        inside = [lookup(self.crop(i), pixels_xy) for i in range(len(self))]
        return np.stack(inside) if inside else np.zeros((0, len(pixels_xy)), bool)

    def bounds(self, region: Region, index: NDArray[np.int64]) -> Bounds:
        """Return exact counts: nothing cheaper knows the refined pixels."""
        return exact_bounds([self.crop(int(i)) for i in index], region)

    def stability(self, i: int, offset: float) -> float:
        """Return what the unrefined mask's logits say."""
        return self.inner.stability(i, offset)


def drop_duplicates(masks: MaskSet, iou_threshold: float) -> MaskSet:
    """Return the masks without those whose IoU with a better one is above the threshold.

    Unlike NMS on boxes it keeps a part that fills its whole's box, and sees that two masks are the same
    though their boxes differ.
    """
    order = np.argsort(-masks.scores, kind="stable")
    rles = [masks.rle(int(i)) for i in order]
    low, high = masks.boxes_xyxy[order, :2], masks.boxes_xyxy[order, 2:]
    kept: list[int] = []
    for k in range(len(order)):
        # Masks whose boxes are apart share nothing; a box may end one pixel beside its mask.
        near = (low[kept] <= high[k] + 1).all(axis=1) & (high[kept] + 1 >= low[k]).all(axis=1)
        others = [rles[row] for row, close in zip(kept, near, strict=True) if close]
        if not others or rle_iou_matrix([rles[k]], others).max() <= iou_threshold:
            kept.append(k)
    return masks[np.sort(order[kept])]


def containment_nms(masks: MaskSet, threshold: float) -> MaskSet:
    """Return the masks without those of which more than ``threshold`` lies in a better one.

    What is better than the whole that it lies in stays, and so does the whole. Shares are those of
    :func:`fastsam.masks.levels.overlaps`; at 1 every mask stays.
    """
    if threshold >= 1:
        return masks
    shares = overlaps(masks).shares
    kept: list[int] = []
    for i in np.argsort(-masks.scores, kind="stable"):
        if not kept or shares[i, kept].max() <= threshold:
            kept.append(int(i))
    return masks[np.sort(kept)]


def partition(masks: MaskSet) -> tuple[MaskSet, NDArray[np.int64], NDArray[np.bool_]]:
    """Return the masks cut so that none overlap, each one's row among ``masks``, and which were cut.

    The smaller mask is in front, so that a part stays and its whole becomes the rest of it
    (:meth:`MaskSet.front_to_back`). A mask of which less than a tenth would be left, seams between its
    parts, is left out: that rest goes to the mask behind it.
    """
    decoded = masks.decoded()
    free = np.ones(masks.size_hw, bool)
    rests: dict[int, Crop] = {}
    for i in decoded.front_to_back():
        crop = decoded.crop(int(i))
        rest = crop.patch & crop.cut(free)
        if rest.any() and np.count_nonzero(rest) >= _LEAST_REST * decoded.areas_px[i]:
            rests[int(i)] = Crop(crop.x0, crop.y0, rest)
            crop.paste(free, False)
    rows = np.array(sorted(rests), np.int64)
    crops = [rests[i] for i in sorted(rests)]
    cut = np.array([np.count_nonzero(crop.patch) for crop in crops], np.int64) < decoded.areas_px[rows]
    return MaskSet.from_crops(crops, masks.size_hw, masks.scores[rows]), rows, cut


def follow_edges(crop: Crop, grey: NDArray[np.uint8], radius: int) -> NDArray[np.bool_]:
    """Return a mask's patch with its edges moved onto those of the photo, by about ``radius`` pixels at most.

    Guided filter of the mask, guided by the photo's brightness (He, Sun and Tang, ECCV 2010): within a
    window the mask becomes a linear function of the brightness, where that varies. For a large radius its
    coefficients are found on a smaller copy (He and Sun, arXiv 1505.00996). A mask of which nothing would
    be left stays as it is.

    Args:
        crop: the mask; what it does not cover is outside the mask.
        grey: (H, W) uint8, the whole photo's brightness.
        radius: pixels, at least 1.
    """
    patch = crop.patch
    moved = np.zeros_like(patch)
    # A mask of a huge image goes in bands, each with all that its pixels depend on above and below it.
    rows = max(_PIXELS_AT_ONCE // max(patch.shape[1], 1), 8 * radius)
    for start in range(0, len(patch), rows):
        moved[start : start + rows] = _followed(crop, grey, radius, start, min(start + rows, len(patch)))
    return moved if moved.any() else patch


def _followed(crop: Crop, grey: NDArray[np.uint8], radius: int, start: int, stop: int) -> NDArray[np.bool_]:
    """Return the rows start..stop of a mask's patch, moved."""
    x0, y0, patch = crop
    margin = 2 * radius
    left, top = max(x0 - margin, 0), max(y0 + start - margin, 0)
    right = min(x0 + patch.shape[1] + margin, grey.shape[1])
    bottom = min(y0 + stop + margin, grey.shape[0])
    soft = np.zeros((bottom - top, right - left), np.float32)
    first, last = max(top - y0, 0), min(bottom - y0, len(patch))
    columns = slice(x0 - left, x0 - left + patch.shape[1])
    soft[y0 + first - top : y0 + last - top, columns] = patch[first:last]
    guide = grey[top:bottom, left:right].astype(np.float32) / np.float32(255)
    return _guided(soft, guide, radius)[y0 + start - top : y0 + stop - top, columns] > 0.5


def _guided(soft: FloatArray, guide: FloatArray, radius: int) -> FloatArray:
    """Return the guided filter of ``soft``."""
    step = max(1, radius // _WORKING_RADIUS)
    small_hw = (-(-soft.shape[0] // step), -(-soft.shape[1] // step))
    slope, offset = _coefficients(_resized(soft, small_hw), _resized(guide, small_hw), round(radius / step))
    return _resized(slope, soft.shape) * guide + _resized(offset, soft.shape)


def _coefficients(soft: FloatArray, guide: FloatArray, radius: int) -> tuple[FloatArray, FloatArray]:
    """Return slope and offset of the mask as a function of the guide, around each pixel."""
    mean_guide, mean_soft = _mean(guide, radius), _mean(soft, radius)
    variance = _mean(guide * guide, radius) - mean_guide * mean_guide
    covariance = _mean(guide * soft, radius) - mean_guide * mean_soft
    slope = covariance / (variance + np.float32(_GUIDE_NOISE**2))
    return _mean(slope, radius), _mean(mean_soft - slope * mean_guide, radius)


def _mean(values: NDArray[Any], radius: int) -> FloatArray:
    side = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.boxFilter(values, cv2.CV_32F, side, borderType=cv2.BORDER_REFLECT), np.float32)


def _resized(values: FloatArray, size_hw: tuple[int, ...]) -> FloatArray:
    if values.shape == size_hw:
        return values
    way = cv2.INTER_AREA if size_hw[0] < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (size_hw[1], size_hw[0]), interpolation=way), np.float32)


def fill_and_drop(patch: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Return a mask's patch without holes and islands of less than ``share`` of its pixels."""
    # One empty pixel around, so that a bay at the patch's edge is no hole.
    return clean(np.pad(patch, 1), math.ceil(share * np.count_nonzero(patch)))[1:-1, 1:-1]
