"""CASIA's coloured layers: what its ``fast_show_mask`` draws over a photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.compat.arguments import as_array
from fastsam.compat.casia.annotations import mask_stack
from fastsam.needed import needed

__all__ = ["colour_layer", "contour_layer", "scaled", "show_boxes", "show_layer"]

_BLUE = (30 / 255, 144 / 255, 1.0)


def colour_layer(
    annotation: Any, random_color: bool = False, *, colour: Sequence[float] = _BLUE, opacity: float = 0.6
) -> NDArray[np.float64]:
    """Return masks as one (H, W, 4) RGBA layer, 0..1, transparent elsewhere; smaller masks lie on top.

    Args:
        annotation: (N, H, W) array or tensor, or what :func:`mask_stack` takes.
        random_color: each mask has its own colour; else all have ``colour``.
        colour: RGB, 0..1.
        opacity: of the masks, 0..1.
    """
    stack = mask_stack(annotation)
    layer = np.zeros((*stack.shape[1:], 4))
    for row in np.argsort(-stack.sum(axis=(1, 2)), kind="stable"):
        shown = np.random.random(3) if random_color else np.asarray(colour)
        layer[stack[row]] = (*shown, opacity)
    return layer


def contour_layer(
    masks: NDArray[np.bool_], size_hw: tuple[int, int], opacity: float, line: int
) -> NDArray[np.float64]:
    """Return the outlines of (N, h, w) masks, scaled to a size, as a blue (H, W, 4) RGBA layer, 0..1."""
    drawn = np.zeros(size_hw, np.uint8)
    for mask in masks:
        scaled = cv2.resize(mask.astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(scaled, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(drawn, outlines, -1, 1, max(line, 1))
    layer: NDArray[np.float64] = drawn[..., None] * np.array([0, 0, 1, opacity])
    return layer


def show_layer(
    annotation: Any,
    ax: Any,
    random_color: bool = False,
    bboxes: Any = None,
    points: Any = None,
    pointlabel: Any = None,
    retinamask: bool = True,
    target_height: int = 960,
    target_width: int = 960,
    bbox: Any = None,
) -> NDArray[np.float64]:
    """Draw masks, boxes and points on matplotlib's axes, and return the layer of the masks.

    Args:
        annotation: as in :func:`colour_layer`.
        ax: the axes.
        random_color: as there.
        bboxes: (n, 4) xyxy.
        points: (P, 2), in yellow; background points in magenta.
        pointlabel: (P,) 1 foreground, 0 background; all foreground by default.
        retinamask: False scales the layer.
        target_height: height that the layer is scaled to.
        target_width: its width.
        bbox: the name that older versions have for ``bboxes``.
    """
    layer = colour_layer(annotation, random_color)
    if not retinamask:
        layer = scaled(layer, (int(target_height), int(target_width)))
    show_boxes(ax, bbox if bboxes is None else bboxes)
    if points is not None:
        coords = np.asarray(as_array(points)).reshape(-1, 2)
        marks = np.ones(len(coords)) if pointlabel is None else np.asarray(as_array(pointlabel)).reshape(-1)
        for mark, colour in ((1, "y"), (0, "m")):
            ax.scatter(*coords[marks == mark].T, s=20, c=colour)
    ax.imshow(layer)
    return layer


def scaled(layer: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return a layer at another size."""
    return np.asarray(cv2.resize(layer, size_hw[::-1], interpolation=cv2.INTER_NEAREST), np.float64)


def show_boxes(ax: Any, bboxes: Any) -> None:
    """Draw (n, 4) or (4,) xyxy boxes on matplotlib's axes; None draws nothing."""
    if bboxes is None:
        return
    with needed("matplotlib", "draw boxes on axes"):
        from matplotlib.patches import Rectangle

    for x1, y1, x2, y2 in np.asarray(as_array(bboxes), np.float64).reshape(-1, 4):
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="b", linewidth=1))
