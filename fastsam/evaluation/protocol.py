"""What is measured, and how: the options of an evaluation in one place."""

from __future__ import annotations

from dataclasses import dataclass

from fastsam.config import CheckedConfig, SegmentConfig, option
from fastsam.errors import ConfigError

__all__ = ["EvalConfig"]


@dataclass(frozen=True)
class EvalConfig(CheckedConfig):
    """The protocol of an evaluation: one network pass an image serves recall and prompts alike.

    Greedy NMS decides on a mask from better masks only, so the masks above ``select_conf`` are the same
    whether the network was read out at ``conf`` or at ``select_conf``.

    >>> EvalConfig(imgsz=1024).segment
    SegmentConfig(conf=0.01, iou=0.9, imgsz=1024, max_det=1000)
    """

    conf: float = option(0.01, "least confidence of a mask, for recall", min=0.0, max=1.0, step=0.01)
    max_det: int = option(1000, "at most so many masks, for recall", min=1, max=10000, step=1)
    select_conf: float = option(0.05, "least confidence of a mask, for prompts", min=0.0, max=1.0, step=0.01)
    select_max_det: int = option(300, "at most so many masks, for prompts", min=1, max=10000, step=1)
    iou: float = option(
        0.9, "boxes that overlap more than this are duplicates (NMS)", min=0.0, max=1.0, step=0.01
    )
    imgsz: int = option(640, "longer side of the network's input, pixels", min=32, max=8192, step=32)
    min_area_px: int = option(100, "smaller objects are not prompted for", min=0)
    jitter: float = option(0.1, "shift of each edge of a jittered box, share of the side", min=0.0, max=0.4)
    seed: int = option(0, "random seed of the jitter", min=0)
    noc: bool = option(False, "count the clicks until IoU .85 and .90 (slow)")
    max_clicks: int = option(20, "give up after so many clicks", min=1)
    boundary: bool = option(False, "measure boundaries against BSDS annotations (groundTruth_test/*.mat)")
    boundary_thresholds: int = option(33, "thresholds of the boundary curve; the official count is 99", min=2)

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
        """Stage one's options."""
        return SegmentConfig(conf=self.conf, iou=self.iou, imgsz=self.imgsz, max_det=self.max_det)
