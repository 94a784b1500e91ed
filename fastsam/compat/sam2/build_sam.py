"""SAM 2's constructors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastsam import FastSAM
from fastsam.compat.arguments import our_weights
from fastsam.compat.sam2.sam2_camera_predictor import SAM2CameraPredictor
from fastsam.compat.sam2.sam2_video_predictor import SAM2VideoPredictor
from fastsam.compat.segment_anything.modeling.sam import Sam

__all__ = [
    "build_sam2",
    "build_sam2_camera_predictor",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]


def build_sam2(
    config_file: Any = None, ckpt_path: str | Path | None = None, device: Any = None, *_: Any, **__: Any
) -> Sam:
    """Return a model that answers like SAM 2's.

    Args:
        config_file: accepted for old code; SAM 2's sizes have no counterpart.
        ckpt_path: a YOLO segmentation checkpoint's path or name; one of SAM 2's own files gets a warning, and
            the embedded weights answer.
        device: where the network runs; the best that there is by default.

    Raises:
        WeightsError: the weights cannot be had or used.
        ConfigError: this machine lacks the device.
    """
    return Sam(FastSAM(our_weights(ckpt_path))).to(device)


def build_sam2_video_predictor(
    config_file: Any = None, ckpt_path: str | Path | None = None, device: Any = None, *_: Any, **__: Any
) -> SAM2VideoPredictor:
    """Return a video predictor; arguments and errors as in :func:`build_sam2`."""
    return SAM2VideoPredictor(Sam(FastSAM(our_weights(ckpt_path))).to(device))


def build_sam2_camera_predictor(
    config_file: Any = None, ckpt_path: str | Path | None = None, device: Any = None, *_: Any, **__: Any
) -> SAM2CameraPredictor:
    """Return a camera predictor; arguments and errors as in :func:`build_sam2`."""
    return SAM2CameraPredictor(Sam(FastSAM(our_weights(ckpt_path))).to(device))


def build_sam2_hf(model_id: str, device: Any = None, **_: Any) -> Sam:
    """Return the embedded model: nothing is downloaded for ``model_id``."""
    return Sam().to(device)


def build_sam2_video_predictor_hf(model_id: str, device: Any = None, **_: Any) -> SAM2VideoPredictor:
    """Return a video predictor of the embedded model: nothing is downloaded for ``model_id``."""
    return SAM2VideoPredictor(Sam().to(device))
