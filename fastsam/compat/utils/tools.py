"""CASIA's ``utils/tools.py``: annotations, prompts on them, and pictures of them.

``from fastsam.compat.utils.tools import format_results, point_prompt`` instead of ``from utils.tools
import ...``. The annotations may also be records of a mask generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import Box, FastSAM, Frame, Points, Text, read_frame, select
from fastsam.compat.arguments import as_array, boxes_inside, points_inside
from fastsam.compat.casia.annotations import (
    bbox_of,
    crop_image,
    filter_masks,
    format_results,
    mask_set,
    segment_image,
    xywh_to_xyxy,
)
from fastsam.compat.casia.layers import show_layer
from fastsam.compat.casia.plotting import drawn, target_of
from fastsam.compat.casia.prompt import added_up
from fastsam.errors import ConfigError, InputError, PromptError
from fastsam.images.drawing import save_image
from fastsam.prompts import ImageFeatures

__all__ = [
    "box_prompt",
    "convert_box_xywh_to_xyxy",
    "crop_image",
    "fast_process",
    "fast_show_mask",
    "fast_show_mask_gpu",
    "filter_masks",
    "format_results",
    "get_bbox_from_mask",
    "point_prompt",
    "retriev",
    "segment_image",
    "text_prompt",
]

convert_box_xywh_to_xyxy = xywh_to_xyxy
get_bbox_from_mask = bbox_of


def box_prompt(
    masks: Any, bbox: Any, target_height: int, target_width: int
) -> tuple[NDArray[np.float32], Any]:
    """Return the mask that overlaps a box best, (h, w) float32 of 0 and 1, and its row as a tensor.

    Where none overlaps it the mask is empty and the row -1.

    Args:
        masks: (N, h, w) tensor or array.
        bbox: xyxy, in pixels of an image of the target's size.
        target_height: height of that image.
        target_width: its width.

    Raises:
        PromptError: the box is empty or outside the image.
    """
    import torch

    stack = np.asarray(as_array(masks))
    size_hw = (int(target_height), int(target_width))
    small_hw = stack.shape[1:] if len(stack) else size_hw
    box = np.asarray(boxes_inside(bbox, size_hw), np.float64) * np.tile(_gains(size_hw, small_hw), 2)
    answer = select(mask_set(stack, small_hw), Box(box, iou_threshold=0.0))
    if len(answer) == 0:
        return np.zeros(small_hw, np.float32), torch.tensor(-1)
    return answer.masks.mask(0).astype(np.float32), torch.tensor(int(answer.indices[0]))


def point_prompt(
    masks: Any, points: Any, point_label: Any, target_height: int, target_width: int
) -> tuple[NDArray[np.bool_], int]:
    """Return the mask that the points of one object mean, (h, w) bool, and 0.

    As in :meth:`fastsam.compat.FastSAMPrompt.point_prompt`; where nothing answers the mask is empty.

    Args:
        masks: annotations, or (N, h, w) masks.
        points: (P, 2), in pixels of an image of the target's size.
        point_label: (P,) 1 foreground, 0 background.
        target_height: height of that image.
        target_width: its width.

    Raises:
        PromptError: these are no points, or there is not one label for each.
    """
    size_hw = (int(target_height), int(target_width))
    found = mask_set(masks, size_hw)
    placed = points_inside(points, size_hw, 3) * _gains(size_hw, found.size_hw)
    together = Points(placed, as_array(point_label))
    summed = added_up(lambda prompt: select(found, prompt), together, found.size_hw)
    return (select(found, together).masks.union() if summed is None else summed), 0


def text_prompt(
    annotations: Sequence[dict[str, Any]],
    text: Any,
    img_path: Any = None,
    device: Any = None,
    wider: bool = False,
    threshold: float = 0.9,
) -> tuple[NDArray[np.bool_], int]:
    """Return the annotation's mask that fits a text best, (H, W) bool, and its position.

    The text-image model is the one of :class:`fastsam.FastSAM` without arguments.

    Args:
        annotations: as :func:`format_results` gives them.
        text: the text; or, as in older versions, an object with ``text_prompt`` and ``img_path``.
        img_path: the image: a path, a PIL image or an RGB array.
        device: accepted for old code.
        wider: also the masks that fit nearly as well: their union is returned.
        threshold: with ``wider``, how well those must fit, as a share of the best.

    Raises:
        PromptError: there is no text, or no annotation.
    """
    if img_path is None and hasattr(text, "text_prompt"):
        text, img_path = text.text_prompt, text.img_path
    if not isinstance(text, str):
        raise PromptError(f"text_prompt: expected a text such as 'a dog', got {text!r}")
    if not len(annotations):
        raise PromptError("text_prompt: expected annotations to choose from, got none")
    masks = mask_set(annotations, (0, 0))
    frame = _photo(img_path, masks.size_hw)
    features = ImageFeatures(frame, masks, _default_model().embedder)
    ranked = select(masks, Text(text, threshold=0.0), features)
    if len(ranked) == 0:
        return np.zeros(masks.size_hw, bool), 0
    near = ranked.scores >= (threshold if wider else 1) * ranked.scores[0]
    chosen = ranked.indices[near] if wider else ranked.indices[:1]
    return masks[chosen].union(), int(ranked.indices[0])


def fast_process(
    annotations: Any,
    args: Any,
    mask_random_color: bool,
    bbox: Any = None,
    points: Any = None,
    edges: bool = False,
) -> Path:
    """Write a photo with masks and prompts drawn over it into a folder, and return the file's path.

    Args:
        annotations: (N, H, W) masks, or a list of dicts with a ``segmentation``.
        args: an object with ``img_path`` and ``output``; ``better_quality``, ``withContours`` and
            ``point_label``, where it has them.
        mask_random_color: False draws all masks in one colour.
        bbox: a box to draw, xyxy.
        points: points to draw.
        edges: draw outlines, whatever ``withContours`` says.

    Raises:
        ImageError: the photo cannot be read.
        InputError: the annotations are no masks.
        ExportError: the file cannot be written, or would replace the photo itself.
    """
    frame = read_frame(args.img_path)
    picture = drawn(
        frame,
        annotations,
        bbox,
        points,
        getattr(args, "point_label", None),
        random_colours=mask_random_color,
        better_quality=bool(getattr(args, "better_quality", False)),
        contours=bool(edges or getattr(args, "withContours", False)),
        scaled=True,
    )
    return save_image(picture, target_of(frame, args.output))


def fast_show_mask(
    annotation: Any,
    ax: Any,
    random_color: bool = False,
    bbox: Any = None,
    points: Any = None,
    pointlabel: Any = None,
    retinamask: bool = True,
    target_height: int = 960,
    target_width: int = 960,
) -> None:
    """Draw masks, a box and points on matplotlib's axes: :func:`fastsam.compat.casia.layers.show_layer`."""
    show_layer(
        annotation, ax, random_color, bbox, points, pointlabel, retinamask, target_height, target_width
    )


fast_show_mask_gpu = fast_show_mask


def retriev(*_: Any, **__: Any) -> Any:
    """Refuse CLIP's objects.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        "retriev: expected no CLIP model, this package has its own; "
        "call text_prompt(annotations, text, image)"
    )


@lru_cache(maxsize=1)
def _default_model() -> FastSAM:
    return FastSAM()


def _gains(size_hw: tuple[int, int], small_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return by how much x and y shrink from an image to its masks."""
    return np.array([small_hw[1] / size_hw[1], small_hw[0] / size_hw[0]])


def _photo(image: Any, size_hw: tuple[int, int]) -> Frame:
    """Return the photo at the size of its masks."""
    if image is None:
        raise InputError("text_prompt: expected the image: a path, a PIL image or an RGB array, got None")
    frame = read_frame(image)
    if frame.size_hw == size_hw:
        return frame
    from PIL import Image

    return read_frame(Image.fromarray(frame.rgb).resize(size_hw[::-1]))
