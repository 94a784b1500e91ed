"""Boxes, outlines and scribbles that no mask fits: what was drawn is evidence for an answer.

A box or an outline says where the object is, and how large it is: its pixels lie in it, more likely in the
middle than at the edge. The masks that lie there, what the network saw, and colours say the rest, cell by
cell, added up by weights that were fitted on training images (:mod:`fastsam.prompts.solve.weights`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.coordinates import check_boxes
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import box, mask
from fastsam.prompts.drawn import Mask
from fastsam.prompts.regions import Box
from fastsam.prompts.solve.clicks import made_by_clicks
from fastsam.prompts.solve.evidence import Held, told_apart
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import Click, State, best_cut
from fastsam.prompts.solve.weights import DRAWN
from fastsam.prompts.solve.window import Window, around
from fastsam.prompts.wording import counted

__all__ = ["answer_box", "answer_mask", "drawn_terms", "made_along", "made_in"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]

_FITS_BOX = 0.7  # IoU of a box with the box around a mask; below, an answer is made
_FITS = 0.8  # IoU of an outline with a mask
_ALONG = (0.5, 0.1, 0.9, 0.3, 0.7)  # where on a scribble clicks are
_MOST_MASKS = 32
_BEYOND = 0.1  # of the region's radius that the object may reach beyond it
_MOST = 6.0  # logit


def answer_box(masks: MaskSet, prompt: Box, scene: Scene) -> Selection:
    """Return for each box, in order, the mask that overlaps it best, or what is made where that fits badly.

    Raises:
        PromptError: a box leaves the image.
    """
    boxes = check_boxes(prompt.xyxy, masks.size_hw)
    chosen = box.answer(masks, prompt)
    parts: list[Selection] = []
    for number, xyxy in enumerate(boxes):
        part = chosen.group(number)
        if len(part) and _side_by_side(scene.crop(int(part.indices[0])), xyxy) >= _FITS_BOX:
            parts.append(part)
            continue
        x1, y1, x2, y2 = np.rint(xyxy).astype(int)
        region = np.zeros(masks.size_hw, bool)
        region[min(y1, y2 - 1) : max(y2, y1 + 1), min(x1, x2 - 1) : max(x2, x1 + 1)] = True
        state = made_in(scene, region, "box")
        enough = state.masks > 0  # a box over nothing at all stays without an answer
        made = _selected(masks, state, region, prompt.iou_threshold, "a box") if enough else None
        part = part if made is None else made
        parts.append(replace(part, groups=np.full(len(part), number, np.int64)))
    if all(not part.edited.any() for part in parts):
        return chosen
    made_ones = [f"box {k}: {part.reason}" for k, part in enumerate(parts) if part.edited.any()]
    answered = sum(len(part) > 0 for part in parts)
    reason = "; ".join([f"{answered} of {counted(len(boxes), 'box')} answered", *made_ones])
    if len(boxes) == 1:
        reason = parts[0].reason
    return Selection.join(parts, masks.size_hw, reason)


def answer_mask(masks: MaskSet, prompt: Mask, scene: Scene) -> Selection:
    """Return the masks that a drawing fits best, or what is made where an outline or a scribble fits badly.

    Bitmaps and RLE are masks to be found again: nothing is made for them.
    """
    chosen = mask.answer(masks, prompt)
    if prompt.kind not in ("polygon", "scribble"):
        return chosen
    if prompt.kind == "scribble":
        return _along(masks, prompt, scene, chosen)
    if len(chosen) and float(chosen.scores[0]) >= _FITS:
        return chosen
    drawn = mask.rasterise(prompt, masks.size_hw)
    made = _selected(masks, made_in(scene, drawn, "outline"), drawn, prompt.threshold, "an outline")
    return chosen if made is None else made


def _along(masks: MaskSet, prompt: Mask, scene: Scene, chosen: Selection) -> Selection:
    """Return what clicks along a scribble come to, unless one mask suits them all or several answer."""
    if len(chosen) > 1:
        return chosen
    state = made_along(scene, mask.rasterise(prompt, masks.size_hw))
    if state.corrections == 0:
        return chosen
    made = _selected(masks, state, None, 0.0, "a scribble")
    return chosen if made is None else made


def _side_by_side(crop: Crop, box_xyxy: NDArray[Any]) -> float:
    """Return the IoU of a box with the box around a mask."""
    rows, columns = np.flatnonzero(crop.patch.any(axis=1)), np.flatnonzero(crop.patch.any(axis=0))
    if len(rows) == 0:
        return 0.0
    own = crop.x0 + columns[0], crop.y0 + rows[0], crop.x0 + columns[-1] + 1, crop.y0 + rows[-1] + 1
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    wide, high = min(own[2], x2) - max(own[0], x1), min(own[3], y2) - max(own[1], y1)
    shared = max(wide, 0.0) * max(high, 0.0)
    whole = (own[2] - own[0]) * (own[3] - own[1]) + (x2 - x1) * (y2 - y1) - shared
    return float(shared / max(whole, 1e-9))


def _selected(
    masks: MaskSet, state: State, region: BoolArray | None, threshold: float, what: str
) -> Selection | None:
    """Return a state as a selection; None where it is empty, or fits the region too little."""
    x0, y0, patch = state.crop
    if not patch.any():
        return None
    if region is not None:
        shared = np.count_nonzero(region[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] & patch)
        whole = np.count_nonzero(patch) + np.count_nonzero(region) - shared
        if shared < threshold * whole:
            return None
    source = f"{counted(state.masks, 'mask')} and {what}" if state.masks else what
    return Selection.edited_masks(masks, [state.crop], [state.row], [state.score], f"made from {source}")


def made_in(scene: Scene, region: BoolArray, kind: Literal["box", "outline"]) -> State:
    """Return what lies in a region, made from evidence.

    Args:
        scene: the photo and its masks.
        region: (H, W), not empty.
        kind: a box only says how far the object reaches, an outline also what shape it has.
    """
    window, terms, held = drawn_terms(scene, region)
    weights = DRAWN[kind]
    total = np.full(window.shape, weights["bias"], np.float32)
    for name, term in terms.items():
        total += np.float32(weights[name]) * term
    near = terms["within"] > -_BEYOND
    logits, score = best_cut(np.where(near, np.clip(total, -_MOST, _MOST), np.float32(-_MOST)))
    ious = held.ious(logits > 0)
    row = int(held.rows[ious.argmax()]) if len(ious) and ious.max() > 0 else -1
    return State(window.box, logits, (), 1, score, len(held.rows), row)


def made_along(scene: Scene, stroke: BoolArray) -> State:
    """Return what clicks along a stroke select: in its middle first, then at its ends and between."""
    ys, xs = np.nonzero(stroke)
    around_middle = np.stack([xs - xs.mean(), ys - ys.mean()], axis=1)
    along = around_middle @ np.linalg.eigh(around_middle.T @ around_middle)[1][:, -1]
    order = np.argsort(along, kind="stable")
    picks = order[np.rint(np.array(_ALONG) * (len(order) - 1)).astype(int)]
    clicks = dict.fromkeys(Click(int(xs[k]), int(ys[k]), True) for k in picks)
    return made_by_clicks(scene, list(clicks))


def drawn_terms(scene: Scene, region: BoolArray) -> tuple[Window, dict[str, FloatArray], Held]:
    """Return the window around a region, the evidence by name, (rows, columns) each, and the masks in it."""
    ys, xs = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    known = (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
    window = Window(scene, around(known, scene.masks.size_hw))
    rows, columns = window.pixels
    inside = region[np.ix_(rows, columns)]
    inside[window.cell((known[0] + known[2]) / 2, (known[1] + known[3]) / 2)] |= not inside.any()
    radius = max(float(np.sqrt(np.count_nonzero(inside) / np.pi)), 1.0)
    depth = (_distance(inside) - _distance(~inside)) / radius
    held, fits = _held(scene, window, inside)
    clipped = held.cells & inside
    best = clipped[int(fits.argmax())] if len(fits) else np.zeros(window.shape, bool)
    votes = np.tensordot(fits, clipped, 1) / max(float(fits.sum()), 1e-9)
    core = depth > 0.5 * float(depth.max())
    terms = {
        "within": depth,
        "middle": _ellipse(window, known),
        "best": (2 * best - 1) * np.float32(fits.max(initial=0)),
        "votes": (2 * votes - 1).astype(np.float32),
        "looks_best": _looks(window, best if best.any() else core, inside),
        "looks": _looks(window, core, inside),
    }
    return window, {name: np.asarray(term, np.float32) for name, term in terms.items()}, held


def _distance(cells: BoolArray) -> FloatArray:
    if cells.all():
        return np.full(cells.shape, 1e3, np.float32)
    return np.asarray(cv2.distanceTransform(cells.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _ellipse(window: Window, known: tuple[int, int, int, int]) -> FloatArray:
    """Return how far inside the ellipse of a box the cells lie: 1 in the middle, 0 on it."""
    rows, columns = window.pixels
    x = (columns + 0.5 - (known[0] + known[2]) / 2) / max((known[2] - known[0]) / 2, 0.5)
    y = (rows + 0.5 - (known[1] + known[3]) / 2) / max((known[3] - known[1]) / 2, 0.5)
    return np.asarray(np.maximum(1 - np.hypot(y[:, None], x[None]), -1), np.float32)


def _held(scene: Scene, window: Window, inside: BoolArray) -> tuple[Held, FloatArray]:
    """Return the masks that share most with a region, and how well each, cut to it, fills it."""
    masks = scene.masks
    x0, y0, x1, y1 = window.box
    if len(masks) == 0:
        return Held(np.zeros(0, np.int64), np.zeros((0, *window.shape), bool)), np.zeros(0, np.float32)
    boxes = masks.boxes_xyxy
    meets = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
    found = np.flatnonzero(meets)
    keys = (*boxes[found].T, -masks.scores[found])
    found = found[np.lexsort(keys)][: 4 * _MOST_MASKS]
    cells = window.sampled(found)
    shared = (cells & inside).sum(axis=(1, 2))
    size = max(int(np.count_nonzero(inside)), 1)
    beyond = cells.sum(axis=(1, 2)) - shared
    # What reaches far beyond the region says little about what is in it.
    fits = np.sqrt(masks.scores[found]) * shared / size * np.exp(-beyond / size)
    kept = np.argsort(-fits, kind="stable")[:_MOST_MASKS]
    kept = kept[fits[kept] > 0]
    return Held(found[kept], cells[kept]), fits[kept].astype(np.float32)


def _looks(window: Window, like: BoolArray, inside: BoolArray) -> FloatArray:
    """Return what looks like some cells of the region rather than like what lies beside it."""
    beside = ~cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    taken, left = max(int(np.count_nonzero(like)), 1), max(int(np.count_nonzero(beside)), 1)
    weights = 0.5 * like / taken + 0.5 * beside / left
    return told_apart(window, np.where(like, 1, -1).ravel(), weights.ravel())
