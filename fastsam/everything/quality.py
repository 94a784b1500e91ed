"""A mask's quality, predicted from what the network already gives: calibrated scores (numpy only).

YOLO's confidence says how surely there is an object, not how well its mask fits, and ranks masks poorly
(section 5 of the FastSAM paper, arXiv 2306.12156, says so itself). SAM and Mask Scoring R-CNN
(arXiv 1903.00241) train a head for the mask's IoU; here a logistic regression on a dozen measurements of
the mask's logits does, fitted after training (:mod:`fastsam.training.calibrate`) and carried in the
checkpoint.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import CheckpointError
from fastsam.masks.stores.grid import GridStore

__all__ = ["FEATURES", "QualityModel", "mask_features", "mask_scores"]

FloatArray = NDArray[np.float32]

FEATURES = (
    "confidence",  # log odds of the network's confidence
    "stability",  # cells above logit +1 over cells above -1: SAM's stability score
    "inside",  # mean probability of the cells in the mask: SOLO's maskness (arXiv 1912.04488)
    "certainty",  # mean |2 p - 1| over the box: how few cells are undecided
    "edge",  # mean steepness of the logits across the mask's boundary
    "fill",  # share of the box that the mask takes
    "size",  # log of the mask's cells
    "cut",  # share of the box's edge, image border aside, that the mask runs into
    "spill",  # share of the ring around the box that would be mask too
)
_RING = 2  # grid cells around the box that are looked at for ``spill``
_LOGIT_LIMIT = 12.0
_AT_ONCE = 64  # masks multiplied out together: bounds the memory
# Chosen on training images (docs/experiments.md): the confidence still says what is an object at all, and of
# several masks of one thing the surest should come first.
_CONFIDENCE_POWER = 0.25
_REPEAT_PENALTY, _REPEAT_POWER = 0.5, 4


def mask_features(store: GridStore, confidences: FloatArray) -> FloatArray:
    """Measure masks on the prototype grid.

    Args:
        store: N masks as the network gave them.
        confidences: (N,) in 0..1.

    Returns:
        (N, len(FEATURES)) float32; zeros but for the confidence where a box holds no grid cell.
    """
    height, width = store.grid.grid_hw
    features = np.zeros((len(store), len(FEATURES)), np.float32)
    if len(store) == 0:
        return features
    odds = np.clip(confidences.astype(np.float64), 1e-6, 1 - 1e-6)
    features[:, 0] = np.log(odds / (1 - odds))
    windows, content = store.windows_on_grid, store.content_on_grid
    cells = store.prototypes.reshape(len(store.prototypes), -1)
    for start in range(0, len(store), _AT_ONCE):
        part = store.coefficients[start : start + _AT_ONCE] @ cells
        for k, logits in enumerate(part.reshape(-1, height, width), start):
            features[k, 1:] = _measured(logits, windows[k], content)
    return features


def mask_scores(confidences: FloatArray, expected: FloatArray, boxes_xyxy: FloatArray) -> FloatArray:
    """Return (N,) the scores that masks are ranked by, in 0..1.

    The expected IoU, times a low power of the confidence, less up to half where a surer mask has nearly
    the same box (as Soft-NMS does, arXiv 1704.04503).

    Args:
        confidences: (N,) falling.
        expected: (N,) :meth:`QualityModel.predict`.
        boxes_xyxy: (N, 4) in any frame.
    """
    penalty = _REPEAT_PENALTY * _overlap_with_surer(boxes_xyxy) ** _REPEAT_POWER
    return np.asarray(confidences**_CONFIDENCE_POWER * expected * (1 - penalty), np.float32)


def _overlap_with_surer(boxes_xyxy: FloatArray) -> NDArray[np.float64]:
    """Return (N,) the highest IoU of each box with one before it; 0 for the first."""
    boxes = boxes_xyxy.astype(np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    highest = np.zeros(len(boxes))
    for k in range(1, len(boxes)):
        low, high = np.maximum(boxes[k, :2], boxes[:k, :2]), np.minimum(boxes[k, 2:], boxes[:k, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        highest[k] = (shared / np.maximum(areas[k] + areas[:k] - shared, 1e-9)).max()
    return highest


def _measured(
    logits: FloatArray, window: NDArray[np.int64], content: tuple[int, int, int, int]
) -> list[float]:
    """Return the features of one mask but the confidence."""
    x0, y0, x1, y1 = (int(v) for v in window)
    box = np.clip(logits[y0:y1, x0:x1], -_LOGIT_LIMIT, _LOGIT_LIMIT)
    inside = box > 0
    count, sure, loose = int(inside.sum()), int((box > 1).sum()), int((box > -1).sum())
    if loose == 0:
        return [0.0] * (len(FEATURES) - 1)
    probability = 1 / (1 + np.exp(-box))
    across, down = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1]
    steps = int(across.sum()) + int(down.sum())
    steep = float(np.abs(np.diff(box, axis=1))[across].sum() + np.abs(np.diff(box, axis=0))[down].sum())
    return [
        sure / loose,
        float(probability[inside].mean()) if count else 0.0,
        float(np.abs(2 * probability - 1).mean()),
        min(steep / steps, _LOGIT_LIMIT) if steps else 0.0,
        count / box.size,
        float(np.log1p(count)),
        _cut(inside, (x0, y0, x1, y1), content),
        _spill(logits, (x0, y0, x1, y1), content),
    ]


def _cut(inside: NDArray[np.bool_], window: tuple[int, ...], content: tuple[int, ...]) -> float:
    """Return the share of the box's edge cells that are in the mask, where the image goes on beyond."""
    edges = (inside[:, 0], inside[0], inside[:, -1], inside[-1])
    open_sides = [edge for edge, a, b in zip(edges, window, content, strict=True) if a != b]
    return float(np.concatenate(open_sides).mean()) if open_sides else 0.0


def _spill(logits: FloatArray, window: tuple[int, ...], content: tuple[int, ...]) -> float:
    """Return the share of the cells just outside the box whose logit is above 0."""
    x0, y0, x1, y1 = window
    left, top = max(x0 - _RING, content[0]), max(y0 - _RING, content[1])
    right, bottom = min(x1 + _RING, content[2]), min(y1 + _RING, content[3])
    around = int(np.count_nonzero(logits[top:bottom, left:right] > 0))
    within = int(np.count_nonzero(logits[y0:y1, x0:x1] > 0))
    cells = (bottom - top) * (right - left) - (y1 - y0) * (x1 - x0)
    return (around - within) / cells if cells else 0.0


@dataclass(frozen=True, eq=False)
class QualityModel:
    """Logistic regression from features, their squares and their products to a mask's expected IoU.

    Attributes:
        mean: (F,) features are centred by this,
        scale: (F,) and divided by this.
        weights: (1 + F + F (F + 1) / 2,) constant, features, products of pairs in the order of
            ``np.triu_indices``.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            CheckpointError: they do not fit the features that this version measures.
        """
        count = len(FEATURES)
        wanted = {"mean": count, "scale": count, "weights": 1 + count + count * (count + 1) // 2}
        for name, size in wanted.items():
            try:
                array = np.asarray(getattr(self, name), np.float64)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                raise CheckpointError(f"quality {name}: expected {size} numbers ({error})") from error
            if array.shape != (size,) or not np.isfinite(array).all():
                raise CheckpointError(
                    f"quality {name}: expected {size} finite numbers, got shape {array.shape}; "
                    "calibrate the checkpoint again with this version (fastsam calibrate)"
                )
            object.__setattr__(self, name, array)
        if not (self.scale > 0).all():
            raise CheckpointError("quality scale: expected numbers above 0")

    def terms(self, features: FloatArray) -> NDArray[np.float64]:
        """Return the (N, T) columns that ``weights`` apply to."""
        centred = np.clip((features - self.mean) / self.scale, -4, 4)  # beyond, squares would run away
        first, second = np.triu_indices(features.shape[1])
        return np.concatenate(
            [np.ones((len(features), 1)), centred, centred[:, first] * centred[:, second]], axis=1
        )

    def predict(self, features: FloatArray) -> FloatArray:
        """Return (N,) float32 in 0..1, the expected IoU of each mask with the object it means."""
        odds = self.terms(features) @ self.weights
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, as a checkpoint carries them."""
        return {
            "features": list(FEATURES),
            **{name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> QualityModel:
        """Return the model that :meth:`to_dict` took apart.

        Raises:
            CheckpointError: it is of another version, or damaged.
        """
        if not isinstance(content, Mapping):
            raise CheckpointError(f"quality: expected a mapping, got {type(content).__name__}")
        named = content.get("features")
        if not isinstance(named, (list, tuple)) or tuple(named) != FEATURES:
            raise CheckpointError(
                f"quality: expected the features {', '.join(FEATURES)}, got {reprlib.repr(named)}; "
                "calibrate the checkpoint again with this version (fastsam calibrate)"
            )
        return cls(*(content.get(name, ()) for name in ("mean", "scale", "weights")))
