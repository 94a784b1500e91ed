"""How the masks of an image nest: a containment tree, and with it whole, part and subpart.

Masks are compared on a lattice of pixels that is about as fine as the network's grid, so nothing is decoded
at image size. Shares and IoUs are exact for images of up to 192 pixels, estimates for larger ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import read_only
from fastsam.errors import InputError, PromptError, not_one_of
from fastsam.masks.maskset import MaskSet

__all__ = [
    "LEVELS",
    "SAME_IOU",
    "Level",
    "Levels",
    "Overlaps",
    "check_level",
    "containment_tree",
    "overlaps",
    "samples_of",
]

Level = Literal["whole", "part", "subpart"]
LEVELS: tuple[Level, ...] = get_args(Level)
SAME_IOU = 0.8
"""Masks that overlap more than this show the same thing."""

_SAMPLES = 192  # along the longer side of the image; the network's grid has 160 to 256
_FEW_SAMPLES = 16  # a mask with fewer is looked at pixel by pixel,
_PIXELS = 64  # a sample of this many is enough

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Levels:
    """The containment tree of N masks.

    Masks of the same thing (IoU above 0.8) are one node: they have the same parent, and children belong to
    the best scored of them.

    Attributes:
        parent: (N,) int64, the row of the smallest mask that a mask lies in; -1 for a root.
        depth: (N,) int64, how many masks a mask lies in, one in the other; 0 for a root.
        twin: (N,) int64, the best scored mask of the same thing; its own row for that one itself.

    >>> square = np.zeros((3, 8, 8), bool)
    >>> square[0, :6, :6] = square[1, :3, :3] = square[2, 7:, 7:] = True
    >>> tree = containment_tree(MaskSet.from_dense(square))
    >>> tree.parent.tolist(), tree.names
    ([-1, 0, -1], ('whole', 'part', 'whole'))
    """

    parent: IntArray
    depth: IntArray
    twin: IntArray

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for name in ("parent", "depth", "twin"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.parent)

    @property
    def names(self) -> tuple[Level, ...]:
        """N names: a root is a whole, its children are parts, what lies in those is a subpart.

        SAM names the three answers to a click; here a mask has the level that it has in the whole image.
        """
        return tuple(LEVELS[min(int(depth), 2)] for depth in self.depth)

    def at(self, level: str) -> IntArray:
        """Return the rows of a level.

        Raises:
            PromptError: it is none of ``"whole"``, ``"part"``, ``"subpart"``.
        """
        wanted = check_level(level)
        return np.array([i for i, name in enumerate(self.names) if name == wanted], np.int64)

    @property
    def roots(self) -> IntArray:
        """The rows of the masks that lie in no other."""
        return np.flatnonzero(self.parent < 0)

    def children(self, i: int) -> IntArray:
        """Return the rows of the masks that lie directly in mask ``i``, or in one of the same thing."""
        return np.flatnonzero(self.parent == self.twin[i])

    def ancestors(self, i: int) -> list[int]:
        """Return the masks that mask ``i`` lies in, the smallest first."""
        rows = []
        while (i := int(self.parent[i])) >= 0:
            rows.append(i)
        return rows


def check_level(level: str) -> Level:
    """Return a level, checked.

    Raises:
        PromptError: there is no such level.
    """
    for known in LEVELS:
        if level == known:
            return known
    raise PromptError(not_one_of(level, LEVELS, "level"))


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How much the masks of a set overlap each other.

    Attributes:
        shares: (N, N) float32, the share of mask i that lies in mask j; 0 for an empty mask i.
        areas_px: (N,) float64, about how many pixels each mask has.
    """

    shares: FloatArray
    areas_px: NDArray[np.float64]

    def ious(self) -> FloatArray:
        """Return (N, N) IoUs; 0 where both masks are empty."""
        # The smaller of two masks has the finer samples.
        areas = self.areas_px[:, None]
        smaller = np.where(areas <= areas.T, self.shares * areas, (self.shares * areas).T)
        union = areas + areas.T - smaller
        return np.asarray(np.divide(smaller, union, out=np.zeros_like(smaller), where=union > 0), np.float32)


def samples_of(masks: MaskSet) -> NDArray[np.bool_]:
    """Return (N, rows, columns): the masks on a lattice of 192 pixels at most along the longer side.

    Equal image sizes give the same pixels.
    """
    return masks.store.lattice(masks.size_hw, _step(masks.size_hw))


def _step(size_hw: tuple[int, int]) -> int:
    return max(1, -(-max(size_hw) // _SAMPLES))


def overlaps(masks: MaskSet) -> Overlaps:
    """Return how much the masks of a set overlap each other, at the cost of a fraction of decoding them."""
    step, samples = _step(masks.size_hw), samples_of(masks)
    counts = np.count_nonzero(samples, axis=(1, 2))
    shares = _shares(samples, counts)
    areas = counts * float(step * step)
    if step > 1:
        _look_closer(masks, np.flatnonzero(counts < _FEW_SAMPLES), shares, areas)
    return Overlaps(shares, areas)


def _look_closer(masks: MaskSet, few: IntArray, shares: FloatArray, areas: NDArray[np.float64]) -> None:
    """Fill in rows of ``shares`` and ``areas`` from the pixels of masks that have few samples."""
    pixels, owners = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)]
    for i in few:
        x0, y0, patch = masks.crop(int(i))
        y, x = np.nonzero(patch)
        areas[i] = len(x)
        pick = np.linspace(0, len(x) - 1, min(len(x), _PIXELS)).astype(np.int64)
        pixels.append(np.stack([x[pick] + x0, y[pick] + y0], axis=1))
        owners.append(np.full(len(pick), i))
    owner = np.concatenate(owners)
    inside = masks.store.hits(np.concatenate(pixels))
    for i in few:
        if areas[i]:
            shares[i] = inside[:, owner == i].mean(axis=1)


def _shares(samples: NDArray[np.bool_], counts: IntArray) -> FloatArray:
    """Return the (N, N) share of the samples of mask i that lie in mask j."""
    shared = np.zeros((len(samples), len(samples)), np.int64)
    packed = np.packbits(samples, axis=2)
    filled_rows, filled_columns = (np.asarray(packed.any(axis=axis)) for axis in (2, 1))
    order = np.argsort(counts, kind="stable")
    for place, i in enumerate(order):
        rows, columns = np.flatnonzero(filled_rows[i]), np.flatnonzero(filled_columns[i])
        if len(rows) == 0:
            continue
        # Of two masks, the one with fewer samples says where to look.
        y, x = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        others = order[place:]
        others = others[filled_rows[others, y].any(axis=1) & filled_columns[others, x].any(axis=1)]
        both = packed[others, y, x] & packed[i, y, x]
        shared[i, others] = shared[others, i] = np.bitwise_count(both).sum(axis=(1, 2), dtype=np.int64)
    return np.asarray(shared / np.maximum(counts, 1)[:, None], np.float32)


def containment_tree(masks: MaskSet, threshold: float = 0.8) -> Levels:
    """Return how the masks of an image nest.

    Args:
        masks: of one image.
        threshold: a mask lies in a larger one that holds at least this share of it.

    Raises:
        InputError: ``threshold`` is not above 0.5, 1 at most.
    """
    if not 0.5 < threshold <= 1:
        raise InputError(f"threshold: expected a share above 0.5, 1 at most, got {threshold!r}")
    overlap = overlaps(masks)
    twin = _twins(masks, overlap)
    parent = np.full(len(masks), -1, np.int64)
    nodes = np.flatnonzero(twin == np.arange(len(masks)))
    nodes = nodes[np.lexsort((nodes, overlap.areas_px[nodes]))]  # the smallest first
    for place, i in enumerate(nodes):
        larger = nodes[place + 1 :]
        holders = larger[
            (overlap.shares[i, larger] >= threshold) & (overlap.areas_px[larger] > overlap.areas_px[i])
        ]
        if len(holders):
            parent[i] = holders[0]
    depth = np.zeros(len(masks), np.int64)
    for i in nodes[::-1]:  # parents are larger
        depth[i] = 0 if parent[i] < 0 else depth[parent[i]] + 1
    return Levels(parent[twin], depth[twin], twin)


def _twins(masks: MaskSet, found: Overlaps) -> IntArray:
    """Return for each mask the best scored one of the same thing."""
    ious = found.ious()
    order = np.lexsort((np.arange(len(masks)), found.areas_px, -masks.scores))
    twin = np.arange(len(masks), dtype=np.int64)
    first: list[int] = []
    for i in order:
        same = np.flatnonzero(ious[i, first] > SAME_IOU)
        if len(same):
            twin[i] = first[same[0]]
        else:
            first.append(int(i))
    return twin
