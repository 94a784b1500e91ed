"""What a checkpoint carries of ours beside its network: the calibration, how far boxes grow, its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ConfigError
from fastsam.everything.grow import MOST_GROWTH
from fastsam.everything.quality import QualityModel

__all__ = ["Carried", "carried_by", "usable_names"]


@dataclass(frozen=True)
class Carried:
    """Everything that a checkpoint says beyond its layers; a foreign one says nothing.

    Attributes:
        quality: how to tell a mask's expected IoU.
        box_growth: how far masks may reach beyond their boxes, as a share of the box's sides.
        trained_imgsz: the largest side of the images that it was trained on, pixels; 0 if unknown.
        defaults: fields of :class:`fastsam.config.SegmentConfig` that it wants.
        names: of its classes, by id; empty where all it knows is that something is an object.
    """

    quality: QualityModel | None = None
    box_growth: float = 0.0
    trained_imgsz: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a checkpoint or a converted network holds them."""
        content: dict[str, Any] = {
            "quality": self.quality.to_dict() if self.quality is not None else None,
            "box_growth": self.box_growth,
            "trained_imgsz": self.trained_imgsz,
            "defaults": dict(self.defaults),
            "names": list(self.names),
        }
        return {name: value for name, value in content.items() if value}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Carried:
        """Return what :meth:`to_dict` took apart; other entries are passed over.

        Raises:
            CheckpointError: an entry is damaged or of another version.
        """
        quality, defaults = content.get("quality"), content.get("defaults") or {}
        if quality is not None and not isinstance(quality, Mapping):
            raise CheckpointError(f"expected its quality as a mapping, got {type(quality).__name__}")
        try:
            growth, trained = float(content.get("box_growth") or 0), int(content.get("trained_imgsz") or 0)
            known = {str(name): value for name, value in dict(defaults).items()}
            SegmentConfig(**known)
        except (TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"its defaults are damaged ({error})") from error
        if not 0 <= growth <= MOST_GROWTH or trained < 0:
            raise CheckpointError(
                f"expected a box_growth from 0 to {MOST_GROWTH:g} and a trained_imgsz of at least 0, "
                f"got {growth:g} and {trained}"
            )
        fitted = QualityModel.from_dict(quality) if quality is not None else None
        return cls(fitted, growth, trained, known, usable_names(content.get("names")))


_MOST_NAMES, _LONGEST_NAME = 100_000, 200
_NO_CLASSES = frozenset({"object", "item", "objects"})  # what everything-models call their one class


def usable_names(given: Any) -> tuple[str, ...]:
    """Return the names of a network's classes, by id; none where they say nothing, or are damaged.

    >>> usable_names({0: "dog", 1: "cat"}), usable_names({0: "object"}), usable_names(["a", 3])
    (('dog', 'cat'), (), ())
    """
    if isinstance(given, Mapping) and len(given) <= _MOST_NAMES:
        given = [given.get(i) for i in range(len(given))]
    if not isinstance(given, (list, tuple)) or not 0 < len(given) <= _MOST_NAMES:
        return ()
    if not all(isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME for name in given):
        return ()
    if len(given) == 1 and given[0].lower() in _NO_CLASSES:
        return ()
    return tuple(" ".join(name.split()) or "?" for name in given)


def carried_by(content: Mapping[str, Any], path: Path) -> Carried:
    """Return what a checkpoint's dictionary carries of ours.

    Raises:
        CheckpointError: it is damaged or of another version.
    """
    ours = content.get("fastsam")
    if not isinstance(ours, dict):
        return Carried()
    config = ours.get("config")
    known = {"trained_imgsz": config.get("imgsz")} if isinstance(config, dict) else {}  # files of version 0.1
    try:
        return Carried.from_dict({**known, **ours})
    except CheckpointError as error:
        raise error.about(f"checkpoint {path}", path) from error
