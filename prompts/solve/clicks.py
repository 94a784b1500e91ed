"""Clicks on an object: the first is answered by a mask, every further one makes the answer better.

1. The first foreground click chooses among the masks (:mod:`fastsam.prompts.point`). Where no mask lies, a
   region around it is made.
2. A click that the answer so far suits changes nothing; it will be kept to.
3. A click on another thing that has a mask of its own, beside the answer or in it, joins that mask or takes
   it away (:mod:`fastsam.prompts.solve.compose`).
4. Any other click that the answer does not suit is a correction. For the cells around the object, evidence
   is added up: the answer so far, the clicks and their colours, the masks under them, what the network saw,
   the edges on the way (:mod:`fastsam.prompts.solve.evidence`). What it comes to is the new answer. It
   changes in one piece with the click; elsewhere the pixels of the answer so far stay.

Foreground clicks lie inside the answer, background clicks outside, always. The order of masks does not
matter. The order of clicks does: a correction speaks of the answer that it was made on, which tells how far
it reaches. Background clicks before the first foreground click count after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.masks.coordinates import check_points
from fastsam.masks.crop import Crop, lookup
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.selection import Selection
from fastsam.prompts import point
from fastsam.prompts.drawn import Mask
from fastsam.prompts.mask import rasterise
from fastsam.prompts.ranking import best_row
from fastsam.prompts.regions import ObjectPoints, Points
from fastsam.prompts.solve.compose import composed
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import Click, State, begun, corrected, kept
from fastsam.prompts.wording import counted

__all__ = ["answer", "made_by_clicks"]

BoolArray = NDArray[np.bool_]
_LEAST_PIECE = 0.1  # of an earlier answer; smaller pieces may go with what is corrected
_FIRST_SIDE = 6  # a region that is made around a click is looked for in this part of the image's longer side


def answer(masks: MaskSet, prompt: Points, scene: Scene) -> Selection:
    """Return what the clicks mean; ``selection.groups`` tells of which object.

    Raises:
        PromptError: a point is outside the image, an object has no point that counts, or the earlier answer
            has another size.
    """
    if prompt.previous is not None:
        ordered = _clicks(prompt.objects[0], masks)
        state = _after(scene, _before(prompt.previous, masks, ordered), ordered)
        return replace(_selected(masks, [(0, state, -1)], 1), clicks=prompt.objects[0].clicks)
    made: dict[int, tuple[State, int]] = {}
    for number, clicks in enumerate(prompt.objects):
        foreground, background = point.checked(clicks, masks.size_hw)
        if len(foreground) == 0:
            continue
        if len(clicks.clicks) == 1 or prompt.level != "auto":
            answers, _ = point.answer_object(masks, foreground, background)
            if answers and answers[0].crop is None and _suits(scene, answers[0].row, clicks):
                continue
        state, row = _made(scene, _clicks(clicks, masks))
        if state.corrections or not prompt.multimask:  # as long as a mask suits, it has its levels
            made[number] = (state, row)
    chosen = point.answer(masks, prompt, skip=frozenset(made))
    if not made:
        return replace(chosen, clicks=prompt.objects[0].clicks if len(prompt.objects) == 1 else ())
    found = _selected(masks, [(number, *one) for number, one in made.items()], len(prompt.objects))
    if len(prompt.objects) == 1:
        return replace(found, clicks=prompt.objects[0].clicks)
    reasons = "; ".join(one.reason for one in (chosen, found) if len(one))
    joined = Selection.join([chosen, found], masks.size_hw, reasons)
    return joined[np.argsort(joined.groups, kind="stable")]


def _suits(scene: Scene, row: int, clicks: ObjectPoints) -> bool:
    """Tell whether a mask suits all clicks as it is handed out: refined edges may leave one out."""
    crop = scene.crop(row)
    held = [lookup(crop, np.floor([[x, y]]).astype(np.int64))[0] == label for x, y, label in clicks.clicks]
    return all(held)


def _clicks(clicks: ObjectPoints, masks: MaskSet) -> list[Click]:
    """Return an object's clicks in order, the first one in the foreground in front; checked."""
    ordered = clicks.clicks or (
        *((x, y, 1) for x, y in clicks.foreground),
        *((x, y, 0) for x, y in clicks.background),
    )
    pixels = np.floor(check_points([(x, y) for x, y, _ in ordered], masks.size_hw)).astype(int).tolist()
    found = [Click(x, y, label == 1) for (x, y), (_, _, label) in zip(pixels, ordered, strict=True)]
    first = next((k for k, click in enumerate(found) if click.inside), 0)
    return [found[first], *found[:first], *found[first + 1 :]]


def _before(previous: Mask, masks: MaskSet, clicks: Sequence[Click]) -> State:
    """Return an earlier answer as a state; each of its large pieces that nobody clicks clicks itself."""
    crop = _cropped(rasterise(previous, masks.size_hw))
    patch = np.pad(crop.patch, 1)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(patch.astype(np.uint8), connectivity=8)
    depth = cv2.distanceTransform(patch.astype(np.uint8), cv2.DIST_L2, 3)
    sizes = stats[:, cv2.CC_STAT_AREA]
    implied = []
    for piece in 1 + np.flatnonzero(sizes[1:] >= _LEAST_PIECE * np.count_nonzero(patch)):
        inside = np.where(pieces == piece, depth, 0)
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
        deepest = Click(int(x) - 1 + crop.x0, int(y) - 1 + crop.y0, True, float(depth[y, x]), implied=True)
        if not any(_settles(click, deepest, pieces == piece, crop) for click in clicks):
            implied.append(deepest)
    return State.of(crop, implied)


def _settles(click: Click, deepest: Click, piece: BoolArray, crop: Crop) -> bool:
    """Tell whether a click says itself what of a piece of an earlier answer is right."""
    if not click.inside:
        return float(np.hypot(click.x - deepest.x, click.y - deepest.y)) <= deepest.reach_px / 2
    return bool(lookup(Crop(crop.x0 - 1, crop.y0 - 1, piece), np.array([[click.x, click.y]]))[0])


def _cropped(pixels: BoolArray) -> Crop:
    region = Region.from_mask(pixels)
    return Crop(region.x0, region.y0, pixels[region.y0 : region.y1, region.x0 : region.x1])


def _made(scene: Scene, clicks: Sequence[Click]) -> tuple[State, int]:
    """Return the state after the clicks, and the row of the mask that it began with, -1 for none.

    What the first clicks came to is remembered, so that one more click costs as much as the first.
    """
    for known in range(len(clicks), 0, -1):
        found = scene.recall(tuple(clicks[:known]))
        if found is not None:
            break
    else:
        known, found = 1, _first(scene, clicks[0])
        scene.remember(tuple(clicks[:1]), found)
    state, row = found
    for count in range(known, len(clicks)):
        state = _after(scene, state, clicks[count : count + 1])
        scene.remember(tuple(clicks[: count + 1]), (state, row))
    return state, row


def made_by_clicks(scene: Scene, clicks: Sequence[Click]) -> State:
    """Return what clicks on an object come to, the first of them in the foreground."""
    return _made(scene, clicks)[0]


def _first(scene: Scene, click: Click) -> tuple[State, int]:
    """Return the state after the first click."""
    masks = scene.masks
    answers, _ = point.answer_object(masks, np.array([[click.x, click.y]], np.float64), np.zeros((0, 2)))
    if answers:
        row = answers[0].row
        begun_with = State.of(scene.crop(row), score=float(masks.scores[row]))
        return _after(scene, begun_with, [click]), row
    return begun(scene, click, max(masks.size_hw) / (2 * _FIRST_SIDE)), -1


def _after(scene: Scene, state: State, clicks: Sequence[Click]) -> State:
    """Return the state after some more clicks."""
    for click in clicks:
        if state.holds(click) == click.inside:
            state = kept(state, click)
        else:
            state = composed(scene, state, click) or corrected(scene, state, click)
    return state


def _selected(masks: MaskSet, made: Sequence[tuple[int, State, int]], objects: int) -> Selection:
    """Return states as a selection: the row that one has not changed, or an edited mask."""
    parts: list[Selection] = []
    for number, state, row in made:
        clicks = counted(sum(not click.implied for click in state.clicks), "click")
        crop = state.crop
        about = f"object {number}: " if objects > 1 else ""
        if state.corrections == 0 and row >= 0:
            hit = np.array([[True]])
            reason = f"{about}the best mask under the first of {clicks}, which suits all of them"
            prior = point.click_prior(
                masks[[row]], np.array([[c.x, c.y] for c in state.clicks[:1]], float), hit
            )
            part = Selection.of(masks, [row], prior, reason)
        else:
            if state.corrections:
                row = state.row
            elif row < 0:
                row = _nearest(masks, crop)
            part = Selection.edited_masks(masks, [crop], [row], [state.score], about + _reason(state, clicks))
        parts.append(replace(part, groups=np.full(len(part), number, np.int64)))
    return Selection.join(parts, masks.size_hw, "; ".join(part.reason for part in parts))


def _reason(state: State, clicks: str) -> str:
    """Return how an answer came about."""
    if state.corrections == 0:
        return f"the previous answer, which suits {clicks}"
    if state.masks == 0:
        return f"made from {clicks} where no mask lies"
    return f"made from {counted(state.masks, 'mask')} and {clicks}"


def _nearest(masks: MaskSet, crop: Crop) -> int:
    """Return the row that overlaps a mask best, -1 for none."""
    x0, y0, patch = crop
    if len(masks) == 0 or not patch.any():
        return -1
    region = Region(x0, y0, x0 + patch.shape[1], y0 + patch.shape[0], patch)
    ious = masks.ious(region)
    row = best_row(masks, ious)
    return -1 if row is None or ious[row] <= 0 else row
