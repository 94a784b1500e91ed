"""An answer in the making: logits on a window's cells, and the clicks that led to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.crop import Crop, lookup
from fastsam.prompts.solve.evidence import GridClick, Held, evidence
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.weights import BIAS, WEIGHTS
from fastsam.prompts.solve.window import Box, Window, around

__all__ = ["Click", "Correction", "State", "begun", "best_cut", "considered", "corrected", "kept"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

_FINE_SIDE = 192  # cells along the longer side of a mask, for what is made of it
_SURE = 3.0  # logit of what a mask says
_MOST = 6.0  # logit
_SOME = 0.05  # of a changed cell, for a pixel to be taken anew
_NEXT = np.ones((3, 3), np.uint8)
_HELD_SHARE = 0.25  # of a click's reach around it that stays on its side,
_HELD_PX = 3.0  # but not more than this
_LEAST_REACH = 0.7  # cells
_MADE_SCORE = 0.3  # of a region that no mask speaks for
_OPPOSITE = 1.5  # logits by which a click speaks for what the answer has on its side already
_CRUMB = 0.01  # of the answer's cells; smaller pieces and holes without a click are dropped
_LEAST_CUT = -1.0  # logit; what is less likely than this is never in an answer


@dataclass(frozen=True)
class Click:
    """A click on the image.

    Attributes:
        x, y: the pixel.
        inside: whether it marks the object or what is not of it.
        reach_px: distance to the edge of the answer that it corrected.
        implied: nobody made it: it lies in an earlier answer, which was right there.
    """

    x: int
    y: int
    inside: bool
    reach_px: float = 1.0
    implied: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class State:
    """The answer after some clicks.

    Attributes:
        box: x0, y0, x1, y1 of the window; nothing outside it is in the answer.
        logits: (rows, columns) float32, above 0 in the answer.
        clicks: in the order in which they were made.
        corrections: how many of them the answer was made anew for; 0 for what was there before.
        score: the IoU with the object that is to be expected.
        masks: how many masks spoke, the last time.
        row: of these the one that is most like the answer; -1 for none.
        earlier: the answer's pixels before the last correction, None for none.
        changed: (rows, columns) the cells in which these are replaced, None for none.
    """

    box: Box
    logits: FloatArray
    clicks: tuple[Click, ...] = ()
    corrections: int = 0
    score: float = 1.0
    masks: int = 0
    row: int = -1
    earlier: Crop | None = None
    changed: BoolArray | None = None

    @classmethod
    def of(cls, crop: Crop, clicks: Sequence[Click] = (), score: float = 1.0) -> State:
        """Return the state that is a mask, pixel for pixel."""
        x0, y0, patch = crop
        height, width = patch.shape
        share = min(_FINE_SIDE / max(height, width, 1), 1.0)
        size = max(round(height * share), min(height, 1)), max(round(width * share), min(width, 1))
        held = _resized(patch.astype(np.float32) if share == 1 else np.uint8(255) * patch, size)
        logits = (held / max(float(held.max(initial=0)), 1) * 2 - 1) * np.float32(_SURE)
        box = (x0, y0, x0 + width, y0 + height)
        return cls(box, np.asarray(logits, np.float32), tuple(clicks), score=score, earlier=crop)

    @cached_property
    def crop(self) -> Crop:
        """The answer's pixels; every click lies on its side."""
        x0, y0, patch = self._pixels()
        made = [click for click in self.clicks if not click.implied]
        for click in made:
            _hold(patch, click, x0, y0)
        for click in made:  # what is held around one may hide another
            if 0 <= click.x - x0 < patch.shape[1] and 0 <= click.y - y0 < patch.shape[0]:
                patch[click.y - y0, click.x - x0] = click.inside
        return Crop(x0, y0, patch)

    def _pixels(self) -> Crop:
        """Return the answer without regard to clicks: as it was, and anew where it has changed."""
        if self.earlier is None:
            return Crop(self.box[0], self.box[1], _grown(self.logits, self.box, self.box) > 0)
        if self.changed is None or not self.changed.any():
            return Crop(self.earlier.x0, self.earlier.y0, self.earlier.patch.copy())
        part = _part(self.changed, self.box)
        height, width = self.earlier.patch.shape
        both = (
            min(self.earlier.x0, part[0]),
            min(self.earlier.y0, part[1]),
            max(self.earlier.x0 + width, part[2]),
            max(self.earlier.y0 + height, part[3]),
        )
        patch = _on(self.earlier, both)
        view = patch[part[1] - both[1] : part[3] - both[1], part[0] - both[0] : part[2] - both[0]]
        anew = _grown(self.changed.astype(np.float32), self.box, part) > _SOME
        np.copyto(view, _grown(self.logits, self.box, part) > 0, where=anew)
        return Crop(both[0], both[1], patch)

    def holds(self, click: Click) -> bool:
        """Tell whether the answer has a pixel inside."""
        return bool(lookup(self.crop, np.array([[click.x, click.y]]))[0])


def _hold(patch: BoolArray, click: Click, x0: int, y0: int) -> None:
    """Put the pixels around a click on its side."""
    radius = int(min(_HELD_SHARE * click.reach_px, _HELD_PX))
    x, y = click.x - x0, click.y - y0
    patch[max(y - radius, 0) : max(y + radius + 1, 0), max(x - radius, 0) : max(x + radius + 1, 0)] = (
        click.inside
    )


def _on(crop: Crop, box: Box) -> BoolArray:
    """Return a crop's pixels in a box that holds it all, or as much of them as it holds."""
    x0, y0, x1, y1 = box
    part = np.zeros((y1 - y0, x1 - x0), bool)
    left, top = max(crop.x0, x0), max(crop.y0, y0)
    right, bottom = min(crop.x0 + crop.patch.shape[1], x1), min(crop.y0 + crop.patch.shape[0], y1)
    if right > left and bottom > top:
        found = crop.patch[top - crop.y0 : bottom - crop.y0, left - crop.x0 : right - crop.x0]
        part[top - y0 : bottom - y0, left - x0 : right - x0] = found
    return part


def _part(cells: BoolArray, box: Box) -> Box:
    """Return the pixels of a box that some of its cells lie on."""
    x0, y0, x1, y1 = box
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    high, wide = (y1 - y0) / cells.shape[0], (x1 - x0) / cells.shape[1]
    return (
        x0 + int(columns[0] * wide),
        y0 + int(rows[0] * high),
        min(x0 + int(np.ceil((columns[-1] + 1) * wide)), x1),
        min(y0 + int(np.ceil((rows[-1] + 1) * high)), y1),
    )


def _grown(values: FloatArray, box: Box, part: Box) -> FloatArray:
    """Return the values of a box's cells, interpolated at the pixels of a part of it."""
    wide, high = values.shape[1] / max(box[2] - box[0], 1), values.shape[0] / max(box[3] - box[1], 1)
    back = np.array(
        [
            [wide, 0, (part[0] - box[0] + 0.5) * wide - 0.5],
            [0, high, (part[1] - box[1] + 0.5) * high - 0.5],
        ]
    )
    size = (part[2] - part[0], part[3] - part[1])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, back, size, flags=how, borderMode=cv2.BORDER_REPLICATE))


def _resized(values: NDArray[Any], size_hw: tuple[int, int]) -> FloatArray:
    if values.shape == size_hw:
        return values
    way = cv2.INTER_AREA if size_hw[0] < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size_hw[::-1], interpolation=way), np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Correction:
    """What speaks for and against each cell after one more click.

    Attributes:
        window: around the answer and all clicks.
        clicks: all of them, the newest last.
        held: the masks that speak.
        terms: the evidence by name, (rows, columns) each.
        before: (rows, columns) logits of the answer so far.
    """

    window: Window
    clicks: tuple[Click, ...]
    held: Held
    terms: dict[str, FloatArray]
    before: FloatArray


def considered(scene: Scene, state: State, click: Click) -> Correction:
    """Return the evidence after one more click, which the answer so far is wrong about.

    Args:
        scene: the photo and its masks.
        state: the answer so far.
        click: the correction.
    """
    window = Window(scene, around(_known(state, (*state.clicks, click)), scene.masks.size_hw))
    before = _moved(state, window)
    reach_px = max(_reach(before > 0, click, window) * window.cell_px, 1.0)
    clicks = (*state.clicks, replace(click, reach_px=reach_px))
    on_grid = [
        GridClick(window.cell(one.x, one.y), one.inside, max(one.reach_px / window.cell_px, _LEAST_REACH))
        for one in clicks
    ]
    before[on_grid[-1].cell] = -1 if click.inside else 1
    held = Held.under(window, on_grid)
    return Correction(window, clicks, held, evidence(window, before, on_grid, held), before)


def corrected(scene: Scene, state: State, click: Click) -> State:
    """Return the state after one more click; the arguments are those of :func:`considered`."""
    found = considered(scene, state, click)
    corrections = state.corrections + 1
    logits = added_up(found.terms, corrections)
    right = (found.before > 0) == click.inside
    sign = np.float32(1 if click.inside else -1)
    logits = np.where(right, np.clip(logits + sign * np.float32(_OPPOSITE), -_MOST, _MOST), logits)
    logits, score = best_cut(logits)
    logits = _around_clicks(found, logits)
    row = _likest(found.held, logits > 0)
    flipped = ((logits > 0) != (found.before > 0)).astype(np.uint8)
    flipped[found.window.cell(click.x, click.y)] = 1
    changed = cv2.dilate(flipped, _NEXT) > 0
    masks = len(found.held.rows)
    return State(found.window.box, logits, found.clicks, corrections, score, masks, row, state.crop, changed)


def _around_clicks(found: Correction, logits: FloatArray) -> FloatArray:
    """Return the logits without what does not hang together with a click.

    What changes to the newest click's side lies in one piece with it; small pieces and small holes that hold
    no click are dropped.
    """
    click, window = found.clicks[-1], found.window
    new = ((logits > 0) == click.inside) & ((found.before > 0) != click.inside)
    cell = window.cell(click.x, click.y)
    new[cell] = True
    _, pieces = cv2.connectedComponents(new.astype(np.uint8), connectivity=8)
    least, piece = np.float32(1e-3), pieces == pieces[cell]
    logits = np.where(new & ~piece, -least if click.inside else least, logits)
    if click.inside and not (cv2.dilate(piece.astype(np.uint8), _NEXT) > 0)[found.before > 0].any():
        logits = np.where(found.before > 0, np.maximum(logits, least), logits)  # of something apart from it
    inside = logits > 0
    for side in (True, False):
        marked = {window.cell(one.x, one.y) for one in found.clicks if one.inside == side}
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(
            (inside == side).astype(np.uint8), connectivity=4
        )
        small = stats[:, cv2.CC_STAT_AREA] < _CRUMB * np.count_nonzero(inside)
        small[[0, *(pieces[one] for one in marked)]] = False
        logits = np.where(small[pieces], -least if side else least, logits)
    return np.asarray(logits, np.float32)


def begun(scene: Scene, click: Click, most_px: float) -> State:
    """Return the region around a click that strong edges enclose best, where no mask lies.

    Of the cells that can be walked to at a given cost, for several costs: those with the highest relief
    around them.

    Args:
        scene: the photo and its masks.
        click: in the region.
        most_px: the region lies in a window that reaches this far.
    """
    known = (int(click.x - most_px), int(click.y - most_px), int(click.x + most_px), int(click.y + most_px))
    window = Window(scene, around(known, scene.masks.size_hw))
    walk = window.walked([window.cell(click.x, click.y)])
    best, reach = -1.0, float(walk.max()) / 2
    for cost in np.quantile(walk, np.linspace(0.02, 0.7, 30)):
        inside = (walk <= cost).astype(np.uint8)
        rim = (cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside).astype(bool)
        enclosed = float(window.relief[rim].mean()) if rim.any() else -1.0
        if enclosed > best:
            best, reach = enclosed, float(cost)
    logits = np.clip((reach - walk) / max(reach, 1e-3) * _SURE, -_SURE, _SURE) + np.float32(1e-4)
    made = State(window.box, logits.astype(np.float32), (), 1, _MADE_SCORE)
    return kept(made, click)


def kept(state: State, click: Click) -> State:
    """Return the state with one more click, which the answer suits already: it will stay so."""
    return replace(state, clicks=(*state.clicks, replace(click, reach_px=_room(state, click))))


def _room(state: State, click: Click) -> float:
    """Return how far a click that is right lies from the answer's edge, at most the answer's radius."""
    x0, y0, patch = state.crop
    if not patch.any():
        return 1.0
    radius = float(np.sqrt(np.count_nonzero(patch) / np.pi))
    margin = int(np.ceil(radius)) + 1
    x, y = click.x - x0, click.y - y0
    left, top = max(x - margin, 0), max(y - margin, 0)
    found = patch[top : max(y + margin + 1, 0), left : max(x + margin + 1, 0)]
    part = np.zeros((2 * margin + 1, 2 * margin + 1), bool)
    into_y, into_x = top - (y - margin), left - (x - margin)
    part[into_y : into_y + found.shape[0], into_x : into_x + found.shape[1]] = found
    depth = cv2.distanceTransform((part == click.inside).astype(np.uint8), cv2.DIST_L2, 3)
    return max(min(float(depth[margin, margin]), radius), 1.0)


def added_up(terms: dict[str, FloatArray], corrections: int) -> FloatArray:
    """Return the logits that the terms come to in the first correction, the second, and so on."""
    first = np.float32(1 / max(corrections, 1))
    total = np.full(next(iter(terms.values())).shape, BIAS[0] + BIAS[1] * first, np.float32)
    for name, (weight, extra) in WEIGHTS.items():
        total += (np.float32(weight) + np.float32(extra) * first) * terms[name]
    return np.clip(total, -_MOST, _MOST)


def _likest(held: Held, inside: BoolArray) -> int:
    """Return the row of the mask that overlaps a region best, -1 where none does."""
    ious = held.ious(inside)
    return int(held.rows[ious.argmax()]) if len(ious) and ious.max() > 0 else -1


def best_cut(logits: FloatArray) -> tuple[FloatArray, float]:
    """Return logits that are above 0 where the expected IoU with the object is best, and that IoU.

    A logit tells how likely the cell is of the object. Where little is sure, the best answer also holds cells
    that are less likely than not: of the cells by falling chance, as many as make the ratio of the expected
    intersection and union largest.
    """
    chance = np.sort(1 / (1 + np.exp(-logits.ravel().astype(np.float64))))[::-1]
    shared = np.cumsum(chance)
    ious = shared / (np.arange(1, len(chance) + 1) + shared[-1] - shared)
    best = int(ious.argmax())
    least = np.log(chance[best] / (1 - chance[best]))
    least = min(max(least, _LEAST_CUT), 0.0)
    return logits - np.float32(least) + np.float32(1e-4), float(ious[best])


def _known(state: State, clicks: Sequence[Click]) -> Box:
    """Return x0, y0, x1, y1 of the answer and of all clicks."""
    x0, y0, x1, y1 = state.box
    inside = state.logits > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    xs, ys = [click.x for click in clicks], [click.y for click in clicks]
    if len(rows):
        step_y, step_x = (y1 - y0) / inside.shape[0], (x1 - x0) / inside.shape[1]
        xs += [int(x0 + columns[0] * step_x), int(np.ceil(x0 + (columns[-1] + 1) * step_x)) - 1]
        ys += [int(y0 + rows[0] * step_y), int(np.ceil(y0 + (rows[-1] + 1) * step_y)) - 1]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def _moved(state: State, window: Window) -> FloatArray:
    """Return a state's logits on another window's cells."""
    x0, y0, x1, y1 = state.box
    left, top, right, bottom = window.box
    rows, columns = window.shape
    step_y, step_x = (bottom - top) / rows, (right - left) / columns
    from_y, from_x = (y1 - y0) / state.logits.shape[0], (x1 - x0) / state.logits.shape[1]
    values = state.logits
    if min(step_y / from_y, step_x / from_x) > 1.2:  # fewer cells: average, so that thin parts stay
        size = (max(round((y1 - y0) / step_y), 1), max(round((x1 - x0) / step_x), 1))
        values = _resized(values, size)
        from_y, from_x = (y1 - y0) / values.shape[0], (x1 - x0) / values.shape[1]
    y = (top + (np.arange(rows) + 0.5) * step_y - y0) / from_y - 0.5
    x = (left + (np.arange(columns) + 0.5) * step_x - x0) / from_x - 0.5
    # Cells of a mask reach half a cell beyond their middle.
    near_y, near_x = (np.clip(v, 0, n - 1) for v, n in ((y, values.shape[0]), (x, values.shape[1])))
    grid_x, grid_y = np.meshgrid(near_x.astype(np.float32), near_y.astype(np.float32))
    found = cv2.remap(values, grid_x, grid_y, cv2.INTER_LINEAR)
    out_y, out_x = (np.abs(v - near) > 0.5 for v, near in ((y, near_y), (x, near_x)))
    found[out_y] = -_SURE
    found[:, out_x] = -_SURE
    return np.asarray(found, np.float32)


def _reach(inside: BoolArray, click: Click, window: Window) -> float:
    """Return how far a click lies from what is on its side already, in cells; the window's sides count."""
    wrong = np.pad((inside != click.inside).astype(np.uint8), 1)
    depth = cv2.distanceTransform(wrong, cv2.DIST_L2, 5)
    row, column = window.cell(click.x, click.y)
    return max(float(depth[row + 1, column + 1]), _LEAST_REACH)
