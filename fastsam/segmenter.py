"""Stage one as the rest sees it: what finds all masks of a frame, and what it may be able to do besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid

__all__ = ["Part", "Segmentation", "Segmenter", "as_segmenter", "segmented"]


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(MaskSet):
    """All masks of a frame, best score first, and what it took to find them.

    Attributes:
        times_ms: how long each step took, by name: ``prepare``, ``network``, ``decode``, ...
    """

    times_ms: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, masks: MaskSet, times_ms: Mapping[str, float]) -> Segmentation:
        """Return masks together with the time that they took."""
        values = {spec.name: getattr(masks, spec.name) for spec in fields(MaskSet)}
        return cls(**values, times_ms=dict(times_ms))

    @property
    def masks(self) -> MaskSet:
        """The masks alone."""
        return MaskSet(**{spec.name: getattr(self, spec.name) for spec in fields(MaskSet)})


class Part(NamedTuple):
    """A part of a frame that is to be looked at.

    Attributes:
        box_xyxy: the part, image pixels.
        before: feature maps of an earlier frame, which stand for those of the rest, if any.
    """

    box_xyxy: tuple[float, ...]
    before: Pyramid | None = None


class Segmenter(ABC):
    """Turns a frame into all its masks: what ``FastSAM(segmenter=...)`` takes.

    Attributes:
        device: where it runs.
        fingerprint: names its network by content; equal for equal feature maps, empty without a network.
        checkpoint: the file that it was read from, if any.
        takes_parts: whether it can look at a part of a frame only.
        passes_at_once: on how many frames it is worth running it at the same time.
    """

    device: str = "cpu"
    fingerprint: str = ""
    checkpoint: Path | None = None
    takes_parts: bool = False

    @property
    def passes_at_once(self) -> int:
        """On how many frames it is worth running it at the same time."""
        return 1

    @abstractmethod
    def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        """Return the masks of a frame, best score first.

        Args:
            frame: the whole image.
            config: which masks are wanted.
            part: segment no more than this; only given if :attr:`takes_parts`. Masks that end at the part's
                edge, where the image goes on, are left out.
        """

    def share_cores(self, passes: int) -> None:  # noqa: B027 - most have nothing to share
        """Use a share of the cores in this thread's ``segment`` calls, because ``passes`` run at once."""


def segmented(
    segmenter: Segmenter, frame: Frame, config: SegmentConfig, part: Part | None = None
) -> Segmentation:
    """Return what a segmenter finds; also of one that returns a bare MaskSet, without times."""
    masks = segmenter.segment(frame, config) if part is None else segmenter.segment(frame, config, part)
    return masks if isinstance(masks, Segmentation) else Segmentation.of(masks, {})


class _Foreign(Segmenter):
    """An object with nothing but ``segment(frame, config) -> MaskSet``, and perhaps some of the rest."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        for name in ("device", "fingerprint", "checkpoint"):
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    @property
    def passes_at_once(self) -> int:
        """As the object says, else 1."""
        return int(getattr(self._inner, "passes_at_once", 1))

    def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        """Return what the object finds; what its steps took, where it has noted that in ``times_ms``."""
        masks = self._inner.segment(frame, config)
        if isinstance(masks, Segmentation):
            return masks
        return Segmentation.of(masks, getattr(self._inner, "times_ms", {}))

    def share_cores(self, passes: int) -> None:
        """Tell the object, where it wants to know."""
        share = getattr(self._inner, "share_cores", None)
        if share is not None:
            share(passes)


def as_segmenter(value: Any) -> Segmenter:
    """Return a segmenter: this one, or one that asks an object with ``segment(frame, config) -> MaskSet``.

    Raises:
        ConfigError: it has no such method.
    """
    if isinstance(value, Segmenter):
        return value
    if not callable(getattr(value, "segment", None)):
        raise ConfigError(
            f"segmenter: expected an object with segment(frame, config), got {type(value).__name__}"
        )
    return _Foreign(value)
