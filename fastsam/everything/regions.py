"""Regions of the photo where no mask is: a hierarchy of regions between the photo's own edges.

A boundary map (where the photo changes, and where outlines of masks agree) becomes a tree of regions by
the mean strength of the boundaries between them (Arbelaez et al., PAMI 2011; higra, Perret et al., SoftwareX
2019). Of its nodes, those with the strongest boundary for what they consist of cover what masks leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.stores.grid import GridStore
from fastsam.needed import needed

__all__ = ["photo_on_grid", "region_cells", "region_scores", "with_regions"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
# Chosen on training images (docs/experiments.md).
_LEAST_CONF = 0.02  # of a mask whose outline votes
_MOST_VOTES = 100
_BOX_SIDE = 0.3  # weight of an outline on a side of its box: a cut more often than an edge
_NO_VOTES = 0.1  # what a boundary is worth that no mask votes for
_SURROUND = 0.014  # share of the diagonal over which contrast is relative: texture is no boundary
_NO_CONTRAST = 2.0  # CIELAB units a cell below which a colour change is hardly seen
_AREA_POWER = 0.25  # large nodes before small ones
_AREAS = (0.003, 0.9)  # of the image
_LEAST_NEW = 0.3  # of a node, where no mask is
_LEAST_ADDED = 0.002  # of the image
_DONE = 0.99  # of the image: what is missing is not worth the time of a tree
_SCORE = 0.1  # of the region that stands out most: below what a network has seen something in
_LOGIT = 4.0  # of a cell inside a region


def photo_on_grid(image: FloatArray, grid_hw: tuple[int, int]) -> FloatArray:
    """Return the (grid height, grid width, 3) photo, 0..1, of a (1, 3, H, W) network input."""
    planes = np.ascontiguousarray(image[0].transpose(1, 2, 0))
    return np.asarray(cv2.resize(planes, grid_hw[::-1], interpolation=cv2.INTER_AREA), np.float32)


def region_cells(
    store: GridStore, confidences: FloatArray, photo: FloatArray, limit: int
) -> tuple[BoolArray, FloatArray]:
    """Return regions that cover what masks leave.

    Args:
        store: N masks.
        confidences: (N,) falling.
        photo: (grid height, grid width, 3) in 0..1; see :func:`photo_on_grid`.
        limit: maximum number.

    Returns:
        (K, grid height, grid width) their cells, those that stand out most first; and (K,) how much they
        do, in 0..1.
    """
    x0, y0, x1, y1 = store.content_on_grid
    content = np.s_[y0:y1, x0:x1]
    cells = store.cells(np.arange(len(store)))
    covered = np.asarray(cells.any(axis=0))[content]
    empty = np.zeros((0, *store.grid.grid_hw), bool), np.zeros(0, np.float32)
    if limit <= 0 or min(covered.shape) < 2 or covered.mean() >= _DONE:
        return empty
    voting = np.flatnonzero(confidences > _LEAST_CONF)[:_MOST_VOTES]
    votes = _votes(cells[voting], store.windows_on_grid[voting], confidences[voting])[content]
    strength = _contrast(photo[content]) * (votes + _NO_VOTES)
    chosen, standing = [], []
    for mask, outstanding in _nodes(strength / (1 + strength), covered, limit):
        whole = np.zeros(store.grid.grid_hw, bool)
        whole[content] = mask
        chosen.append(whole)
        standing.append(outstanding)
    return (np.stack(chosen), np.array(standing, np.float32)) if chosen else empty


def _votes(cells: BoolArray, windows: NDArray[np.int64], confidences: FloatArray) -> FloatArray:
    """Return (grid height, grid width) how much the outlines of masks agree beside a cell."""
    height, width = cells.shape[1:]
    across, down = np.zeros((height, width - 1), np.float32), np.zeros((height - 1, width), np.float32)
    for mask, (x0, y0, x1, y1), weight in zip(cells, windows.tolist(), np.sqrt(confidences), strict=True):
        part = mask[y0:y1, x0:x1]
        across[y0:y1, x0 : x1 - 1] += weight * (part[:, 1:] != part[:, :-1])
        down[y0 : y1 - 1, x0:x1] += weight * (part[1:] != part[:-1])
        for x, side in ((x0 - 1, part[:, 0]), (x1 - 1, part[:, -1])):
            if 0 <= x < width - 1:
                across[y0:y1, x] += _BOX_SIDE * weight * side
        for y, side in ((y0 - 1, part[0]), (y1 - 1, part[-1])):
            if 0 <= y < height - 1:
                down[y, x0:x1] += _BOX_SIDE * weight * side
    votes = np.zeros((height, width), np.float32)
    for values, here, beside in (
        (across, np.s_[:, :-1], np.s_[:, 1:]),
        (down, np.s_[:-1], np.s_[1:]),
    ):
        votes[here] = np.maximum(votes[here], values)
        votes[beside] = np.maximum(votes[beside], values)
    return votes


def _contrast(photo: FloatArray) -> FloatArray:
    """Return (h, w) the change of colour, relative to the surroundings, in 0..1."""
    lab = np.asarray(cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2LAB), (0, 0), 0.7), np.float32)
    slopes = [cv2.Sobel(lab, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))]
    change = np.sqrt(np.sum(np.square(slopes), axis=(0, 3)))
    around = cv2.GaussianBlur(change, (0, 0), max(_SURROUND * float(np.hypot(*change.shape)), 0.5))
    return np.asarray(change / (change + around + _NO_CONTRAST), np.float32)


def _nodes(strength: FloatArray, covered: BoolArray, limit: int) -> Iterator[tuple[BoolArray, float]]:
    """Yield (h, w) nodes of the tree of regions that cover what is missing, and how much they stand out.

    Those that stand out most come first, each while enough of it is missing.
    """
    with needed("higra", "find regions"):
        import higra
    graph = higra.get_4_adjacency_graph(strength.shape)
    weights = higra.weight_graph(graph, strength.astype(np.float64), higra.WeightFunction.mean)
    tree, altitudes = higra.mean_pb_hierarchy(graph, weights, strength.shape)
    regions = higra.CptHierarchy.get_leaf_graph(tree)
    leaf_of = higra.CptRegionAdjacencyGraph.construct(regions)["vertex_map"].reshape(strength.shape)
    count, numbers = tree.num_leaves(), np.arange(tree.num_vertices())

    def sums(values: NDArray[Any]) -> NDArray[np.float64]:
        leaves = np.bincount(leaf_of.ravel(), values.ravel(), count)
        return np.asarray(higra.accumulate_sequential(tree, leaves, higra.Accumulators.sum))

    areas = sums(np.ones(strength.shape))
    standing = altitudes[tree.parents()] - altitudes
    share = areas / strength.size
    ranks = np.where((share >= _AREAS[0]) & (share <= _AREAS[1]), standing * share**_AREA_POWER, 0)
    least = np.maximum(_LEAST_NEW * areas, _LEAST_ADDED * strength.size)
    missing = ~covered
    for _ in range(limit):
        fits = np.where(sums(missing) >= least, ranks, 0)
        node = int(fits.argmax())
        if fits[node] <= 0:
            return
        chosen = np.zeros(len(numbers))
        chosen[node] = 1
        # Below the node its value is handed down; everything else keeps its own, which is 0.
        inside = (higra.propagate_sequential(tree, chosen, numbers < node)[:count] > 0)[leaf_of]
        missing &= ~inside
        yield inside, float(standing[node])


def region_scores(standing: FloatArray) -> FloatArray:
    """Return (K,) the scores of regions, between 0 and a tenth: the network has seen nothing there.

    Args:
        standing: (K,) how much they stand out, in 0..1.
    """
    return np.asarray(_SCORE * np.clip(standing, 0, 1), np.float32)


def with_regions(store: GridStore, cells: BoolArray) -> GridStore:
    """Return a store with K more masks, each on a prototype of its own.

    Args:
        store: N masks.
        cells: (K, grid height, grid width).
    """
    count, channels = len(cells), store.prototypes.shape[0]
    if count == 0:
        return store
    soft = np.stack([cv2.blur(mask.astype(np.float32), (3, 3)) for mask in cells])
    coefficients = np.zeros((len(store) + count, channels + count), np.float32)
    coefficients[: len(store), :channels] = store.coefficients
    coefficients[len(store) :, channels:] = np.eye(count, dtype=np.float32)
    letterbox = store.grid.letterbox
    scale = letterbox.net_hw[0] / store.grid.grid_hw[0]
    boxes = np.zeros((count, 4), np.float32)
    for k, mask in enumerate(soft > 0.5):
        x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if len(x):  # a mask ends half a cell beyond the centre of its last cell
            boxes[k] = scale * np.array([x[0] - 0.5, y[0] - 0.5, x[-1] + 1.5, y[-1] + 1.5])
    return GridStore(
        coefficients,
        np.concatenate([store.prototypes, _LOGIT * (2 * soft - 1)]),
        np.concatenate([store.boxes_xyxy, letterbox.boxes_to_image(boxes)]),
        store.grid,
    )
