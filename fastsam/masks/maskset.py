"""The three nouns that flow: Frame -> MaskSet -> Selection. Validated once, read-only, indexable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import frozen_array, read_only, row_index, unit_rows
from fastsam.errors import RecordError
from fastsam.masks.coordinates import check_points
from fastsam.masks.crop import Crop, edge_distance
from fastsam.masks.pyramid import Pyramid, coarser, coverage, pool
from fastsam.masks.region import Region
from fastsam.masks.rle import Rle, encode_crop
from fastsam.masks.stores.crops import CropStore
from fastsam.masks.stores.grid import GridStore
from fastsam.masks.stores.store import MaskStore

__all__ = ["MaskSet"]

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
_DEPTH_SAMPLES = 96  # samples along the longer side of a mask, when only depth is asked for
_BOUNDS_AT_ONCE = 8  # masks whose grid bounds are taken before asking whether the rest can still win


@dataclass(frozen=True, eq=False, repr=False)
class MaskSet:
    """N masks of one image; pixels are decoded when somebody asks for them.

    Attributes:
        size_hw: image size.
        boxes_xyxy: (N, 4) float32, image frame. The network's boxes, or the tight boxes of masks
            that came from elsewhere.
        scores: (N,) float32 in 0..1, the confidence of each mask.
        store: where the pixels live.
        pyramid: the network's feature maps of the image, where the masks come from a network; shared by
            all its masks.
        class_ids: (N,) int64, what the network takes each mask for; -1 where it does not say.
        names: of the classes, by id; empty where there are none.

    Index it as an array: ``masks[masks.scores > 0.5]``, ``masks[3]``, ``masks[[2, 0]]``; each is a set, of
    one mask or more. Iterating yields the pixels of each, ``masks.mask(i)``. :meth:`numpy` and
    ``np.asarray(masks)`` are the (N, H, W) boolean stack.

    >>> square = np.zeros((1, 4, 4), bool); square[0, 1:3, 1:3] = True
    >>> masks = MaskSet.from_dense(square)
    >>> len(masks), masks.areas_px.tolist(), masks.boxes_xyxy.tolist()
    (1, [4], [[1.0, 1.0, 3.0, 3.0]])
    """

    size_hw: tuple[int, int]
    boxes_xyxy: FloatArray
    scores: FloatArray
    store: MaskStore
    pyramid: Pyramid | None = None
    class_ids: IntArray | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parallel arrays fit together."""
        count = len(self.store)
        for name, wanted in (("boxes_xyxy", (count, 4)), ("scores", (count,))):
            array = frozen_array(getattr(self, name), np.float32, wanted, name)
            if not np.isfinite(array).all():
                raise RecordError(f"{name}: expected finite numbers, got NaN or infinity")
            object.__setattr__(self, name, array)
        if self.class_ids is not None:
            ids = frozen_array(self.class_ids, np.int64, (count,), "class_ids")
            if count and not (ids.min() >= -1 and ids.max() < len(self.names)):
                raise RecordError(f"class_ids: expected -1 to {len(self.names) - 1}, the ids of the names")
            object.__setattr__(self, "class_ids", ids)
        object.__setattr__(self, "size_hw", (int(self.size_hw[0]), int(self.size_hw[1])))

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What the network takes each mask for, empty where it does not say; None without classes."""
        if self.class_ids is None:
            return None
        return tuple(self.names[i] if i >= 0 else "" for i in self.class_ids.tolist())

    @classmethod
    def none(cls, size_hw: tuple[int, int]) -> MaskSet:
        """Return the empty set of an image size."""
        return cls.from_crops([], size_hw)

    @classmethod
    def from_grid(
        cls,
        store: GridStore,
        scores: FloatArray,
        pyramid: Pyramid | None = None,
        class_ids: IntArray | None = None,
        names: tuple[str, ...] = (),
    ) -> MaskSet:
        """Return masks that stay on the prototype grid."""
        size_hw = store.grid.letterbox.image_hw
        return cls(size_hw, store.boxes_xyxy, scores, store, pyramid, class_ids, names)

    @classmethod
    def from_crops(cls, crops: Sequence[Crop], size_hw: tuple[int, int], scores: Any = None) -> MaskSet:
        """Return masks given as crops; ``scores`` defaults to ones.

        Raises:
            RecordError: a crop's pixels leave the image, or there is not one score for each.
        """
        store = CropStore.from_crops(crops, size_hw)
        values = np.ones(len(crops), np.float32) if scores is None else scores
        return cls(size_hw, store.windows.astype(np.float32), values, store)

    @classmethod
    def from_dense(cls, masks: Any, scores: Any = None) -> MaskSet:
        """Return masks given as an (N, H, W) boolean array, from any segmenter.

        Numbers will do where they are 0 and 1, or 0 and 255.

        Raises:
            RecordError: the array is not three-dimensional, or holds other values, such as logits.
        """
        try:
            stack = np.asarray(masks)
        except ValueError as error:
            raise RecordError(
                "masks: expected a boolean array (N, H, W), got masks of several shapes"
            ) from error
        if stack.ndim != 3:
            raise RecordError(f"masks: expected a boolean array (N, H, W), got shape {stack.shape}")
        if stack.dtype != bool and not all(np.isin(mask, (0, 1, 255)).all() for mask in stack):
            raise RecordError(
                f"masks: expected booleans (or 0 and 1, or 0 and 255), got other {stack.dtype} values; "
                "cut logits and probabilities at a threshold first, such as logits > 0"
            )
        crops = [Crop(0, 0, mask.astype(bool)) for mask in stack]
        return cls.from_crops(crops, (stack.shape[1], stack.shape[2]), scores)

    @classmethod
    def concatenate(cls, sets: Sequence[MaskSet], size_hw: tuple[int, int]) -> MaskSet:
        """Return the masks of several sets of one image, in order.

        Raises:
            RecordError: the sets are of different image sizes.
        """
        for masks in sets:
            if masks.size_hw != tuple(size_hw):
                raise RecordError(f"masks of a {masks.size_hw} image cannot join those of a {size_hw} one")
        filled = [masks for masks in sets if len(masks)]
        if len(filled) == 1:
            return filled[0]
        crops = [masks.crop(i) for masks in filled for i in range(len(masks))]
        joined = cls.from_crops(crops, size_hw)
        if not filled:
            return joined
        boxes = np.concatenate([masks.boxes_xyxy for masks in filled])
        joined = replace(joined, boxes_xyxy=boxes, scores=np.concatenate([masks.scores for masks in filled]))
        named = [masks.class_ids for masks in filled if masks.class_ids is not None]
        if len(named) < len(filled) or len({masks.names for masks in filled}) > 1:
            return joined  # classes of one network say nothing about masks of another
        return replace(joined, class_ids=np.concatenate(named), names=filled[0].names)

    def __repr__(self) -> str:
        """Return count and size, not the pixels."""
        many = "s" * (len(self) != 1)
        return f"{type(self).__name__}({len(self)} mask{many}, {self.size_hw[1]}x{self.size_hw[0]})"

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.store)

    def __getitem__(self, key: Any) -> MaskSet:
        """Return the chosen masks as a new set; an int gives a set of one."""
        index = row_index(key, len(self))
        store = self.store.take(index)
        ids = None if self.class_ids is None else self.class_ids[index]
        chosen = MaskSet(
            self.size_hw, self.boxes_xyxy[index], self.scores[index], store, self.pyramid, ids, self.names
        )
        if "areas_px" in self.__dict__:  # known areas travel along
            chosen.__dict__["areas_px"] = read_only(self.areas_px[index])
        return chosen

    def __iter__(self) -> Iterator[BoolArray]:
        """Yield each mask as an (H, W) boolean array, one at a time."""
        return (self.mask(i) for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the (N, H, W) stack; for many masks of a large image this is large."""
        stack = np.zeros((len(self), *self.size_hw), bool)
        for i in range(len(self)):
            self.crop(i).paste(stack[i])
        return stack if dtype is None else stack.astype(dtype)

    def numpy(self) -> BoolArray:
        """Return the (N, H, W) boolean stack, as ``np.asarray(masks)``."""
        return np.asarray(self)

    def crop(self, i: int) -> Crop:
        """Return the pixels of mask ``i`` inside its box."""
        return self.store.crop(i)

    def mask(self, i: int) -> BoolArray:
        """Return mask ``i`` as an (H, W) boolean array."""
        full = np.zeros(self.size_hw, bool)
        crop = self.crop(i)
        crop.cut(full)[:] = crop.patch
        return full

    def decoded(self) -> MaskSet:
        """Return the same masks with their pixels decoded now, packed to bits inside tight boxes.

        Boxes, scores and feature maps stay; what the masks were decoded from is let go, logits among it
        (their stability is 1 then).
        """
        return replace(self, store=CropStore.of(self.store, self.size_hw))

    def union(self) -> BoolArray:
        """Return the (H, W) pixels that any of the masks holds.

        >>> bool(MaskSet.none((2, 3)).union().any())
        False
        """
        joined = np.zeros(self.size_hw, bool)
        for i in range(len(self)):
            self.crop(i).paste(joined)
        return joined

    def front_to_back(self) -> IntArray:
        """Return the rows in the order in which masks hide each other: the smallest first.

        Of equally large masks the better scored is in front.
        """
        return np.lexsort((np.arange(len(self)), -self.scores, self.areas_px))

    def label_map(self) -> NDArray[np.int32]:
        """Return (H, W) int32: the row of the mask that holds a pixel, plus 1; 0 where none does.

        Where masks overlap the smaller one is in front, of equally large ones the better scored.

        >>> nested = np.zeros((2, 1, 4), bool); nested[0, 0, :3] = nested[1, 0, 0] = True
        >>> MaskSet.from_dense(nested).label_map().tolist()
        [[2, 1, 1, 0]]
        """
        labels = np.zeros(self.size_hw, np.int32)
        for i in self.front_to_back()[::-1]:
            self.crop(int(i)).paste(labels, i + 1)
        return labels

    def rle(self, i: int) -> Rle:
        """Return mask ``i`` as COCO's compressed RLE; the work grows with the mask, not with the image."""
        x0, y0, patch = self.crop(i)
        return encode_crop(patch, x0, y0, self.size_hw)

    @cached_property
    def areas_px(self) -> IntArray:
        """(N,) int64 exact areas; decodes every mask once."""
        counted = [np.count_nonzero(self.crop(i).patch) for i in range(len(self))]
        return np.asarray(read_only(np.array(counted, np.int64)))

    def tight_boxes(self) -> FloatArray:
        """Return the (N, 4) tight boxes of the pixels; zeros for a mask without any."""
        boxes = np.zeros((len(self), 4), np.float32)
        for i in range(len(self)):
            tight = self.crop(i).tight()
            if tight.patch.size:
                boxes[i] = tight.box
        return boxes

    def stability_scores(self, offset: float = 1.0) -> FloatArray:
        """Return (N,) in 0..1 how little each mask depends on where its logits are cut.

        SAM's stability score: the IoU of the mask at the thresholds ``+offset`` and ``-offset``. 1 for
        masks that never had logits (cut, joined, or from elsewhere), 0 for masks without a pixel.

        Raises:
            RecordError: ``offset`` is not above 0.
        """
        if not offset > 0:
            raise RecordError(f"stability offset: expected a number above 0, got {offset!r}")
        return np.array([self.store.stability(i, offset) for i in range(len(self))], np.float32)

    def embeddings(self, stage: Literal["neck", "backbone"] = "neck") -> FloatArray:
        """Return (N, C) unit vectors: what the network saw under each mask, level by level.

        The feature maps are averaged over the mask, each level is made a unit vector, and they are put side
        by side, so that the dot product of two masks, of one image or of two, is the mean cosine of their
        levels. Rows of masks that cover nothing are zeros.

        Args:
            stage: ``"neck"``, what the head sees, tells an object from those around it, in the next frame
                too; ``"backbone"`` tells what kind of thing it is, in other images too.

        Raises:
            RecordError: the masks carry no feature maps: they did not come from a network.
        """
        if self.pyramid is None:
            raise RecordError(
                "embeddings: expected masks with feature maps, these have none; "
                "take them from FastSAM().open(image).masks"
            )
        parts: list[FloatArray] = []
        maps = self.pyramid.backbone if stage == "backbone" else self.pyramid.maps
        if not maps:
            return np.zeros((len(self), 0), np.float32)
        first_hw = maps[0].shape[1:]
        finest = coverage(self.store, self.pyramid.letterbox, (first_hw[0], first_hw[1]))
        for values in maps:
            shares = [coarser(cells, (values.shape[1], values.shape[2])) for cells in finest]
            vectors = pool(values, np.array(shares, np.float32).reshape(len(self), *values.shape[1:]))
            parts.append(unit_rows(vectors) / np.sqrt(np.float32(len(maps))))
        return np.concatenate(parts, axis=1)

    def hits(self, points_xy: NDArray[np.float64]) -> BoolArray:
        """Return (N, P): whether each mask holds the pixel under each (x, y) point.

        Raises:
            PromptError: a point is outside the image.
        """
        return self.store.hits(np.floor(check_points(points_xy, self.size_hw)).astype(np.int64))

    def depths(self, point_xy: NDArray[np.float64], index: IntArray) -> FloatArray:
        """Return (K,) how deep the pixel under a point lies in each of the masks ``index``.

        1 at the point that is farthest from the mask's edge, towards 0 at the edge, 0 outside. Large
        masks are sampled: the value is good to about 2 %.
        """
        x, y = (int(value) for value in np.floor(point_xy))
        inside = self.store.hits(np.array([[x, y]]))[:, 0]
        depths = np.zeros(len(index), np.float32)
        for k, i in enumerate(index):
            if not inside[i]:
                continue
            x1, y1, x2, y2 = self.boxes_xyxy[i]
            step = max(1, int(max(x2 - x1, y2 - y1)) // _DEPTH_SAMPLES)
            left, top, patch = self.store.crop(int(i), step)
            edge = edge_distance(np.pad(patch, 1))
            here = edge[(y - top) // step + 1, (x - left) // step + 1]
            depths[k] = max(here, 0.5) / max(edge.max(), 1.0)  # a sample beside the pixel may miss the mask
        return np.minimum(depths, 1)

    def ious(self, region: Region, threshold: float | None = None) -> FloatArray:
        """Return (N,) the IoU of each mask with a region.

        Decodes only where cheaper bounds cannot tell: the value is exact for the best mask and for
        every mask that could have been it, and with a ``threshold`` for every mask that reaches it.
        Elsewhere it is an estimate: at most the best value, and below the threshold.
        """
        if len(self) == 0 or region.area_px == 0:
            return np.zeros(len(self), np.float32)
        low, high = np.zeros(len(self)), self._box_bound(region)
        order = np.argsort(-high, kind="stable")
        for start in range(0, len(order), _BOUNDS_AT_ONCE):
            rows = order[start : start + _BOUNDS_AT_ONCE]
            settled = high[rows] < low.max()
            if threshold is not None:
                settled &= high[rows] < threshold
            rows = rows[~settled & (high[rows] > 0)]
            if rows.size == 0:
                break
            bounds = self.store.bounds(region, rows)
            low[rows] = _iou(bounds.shared_low, bounds.area_high + region.area_px - bounds.shared_low)
            tighter = _iou(bounds.shared_high, bounds.area_low + region.area_px - bounds.shared_high)
            high[rows] = np.minimum(high[rows], tighter)
        undecided = high >= low.max()
        if threshold is not None:
            undecided |= high >= threshold
        for i in np.flatnonzero(undecided & (low < high)):
            low[i] = high[i] = self._exact_iou(int(i), region)
        return np.asarray(np.minimum((low + high) / 2, low.max()), np.float32)

    def _box_bound(self, region: Region) -> NDArray[np.float64]:
        """Return (N,) what the IoU cannot exceed, from the boxes alone: a mask stays in its box."""
        x0, y0, x1, y1 = self.boxes_xyxy.astype(np.float64).T
        width = np.minimum(np.ceil(x1), region.x1) - np.maximum(np.floor(x0), region.x0)
        height = np.minimum(np.ceil(y1), region.y1) - np.maximum(np.floor(y0), region.y0)
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        return np.asarray(np.minimum(shared / region.area_px, 1.0))

    def _exact_iou(self, i: int, region: Region) -> float:
        crop = self.crop(i)
        shared = region.shared_px(*crop)
        union = int(np.count_nonzero(crop.patch)) + region.area_px - shared
        return shared / union if union else 0.0


def _iou(shared: IntArray, union: IntArray) -> NDArray[np.float64]:
    """Return shared / union, 0 where the union is empty."""
    return np.divide(shared, union, out=np.zeros(len(shared)), where=union > 0)
