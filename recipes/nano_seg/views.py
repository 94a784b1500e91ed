"""Views of packed pictures: what one training step sees, drawn from a seed and the step's number.

A view is one picture scaled, moved and mirrored, or four of them at half the size beside each other. Small
cut-outs of whole objects are pasted on some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recipes.nano_seg.pack import CUT_OUTS, SOURCES, Photos, Picture, decoded

CELL = 4  # pixels of the network's input per cell of its mask grid
MOST_OBJECTS = 120
LEAST_CELLS = 5  # smaller objects are neither objects nor background
LEAST_VISIBLE = 0.1  # so is what an edge of the view cuts to less than this
_GREY = 114
_UNFILLED = 0.05  # weight of background while the teachers have not looked at a partly labelled picture


@dataclass(eq=False)
class View:
    """What the network sees and what it should find.

    Attributes:
        image: (H, W, 3) BGR.
        masks: (N, H / CELL, W / CELL) of 0 and 1.
        boxes_xyxy: (N, 4) pixels.
        background: (H / CELL, W / CELL) the weight of background there in the objectness loss.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float32]
    background: NDArray[np.float32]


def _resampled(
    values: NDArray[np.uint8], matrix: NDArray[np.float64], size_hw: tuple[int, int], border: int, way: int
) -> NDArray[np.uint8]:
    mode = cv2.BORDER_CONSTANT
    return np.asarray(
        cv2.warpAffine(values, matrix, size_hw[::-1], flags=way, borderMode=mode, borderValue=(border,) * 4),
        np.uint8,
    )


def _to_grid(
    stack: NDArray[np.uint8], matrix: NDArray[np.float64], size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return (N, H / CELL, W / CELL) of 0 and 1: (h, w, N) masks moved by ``matrix`` and sampled at cells."""
    grid_hw = (size_hw[0] // CELL, size_hw[1] // CELL)
    # The centre of cell c is the pixel CELL * c + (CELL - 1) / 2.
    onto = matrix / CELL
    onto[:, 2] -= (CELL - 1) / 2 / CELL
    found = [
        _resampled(np.ascontiguousarray(stack[..., k]) * 255, onto, grid_hw, 0, cv2.INTER_LINEAR) > 127
        for k in range(stack.shape[2])
    ]
    return np.stack(found).astype(np.uint8)


def _boxes(stack: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (N, 4) xyxy pixel edges of (h, w, N) masks."""
    boxes = np.zeros((stack.shape[2], 4))
    across, down = stack.any(axis=0).T, stack.any(axis=1).T
    for k, (columns, rows) in enumerate(zip(across, down, strict=True)):
        x, y = np.flatnonzero(columns), np.flatnonzero(rows)
        if len(x):
            boxes[k] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return boxes


def _moved(boxes: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes under a matrix without rotation, for which pixel centres are whole numbers."""
    x = (boxes[:, [0, 2]] - 0.5) * matrix[0, 0] + matrix[0, 2] + 0.5
    y = (boxes[:, [1, 3]] - 0.5) * matrix[1, 1] + matrix[1, 2] + 0.5
    x, y = np.sort(x, axis=1), np.sort(y, axis=1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


def _place(rng: np.random.Generator, size_hw: tuple[int, int], into: tuple[int, int], zoom: float) -> Any:
    """Return the matrix that scales a picture to fit and by ``zoom``, mirrors it at times, and moves it."""
    scale = min(into[0] / size_hw[0], into[1] / size_hw[1]) * zoom
    stretch = float(np.exp(rng.uniform(-0.1, 0.1)))
    sx, sy = scale * stretch, scale / stretch
    free_x, free_y = into[1] - sx * size_hw[1], into[0] - sy * size_hw[0]
    matrix = np.array([[sx, 0, free_x * rng.uniform()], [0, sy, free_y * rng.uniform()]])
    matrix[:, 2] += (np.array([sx, sy]) - 1) / 2  # whole numbers are the centres of pixels
    if rng.uniform() < 0.5:
        matrix[0] = -matrix[0, 0], 0, into[1] - 1 - matrix[0, 2]
    return matrix


def _zoom(rng: np.random.Generator) -> float:
    """Return by how much a picture is larger than the view: about its size, or anything up to double."""
    if rng.uniform() < 0.5:
        return float(rng.uniform(0.85, 1.2))
    return float(np.exp(rng.uniform(np.log(0.7), np.log(2.0))))


def _single(
    rng: np.random.Generator, photos: Photos, picture: Picture, size_hw: tuple[int, int], zoom: float
) -> View:
    """Return a view of one picture."""
    matrix = _place(rng, picture.size_hw, size_hw, zoom)
    way = cv2.INTER_AREA if abs(matrix[0, 0]) < 0.6 else cv2.INTER_LINEAR
    image = _resampled(photos.bgr(picture), matrix, size_hw, _GREY, way)
    grid_hw = (size_hw[0] // CELL, size_hw[1] // CELL)
    source = next(source for source in SOURCES if source.name == picture.source)
    waits = source.fill and picture.filled is None and source.background < 0.4
    background = np.full(grid_hw, _UNFILLED if waits else source.background, np.float32)
    rles = picture.rles + (picture.filled or [])
    if len(rles) > MOST_OBJECTS:
        rles = [rles[int(k)] for k in rng.permutation(len(rles))[:MOST_OBJECTS]]
        background[:] = np.minimum(background, 0.2)
    masks, boxes = np.zeros((0, *grid_hw), np.uint8), np.zeros((0, 4))
    if picture.crowds:
        background[_to_grid(decoded(picture.crowds), matrix, size_hw).any(axis=0)] = 0
    if rles:
        stack = decoded(rles)
        whole = _moved(_boxes(stack), matrix)
        boxes = np.clip(whole, 0, np.array([size_hw[1], size_hw[0]] * 2))
        near = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) > 2
        stack, whole, boxes = stack[..., near], whole[near], boxes[near]
        if near.any():
            masks = _to_grid(stack, matrix, size_hw)
            areas = stack.reshape(-1, stack.shape[2]).sum(axis=0) * abs(matrix[0, 0] * matrix[1, 1]) / CELL**2
            masks, boxes = _visible(masks, boxes, whole, areas, background)
    return View(image, masks, boxes.astype(np.float32), background)


def _visible(
    masks: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    whole: NDArray[np.float64],
    areas: NDArray[np.float64],
    background: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the objects that can be seen; what is left of others counts as nothing in ``background``."""
    cells = masks.sum(axis=(1, 2))
    good = (cells >= LEAST_CELLS) & (cells >= LEAST_VISIBLE * areas)
    background[masks[~good].any(axis=0)] = 0
    for k in np.flatnonzero(good & (boxes != whole).any(axis=1)):
        x, y = np.flatnonzero(masks[k].any(axis=0)), np.flatnonzero(masks[k].any(axis=1))
        seen = np.array([x[0], y[0], x[-1] + 1, y[-1] + 1]) * CELL
        boxes[k] = [*np.maximum(boxes[k, :2], seen[:2]), *np.minimum(boxes[k, 2:], seen[2:])]
        if (boxes[k, 2:] - boxes[k, :2]).min() < 2:
            good[k] = False
    return masks[good], boxes[good]


def _four(
    rng: np.random.Generator, photos: Photos, pictures: list[Picture], size_hw: tuple[int, int]
) -> View:
    """Return four pictures at about half the size, beside each other."""
    height, width = size_hw
    y, x = height // 8 * 4, width // 8 * 4
    corners = ((0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width))
    image = np.zeros((height, width, 3), np.uint8)
    background = np.zeros((height // CELL, width // CELL), np.float32)
    masks, boxes = [], []
    for picture, (top, left, bottom, right) in zip(pictures, corners, strict=True):
        part = _single(rng, photos, picture, (bottom - top, right - left), float(rng.uniform(0.9, 1.5)))
        image[top:bottom, left:right] = part.image
        cells = np.s_[top // CELL : bottom // CELL, left // CELL : right // CELL]
        background[cells] = part.background
        here = np.zeros((len(part.masks), height // CELL, width // CELL), np.uint8)
        here[:, cells[0], cells[1]] = part.masks
        masks.append(here)
        boxes.append(part.boxes_xyxy + np.array([left, top, left, top], np.float32))
    return View(image, np.concatenate(masks), np.concatenate(boxes), background)


def _paste(rng: np.random.Generator, photos: Photos, cut_out: Picture, view: View) -> None:
    """Paste a whole object, 4 to 20 % of the view's longer side, over whatever is there; in place."""
    stack = decoded(cut_out.rles[:1])
    x0, y0, x1, y1 = (int(v) for v in _boxes(stack)[0])
    height, width = view.image.shape[:2]
    side = max(height, width) * float(np.exp(rng.uniform(np.log(0.04), np.log(0.2))))
    scale = side / max(x1 - x0, y1 - y0, 1)
    size = (max(round((x1 - x0) * scale), 3), max(round((y1 - y0) * scale), 3))
    if size[0] >= width or size[1] >= height:
        return
    crop = photos.bgr(cut_out)[y0:y1, x0:x1]
    piece = cv2.resize(crop, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.resize(stack[y0:y1, x0:x1, 0] * 255, size, interpolation=cv2.INTER_AREA)[..., None] / 255.0
    if rng.uniform() < 0.5:
        piece, soft = piece[:, ::-1], soft[:, ::-1]
    left, top = int(rng.integers(width - size[0])), int(rng.integers(height - size[1]))
    target = view.image[top : top + size[1], left : left + size[0]]
    target[:] = (soft * piece + (1 - soft) * target).astype(np.uint8)
    full = np.zeros((height, width), np.uint8)
    full[top : top + size[1], left : left + size[0]] = (soft[..., 0] > 0.5) * 255
    mask = (cv2.resize(full, (width // CELL, height // CELL), interpolation=cv2.INTER_AREA) > 127).astype(
        np.uint8
    )
    if mask.sum() < LEAST_CELLS:
        return
    before, rest = view.masks.sum(axis=(1, 2)), view.masks * (1 - mask)
    kept = rest.sum(axis=(1, 2)) >= np.maximum(0.3 * before, LEAST_CELLS)
    box = np.array([[left, top, left + size[0], top + size[1]]], np.float32)
    view.masks = np.concatenate([rest[kept], mask[None]])
    view.boxes_xyxy = np.concatenate([view.boxes_xyxy[kept], box])


def _coloured(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with other brightness, contrast, saturation and hue; at times grey or blurred."""
    draw = rng.uniform()
    if draw < 0.05:
        return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
    if draw < 0.1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2))), np.uint8)
    hue, saturation, value = rng.uniform(-3, 3), rng.uniform(0.5, 1.5), rng.uniform(0.6, 1.4)
    steps = np.arange(256)
    tables = ((steps + hue) % 180, np.clip(steps * saturation, 0, 255), np.clip(steps * value, 0, 255))
    planes = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    moved = [cv2.LUT(plane, table.astype(np.uint8)) for plane, table in zip(planes, tables, strict=True)]
    return np.asarray(cv2.cvtColor(cv2.merge(moved), cv2.COLOR_HSV2BGR), np.uint8)


class Draw:
    """Draws pictures by their source's share, and makes views of them.

    Args:
        pictures: what to draw from; a picture without any mask is left out until it has one.
    """

    def __init__(self, pictures: list[Picture]) -> None:
        self.photos = Photos()
        self.cut_outs = [picture for picture in pictures if picture.source == CUT_OUTS and picture.rles]
        usable = [picture for picture in pictures if picture.rles or picture.filled]
        by_source = {s.name: [p for p in usable if p.source == s.name] for s in SOURCES}
        self.groups = [
            (
                [p for p in found if p.size_hw[0] <= p.size_hw[1]],
                [p for p in found if p.size_hw[0] >= p.size_hw[1]],
                found,
            )
            for found in by_source.values()
        ]
        shares = np.array(
            [s.share * (len(found) > 0) for s, found in zip(SOURCES, by_source.values(), strict=True)]
        )
        self.shares = shares / shares.sum()

    def picture(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> Picture:
        """Return a picture, if its source has any, that lies as the view does."""
        wide, tall, every = self.groups[int(rng.choice(len(self.groups), p=self.shares))]
        fitting = wide if size_hw[1] > size_hw[0] else tall if size_hw[1] < size_hw[0] else every
        fitting = fitting or every
        return fitting[int(rng.integers(len(fitting)))]

    def view(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> View:
        """Return a view of (H, W) pixels."""
        if rng.uniform() < 0.2:
            view = _four(rng, self.photos, [self.picture(rng, size_hw) for _ in range(4)], size_hw)
        else:
            view = _single(rng, self.photos, self.picture(rng, size_hw), size_hw, _zoom(rng))
        if self.cut_outs and rng.uniform() < 0.25:
            for _ in range(int(rng.integers(1, 4))):
                _paste(rng, self.photos, self.cut_outs[int(rng.integers(len(self.cut_outs)))], view)
        view.image = _coloured(rng, view.image)
        return view
