"""Point prompts answered by masks alone: foreground points add the masks they hit, background ones subtract.

What an object's clicks mean, in order:

1. masks that hold every foreground point and no background point: the best one answers, with
   ``multimask`` up to three that differ (whole, part, subpart), with a ``level`` that one of them;
2. otherwise the best mask that holds every foreground point, cut by the masks under the background
   points that lie in it;
3. otherwise, foreground points on different masks: the union of what 1 and 2 give for each point;
4. only background points: every mask that holds none of them.

With the photo, further clicks correct the answer to the first: :mod:`fastsam.prompts.solve.clicks`.

SAM (arXiv 2304.02643) answers an ambiguous click with three nested masks; here they are chosen from
the masks that exist already. Clicks on an earlier answer: :mod:`fastsam.prompts.iterate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.coordinates import check_points
from fastsam.masks.crop import Crop
from fastsam.masks.levels import LEVELS, SAME_IOU, Level
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.selection import Selection
from fastsam.prompts.ranking import ranked_rows
from fastsam.prompts.spec import ObjectPoints, Points
from fastsam.prompts.wording import counted

__all__ = ["Answer", "answer", "answer_object", "checked", "click_prior", "erase", "score"]

_CANDIDATES = 12  # masks under one click that are compared in pixels


@dataclass(frozen=True)
class Answer:
    """One mask that answers an object's clicks."""

    row: int
    score: float
    crop: Crop | None = None  # pixels, where they are not those of the row


def click_prior(
    masks: MaskSet, points_xy: NDArray[np.float64], hit: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return (N,) how likely clicks at the points mean each mask, in 0..1.

    People click the middle of what they mean: the root of the mask's score times the square of how
    deep the shallowest click lies in the mask (:meth:`MaskSet.depths`). The two powers were chosen on
    training images (README, "How good is it").

    Args:
        masks: N masks.
        points_xy: (P, 2) foreground points.
        hit: (N, P), which mask holds which point; masks that miss one get 0.
    """
    rows = np.flatnonzero(hit.all(axis=1))
    prior = np.zeros(len(masks), np.float32)
    if len(rows):
        shallowest = np.min([masks.depths(point, rows) for point in points_xy], axis=0)
        prior[rows] = np.sqrt(masks.scores[rows]) * shallowest**2
    return prior


def score(masks: MaskSet, prompt: Points) -> NDArray[np.float32]:
    """Return (objects, N): how well each mask by itself answers each object's clicks; 0 where it
    misses a foreground point or holds a background point.

    Raises:
        PromptError: a point is outside the image, or an object has no point that counts.
    """
    rows = []
    for clicks in prompt.objects:
        foreground, background = checked(clicks, masks.size_hw)
        hit = masks.hits(foreground)
        fits = hit.all(axis=1) & ~masks.hits(background).any(axis=1)
        prior = click_prior(masks, foreground, hit) if len(foreground) else np.ones(len(masks), np.float32)
        rows.append(np.where(fits, prior, 0).astype(np.float32))
    return np.stack(rows)


def answer(masks: MaskSet, prompt: Points, skip: frozenset[int] = frozenset()) -> Selection:
    """Return the masks that the clicks mean; ``selection.groups`` tells of which object.

    Args:
        masks: to choose from.
        prompt: the clicks.
        skip: objects that are answered elsewhere.

    Raises:
        PromptError: a point is outside the image, or an object has no point that counts.
    """
    found: list[tuple[int, Answer, str]] = []
    notes: list[str] = []
    for number, clicks in enumerate(prompt.objects):
        if number in skip:
            continue
        foreground, background = checked(clicks, masks.size_hw)
        of_object = f"object {number}: " if len(prompt.objects) > 1 else ""
        if len(foreground) == 0:
            rows = np.flatnonzero(~masks.hits(background).any(axis=1))
            found += [(number, Answer(int(row), float(masks.scores[row])), "") for row in rows]
            only = "point" if len(background) == 1 else "points"
            notes.append(f"{of_object}all masks except those under the background {only}")
            continue
        answers, note = answer_object(masks, foreground, background)
        names: Sequence[str] = ("",)
        if prompt.level != "auto" and answers:
            one, name, said = _at_level(masks, answers, prompt.level)
            answers, names, note = [one], [name], f"{note}; {said}"
        elif prompt.multimask and len(answers) > 1:
            answers, names = _levels(masks, answers)
        else:
            answers = answers[:1]
        found += [(number, one, name) for one, name in zip(answers, names, strict=False)]
        notes.append(of_object + note)
    return _selection(masks, found, "; ".join(notes))


def checked(
    clicks: ObjectPoints, size_hw: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an object's points as (P, 2) arrays, checked against the image."""
    if not clicks.foreground and not clicks.background:
        raise PromptError("points of an object: all are labelled -1 (ignored); label one 1 or 0")
    return check_points(clicks.foreground, size_hw), check_points(clicks.background, size_hw)


def answer_object(
    masks: MaskSet, foreground: NDArray[np.float64], background: NDArray[np.float64]
) -> tuple[list[Answer], str]:
    """Return the answers for one object, best first, and how they came about."""
    hit, unwanted = masks.hits(foreground), masks.hits(background)
    single = _single(masks, foreground, hit, unwanted)
    if single:
        if single[0].crop:
            return single, "the best mask under the click, without what is under the background points"
        where = "under the click" if len(foreground) == 1 else "under all clicks"
        count = f"best of {len(single)} masks" if len(single) > 1 else "the only mask"
        return single, f"{count} {where}"
    parts: list[Answer] = []
    for p in range(len(foreground)):
        one = _single(masks, foreground[p : p + 1], hit[:, p : p + 1], unwanted)
        parts += one[:1]
    missed = len(foreground) - len(parts)
    if not parts:
        clicks = "foreground point" if len(foreground) == 1 else "foreground points"
        return [], f"no mask under the {clicks}" + (" without the background points" if hit.any() else "")
    where = f"the mask under one of {len(foreground)} foreground points"
    if len(parts) > 1:
        where = f"union of the masks under {len(parts)} foreground points"
    return [_join(masks, parts)], where + (f"; {counted(missed, 'point')} on no mask" if missed else "")


def _single(
    masks: MaskSet, foreground: NDArray[np.float64], hit: NDArray[np.bool_], unwanted: NDArray[np.bool_]
) -> list[Answer]:
    """Return every mask that holds all foreground points and no background point, best first;
    where there is none, the best mask that can be cut to that.
    """
    holds = hit.all(axis=1)
    prior = click_prior(masks, foreground, hit)
    clean = np.where(holds & ~unwanted.any(axis=1), prior, -1)
    rows = [row for row in ranked_rows(masks, clean) if clean[row] >= 0]
    if rows:
        return [Answer(row, float(prior[row])) for row in rows]
    dirty = np.where(holds, prior, -1)
    for row in (row for row in ranked_rows(masks, dirty) if dirty[row] >= 0):
        crop = _cut(masks, row, foreground, hit, unwanted)
        if crop is not None:
            return [Answer(row, float(prior[row]), crop)]
    return []


def _cut(
    masks: MaskSet,
    row: int,
    foreground: NDArray[np.float64],
    hit: NDArray[np.bool_],
    unwanted: NDArray[np.bool_],
) -> Crop | None:
    """Return a mask without the masks under the background points in it; None where that is impossible.

    A background point is cut away by the best-scored mask under it that spares the foreground points.
    """
    x0, y0, patch = masks.crop(row)
    left = patch.copy()
    for p in np.flatnonzero(unwanted[row]):
        cutters = np.flatnonzero(unwanted[:, p] & ~hit.any(axis=1))
        if len(cutters) == 0:
            return None
        best = cutters[ranked_rows(masks[cutters], masks.scores[cutters])[0]]
        erase(left, x0, y0, masks.crop(int(best)))
    return Crop(x0, y0, left) if left.any() else None


def erase(patch: NDArray[np.bool_], x0: int, y0: int, other: Crop) -> None:
    """Clear in ``patch``, whose corner is (x0, y0), the pixels of another crop."""
    left, top = max(x0, other.x0), max(y0, other.y0)
    right = min(x0 + patch.shape[1], other.x0 + other.patch.shape[1])
    bottom = min(y0 + patch.shape[0], other.y0 + other.patch.shape[0])
    if right > left and bottom > top:
        theirs = other.patch[top - other.y0 : bottom - other.y0, left - other.x0 : right - other.x0]
        patch[top - y0 : bottom - y0, left - x0 : right - x0] &= ~theirs


def _join(masks: MaskSet, parts: Sequence[Answer]) -> Answer:
    """Return the union of several answers; its row and score are those of the least sure part."""
    crops = [part.crop or masks.crop(part.row) for part in parts]
    least = min(parts, key=lambda part: (part.score, part.row))
    if len({(part.row, part.crop is None) for part in parts}) == 1 and parts[0].crop is None:
        return least
    x0, y0 = min(c.x0 for c in crops), min(c.y0 for c in crops)
    x1 = max(c.x0 + c.patch.shape[1] for c in crops)
    y1 = max(c.y0 + c.patch.shape[0] for c in crops)
    union = np.zeros((y1 - y0, x1 - x0), bool)
    for x, y, patch in crops:
        union[y - y0 : y - y0 + patch.shape[0], x - x0 : x - x0 + patch.shape[1]] |= patch
    return Answer(least.row, least.score, Crop(x0, y0, union))


def _levels(
    masks: MaskSet, answers: list[Answer], *, nested: bool = False
) -> tuple[list[Answer], list[Level]]:
    """Return up to three answers that differ, best first, with the names that their sizes give them.

    ``nested``: each lies in the next larger one, so that none merely overlaps the best.
    """
    answers = answers[:_CANDIDATES]
    crops = [one.crop or masks.crop(one.row) for one in answers]
    regions = [Region(x, y, x + p.shape[1], y + p.shape[0], p) for x, y, p in crops]
    chosen: list[int] = []
    for k in range(len(regions)):
        if len(chosen) < 3 and all(_differ(regions[k], regions[c], crops[c], nested) for c in chosen):
            chosen.append(k)
    areas = [regions[k].area_px for k in chosen]
    by_size = sorted(range(len(chosen)), key=lambda k: (-areas[k], -k))
    names: list[Level] = ["whole"] * len(chosen)
    for name, k in zip(LEVELS, by_size, strict=False):
        names[k] = name
    return [answers[k] for k in chosen], names


def _differ(a: Region, b: Region, b_crop: Crop, nested: bool) -> bool:
    """Tell whether two non-empty masks are different answers; ``b_crop`` is ``b`` as a crop."""
    shared = a.shared_px(*b_crop)
    inside = shared >= SAME_IOU * min(a.area_px, b.area_px)
    return shared < SAME_IOU * (a.area_px + b.area_px - shared) and (inside or not nested)


def _at_level(masks: MaskSet, answers: list[Answer], level: str) -> tuple[Answer, str, str]:
    """Return the answer of a level, its name, and how it was found; where a click has none of that level,
    the smallest of its larger ones.
    """
    candidates, names = _levels(masks, answers, nested=True)
    nested = counted(len(candidates), "nested mask")
    found = f"the {level} of {nested}"
    if level in names:
        return candidates[names.index(level)], level, found
    smallest = max(names, key=LEVELS.index)
    said = f"no {level} under the click: the {smallest} of {nested} instead"
    return candidates[names.index(smallest)], smallest, said


def _selection(masks: MaskSet, found: list[tuple[int, Answer, str]], reason: str) -> Selection:
    """Return the answers as a selection; only edited masks leave the grid."""
    answers = [one for _, one, _ in found]
    rows = np.array([one.row for one in answers], np.int64)
    edited = np.array([one.crop is not None for one in answers], bool)
    columns: dict[str, Any] = {
        "groups": np.array([number for number, _, _ in found], np.int64),
        "levels": tuple(name for _, _, name in found),
        "edited": edited,
    }
    scores = np.array([one.score for one in answers], np.float32)
    if edited.any():
        crops = [one.crop or masks.crop(one.row) for one in answers]
        return Selection.edited_masks(masks, crops, rows, scores, reason, **columns)
    return Selection(masks[rows], scores, rows, reason=reason, **columns)
