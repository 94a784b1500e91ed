"""What a selection is good for at once: a cut-out, a blurred or another background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, check_one_of
from fastsam.images.matte import alpha_matte, without_fringe

__all__ = ["Effect", "EffectKind", "apply_effect"]

Picture = NDArray[np.uint8]
EffectKind = Literal["masks", "cutout", "blur", "replace"]


@dataclass(frozen=True, eq=False)
class Effect:
    """What is made of a selection.

    Attributes:
        kind: ``"masks"`` draws them; ``"cutout"`` makes the rest transparent, ``"blur"`` blurs it,
            ``"replace"`` puts a color or a picture there.
        strength: of the blur, in 1/1000 of the longer side.
        color: RGB, used if ``background`` is None.
        background: an RGB picture to put behind the selection; it is cropped and scaled to fit.
        soft: edges are soft where hair or motion makes them so; else each pixel is in or out.
    """

    kind: EffectKind = "masks"
    strength: float = 12.0
    color: tuple[int, int, int] = (255, 255, 255)
    background: Any = None
    soft: bool = True

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            ConfigError: there is no such effect.
        """
        check_one_of(self.kind, get_args(EffectKind), "effect", ConfigError)


def apply_effect(rgb: Picture, mask: NDArray[np.bool_], effect: Effect) -> Picture:
    """Return the picture that an effect makes of a selection: (H, W, 4) of a cut-out, else (H, W, 3).

    Args:
        rgb: (H, W, 3) photo.
        mask: (H, W), the selection.
        effect: what to make of it; ``"masks"`` gives the photo itself.
    """
    if effect.kind == "masks":
        return rgb
    opacity = alpha_matte(rgb, mask) if effect.soft else mask.astype(np.float32)
    if effect.kind == "cutout":
        colors = without_fringe(rgb, opacity) if effect.soft else rgb
        return np.dstack([colors, np.rint(opacity * 255).astype(np.uint8)])
    if effect.kind == "blur":
        front, longer = rgb, max(rgb.shape[:2])
        behind = _blurred_background(rgb, mask, max(effect.strength * longer / 1000, 0.3))
    else:
        front = without_fringe(rgb, opacity) if effect.soft else rgb
        if effect.background is not None:
            behind = _covering(effect.background, (rgb.shape[0], rgb.shape[1]))
        else:
            behind = np.full_like(rgb, np.array(effect.color, np.uint8))
    mixed = front * opacity[..., None] + behind * (1 - opacity[..., None])
    return np.asarray(np.rint(mixed), np.uint8)


def _blurred_background(rgb: Picture, mask: NDArray[np.bool_], sigma: float) -> Picture:
    """Return the photo blurred without the selection, whose colors would make a halo around it."""
    outside = (~mask).astype(np.float32)
    if not outside.any():
        return rgb
    weight = cv2.GaussianBlur(outside, (0, 0), sigma)
    mixed = cv2.GaussianBlur(rgb * outside[..., None], (0, 0), sigma)
    background = mixed / np.maximum(weight, 1e-4)[..., None]
    return np.asarray(np.clip(np.rint(background), 0, 255), np.uint8)


def _covering(picture: Picture, size_hw: tuple[int, int]) -> Picture:
    """Return a picture scaled and cropped so that it covers a size."""
    scale = max(size_hw[0] / picture.shape[0], size_hw[1] / picture.shape[1])
    width = max(round(picture.shape[1] * scale), size_hw[1])
    height = max(round(picture.shape[0] * scale), size_hw[0])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (width, height), interpolation=way)
    top, left = (height - size_hw[0]) // 2, (width - size_hw[1]) // 2
    return np.asarray(resized[top : top + size_hw[0], left : left + size_hw[1]], np.uint8)
