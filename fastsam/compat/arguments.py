"""What the call shapes share: models, boxes, tensors, and keywords that old code passes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM
from fastsam.errors import ConfigError, PromptError

__all__ = [
    "as_array",
    "boxes_inside",
    "check_keywords",
    "core_of",
    "device_name",
    "is_tensor",
    "objects_of",
    "our_weights",
    "points_inside",
    "warn_ignored",
]

# Keywords of ultralytics that say where, how fast or how loudly it runs, never what is found.
_HARMLESS = frozenset({
    "agnostic_nms", "amp", "batch", "cache", "channels", "compile", "dnn", "end2end", "half", "int8",
    "max_batch", "mode", "plots", "rect", "seed", "simplify", "stream_buffer", "task", "verbose", "workers",
})  # fmt: skip
# Keywords that would change what comes back, and the values that ask for nothing.
_ONLY_AS: Mapping[str, tuple[Any, ...]] = {
    "augment": (False, None),
    "classes": (None, 0, [0], (0,)),
    "embed": (None,),
    "save_frames": (False, None),
    "visualize": (False, None),
}
# File names of SAM's relatives; such weights cannot run here.
_SAM_FILE = re.compile(
    r"^(mobile_?sam|edge_?sam|efficient(vit)?_?sam|sam(2|3)?([._-]|$)|sam_?hq|repvit_?sam|tinysam|medsam|fast?sam_hq)",
    re.IGNORECASE,
)
_FAR = 0.02  # of the longer side: a point that lies farther outside the image gets a warning


def warn_ignored(who: str, names: Sequence[str], why: str, stacklevel: int = 3) -> None:
    """Say which arguments of a call have no effect; one warning for all of them, at the caller's line."""
    if names:
        warnings.warn(f"{who}: no effect of {', '.join(names)}; {why}", UserWarning, stacklevel=stacklevel)


def check_keywords(who: str, given: Mapping[str, Any], known: Sequence[str] = ()) -> None:
    """Accept keywords that change nothing, refuse the others.

    Raises:
        ConfigError: a keyword is unknown, or asks for what this package does not do.
    """
    for name, value in given.items():
        if name in _HARMLESS:
            continue
        if name not in _ONLY_AS:
            raise ConfigError(
                f"{who}: keyword {name!r} is unknown; expected one of {', '.join(sorted(known))}, or one of "
                "ultralytics' that do not change what is found (verbose, half, ...)"
            )
        if not any(type(value) is type(plain) and value == plain for plain in _ONLY_AS[name]):
            wanted = " or ".join(map(repr, _ONLY_AS[name]))
            raise ConfigError(f"{who}: {name}={value!r} is not done here; expected {wanted}, or leave it out")


def core_of(model: Any, text_model: Any = None, device: Any = None) -> FastSAM:
    """Return a segmenter: as it is, out of one of our call shapes' classes, or loaded from a path or name.

    Raises:
        ConfigError: a text model is named for a segmenter that is ready-made.
    """
    for name in ("model", "core", "model"):  # a predictor holds a model, which holds the segmenter
        if not isinstance(model, (FastSAM, str, Path)) and getattr(model, name, None) is not None:
            model = getattr(model, name)
    if not isinstance(model, FastSAM):
        if device is None:
            return FastSAM(model, text_model=text_model)
        return FastSAM(model, text_model=text_model, device=device_name(device))
    if text_model is not None:
        raise ConfigError("text_model: expected it where the ready-made fastsam.FastSAM was made")
    return model


def device_name(device: Any) -> str:
    """Return a device as :class:`fastsam.FastSAM` takes it; ``0`` and ``"0"`` are the first GPU."""
    if isinstance(device, (list, tuple)) and len(device) == 1:
        device = device[0]
    if isinstance(device, bool) or not str(device).strip():
        return "auto"
    return f"cuda:{device}" if str(device).isdigit() else str(device).lower()


def our_weights(checkpoint: Any, stacklevel: int = 3) -> str | Path | None:
    """Return weights that run here for a checkpoint that old code names; SAM's own cannot, and get a warning.

    The warning says what answers instead: the embedded weights.
    """
    if checkpoint is None:
        return None
    path = Path(str(checkpoint))
    if path.suffix == ".pth" or _SAM_FILE.match(path.name):
        warnings.warn(
            f"{path.name} holds a SAM network, which fastsam does not run: the embedded weights answer; "
            "name a YOLO segmentation checkpoint, such as FastSAM-x, to choose others",
            UserWarning,
            stacklevel=stacklevel,
        )
        return None
    return path if isinstance(checkpoint, Path) else str(checkpoint)


def is_tensor(value: Any) -> bool:
    """Tell whether this is a torch tensor, without importing torch."""
    return hasattr(value, "detach") and hasattr(value, "ndim")  # files in memory have a `detach`, too


def as_array(values: Any) -> Any:
    """Return tensors, and lists of tensors, as numpy arrays; anything else as it is."""
    if is_tensor(values):
        return values.detach().cpu().numpy()
    if isinstance(values, (list, tuple)) and any(is_tensor(value) for value in values):
        return np.stack([as_array(value) for value in values])
    return values


def objects_of(who: str, *columns: Any, empty: bool = False) -> list[tuple[Any, ...]]:
    """Return the prompts of each object: row k of each kind of prompt, None for kinds that are not given.

    Args:
        who: the call, for messages.
        columns: points, labels, boxes, ...: arrays with one row an object, or None.
        empty: whether no objects at all are fine.

    Raises:
        PromptError: no prompt is given, or they are about different numbers of objects.

    >>> objects_of("predict", [[1, 2], [3, 4]], None)
    [([1, 2], None), ([3, 4], None)]
    """
    counts = {len(column) for column in columns if column is not None}
    if len(counts) != 1 or (0 in counts and not empty):
        raise PromptError(
            f"{who}: expected prompts about the same objects, got {sorted(counts) or 'none'} of them"
        )
    return [tuple(None if column is None else column[k] for column in columns) for k in range(counts.pop())]


def boxes_inside(boxes: Any, size_hw: tuple[int, int]) -> Any:
    """Cut boxes that leave the image, as CASIA and SAM do.

    What is no box, or has nothing left in the image, stays as it is: the prompt will refuse it and show it.
    """
    boxes = as_array(boxes)
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


def points_inside(points: Any, size_hw: tuple[int, int], stacklevel: int = 4) -> NDArray[np.float64]:
    """Return (..., 2) points moved to the nearest pixel of the image, as CASIA's and SAM's code answers them.

    Points far outside get a warning: they are rarely what was meant.

    Raises:
        PromptError: these are no points, or not finite.
    """
    try:
        array = np.array(as_array(points), np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"points: expected (x, y) numbers, got {str(points)[:80]}") from error
    if array.ndim == 0 or array.shape[-1] != 2:
        raise PromptError(f"points: expected (x, y) pairs, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise PromptError("points: expected finite coordinates, got NaN or infinity")
    height, width = size_hw
    inside = np.clip(array, 0, [width - 1, height - 1])
    far = np.abs(inside - array).max(axis=-1) > 1 + _FAR * max(size_hw)
    if far.any():
        x, y = array[far].reshape(-1, 2)[0]
        warnings.warn(
            f"point ({x:g}, {y:g}) is outside the {width}x{height} image; the pixel nearest to it answers "
            "(points are (x, y), in pixels of the original image)",
            UserWarning,
            stacklevel=stacklevel,
        )
    return inside
