"""Masks, prompts and prototype grids for tests, drawn by hypothesis or from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.stores.grid import GridStore
from fastsam.prompts import Box, MaskLike, Points
from tests.oracles import Scene

BoolArray = NDArray[np.bool_]
THRESHOLDS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def ellipse(size_hw: tuple[int, int], x1: float, y1: float, x2: float, y2: float) -> BoolArray:
    """The pixels whose centres lie in the ellipse that fills a box."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    across, down = (2 * x - x1 - x2) / max(x2 - x1, 1), (2 * y - y1 - y2) / max(y2 - y1, 1)
    return np.asarray(across**2 + down**2 <= 1)


def rectangle(size_hw: tuple[int, int], x1: int, y1: int, x2: int, y2: int) -> BoolArray:
    """The pixels x1 <= x < x2, y1 <= y < y2."""
    mask = np.zeros(size_hw, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def blob(size_hw: tuple[int, int], seed: int, share: float = 0.5) -> BoolArray:
    """Smooth noise above a threshold: islands, holes, touching corners."""
    noise = np.random.default_rng(seed).normal(size=size_hw)
    for axis in (0, 1):
        noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    return np.asarray(noise > np.quantile(noise, 1 - share))


@st.composite
def scenes(draw: st.DrawFn, max_side: int = 48, max_masks: int = 8, min_masks: int = 0) -> Scene:
    """Up to eight rectangles, ellipses, blobs, nested or empty masks of one image, with scores."""
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    size = (height, width)
    masks: list[BoolArray] = []
    for _ in range(draw(st.integers(min_masks, max_masks))):
        kind = draw(st.sampled_from(["rectangle", "ellipse", "blob", "nested", "twin", "empty", "full"]))
        xs = sorted((draw(st.integers(0, width)), draw(st.integers(0, width))))
        ys = sorted((draw(st.integers(0, height)), draw(st.integers(0, height))))
        if kind == "blob":
            mask = blob(size, draw(st.integers(0, 999)), draw(st.sampled_from([0.1, 0.3, 0.6])))
        elif kind == "ellipse":
            mask = ellipse(size, xs[0], ys[0], xs[1], ys[1])
        elif kind == "nested" and masks:
            mask = masks[-1] & ellipse(size, xs[0], ys[0], xs[1], ys[1])
        elif kind == "twin" and masks:
            mask = masks[-1].copy()
        elif kind == "empty":
            mask = np.zeros(size, bool)
        elif kind == "full":
            mask = np.ones(size, bool)
        else:
            mask = rectangle(size, xs[0], ys[0], xs[1], ys[1])
        masks.append(mask)
    twentieths = draw(st.lists(st.integers(1, 20), min_size=len(masks), max_size=len(masks)))
    return Scene(np.array(masks, bool).reshape(len(masks), height, width), tuple(twentieths))


@st.composite
def clicks(draw: st.DrawFn, scene: Scene) -> tuple[float, float]:
    """A point of the image, mostly in a mask."""
    height, width = scene.size_hw
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    if len(scene.masks) and draw(st.integers(0, 3)):
        ys, xs = np.nonzero(scene.masks[draw(st.integers(0, len(scene.masks) - 1))])
        if len(xs):
            k = draw(st.integers(0, len(xs) - 1))
            x, y = int(xs[k]), int(ys[k])
    part = st.sampled_from([0.0, 0.5, 0.99])
    return x + draw(part), y + draw(part)


@st.composite
def box_prompts(draw: st.DrawFn, scene: Scene) -> Box:
    """One to three boxes inside the image, on and between pixels."""
    height, width = scene.size_hw
    boxes = []
    for _ in range(draw(st.integers(1, 3))):
        xs = draw(st.lists(st.integers(0, 4 * width), min_size=2, max_size=2, unique=True).map(sorted))
        ys = draw(st.lists(st.integers(0, 4 * height), min_size=2, max_size=2, unique=True).map(sorted))
        boxes.append((xs[0] / 4, ys[0] / 4, xs[1] / 4, ys[1] / 4))
    return Box(boxes, draw(st.sampled_from(THRESHOLDS)))


@st.composite
def point_prompts(draw: st.DrawFn, scene: Scene) -> Points:
    """Foreground and background clicks on one to three objects."""
    objects, labels = [], []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 4))
        objects.append([draw(clicks(scene)) for _ in range(count)])
        marks = draw(st.lists(st.sampled_from([1, 1, 0, -1]), min_size=count, max_size=count))
        labels.append(marks if any(mark >= 0 for mark in marks) else [draw(st.integers(0, 1))] * count)
    level = draw(st.sampled_from(["auto", "auto", "auto", "whole", "part", "subpart"]))
    return Points(objects, labels, multimask=level == "auto" and draw(st.booleans()), level=level)


@st.composite
def mask_prompts(draw: st.DrawFn, scene: Scene) -> MaskLike:
    """A bitmap, RLE, a rectangular polygon, or a stroke along the axes; one mask answers."""
    height, width = scene.size_hw
    kind = draw(st.sampled_from(["bitmap", "rle", "polygon", "scribble"]))
    threshold = draw(st.sampled_from(THRESHOLDS))
    if kind == "polygon" and min(height, width) > 1:
        xs = draw(st.lists(st.integers(0, width - 1), min_size=2, max_size=2, unique=True))
        ys = draw(st.lists(st.integers(0, height - 1), min_size=2, max_size=2, unique=True))
        return MaskLike(
            [(xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1])], threshold, group=False
        )
    if kind == "scribble":
        line = [draw(clicks(scene))]
        for _ in range(draw(st.integers(0, 3))):
            x, y = draw(clicks(scene))
            line.append((x, line[-1][1]) if draw(st.booleans()) else (line[-1][0], y))
        return MaskLike.scribble(line, threshold=threshold, group=False)
    drawn = blob(scene.size_hw, draw(st.integers(0, 999)))
    if len(scene.masks) and draw(st.booleans()):
        drawn = scene.masks[draw(st.integers(0, len(scene.masks) - 1))]
    if not drawn.any():
        drawn = np.ones(scene.size_hw, bool)
    if kind == "rle":
        return MaskLike({"size": [height, width], "counts": runs(drawn)}, threshold, group=False)
    return MaskLike(drawn, threshold, group=False)


def runs(mask: BoolArray) -> list[int]:
    """COCO's list of counts: column by column, beginning with zeros."""
    counts, current = [0], False
    for value in mask.T.ravel().tolist():
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    return counts


def simple_prompts(scene: Scene) -> st.SearchStrategy[Any]:
    """Any prompt that is no combination."""
    return st.one_of(box_prompts(scene), point_prompts(scene), mask_prompts(scene))


def mask_set(scene: Scene) -> MaskSet:
    """The masks of a scene as the package takes them."""
    return MaskSet.from_dense(scene.masks, scene.scores)


def random_grid(
    image_hw: tuple[int, int], imgsz: int, count: int = 6, seed: int = 0, channels: int = 4
) -> GridStore:
    """Masks on a prototype grid as a network gives them: smooth logits, cut to boxes on no whole pixels."""
    rng = np.random.default_rng(seed)
    letterbox = Letterbox.fit(image_hw, imgsz)
    grid_hw = (letterbox.net_hw[0] // 4, letterbox.net_hw[1] // 4)
    prototypes = rng.normal(size=(channels, *grid_hw))
    for _ in range(3):
        for axis in (1, 2):
            prototypes = prototypes + np.roll(prototypes, 1, axis) + np.roll(prototypes, -1, axis)
    prototypes = prototypes / prototypes.std()
    height, width = image_hw
    corners = rng.uniform(0, 1, (count, 2, 2))
    low, high = corners.min(axis=1), corners.max(axis=1)
    boxes = np.concatenate([low, high], axis=1) * np.array([width, height, width, height])
    if count > 1:
        boxes[0] = (0, 0, width, height)
    return GridStore(
        rng.normal(size=(count, channels)).astype(np.float32),
        prototypes.astype(np.float32),
        boxes.astype(np.float32),
        GridMap(letterbox, grid_hw),
    )
