"""The options of the main calls by name and type, for editors and type checkers: ``**options: Unpack[...]``.

Each mirrors a config of :mod:`fastsam.config`, which holds defaults, ranges and help texts; a test compares
them. None stands for the default: with :class:`SegmentOptions`, that of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

__all__ = [
    "ExportOptions",
    "LabelOptions",
    "ReaderOptions",
    "RenderOptions",
    "SegmentOptions",
    "StreamOptions",
    "VideoOptions",
]

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class SegmentOptions(TypedDict, total=False):
    """Fields of :class:`fastsam.config.SegmentConfig`."""

    conf: float | None
    iou: float | None
    imgsz: int | None
    max_det: int | None
    fill_conf: float | None
    regions: int | None
    quality: bool | None
    beyond_boxes: bool | None
    edge_radius: float | None
    min_region_share: float | None
    duplicate_iou: float | None
    containment: float | None
    tile: int | None
    tile_overlap: float | None
    tile_whole: bool | None
    tile_iou: float | None
    crop_layers: int | None
    crop_overlap: float | None


class RenderOptions(TypedDict, total=False):
    """Fields of :class:`fastsam.config.RenderConfig`."""

    alpha: float | None
    contours: bool | None
    boxes: bool | None
    scores: bool | None
    seed: int | None


class LabelOptions(TypedDict, total=False):
    """What :meth:`fastsam.Session.label` takes."""

    vocabulary: str | Path | Sequence[str]
    threshold: float
    templates: bool


class _FollowOptions(TypedDict, total=False):
    follow_conf: float | None
    every: int | None
    target_fps: float | None
    forget_after_frames: int | None
    roi: bool | None
    roi_every: int | None
    masks_per_text: int | None
    trail_length: int | None


class VideoOptions(_FollowOptions, total=False):
    """Fields of :class:`fastsam.config.VideoConfig`."""

    conf: float | None


class ReaderOptions(TypedDict, total=False):
    """What :func:`fastsam.video.read.reader.open_video` takes."""

    policy: Literal["auto", "latest", "all"]
    queue_size: int
    max_pixels: int | None
    reconnect_s: float
    start: int
    fps: float | None
    wanted: Callable[..., Any] | None


class StreamOptions(SegmentOptions, _FollowOptions, ReaderOptions, total=False):
    """What :meth:`fastsam.FastSAM.stream` takes; ``conf`` is that of :class:`fastsam.config.VideoConfig`."""


class ExportOptions(TypedDict, total=False):
    """What the formats of :mod:`fastsam.export` take beside the masks."""

    labels: Sequence[str] | None
    classes: Sequence[str]
    levels: Sequence[str] | None
    stability_scores: Any
    points_xy: Any
    file_name: str
