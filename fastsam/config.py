"""Every option in one place: type, default, range and help text.

The CLI builds its flags, the page its sliders and the docs their tables from these fields.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from fastsam.errors import ConfigError, not_one_of

__all__ = [
    "AnnotateConfig",
    "CheckedConfig",
    "EvalConfig",
    "OutputConfig",
    "RenderConfig",
    "SegmentConfig",
    "TextEvalConfig",
    "TrainConfig",
    "VideoConfig",
    "option",
]

_LEAST_TILE = 64  # below, a network sees nothing but texture


def option(
    default: Any, help: str, *, min: float | None = None, max: float | None = None, step: float | None = None
) -> Any:
    """Return a dataclass field that carries its help text and range."""
    return field(default=default, metadata={"help": help, "min": min, "max": max, "step": step})


def _checked(spec: Field[Any], value: Any) -> Any:
    """Return an option's value as its type, or say what it should have been."""
    kind, low, high = str(spec.type), spec.metadata["min"], spec.metadata["max"]
    if value is None and kind.endswith("| None"):
        return None
    kind = kind.removesuffix(" | None")
    if kind == "bool" and isinstance(value, (bool, np.bool_)):
        return bool(value)
    if kind == "str" and isinstance(value, str):
        return value
    if kind in ("bool", "str"):
        raise ConfigError(
            f"{spec.name}: expected {'True or False' if kind == 'bool' else 'text'}, got {value!r}"
        )
    wanted = "a whole number" if kind == "int" else "a number"
    if low is not None:
        wanted += f" of at least {low:g}" if high is None else f" from {low:g} to {high:g}"
    number: Any = numbers.Integral if kind == "int" else numbers.Real
    fits = not isinstance(value, bool) and isinstance(value, number) and math.isfinite(value)
    if not fits or (low is not None and value < low) or (high is not None and value > high):
        raise ConfigError(f"{spec.name}: expected {wanted}, got {value!r}")
    return int(value) if kind == "int" else float(value)


@dataclass(frozen=True)
class CheckedConfig:
    """A frozen dataclass whose values are checked against the types and ranges in their fields."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a value of the wrong type or outside its range."""
        for spec in self.options():
            object.__setattr__(self, spec.name, _checked(spec, getattr(self, spec.name)))

    @classmethod
    def options(cls) -> Iterator[Field[Any]]:
        """Yield the fields that carry an option."""
        return (spec for spec in fields(cls) if "help" in spec.metadata)


@dataclass(frozen=True, kw_only=True)
class SegmentConfig(CheckedConfig):
    """Stage one: how an image becomes its masks. Defaults are FastSAM's (arXiv 2306.12156)."""

    conf: float = option(0.4, "minimum confidence of a mask", min=0.0, max=1.0, step=0.01)
    iou: float = option(0.9, "boxes with an IoU above this are duplicates (NMS)", min=0.0, max=1.0, step=0.01)
    imgsz: int = option(1024, "longer side of the network's input, pixels", min=32, max=8192, step=32)
    max_det: int = option(300, "maximum number of masks", min=1, max=10000, step=1)
    fill_conf: float = option(
        1.0,
        "fill gaps between masks with less certain ones down to this confidence; 1 turns it off",
        min=0.0,
        max=1.0,
        step=0.001,
    )
    regions: int = option(
        0,
        "maximum number of regions between the photo's edges that fill gaps between masks",
        min=0,
        max=100,
        step=1,
    )
    quality: bool = option(
        True, "score masks by their expected quality if the weights are calibrated, otherwise by confidence"
    )
    beyond_boxes: bool = option(
        True, "let masks reach beyond the network's boxes as far as the weights have learned to"
    )
    # A cell is 4 pixels of the network's input.
    edge_radius: float = option(
        0.0,
        "snap mask edges to the image's edges within about this distance, in cells of the mask grid",
        min=0.0,
        max=4.0,
        step=0.25,
    )
    min_region_share: float = option(
        0.0, "fill holes and drop islands smaller than this share of their mask", min=0.0, max=0.5, step=0.01
    )
    duplicate_iou: float = option(
        1.0,
        "drop masks whose IoU with a better one is above this; 1 keeps all",
        min=0.0,
        max=1.0,
        step=0.01,
    )
    containment: float = option(
        1.0,
        "drop masks that lie inside a better one by more than this share; 1 keeps all",
        min=0.0,
        max=1.0,
        step=0.01,
    )
    tile: int = option(
        0,
        "also segment tiles of this side, in image pixels, for small objects; 0 turns tiling off",
        min=0,
        max=8192,
        step=32,
    )
    tile_overlap: float = option(
        0.25, "overlap of neighboring tiles, as a share of their side", min=0.0, max=0.5, step=0.05
    )
    tile_whole: bool = option(True, "also segment the whole image, for objects larger than a tile")
    tile_iou: float = option(
        0.7,
        "masks of different tiles with an IoU above this are the same object",
        min=0.0,
        max=1.0,
        step=0.01,
    )
    crop_layers: int = option(
        0, "also segment 2x2 crops (1), then 4x4 (2), ..., as SAM does", min=0, max=4, step=1
    )
    crop_overlap: float = option(
        512 / 1500, "overlap of 2x2 crops, as a share of the shorter side", min=0.0, max=0.9, step=0.01
    )

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is of the wrong type or outside its range, or ``tile`` is too small to be one.
        """
        super().__post_init__()
        if 0 < self.tile < _LEAST_TILE:
            raise ConfigError(
                f"tile: expected 0 (no tiles) or a side of at least {_LEAST_TILE} image pixels, "
                f"got {self.tile}"
            )


@dataclass(frozen=True, kw_only=True)
class RenderConfig(CheckedConfig):
    """How masks are drawn over a photo."""

    alpha: float = option(0.5, "opacity of the masks", min=0.0, max=1.0, step=0.05)
    contours: bool = option(True, "draw the outline of each mask")
    boxes: bool = option(False, "draw the box of each mask")
    scores: bool = option(False, "write the score of each mask")
    seed: int = option(0, "seed of the color palette", min=0)


@dataclass(frozen=True, kw_only=True)
class VideoConfig(CheckedConfig):
    """How masks are followed from frame to frame."""

    conf: float = option(0.25, "minimum confidence of a new object", min=0.0, max=1.0, step=0.01)
    follow_conf: float = option(
        0.1, "minimum confidence of masks that continue a known object", min=0.0, max=1.0, step=0.01
    )
    every: int = option(1, "run the network on every n-th frame; motion fills the rest", min=1, step=1)
    target_fps: float | None = option(
        None, "target frame rate; skip network passes to keep it", min=0.1, max=1000.0
    )
    forget_after_frames: int = option(
        90, "forget an unprompted object after this many frames out of sight", min=1, step=1
    )
    roi: bool = option(False, "in most frames, look only around the followed objects")
    roi_every: int = option(8, "with roi, look at the whole of every n-th frame", min=1, step=1)
    masks_per_text: int = option(
        8, "maximum number of new masks compared with a text or reference per frame", min=1, step=1
    )
    trail_length: int = option(64, "number of past positions to remember of each object", min=0, step=1)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CheckedConfig):
    """A training run of stage one."""

    epochs: int = option(10, "number of passes over the images", min=1)
    hours: float | None = option(
        None, "time limit in hours; the learning-rate schedule fits itself to it", min=0.0
    )
    imgsz: int = option(640, "training image size, pixels", min=64)
    batch: int = option(8, "images per step", min=1)
    freeze: int = option(0, "number of leading layers to freeze", min=0)
    lr0: float = option(1e-3, "initial learning rate (AdamW)", min=0.0)
    negative_weight: float = option(
        0.25, "weight of the background in the objectness loss of partly labelled sources", min=0.0, max=1.0
    )
    box_growth: float | None = option(
        None,
        "look at masks beyond their boxes by this share of a side; if not given, as far as the start does",
        min=0.0,
        max=1.0,
    )
    copy_paste: float = option(
        0.0, "share of an image's isolated objects to paste mirrored", min=0.0, max=1.0
    )
    workers: int = option(1, "number of data loading processes", min=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    seed: int = option(0, "random seed", min=0)
    classes: bool = option(False, "keep the classes of the datasets; otherwise every mask is an object")


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig(CheckedConfig):
    """The gate of the data engine: which of a model's masks become labels."""

    conf: float = option(0.4, "minimum confidence of a mask", min=0.0, max=1.0, step=0.01)
    stability: float = option(
        0.85, "minimum stability: IoU of the mask at logit thresholds +1 and -1", min=0.0, max=1.0, step=0.01
    )
    same_iou: float = option(
        0.6, "a mask whose IoU with a label is at least this is that label", min=0.0, max=1.0, step=0.01
    )
    min_area_px: int = option(100, "minimum area of a mask, pixels", min=0)
    iou: float = option(0.7, "boxes with an IoU above this are duplicates (NMS)", min=0.0, max=1.0)
    imgsz: int = option(640, "longer side of the network's input, pixels", min=32, max=8192, step=32)


@dataclass(frozen=True, kw_only=True)
class EvalConfig(CheckedConfig):
    """The protocol of an evaluation: one network pass an image serves recall and prompts alike.

    Greedy NMS decides on a mask from better masks only, so the masks above ``select_conf`` are the same
    whether the network was read out at ``conf`` or at ``select_conf``.

    >>> EvalConfig().segment.max_det, EvalConfig().select.max_det
    (1000, 300)
    """

    conf: float = option(0.01, "minimum confidence of a mask, for recall", min=0.0, max=1.0, step=0.01)
    max_det: int = option(1000, "maximum number of masks, for recall", min=1, max=10000, step=1)
    select_conf: float = option(
        0.05, "minimum confidence of a mask, for prompts", min=0.0, max=1.0, step=0.01
    )
    select_max_det: int = option(300, "maximum number of masks, for prompts", min=1, max=10000, step=1)
    iou: float = option(0.9, "boxes with an IoU above this are duplicates (NMS)", min=0.0, max=1.0, step=0.01)
    imgsz: int = option(640, "longer side of the network's input, pixels", min=32, max=8192, step=32)
    min_area_px: int = option(100, "minimum area of the objects to prompt for, pixels", min=0)
    jitter: float = option(0.1, "shift of each edge of a jittered box, share of the side", min=0.0, max=0.4)
    seed: int = option(0, "random seed of the jitter", min=0)
    used: bool = option(True, "also measure what users get, with the weights' own defaults (one more pass)")
    noc: bool = option(False, "count the clicks until IoU .85 and .90 (slow)")
    max_clicks: int = option(20, "maximum number of clicks", min=1)
    boundary: bool = option(False, "measure boundaries against BSDS annotations (groundTruth_test/*.mat)")
    quality: bool = option(
        True, "score masks by their expected quality if the weights are calibrated, otherwise by confidence"
    )
    edge_radius: float | None = option(
        None, "as in segmenting; the weights' own if not given", min=0.0, max=4.0, step=0.25
    )
    min_region_share: float | None = option(
        None, "as in segmenting; the weights' own if not given", min=0.0, max=0.5, step=0.01
    )
    boundary_thresholds: int = option(
        33, "number of thresholds of the boundary curve; the official count is 99", min=2
    )

    def __post_init__(self) -> None:
        """Check ranges, and that the prompts' masks are among those of recall.

        Raises:
            ConfigError: a number is outside its range, or ``select_conf`` is below ``conf``.
        """
        super().__post_init__()
        if self.select_conf < self.conf:
            raise ConfigError(
                f"select_conf: expected at least conf ({self.conf:g}), got {self.select_conf:g}; "
                "prompts choose among the masks that recall is measured on"
            )

    @property
    def segment(self) -> SegmentConfig:
        """Stage one's options for recall."""
        return self._read_out(self.conf, self.max_det)

    @property
    def select(self) -> SegmentConfig:
        """Stage one's options for the masks that prompts choose among."""
        return self._read_out(self.select_conf, self.select_max_det)

    def _read_out(self, conf: float, max_det: int) -> SegmentConfig:
        return SegmentConfig(
            conf=conf,
            iou=self.iou,
            imgsz=self.imgsz,
            max_det=max_det,
            quality=self.quality,
            edge_radius=self.edge_radius or 0.0,
            min_region_share=self.min_region_share or 0.0,
        )


@dataclass(frozen=True, kw_only=True)
class TextEvalConfig(CheckedConfig):
    """The protocol of an evaluation of texts."""

    threshold: float = option(0.3, "minimum score of an answer", min=0.0, max=1.0, step=0.01)
    label_threshold: float = option(0.3, "minimum probability of a label", min=0.0, max=1.0, step=0.01)
    absent: int | None = option(
        None, "number of absent categories to ask each image for; all if not given", min=0
    )
    templates: bool = option(True, "average each name over the sentences of presets/templates.txt")
    masks: bool = option(True, "also ask about the masks found, not only about the true ones")
    captions: bool = option(True, "match photos and captions if the folder has captions.json")
    seed: int = option(0, "random seed of the choice of absent categories", min=0)


@dataclass(frozen=True, kw_only=True)
class OutputConfig(CheckedConfig):
    """How the results of a video are written."""

    suffix: str = option(".mp4", "type of the overlay video: .mp4, .mov, .mkv (H.264), .webm (VP9) or .gif")
    crf: int = option(
        20, "compression of the video: 0 is lossless, 51 the most; +6 about halves the file", min=0, max=51
    )
    audio: bool = option(True, "keep the audio of the source")
    trail: int = option(0, "draw the path of each object over this many past frames", min=0, max=1000, step=1)
    segment_s: float = option(
        4.0, "maximum seconds of video to lose if the run breaks off", min=0.1, max=600.0, step=0.5
    )


def check_names(options: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for the first of ``options`` that is not known."""
    names = sorted(set(known))
    for name in sorted(set(options) - set(names)):
        raise ConfigError(not_one_of(name, names, "option"))


_Config = TypeVar("_Config", SegmentConfig, RenderConfig, VideoConfig)


def override(config: _Config, options: dict[str, Any]) -> _Config:
    """Return a config with the options that are not None; unknown names are an error."""
    check_names(options, [spec.name for spec in fields(config)])
    given = {name: value for name, value in options.items() if value is not None}
    if "conf" in given and isinstance(config, SegmentConfig):
        # Who asks for a least confidence means that of every mask.
        given.setdefault("fill_conf", 1.0)
        given.setdefault("regions", 0)
    return replace(config, **given)
