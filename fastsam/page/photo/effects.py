"""What a selection is good for at once: a cut-out, another background, the thing gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError

__all__ = ["View", "ViewKind", "apply_view"]

Picture = NDArray[np.uint8]
ViewKind = Literal["masks", "cutout", "blur", "replace", "erase"]
_INPAINT_PX = 512  # longer side of what is inpainted; the fill is smooth anyway


@dataclass(frozen=True, eq=False)
class View:
    """What is made of a selection.

    Attributes:
        kind: ``"masks"`` draws them; ``"cutout"`` makes the rest transparent, ``"blur"`` blurs it,
            ``"replace"`` puts a colour or a picture there; ``"erase"`` removes the selection itself.
        strength: of the blur, in 1/1000 of the longer side.
        colour: RGB, where ``background`` is None.
        background: an RGB picture to put behind the selection; it is cut and scaled to fit.
        soft: width of the soft edge, in 1/1000 of the longer side.
    """

    kind: ViewKind = "masks"
    strength: float = 12.0
    colour: tuple[int, int, int] = (255, 255, 255)
    background: Any = None
    soft: float = 1.0

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            ConfigError: there is no such view.
        """
        if self.kind not in get_args(ViewKind):
            raise ConfigError(f"view: expected one of {', '.join(get_args(ViewKind))}, got {self.kind!r}")


def apply_view(rgb: Picture, mask: NDArray[np.bool_], view: View) -> Picture:
    """Return the picture that a view makes of a selection: (H, W, 4) of a cut-out, else (H, W, 3).

    Args:
        rgb: (H, W, 3) photo.
        mask: (H, W), the selection.
        view: what to make of it; ``"masks"`` gives the photo itself.
    """
    longer = max(rgb.shape[:2])
    if view.kind == "masks":
        return rgb
    if view.kind == "erase":
        return _without(rgb, mask)
    keep = _soft(mask, view.soft * longer / 1000)
    if view.kind == "cutout":
        return np.dstack([rgb, np.rint(keep * 255).astype(np.uint8)])
    if view.kind == "blur":
        behind = _blurred_background(rgb, mask, max(view.strength * longer / 1000, 0.3))
    elif view.background is not None:
        behind = _covering(view.background, (rgb.shape[0], rgb.shape[1]))
    else:
        behind = np.full_like(rgb, np.array(view.colour, np.uint8))
    mixed = rgb * keep[..., None] + behind * (1 - keep[..., None])
    return np.asarray(np.rint(mixed), np.uint8)


def _soft(mask: NDArray[np.bool_], width_px: float) -> NDArray[np.float32]:
    """Return opacities in 0..1, soft towards the inside so that nothing of the background shines through."""
    solid = mask.astype(np.float32)
    if width_px < 0.5 or not mask.any():
        return solid
    blurred = cv2.GaussianBlur(solid, (0, 0), width_px)
    return np.asarray(np.clip(2 * blurred - 1, 0, 1) * solid, np.float32)


def _blurred_background(rgb: Picture, mask: NDArray[np.bool_], sigma: float) -> Picture:
    """Return the photo blurred without the selection, whose colours would make a halo around it."""
    outside = (~mask).astype(np.float32)
    if not outside.any():
        return rgb
    weight = cv2.GaussianBlur(outside, (0, 0), sigma)
    mixed = cv2.GaussianBlur(rgb * outside[..., None], (0, 0), sigma)
    found = mixed / np.maximum(weight, 1e-4)[..., None]
    return np.asarray(np.clip(np.rint(found), 0, 255), np.uint8)


def _covering(picture: Picture, size_hw: tuple[int, int]) -> Picture:
    """Return a picture scaled and cut so that it covers a size."""
    scale = max(size_hw[0] / picture.shape[0], size_hw[1] / picture.shape[1])
    wide, high = (max(round(side * scale), least) for side, least in
                  ((picture.shape[1], size_hw[1]), (picture.shape[0], size_hw[0])))  # fmt: skip
    resized = cv2.resize(
        picture, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    top, left = (high - size_hw[0]) // 2, (wide - size_hw[1]) // 2
    return np.asarray(resized[top : top + size_hw[0], left : left + size_hw[1]], np.uint8)


def _without(rgb: Picture, mask: NDArray[np.bool_]) -> Picture:
    """Return the photo with the selection filled in from around it (Telea's inpainting)."""
    if not mask.any() or mask.all():
        return rgb
    height, width = mask.shape
    scale = min(_INPAINT_PX / max(height, width), 1.0)
    small = (max(round(width * scale), 1), max(round(height * scale), 1))
    grown = cv2.dilate(
        mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(round(max(height, width) / 250), 1)
    )
    hole = (
        cv2.resize(grown, small, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST) > 0
    ).astype(np.uint8)
    filled = cv2.inpaint(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), hole, 5, cv2.INPAINT_TELEA)
    large = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    share = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), max(max(height, width) / 600, 0.5))[..., None]
    share = np.maximum(share, mask[..., None])  # of the thing itself, nothing stays
    return np.asarray(np.rint(rgb * (1 - share) + large * share), np.uint8)
