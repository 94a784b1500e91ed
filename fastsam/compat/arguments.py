"""What the call shapes share: models, boxes and arguments without effect, as old code passes them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastsam.errors import ConfigError
from fastsam.model import FastSAM

__all__ = ["boxes_inside", "model_of", "warn_ignored"]


def warn_ignored(who: str, names: Sequence[str], why: str) -> None:
    """Say which arguments of a call have no effect; one warning for all of them, at the caller's line."""
    if names:
        warnings.warn(f"{who}: no effect of {', '.join(names)}; {why}", UserWarning, stacklevel=3)


def model_of(model: Any, text_model: Any = None) -> FastSAM:
    """Return a segmenter: as it is, out of our CASIA class, or loaded from a path or name.

    Raises:
        ConfigError: a text model is named for a segmenter that is ready-made.
    """
    model = getattr(model, "model", model)
    if not isinstance(model, FastSAM):
        return FastSAM(model, text_model=text_model)
    if text_model is not None:
        raise ConfigError("text_model: expected it where the ready-made fastsam.FastSAM was made")
    return model


def boxes_inside(boxes: Any, size_hw: tuple[int, int]) -> Any:
    """Cut boxes that leave the image, as CASIA and SAM do.

    What is no box, or has nothing left in the image, stays as it is: the prompt will refuse it and show it.
    """
    try:
        array = np.array(boxes, np.float64)
    except (TypeError, ValueError):
        return boxes
    if array.ndim not in (1, 2) or array.shape[-1] != 4:
        return boxes
    height, width = size_hw
    cut = np.clip(array, 0, [width, height, width, height])
    lost = (cut[..., 2] <= cut[..., 0]) | (cut[..., 3] <= cut[..., 1])
    return np.where(lost[..., None], array, cut)
