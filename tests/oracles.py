"""What prompts mean, said slowly on dense boolean arrays and exact fractions.

Written from the descriptions of the prompts, not from their code. Where two masks are so close that the
rounding of floats may decide between them, an oracle raises :class:`TooClose`: the test draws again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from fastsam.prompts import AllOf, AnyOf, Box, ButNot, MaskLike, ObjectPoints, Points

BoolArray = NDArray[np.bool_]
SAME_IOU = Fraction(4, 5)
AS_GOOD = Fraction(1, 50)


class TooClose(Exception):
    """The order of two masks hangs on rounding."""


@dataclass(frozen=True, eq=False)
class Scene:
    """N drawn masks of one image and their scores, in twentieths."""

    masks: BoolArray
    twentieths: tuple[int, ...]

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.masks.shape[1], self.masks.shape[2]

    @property
    def scores(self) -> NDArray[np.float32]:
        return np.array(self.twentieths, np.float32) / np.float32(20)

    def without(self, rows: Sequence[int]) -> tuple[Scene, list[int]]:
        """Return the scene without some masks, and the rows of those that are left."""
        left = [i for i in range(len(self.masks)) if i not in set(rows)]
        return Scene(self.masks[left], tuple(self.twentieths[i] for i in left)), left


class Answer(NamedTuple):
    """One mask that answers a prompt."""

    pixels: BoolArray
    group: int
    score: float
    row: int
    level: str = ""
    edited: bool = False


def tight_box(mask: BoolArray) -> tuple[int, int, int, int]:
    """The edges of the pixels; zeros for an empty mask."""
    ys, xs = np.nonzero(mask)
    if len(xs) == 0:
        return 0, 0, 0, 0
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def iou(a: BoolArray, b: BoolArray) -> Fraction:
    """Intersection over union; 0 where both are empty."""
    union = int((a | b).sum())
    return Fraction(int((a & b).sum()), union) if union else Fraction(0)


def containment_shares(masks: BoolArray) -> NDArray[np.float64]:
    """(N, N): the share of mask i that lies inside mask j; 0 for an empty mask i."""
    flat = masks.reshape(len(masks), masks.shape[1] * masks.shape[2]).astype(np.float64)
    return flat @ flat.T / np.maximum(flat.sum(axis=1), 1)[:, None]


def tie_key(scene: Scene, row: int) -> tuple[Any, ...]:
    """The better score, then the smaller box, then the box further left and up, then the pixels."""
    x1, y1, x2, y2 = tight_box(scene.masks[row])
    inside = scene.masks[row][y1:y2, x1:x2]
    return -scene.twentieths[row], (x2 - x1) * (y2 - y1), x1, y1, x2, y2, inside.tobytes()


def box_pixels(box: Sequence[float], size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose centres the box covers; along an axis where it covers none, the one it lies in."""

    def covered(low: float, high: float, side: int) -> list[bool]:
        centres = [low <= i + 0.5 < high for i in range(side)]
        return centres if any(centres) else [i == math.floor((low + high) / 2) for i in range(side)]

    return np.outer(covered(box[1], box[3], size_hw[0]), covered(box[0], box[2], size_hw[1])).astype(bool)


def hits(scene: Scene, row: int, point: Sequence[float]) -> bool:
    """Whether a mask holds the pixel under a point."""
    return bool(scene.masks[row, math.floor(point[1]), math.floor(point[0])])


def depth_squared(mask: BoolArray, point: Sequence[float]) -> Fraction:
    """The square of: distance to the nearest pixel outside, over the largest such distance in the mask."""
    squared = np.rint(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] ** 2).astype(int)
    return Fraction(int(squared[math.floor(point[1]), math.floor(point[0])]), int(squared.max()))


class Prior(NamedTuple):
    """How likely a click means a mask: root of the score times depth squared, as two exact numbers."""

    twentieths: int
    depth2: Fraction

    @property
    def squared(self) -> Fraction:
        return Fraction(self.twentieths, 20) * self.depth2**2

    @property
    def value(self) -> float:
        return math.sqrt(self.squared)


def prior(scene: Scene, row: int, points: Sequence[Any]) -> Prior:
    """The prior of a mask that holds all the points: that of the shallowest."""
    return Prior(scene.twentieths[row], min(depth_squared(scene.masks[row], point) for point in points))


def ranked_by_prior(scene: Scene, rows: Sequence[int], points: Sequence[Any]) -> list[int]:
    """Rows, best prior first."""
    found = {row: prior(scene, row, points) for row in rows}
    for i in rows:
        for j in rows:
            a, b = found[i], found[j]
            same = a.twentieths == b.twentieths and (a.depth2 == b.depth2)
            if not same and abs(a.value - b.value) < 1e-5:
                raise TooClose
            if same and a.depth2 != 1 and not np.array_equal(scene.masks[i], scene.masks[j]):
                raise TooClose  # sqrt(2) / sqrt(8) and sqrt(1) / sqrt(4) need not be the same float
    return sorted(rows, key=lambda row: (-found[row].squared, *tie_key(scene, row)))


def select(scene: Scene, prompt: Any) -> list[Answer]:
    """What a prompt selects."""
    if isinstance(prompt, Box):
        return select_boxes(scene, prompt)
    if isinstance(prompt, Points):
        return [
            one
            for g, clicks in enumerate(prompt.objects)
            for one in select_clicks(scene, clicks, g, prompt.multimask, prompt.level)
        ]
    if isinstance(prompt, MaskLike):
        return select_mask(scene, prompt)
    if isinstance(prompt, AnyOf):
        return select_any(scene, prompt)
    if isinstance(prompt, AllOf):
        return select_all(scene, prompt)
    assert isinstance(prompt, ButNot)
    return select_but_not(scene, prompt)


def select_boxes(scene: Scene, prompt: Box) -> list[Answer]:
    """Each box: the mask of the best IoU, if that reaches the threshold."""
    found = []
    for group, box in enumerate(prompt.xyxy):
        region = box_pixels(box, scene.size_hw)
        best = best_by_iou(scene, region, Fraction(str(prompt.iou_threshold)))
        if best is not None:
            found.append(Answer(scene.masks[best], group, float(iou(scene.masks[best], region)), best))
    return found


def best_by_iou(scene: Scene, region: BoolArray, threshold: Fraction) -> int | None:
    """The row of the best IoU with a region, or None where it is 0 or under the threshold."""
    if len(scene.masks) == 0:
        return None
    values = [iou(mask, region) for mask in scene.masks]
    best = min(range(len(values)), key=lambda row: (-values[row], *tie_key(scene, row)))
    return best if values[best] > 0 and values[best] >= threshold else None


def select_clicks(
    scene: Scene, clicks: ObjectPoints, group: int, multimask: bool, level: str
) -> list[Answer]:
    """The masks that the clicks on one object mean."""
    rows = range(len(scene.masks))
    foreground, background = clicks.foreground, clicks.background
    if not foreground:
        spared = [row for row in rows if not any(hits(scene, row, p) for p in background)]
        return [Answer(scene.masks[row], group, float(scene.scores[row]), row) for row in spared]
    alone = clicks_on_one(scene, foreground, background, group)
    if alone:
        if level != "auto":
            return [at_level(alone, level)]
        return levels(alone) if multimask and len(alone) > 1 else alone[:1]
    parts = [one for point in foreground for one in clicks_on_one(scene, [point], background, group)[:1]]
    if not parts:
        return []
    level = "" if level == "auto" else "whole"
    least = min(parts, key=lambda part: (part.score, part.row))
    if all(part.row == least.row and not part.edited for part in parts):
        return [least._replace(level=level)]
    union = np.logical_or.reduce([part.pixels for part in parts])
    return [Answer(union, group, least.score, least.row, level, edited=True)]


def clicks_on_one(
    scene: Scene, foreground: Sequence[Any], background: Sequence[Any], group: int
) -> list[Answer]:
    """Masks that hold all the foreground and no background; else the best that can be cut to that."""
    holding = [row for row in range(len(scene.masks)) if all(hits(scene, row, p) for p in foreground)]
    clean = [row for row in holding if not any(hits(scene, row, p) for p in background)]
    if clean:
        order = ranked_by_prior(scene, clean, foreground)
        return [Answer(scene.masks[row], group, prior(scene, row, foreground).value, row) for row in order]
    for row in ranked_by_prior(scene, holding, foreground):
        pixels = cut(scene, row, foreground, background)
        if pixels is not None:
            return [Answer(pixels, group, prior(scene, row, foreground).value, row, edited=True)]
    return []


def cut(scene: Scene, row: int, foreground: Sequence[Any], background: Sequence[Any]) -> BoolArray | None:
    """A mask without, for each background point in it, the best-scored mask there that spares the
    foreground; None where there is none."""
    pixels = scene.masks[row].copy()
    for point in background:
        if not hits(scene, row, point):
            continue
        cutters = [
            k
            for k in range(len(scene.masks))
            if hits(scene, k, point) and not any(hits(scene, k, p) for p in foreground)
        ]
        if not cutters:
            return None
        pixels &= ~scene.masks[min(cutters, key=lambda k: tie_key(scene, k))]
    return pixels


def consistent_exists(scene: Scene, foreground: Sequence[Any], background: Sequence[Any]) -> bool:
    """Whether a mask, or a mask minus masks under the background points, holds all the foreground and no
    background. The most that can go is every mask that holds no foreground point."""
    spare = [k for k in range(len(scene.masks)) if not any(hits(scene, k, p) for p in foreground)]
    gone = np.zeros(scene.size_hw, bool)
    for k in spare:
        gone |= scene.masks[k]
    for row in range(len(scene.masks)):
        left = scene.masks[row] & ~gone
        holds = all(left[math.floor(y), math.floor(x)] for x, y in foreground)
        if holds and not any(left[math.floor(y), math.floor(x)] for x, y in background):
            return True
    return False


def at_level(answers: Sequence[Answer], level: str) -> Answer:
    """Of up to three that lie in each other, the one of that name; else the smallest."""
    found = {one.level: one for one in levels(answers, nested=True)}
    return found.get(level) or min(found.values(), key=lambda one: int(one.pixels.sum()))


def in_each_other(a: BoolArray, b: BoolArray) -> bool:
    """Whether four fifths of the smaller mask lie in the other."""
    return int((a & b).sum()) >= SAME_IOU * min(int(a.sum()), int(b.sum()))


def levels(answers: Sequence[Answer], nested: bool = False) -> list[Answer]:
    """Up to three that differ, best first, named by size."""
    chosen: list[Answer] = []
    for one in answers[:12]:
        if len(chosen) == 3 or any(iou(one.pixels, other.pixels) >= SAME_IOU for other in chosen):
            continue
        if not nested or all(in_each_other(one.pixels, other.pixels) for other in chosen):
            chosen.append(one)
    names = {1: ("whole",), 2: ("part", "whole"), 3: ("subpart", "part", "whole")}[len(chosen)]
    by_size = sorted(range(len(chosen)), key=lambda k: (int(chosen[k].pixels.sum()), k))
    return [one._replace(level=names[by_size.index(k)]) for k, one in enumerate(chosen)]


def marked(prompt: MaskLike, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels of a bitmap, of RLE with listed counts, or of a stroke or ring along the axes."""
    if prompt.kind == "bitmap":
        return np.asarray(prompt.value, bool)
    if prompt.kind == "rle":
        flat: list[bool] = []
        for k, count in enumerate(prompt.value["counts"]):
            flat += [k % 2 == 1] * count
        return np.array(flat, bool).reshape(size_hw[1], size_hw[0]).T
    pixels = np.zeros(size_hw, bool)
    if prompt.kind == "polygon":  # a rectangle whose corners are pixels
        (x1, y1), (x2, y2) = prompt.value.min(axis=0).astype(int), prompt.value.max(axis=0).astype(int)
        pixels[y1 : y2 + 1, x1 : x2 + 1] = True
        return pixels
    line = np.floor(prompt.value).astype(int)
    pixels[line[0][1], line[0][0]] = True
    for (xa, ya), (xb, yb) in pairwise(line):
        pixels[min(ya, yb) : max(ya, yb) + 1, min(xa, xb) : max(xa, xb) + 1] = True
    return pixels


def select_mask(scene: Scene, prompt: MaskLike) -> list[Answer]:
    """The mask of the best IoU with what is marked; for a scribble, of those that cover it best, the one
    that a click in its middle means."""
    drawn = marked(prompt, scene.size_hw)
    threshold = Fraction(str(prompt.threshold))
    if prompt.kind != "scribble":
        best = best_by_iou(scene, drawn, threshold)
        return (
            [] if best is None else [Answer(scene.masks[best], 0, float(iou(scene.masks[best], drawn)), best)]
        )
    covered = [Fraction(int((mask & drawn).sum()), int(drawn.sum())) for mask in scene.masks]
    top = max(covered, default=Fraction(0))
    if top == 0 or top < threshold:
        return []
    if any(value != top and abs(top - AS_GOOD - value) < Fraction(1, 10**6) for value in covered):
        raise TooClose
    as_good = [row for row, value in enumerate(covered) if value >= top - AS_GOOD and value >= threshold]
    ys, xs = np.nonzero(drawn)
    middle_x, middle_y = Fraction(int(xs.sum()), len(xs)), Fraction(int(ys.sum()), len(ys))
    points = [(int(x), int(y)) for x, y in zip(xs, ys, strict=True)]
    distances = [(x - middle_x) ** 2 + (y - middle_y) ** 2 for x, y in points]
    middles = [k for k, d in enumerate(distances) if d - min(distances) < Fraction(1, 10**6)]
    if len(middles) > 1:
        raise TooClose
    middle = points[middles[0]]
    under = [row for row in as_good if hits(scene, row, middle)]
    if under:
        best = ranked_by_prior(scene, under, [middle])[0]
    else:
        best = min(as_good, key=lambda row: tie_key(scene, row))
    return [Answer(scene.masks[best], 0, float(covered[best]), best)]


def select_any(scene: Scene, prompt: AnyOf) -> list[Answer]:
    """Every member's answers, each mask once."""
    found: list[Answer] = []
    for number, member in enumerate(prompt.prompts):
        for one in select(scene, member):
            if one.edited or all(other.edited or other.row != one.row for other in found):
                found.append(one._replace(group=number))
    return found


def satisfied(scene: Scene, prompt: Any) -> tuple[list[list[float]], bool]:
    """How well each mask by itself satisfies each part of a prompt, 0 where it does not; and whether the
    prompt means one mask for each part rather than all that satisfy it."""
    rows = range(len(scene.masks))
    if isinstance(prompt, Box):
        threshold = Fraction(str(prompt.iou_threshold))
        regions = [box_pixels(box, scene.size_hw) for box in prompt.xyxy]
        values = [[iou(scene.masks[row], region) for row in rows] for region in regions]
        return [[float(v) if v >= threshold else 0.0 for v in part] for part in values], True
    if isinstance(prompt, MaskLike):
        drawn, threshold = marked(prompt, scene.size_hw), Fraction(str(prompt.threshold))
        if prompt.kind == "scribble":
            found = [Fraction(int((mask & drawn).sum()), int(drawn.sum())) for mask in scene.masks]
        else:
            found = [iou(mask, drawn) for mask in scene.masks]
        return [[float(v) if v >= threshold else 0.0 for v in found]], True
    if isinstance(prompt, Points):
        parts = []
        for clicks in prompt.objects:
            part = []
            for row in rows:
                fits = all(hits(scene, row, p) for p in clicks.foreground)
                fits = fits and not any(hits(scene, row, p) for p in clicks.background)
                worth = prior(scene, row, clicks.foreground).value if fits and clicks.foreground else 1.0
                part.append(worth if fits else 0.0)
            parts.append(part)
        return parts, any(clicks.foreground for clicks in prompt.objects)
    if isinstance(prompt, AnyOf):
        members = [satisfied(scene, member) for member in prompt.prompts]
        return [part for parts, _ in members for part in parts], all(one for _, one in members)
    if isinstance(prompt, AllOf):
        return satisfied_all(scene, prompt)
    assert isinstance(prompt, ButNot)
    parts, one = satisfied(scene, prompt.prompt)
    out = {answer.row for answer in select(scene, prompt.unwanted) if not answer.edited}
    return [[0.0 if row in out else value for row, value in enumerate(part)] for part in parts], one


def satisfied_all(scene: Scene, prompt: AllOf) -> tuple[list[list[float]], bool]:
    """A mask is as good as its worst prompt; parts are those of the first prompt that means one mask."""
    members = [satisfied(scene, member) for member in prompt.prompts]
    rows = range(len(scene.masks))
    worst = [min(max(part[row] for part in parts) for parts, _ in members) for row in rows]
    for parts, one in members:
        if one:
            return [[worst[row] if part[row] > 0 else 0.0 for row in rows] for part in parts], True
    return [worst], False


def select_all(scene: Scene, prompt: AllOf) -> list[Answer]:
    """Of each part, the best mask that satisfies every prompt; or all that do."""
    parts, one = satisfied(scene, prompt)
    if not one:
        values = [max(part[row] for part in parts) for row in range(len(scene.masks))]
        return [Answer(scene.masks[row], 0, v, row) for row, v in enumerate(values) if v > 0]
    found = []
    for group, part in enumerate(parts):
        rows = [row for row, value in enumerate(part) if value > 0]
        for i in rows:
            for j in rows:
                near = part[i] > max(part) - 1e-5 and part[j] > max(part) - 1e-5
                if near and not np.array_equal(scene.masks[i], scene.masks[j]):
                    raise TooClose
        if rows:
            best = min(rows, key=lambda row: (-round(part[row], 4), *tie_key(scene, row)))
            found.append(Answer(scene.masks[best], group, part[best], best))
    return found


def select_but_not(scene: Scene, prompt: ButNot) -> list[Answer]:
    """What the prompt selects once the unwanted masks are out of the race; where that is nothing, what it
    can cut out with their help."""
    unwanted = select(scene, prompt.unwanted)
    smaller, left = scene.without([one.row for one in unwanted if not one.edited])
    found = select(smaller, prompt.prompt)
    if found:
        return [one._replace(row=left[one.row]) for one in found]
    barred = {one.row for one in unwanted}
    return [one for one in select(scene, prompt.prompt) if one.edited and one.row not in barred]
