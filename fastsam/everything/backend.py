"""What every stage-one backend offers."""

from __future__ import annotations

from typing import Protocol

from fastsam.config import SegmentConfig
from fastsam.records import Frame, MaskSet

__all__ = ["Segmenter"]


class Segmenter(Protocol):
    """Turns a frame into all its masks.

    Attributes:
        times_ms: how long the steps of the last ``segment`` took, by name.
    """

    times_ms: dict[str, float]

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return the masks of a frame, best score first."""
