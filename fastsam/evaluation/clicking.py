"""Clicks until it fits, by the standard protocol, for our answers and three simpler rules on the same masks.

Each click lies in the middle of the largest error of the answer so far, as in interactive segmentation (RITM,
arXiv 2102.06583). The rules:

- ours: :func:`fastsam.prompts.select` with the photo;
- ``union``: foreground clicks add every mask under them, background clicks erase every mask under them, as
  FastSAM of CASIA and of Ultralytics do;
- ``chosen``: :func:`fastsam.prompts.select` without the photo: masks are chosen, joined and cut;
- ``grabcut``: OpenCV's GrabCut (Rother et al., 2004) on the photo at 320 pixels, seeded with our answer to
  the first click, the clicks held fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import EvalConfig
from fastsam.evaluation.metrics import mean
from fastsam.evaluation.prompting import mask_iou, next_click
from fastsam.prompts import Points, select
from fastsam.prompts.solve.scene import Scene

__all__ = [
    "CLICKS",
    "NOC_IOUS",
    "RULES",
    "click_figures",
    "click_objects",
    "clicked",
    "clicks_needed",
    "figures_of",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Clicks = Sequence[tuple[int, int, int]]
Rule = Callable[[Scene, Clicks], BoolArray]

NOC_IOUS = (0.85, 0.90)
CLICKS = (1, 2, 3, 5, 10)
"""Numbers of clicks after which the IoU is reported."""

_GRABCUT_SIDE = 320
_GRABCUT_RADIUS = 3
_GRABCUT_ROUNDS = 3


def _points(clicks: Clicks) -> Points:
    return Points([(x + 0.5, y + 0.5) for x, y, _ in clicks], [label for *_, label in clicks])


def _ours(scene: Scene, clicks: Clicks) -> BoolArray:
    answer = select(scene.masks, _points(clicks), scene=scene)
    return answer.masks.mask(0) if len(answer) else np.zeros(scene.masks.size_hw, bool)


def _chosen(scene: Scene, clicks: Clicks) -> BoolArray:
    answer = select(scene.masks, _points(clicks))
    return answer.masks.mask(0) if len(answer) else np.zeros(scene.masks.size_hw, bool)


def _union(scene: Scene, clicks: Clicks) -> BoolArray:
    answer = np.zeros(scene.masks.size_hw, bool)
    under = scene.masks.hits(np.array([(x, y) for x, y, _ in clicks], np.float64))
    for wanted in (1, 0):
        marked = np.array([label == wanted for *_, label in clicks])
        for i in np.flatnonzero(under[:, marked].any(axis=1)):
            scene.masks.crop(int(i)).paste(answer, wanted)
    return answer


def _grabcut(scene: Scene, clicks: Clicks) -> BoolArray:
    first = _ours(scene, clicks[:1])
    if len(clicks) == 1:
        return first
    height, width = first.shape
    scale = min(_GRABCUT_SIDE / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    photo = cv2.resize(scene.rgb, size, interpolation=cv2.INTER_AREA)
    seed = cv2.resize(first.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    marks = np.where(seed > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    for x, y, label in clicks:
        kind = cv2.GC_FGD if label else cv2.GC_BGD
        at = min(int((x + 0.5) * scale), size[0] - 1), min(int((y + 0.5) * scale), size[1] - 1)
        cv2.circle(marks, at, _GRABCUT_RADIUS, int(kind), -1)
    inside = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if inside.any() and not inside.all():
        cv2.setRNGSeed(0)
        back, front = np.zeros((1, 65)), np.zeros((1, 65))
        whole = (0, 0, *size)  # not looked at where there are marks
        cv2.grabCut(photo, marks, whole, back, front, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        inside = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
    soft = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft > 0.5)


RULES: dict[str, Rule] = {"": _ours, "union_": _union, "chosen_": _chosen, "grabcut_": _grabcut}
"""What answers the clicks, by the prefix of its figures."""


def clicked(rule: Rule, scene: Scene, target: BoolArray, max_clicks: int) -> FloatArray:
    """Return (max_clicks,) the IoU after each click.

    It stops, and the last IoU counts for the clicks that were not needed, when the answer is right, or fits
    better than all :data:`NOC_IOUS` after the last of :data:`CLICKS`.
    """
    ious = np.zeros(max_clicks)
    marked, answer = np.zeros(target.shape, bool), np.zeros(target.shape, bool)
    clicks: list[tuple[int, int, int]] = []
    for count in range(max_clicks):
        click = next_click(answer, target, marked)
        if click is None or (count >= CLICKS[-1] and ious[:count].max() >= NOC_IOUS[-1]):
            ious[count:] = ious[count - 1] if count else 0.0
            break
        marked[click[1], click[0]] = True
        clicks.append(click)
        answer = rule(scene, clicks)
        ious[count] = mask_iou(answer, target)
    return ious


def click_objects(scene: Scene, objects: Sequence[BoolArray], config: EvalConfig) -> FloatArray:
    """Return (rules, clicks, G) the IoU after each click on each object; NaN for too small objects."""
    ious = np.full((len(RULES), config.max_clicks, len(objects)), np.nan)
    for g, target in enumerate(objects):
        if np.count_nonzero(target) >= max(config.min_area_px, 1):
            for r, rule in enumerate(RULES.values()):
                ious[r, :, g] = clicked(rule, scene, target, config.max_clicks)
    return ious


def clicks_needed(ious: FloatArray, wanted: float) -> FloatArray:
    """Return (G,) how many clicks it took until each object's IoU, (clicks, G), was reached.

    As many as there are where it never was, as the literature's NoC@85 and NoC@90 count it; NaN stays NaN.

    >>> clicks_needed(np.array([[0.5, 0.9, np.nan], [0.6, 0.8, np.nan]]), 0.85).tolist()
    [2.0, 1.0, nan]
    """
    reached = ious >= wanted
    count = np.where(reached.any(axis=0), reached.argmax(axis=0) + 1, len(ious)).astype(np.float64)
    return np.where(np.isnan(ious).any(axis=0), np.nan, count)


def figures_of(ious: FloatArray) -> dict[str, Any]:
    """Return the figures of (clicks, G) IoUs by one rule, each a mean over objects."""
    figures: dict[str, Any] = {
        f"clicks_mIoU@{count}": mean(ious[count - 1]) for count in CLICKS if count <= len(ious)
    }
    for wanted in NOC_IOUS:
        figures[f"noc@{100 * wanted:.0f}"] = mean(clicks_needed(ious, wanted))
    failed = np.where(np.isnan(ious).any(axis=0), np.nan, ious.max(axis=0) < NOC_IOUS[0])
    return {**figures, "noc_failed": mean(failed)}


def click_figures(ious: FloatArray) -> dict[str, Any]:
    """Return the figures of (rules, clicks, G) IoUs, by the rule's prefix and the figure's name."""
    return {
        prefix + name: value
        for prefix, one in zip(RULES, ious, strict=True)
        for name, value in figures_of(one).items()
    }
