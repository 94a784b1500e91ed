"""Fitting a checkpoint's mask quality: which measurements of a mask tell how well it fits.

The network is run over training images; each of its masks gets the IoU with the best labelled object as
its target, and :class:`fastsam.everything.quality.QualityModel` is fitted by penalised logistic
regression. The result travels inside the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.datasets import CocoDataset, CocoImage, check_partial, known_ious, read_coco
from fastsam.errors import DatasetError
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.everything.quality import FEATURES, QualityModel, mask_features
from fastsam.images.reading import read_frame
from fastsam.masks.rle import rle_iou_matrix
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["calibrate", "fit_quality"]

_RIDGE = 1e-3  # per observation of unit weight; keeps the products of correlated features small
_ROUNDS = 25
# Candidates down to the evaluation's confidence, so that its rankings are of masks like those fitted on.
_CANDIDATES = SegmentConfig(conf=0.01, iou=0.9, imgsz=640, max_det=300, quality=False)
_UNLABELLED_IOU = 0.3  # below it, a mask of a partly labelled image may be a good one of an unlabelled object


def fit_quality(
    features: NDArray[np.float32], ious: NDArray[np.float64], weights: NDArray[np.float64]
) -> QualityModel:
    """Fit the expected IoU by iteratively reweighted least squares (soft targets, ridge penalty).

    Args:
        features: (N, len(FEATURES)).
        ious: (N,) targets in 0..1.
        weights: (N,) how much each mask counts.

    Raises:
        DatasetError: there are fewer masks than coefficients.
    """
    size = 1 + len(FEATURES) + len(FEATURES) * (len(FEATURES) + 1) // 2
    if len(features) < 10 * size:
        raise DatasetError(
            f"calibrate: expected at least {10 * size} masks to fit {size} coefficients, "
            f"got {len(features)}; add images"
        )
    values = features.astype(np.float64)
    scale = np.maximum(values.std(axis=0), 1e-6)
    blank = QualityModel(values.mean(axis=0), scale, np.zeros(size))
    terms = blank.terms(features)
    penalty = _RIDGE * weights.sum() * np.eye(size)
    penalty[0, 0] = 0.0
    beta = np.zeros(size)
    for _ in range(_ROUNDS):
        expected = 1 / (1 + np.exp(-np.clip(terms @ beta, -30, 30)))
        curvature = np.maximum(expected * (1 - expected), 1e-4) * weights
        gradient = terms.T @ (weights * (ious - expected)) - penalty @ beta
        step = np.linalg.solve((terms * curvature[:, None]).T @ terms + penalty, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-6:
            break
    return replace(blank, weights=beta)


def calibrate(
    data: Sequence[str | Path],
    weights: str | Path,
    out: str | Path,
    *,
    partial: Sequence[str] = (),
    negative_weight: float = 0.25,
    limit: int | None = None,
    device: str = "auto",
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write a copy of a checkpoint that can tell how well its masks fit.

    Args:
        data: COCO-format folders; images that a folder's ``heldout.txt`` lists are never used. Every
            folder counts the same, however many masks its images have.
        weights: the checkpoint to fit.
        out: the file to write; may be the same.
        partial: names (last path part) of datasets that label only some of their objects.
        negative_weight: what masks count there that match nothing.
        limit: at most so many images of each folder, drawn evenly.
        device: as :class:`fastsam.everything.backends.torch_network.TorchBackend`.
        on_progress: called after each image with (done, total, name).

    Raises:
        DatasetError: too few masks, or a name in ``partial`` that is no dataset's.
        CheckpointError: the weights cannot be used.
        ExportError: ``out`` cannot be written.
    """
    datasets = [read_coco(folder, split="train") for folder in data]
    check_partial(partial, datasets)
    chosen = [_evenly(dataset, limit) for dataset in datasets]
    backend = TorchBackend(weights, device)
    total, done = sum(len(images) for images in chosen), 0
    parts: list[_Measured] = []
    for images in chosen:
        of_images = [_Measured.none()]
        for image in images:
            of_images.append(_measure(backend, image))
            done += 1
            if on_progress is not None:
                on_progress(done, total, image.path.name)
        parts.append(_Measured.joined(of_images))
    shares = [
        _weights(part.ious, negative_weight if dataset.name in partial else 1.0)
        for part, dataset in zip(parts, datasets, strict=True)
    ]
    joined = _Measured.joined(parts)
    model = fit_quality(joined.features, joined.ious, np.concatenate(shares))
    about = {"data": {dataset.name: len(images) for dataset, images in zip(datasets, chosen, strict=True)}}
    return _write(weights, Path(out), model, about)


class _Measured(NamedTuple):
    """(N, F) features of masks and their (N,) IoU with the best object."""

    features: NDArray[np.float32]
    ious: NDArray[np.float64]

    @classmethod
    def none(cls) -> _Measured:
        return cls(np.zeros((0, len(FEATURES)), np.float32), np.zeros(0))

    @classmethod
    def joined(cls, parts: Sequence[_Measured]) -> _Measured:
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _measure(backend: TorchBackend, image: CocoImage) -> _Measured:
    """Return what the network's masks of one image look like, and how well they fit."""
    masks = backend.segment(read_frame(image.path), _CANDIDATES)
    store = masks.store.on_grid
    if len(masks) == 0 or store is None:
        return _Measured.none()
    rles = [masks.rle(i) for i in range(len(masks))]
    best = known_ious(rle_iou_matrix(rles, image.rles()), rles, image.crowd_rles())
    known = np.isfinite(best)
    return _Measured(mask_features(store, masks.scores)[known], best[known])


def _weights(ious: NDArray[np.float64], negative_weight: float) -> NDArray[np.float64]:
    """Return what each mask of one dataset counts; the sum is the same for every dataset."""
    weights = np.where(ious < _UNLABELLED_IOU, negative_weight, 1.0)
    return np.asarray(weights / max(weights.mean() * len(weights), 1e-12) * 1000, np.float64)


def _evenly(dataset: CocoDataset, limit: int | None) -> list[CocoImage]:
    """Return at most ``limit`` images, spread over the dataset."""
    images = list(dataset.images)
    if limit is None or len(images) <= limit:
        return images
    return [images[int(k)] for k in np.linspace(0, len(images) - 1, limit)]


def _write(weights: str | Path, out: Path, model: QualityModel, about: dict[str, Any]) -> Path:
    """Write the checkpoint with its calibration."""
    content = load_checkpoint(weights)
    ours = content.get("fastsam")
    known = ours if isinstance(ours, dict) else {}
    content["fastsam"] = {**known, "quality": {**model.to_dict(), **about}}
    save_checkpoint(content, out)
    return out
