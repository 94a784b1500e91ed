"""What speaks for and against each cell of a window being part of the object, term by term.

Every term lies about in -1..1: above 0 it speaks for the object, below against it, 0 says nothing. The terms
of the newest click speak only of cells that the answer so far had on the other side, as the click says that
something is wrong there. A click is made in the middle of what is wrong: its distance to the edge of the
answer so far, its *reach*, tells how large that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.prompts.solve.window import Cell, Window

__all__ = ["GridClick", "Held", "evidence", "told_apart"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

_LIKE = 12.0  # CIELAB units within which colours are alike
_LOOSELY_LIKE = 25.0
_RIDGE = 3e-2
_MASKS = 32  # under a click that are looked at


@dataclass(frozen=True)
class GridClick:
    """A click on a window's grid.

    Attributes:
        cell: row and column.
        inside: whether it marks the object or what is not of it.
        reach: distance to the edge of the answer that it corrected, in cells.
    """

    cell: Cell
    inside: bool
    reach: float


@dataclass(frozen=True, eq=False)
class Held:
    """Masks on a window's grid.

    Attributes:
        rows: (K,) which masks.
        cells: (K, rows, columns) what each holds.
    """

    rows: NDArray[np.int64]
    cells: BoolArray

    @classmethod
    def under(cls, window: Window, clicks: Sequence[GridClick]) -> Held:
        """Return the masks that speak: the best scored that hold the newest click or one in the object."""
        rows = _rows_under(window, clicks)
        return cls(rows, window.sampled(rows))

    def ious(self, inside: BoolArray) -> FloatArray:
        """Return (K,) the IoU of each mask with a region of the grid."""
        flat = self.cells.reshape(len(self.rows), inside.size).astype(np.float32)
        shared = flat @ inside.ravel().astype(np.float32)
        return np.asarray(shared / np.maximum(flat.sum(axis=1) + np.count_nonzero(inside) - shared, 1))


def evidence(
    window: Window, logits: FloatArray, clicks: Sequence[GridClick], held: Held
) -> dict[str, FloatArray]:
    """Return the terms by name, each (rows, columns).

    Args:
        window: where.
        logits: (rows, columns) of the answer so far, above 0 in it.
        clicks: in the order in which they were made, the newest last.
        held: the masks that speak.
    """
    inside = logits > 0
    newest = clicks[-1]
    wrong = inside != newest.inside
    for click in clicks:
        if click.inside != newest.inside:
            wrong[click.cell] = False
    wrong[newest.cell] = True
    depth = np.where(inside, _depth(inside), -_depth(~inside))
    terms = _before(logits, inside, depth, newest.reach)
    terms |= _newest(window, newest, wrong)
    terms |= _all_clicks(window, clicks)
    terms |= _masks(window, clicks, held, inside, wrong)
    terms["looks"] = _looks(window, clicks, inside, depth)
    return terms


def _depth(region: BoolArray) -> FloatArray:
    """Return the distance to the region's edge, 0 outside; the grid's side is no edge."""
    if region.all():
        return np.full(region.shape, 1e3, np.float32)
    padded = cv2.copyMakeBorder(region.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)


def _before(logits: FloatArray, inside: BoolArray, depth: FloatArray, reach: float) -> dict[str, FloatArray]:
    """Return what the answer so far says: a click that reaches little leaves what lies deep alone."""
    radius = max(float(np.sqrt(np.count_nonzero(inside) / np.pi)), 1.0)
    return {
        "depth_by_3_reaches": np.tanh(depth / (3 * reach)),
        "depth_by_radius": np.tanh(depth / radius),
        "sureness": np.tanh(logits / 3),
    }


def _newest(window: Window, click: GridClick, wrong: BoolArray) -> dict[str, FloatArray]:
    """Return what the newest click says of the cells around it, by straight distance, by walk, by colour."""
    sign = np.where(wrong, np.float32(1 if click.inside else -1), np.float32(0))
    away, reach = window.apart(click.cell), click.reach
    walk = window.walked([click.cell])
    unit = max(float(np.median(walk[away <= 1.05 * reach])), 0.3)
    alike = _alike(window, click.cell, _LOOSELY_LIKE)
    return {
        "new_far": sign * np.exp(-away / (4 * reach)),
        "new_walk": sign * np.exp(-walk / (6 * unit)),
        "new_alike": sign * alike * np.exp(-away / (3 * reach)),
    }


def _alike(window: Window, cell: Cell, width: float) -> FloatArray:
    """Return how like the colour of one cell the others are, 0..1."""
    difference = np.sum((window.lab - window.lab[cell]) ** 2, axis=2)
    return np.asarray(np.exp(-difference / (2 * width * width)), np.float32)


def _all_clicks(window: Window, clicks: Sequence[GridClick]) -> dict[str, FloatArray]:
    """Return what all clicks say: which kind is nearer, straight, by walk and in colour."""
    close: list[FloatArray] = []
    wide: list[FloatArray] = []
    straight: list[FloatArray] = []
    walk: list[FloatArray] = []
    colour: list[FloatArray] = []
    nothing = np.zeros(window.shape, np.float32)
    far = np.full(window.shape, 1e3, np.float32)
    for kind in (True, False):
        ours = [click for click in clicks if click.inside == kind]
        away = [window.apart(click.cell) for click in ours]
        scaled = [a / click.reach for a, click in zip(away, ours, strict=True)]
        nearest = np.min(scaled, axis=0) if ours else far
        close.append(np.exp(-(nearest**2)))
        wide.append(np.exp(-((nearest / 3) ** 2)))
        straight.append(np.min(away, axis=0) if ours else far)
        walk.append(window.walked([click.cell for click in ours]))
        alike = [_alike(window, click.cell, _LIKE) for click in ours]
        colour.append(np.max(alike, axis=0) if ours else nothing)
    both = np.float32(len({click.inside for click in clicks}) == 2)
    return {
        "clicks_close": close[0] - close[1],
        "clicks_wide": wide[0] - wide[1],
        "clicks_nearer": both * (straight[1] - straight[0]) / (straight[1] + straight[0] + 1e-3),
        "clicks_walk": both * (walk[1] - walk[0]) / (walk[1] + walk[0] + 1e-3),
        "clicks_colour": colour[0] - colour[1],
    }


def _masks(
    window: Window, clicks: Sequence[GridClick], held: Held, inside: BoolArray, wrong: BoolArray
) -> dict[str, FloatArray]:
    """Return what the masks under the clicks say: those that the newest click may mean, those that suit the
    clicks, those that are like the answer so far.
    """
    if len(held.rows) == 0:
        names = ("new_masks", "masks_suited", "masks_alike")
        return {name: np.zeros(window.shape, np.float32) for name in names}
    newest, scores = clicks[-1], window.scene.masks.scores[held.rows]
    marks = np.array([click.inside for click in clicks])
    at = np.array([held.cells[:, row, column] for row, column in (click.cell for click in clicks)]).T
    misses = np.count_nonzero(at != marks, axis=1)
    flat = held.cells.reshape(len(scores), -1).astype(np.float32)
    suited = scores * np.exp(-2.0 * misses)
    alike = scores * np.exp(5 * held.ious(inside) - misses)
    sign = np.where(wrong, np.float32(1 if newest.inside else -1), np.float32(0))
    spare = ~at[:, marks != newest.inside].any(axis=1) & at[:, -1]
    return {
        "new_masks": sign * _votes(held.cells, np.sqrt(scores), spare, wrong, newest.cell),
        "masks_suited": _mean(flat, suited).reshape(window.shape) * 2 - 1,
        "masks_alike": _mean(flat, alike).reshape(window.shape) * 2 - 1,
    }


def _rows_under(window: Window, clicks: Sequence[GridClick]) -> NDArray[np.int64]:
    """Return the rows of the masks that speak."""
    rows, columns = window.pixels
    wanted = [click.cell for click in clicks[:-1] if click.inside] + [clicks[-1].cell]
    pixels = np.array([[columns[column], rows[row]] for row, column in wanted], np.int64)
    masks = window.scene.masks
    found = np.flatnonzero(masks.store.hits(pixels).any(axis=1)) if len(masks) else np.zeros(0, np.int64)
    # Of equally scored masks the larger box first, so that their order does not matter.
    boxes = masks.boxes_xyxy[found]
    keys = (*boxes.T, np.prod(boxes[:, :2] - boxes[:, 2:], axis=1), -masks.scores[found])
    return found[np.lexsort(keys)][:_MASKS]


def _mean(flat: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray(weights @ flat / max(float(weights.sum()), 1e-9), np.float32)


def _votes(held: BoolArray, scores: FloatArray, spare: BoolArray, wrong: BoolArray, cell: Cell) -> FloatArray:
    """Return what the masks that the newest click may mean cover together: the deeper the click lies in the
    part of a mask that the answer lacks, the likelier that mask is meant.
    """
    rows = np.flatnonzero(spare)
    if len(rows) == 0:
        return np.zeros(wrong.shape, np.float32)
    weights = np.zeros(len(rows), np.float32)
    for k, i in enumerate(rows):
        padded = np.pad((held[i] & wrong).astype(np.uint8), 1)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
        weights[k] = scores[i] * (depth[cell[0] + 1, cell[1] + 1] / max(float(depth.max()), 1e-6)) ** 2
    flat = held[rows].reshape(len(rows), -1).astype(np.float32)
    return _mean(flat, weights).reshape(wrong.shape)


def _looks(window: Window, clicks: Sequence[GridClick], inside: BoolArray, depth: FloatArray) -> FloatArray:
    """Return what the cells look like, as the answer so far and the clicks say it."""
    newest = clicks[-1]
    sides = np.where(inside, np.float32(1), np.float32(-1)).ravel()
    radius = max(float(np.sqrt(np.count_nonzero(inside) / np.pi)), 1.0)
    near = np.where(inside, 0, np.exp(-np.maximum(-depth, 0) / (2 * radius + 3))).ravel()
    taken, beside = max(int(np.count_nonzero(inside)), 1), max(float(near.sum()), 1e-6)
    weights = np.where(sides > 0, 0.5 / taken, 0.5 * near / beside)
    weights = weights * np.tanh(np.abs(depth) / newest.reach).ravel()
    for click in clicks:
        here = (window.apart(click.cell) <= max(0.7 * click.reach, 0.7)).ravel()
        weights[here] += 0.35 / len(clicks) / np.count_nonzero(here)
        sides[here] = 1 if click.inside else -1
    return told_apart(window, sides, weights)


def told_apart(window: Window, sides: NDArray[Any], weights: NDArray[Any]) -> FloatArray:
    """Return (rows, columns) what a linear classifier of the network's features and of colours says.

    Ridge regression, solved in closed form, as :mod:`fastsam.video.track.appearance` follows objects.

    Args:
        window: where.
        sides: (cells,) 1 or -1, what is known of each cell.
        weights: (cells,) how much that counts; 0 where nothing is known.
    """
    known = window.described
    weighted = known * weights[:, None].astype(np.float32)
    products = weighted.T @ known + np.eye(known.shape[1], dtype=np.float32) * np.float32(_RIDGE)
    found = known @ np.linalg.solve(products, weighted.T @ sides.astype(np.float32))
    return np.asarray(np.clip(found, -1.5, 1.5).reshape(window.shape), np.float32)
