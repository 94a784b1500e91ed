"""CASIA's ``utils/tools_gradio.py``: the picture that its demo and many spaces show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.compat.casia.annotations import mask_stack
from fastsam.compat.casia.layers import colour_layer, contour_layer, scaled, show_boxes
from fastsam.masks.dense import clean

__all__ = ["fast_process", "fast_show_mask", "fast_show_mask_gpu"]

_TIDY_PX = 64  # better_quality: islands and holes below this many pixels are not drawn


def fast_process(
    annotations: Any,
    image: Image.Image,
    device: Any,
    scale: float,
    better_quality: bool = False,
    mask_random_color: bool = True,
    bbox: Any = None,
    use_retina: bool = True,
    withContours: bool = True,  # noqa: N803 - CASIA's name
    bwMask: str = "",  # noqa: N803 - CASIA's name
) -> Image.Image:
    """Return an image with masks drawn over it, RGBA.

    Args:
        annotations: (N, H, W) masks, or a list of dicts with a ``segmentation``.
        image: a PIL image.
        device: accepted for old code.
        scale: outlines are 2 / ``scale`` pixels wide.
        better_quality: leave out islands and holes of a few pixels.
        mask_random_color: False draws all masks in one colour.
        bbox: accepted for old code: CASIA draws it on axes that nobody sees.
        use_retina: accepted for old code: masks of another size are scaled to the image's.
        withContours: draw outlines, blue.
        bwMask: ``"white"``: white masks on black, ``"black"``: black masks on white; one bit a pixel.

    Raises:
        InputError: the annotations are no masks of one size.
    """
    masks = mask_stack(annotations)
    if better_quality:
        masks = np.stack([clean(mask, _TIDY_PX) for mask in masks]) if len(masks) else masks
    size_hw = (image.height, image.width)
    shown = image.convert("RGBA") if not bwMask else Image.new("1", image.size, int(bwMask != "white"))
    layers = [scaled(_layer(masks, mask_random_color, bwMask), size_hw)] if len(masks) else []
    if withContours and len(masks):
        layers.append(contour_layer(masks, size_hw, 0.9, int(2 / max(scale, 1))))
    for layer in layers:
        picture = Image.fromarray((layer * 255).astype(np.uint8))
        shown.paste(picture, (0, 0), picture)
    return shown


def fast_show_mask(
    annotation: Any,
    ax: Any,
    random_color: bool = False,
    bbox: Any = None,
    retinamask: bool = True,
    target_height: int = 960,
    target_width: int = 960,
    bwMask: str = "",  # noqa: N803 - CASIA's name
) -> NDArray[np.float64]:
    """Return masks as an (H, W, 4) RGBA layer, 0..1, and draw a box on matplotlib's axes.

    Args:
        annotation: (N, H, W) array or tensor.
        ax: the axes.
        random_color: each mask has its own colour.
        bbox: xyxy.
        retinamask: False scales the layer.
        target_height: height that the layer is scaled to.
        target_width: its width.
        bwMask: ``"white"`` or ``"black"``: all masks in that colour, opaque.
    """
    show_boxes(ax, bbox)
    layer = _layer(annotation, random_color, bwMask)
    return layer if retinamask else scaled(layer, (int(target_height), int(target_width)))


fast_show_mask_gpu = fast_show_mask


def _layer(masks: Any, random_color: bool, bw_mask: str) -> NDArray[np.float64]:
    if not bw_mask:
        return colour_layer(masks, random_color)
    return colour_layer(masks, colour=[float(bw_mask == "white")] * 3, opacity=1.0)
