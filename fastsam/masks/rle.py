"""COCO run-length encoding of whole masks and of crops (pycocotools)."""

from __future__ import annotations

import operator
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastsam.errors import InputError
from fastsam.untrusted import at_most, short

__all__ = ["Rle", "decode_crop", "decode_rle", "encode_crop", "encode_rle", "rle_area_px", "rle_iou_matrix"]

BoolArray = NDArray[np.bool_]
_ADDED_UP = 10_000  # counts whose exact sum a message tells


class Rle(TypedDict):
    """COCO's compressed run-length encoding: ``size`` is ``[H, W]``, ``counts`` is ASCII."""

    size: list[int]
    counts: str


def encode_rle(mask: BoolArray) -> Rle:
    """Encode an (H, W) mask as COCO's compressed RLE (pycocotools).

    >>> decode_rle(encode_rle(np.eye(3, dtype=bool))).sum()
    np.int64(3)
    """
    raw = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in raw["size"]], "counts": raw["counts"].decode("ascii")}


def rle_area_px(rle: Any) -> int:
    """Return how many pixels COCO's compressed RLE has, without decoding it.

    >>> rle_area_px(encode_rle(np.eye(3, dtype=bool)))
    3
    """
    return int(coco_mask.area({"size": rle["size"], "counts": rle["counts"]}))


def encode_crop(patch: BoolArray, x0: int, y0: int, size_hw: tuple[int, int]) -> Rle:
    """Encode a mask given as a patch at (x0, y0) as COCO's RLE of the whole image.

    The work grows with the patch, not with the image.

    >>> decode_rle(encode_crop(np.ones((1, 2), bool), 3, 0, (2, 6))).sum(axis=0).tolist()
    [0, 0, 0, 1, 1, 0]
    """
    height, width = size_hw
    rows = patch.shape[0]
    columns = np.zeros((patch.shape[1], rows + 1), bool)  # a false one after each column ends its last run
    columns[:, :rows] = patch.T
    flat = columns.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1  # a run's start, its end, the next one's start, ...
    if flat.size and flat[0]:
        turns = np.concatenate([[0], turns])
    turns = turns // (rows + 1) * height + turns % (rows + 1) + (x0 * height + y0)
    joined = np.flatnonzero(turns[1:-1:2] == turns[2::2]) * 2 + 1
    if len(joined):  # a run that goes on at the top of the next column is one run
        turns = np.delete(turns, np.concatenate([joined, joined + 1]))
    counts = np.diff(turns, prepend=0, append=height * width).tolist()
    if counts[-1] == 0:
        counts.pop()
    raw = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": raw["counts"].decode("ascii")}


def decode_rle(rle: Any, size_hw: tuple[int, int] | None = None) -> BoolArray:
    """Decode COCO RLE, compressed or with a list of counts, to an (H, W) mask.

    Args:
        rle: a mapping with ``size`` and ``counts``.
        size_hw: what its size has to be; checked before anything is decoded.

    Raises:
        InputError: ``rle`` is not COCO RLE, its counts do not fill its size, it is of another size than
            wanted, or has more pixels than ``mask_pixels`` of :class:`fastsam.untrusted.Limits`.
    """
    height, width, counts = _checked_rle(rle, size_hw)
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((width, height)).T


def _checked_rle(rle: Any, size_hw: tuple[int, int] | None = None) -> tuple[int, int, NDArray[np.int64]]:
    """Return height, width and run lengths of an RLE, checked."""
    if not isinstance(rle, dict) or "size" not in rle or "counts" not in rle:
        raise InputError(
            "rle: expected a mapping with 'size' [H, W] and 'counts', "
            f"got {type(rle).__name__} {short(list(rle)) if isinstance(rle, dict) else ''}"
        )
    height, width = _rle_size(rle["size"])
    if size_hw is not None and (height, width) != tuple(size_hw):
        raise InputError(
            f"rle: expected the size of its image {tuple(size_hw)} (H, W), got {(height, width)}"
        )
    at_most(height * width, "mask_pixels", "pixels in an RLE")
    counts = _rle_counts(rle["counts"])
    # Each by itself first: a sum of huge counts wraps around, and would fit again.
    within = len(counts) == 0 or (int(counts.min()) >= 0 and int(counts.max()) <= height * width)
    if not within or len(counts) > 2 * height * width + 2 or int(counts.sum()) != height * width:
        total = sum(counts.tolist()) if len(counts) < _ADDED_UP else "something else"
        raise InputError(
            f"rle: counts add up to {total}, expected {height * width} for {height}x{width} (H x W), "
            "none negative"
        )
    return height, width, counts


def decode_crop(rle: Any, size_hw: tuple[int, int] | None = None) -> tuple[int, int, BoolArray]:
    """Decode COCO RLE to the left and top edge of the mask's tight box, and its pixels in there.

    The work grows with the mask's columns, not with the image. An empty mask gives (0, 0) and no pixels.

    Raises:
        InputError: as :func:`decode_rle`.

    >>> decode_crop({"size": [2, 6], "counts": [6, 1, 1, 1, 3]})[:2]
    (3, 0)
    """
    height, _, counts = _checked_rle(rle, size_hw)
    edges = counts.cumsum()
    starts, ends = edges[: len(edges) // 2 * 2 : 2], edges[1::2]  # of the runs of ones, down the columns
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return 0, 0, np.zeros((0, 0), bool)
    x0, x1 = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    flat = np.zeros((x1 - x0) * height + 1, np.int8)
    np.add.at(flat, starts - x0 * height, 1)
    np.add.at(flat, ends - x0 * height, -1)
    columns = flat[:-1].cumsum(dtype=np.int8).astype(bool).reshape(x1 - x0, height)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return x0, y0, np.ascontiguousarray(columns[:, y0:y1].T)


def _rle_size(size: Any) -> tuple[int, int]:
    """Return the (H, W) of an RLE, checked."""
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError) as error:
        raise InputError(f"rle: expected size [H, W] as two whole numbers, got {short(size)}") from error
    if height < 0 or width < 0:
        raise InputError(f"rle: expected size [H, W] of at least 0, got {short(size)}")
    return height, width


def _rle_counts(counts: Any) -> NDArray[np.int64]:
    """Return the run lengths of an RLE, listed or compressed (pycocotools would read damaged text as
    whatever the memory held).
    """
    if isinstance(counts, (list, tuple)):
        try:
            return np.array([operator.index(count) for count in counts], np.int64)
        except (TypeError, OverflowError) as error:
            raise InputError(f"rle: expected counts to be whole numbers, got {short(counts)}") from error
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else bytes(memoryview(counts))
    except (TypeError, UnicodeEncodeError) as error:
        raise InputError(f"rle: expected counts as text or a list, got {short(counts)}") from error
    # Base 32 digits from "0" on, lowest first; 32 marks that more follow, 16 in the last one a minus.
    digits = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    last = digits & 32 == 0
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]])) if len(digits) else np.zeros(0, np.int64)
    place = np.arange(len(digits)) - np.repeat(starts, np.diff(starts, append=len(digits)))
    bad = len(digits) and (digits.min() < 0 or digits.max() > 63 or not last[-1] or place.max() > 6)
    if bad:
        raise InputError(f"rle: counts are not COCO's compressed form, got {short(counts)}")
    if not len(digits):
        return np.zeros(0, np.int64)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    minus = digits[last] & 16 > 0
    values -= np.where(minus, np.int64(1) << (5 * (place[last] + 1)), 0)
    # From the fourth on, each is the difference to the one before the last.
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def rle_iou_matrix(a: list[Rle], b: list[Rle]) -> NDArray[np.float64]:
    """Return the (N, M) IoU of two lists of RLE masks (pycocotools).

    Raises:
        InputError: the masks have different image sizes.
    """
    sizes = {tuple(rle["size"]) for rle in (*a, *b)}
    if len(sizes) > 1:
        raise InputError(f"rle: expected masks of one image size, got {sorted(sizes)}")
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return np.asarray(coco_mask.iou(a, b, [0] * len(b)))
