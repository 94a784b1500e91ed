"""FastSAM-style segmentation: find every mask of an image once, then select by prompt.

>>> from fastsam import FastSAM, Box, Points
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that owns it. Nothing is imported until a name is used.
_OWNERS = {
    "AllOf": "prompts",
    "AnyOf": "prompts",
    "Box": "prompts",
    "ButNot": "prompts",
    "FastSAM": "fastsam.pipeline",
    "FastSAMError": "fastsam.errors",
    "Frame": "fastsam.records",
    "Levels": "fastsam.levels",
    "MaskLike": "prompts",
    "MaskSet": "fastsam.records",
    "OutputConfig": "fastsam.config",
    "Points": "prompts",
    "Position": "prompts",
    "Reference": "prompts",
    "RenderConfig": "fastsam.config",
    "Result": "fastsam.pipeline",
    "SegmentConfig": "fastsam.config",
    "Selection": "fastsam.records",
    "Session": "fastsam.pipeline",
    "Stream": "fastsam.video.stream",
    "Text": "prompts",
    "Tracked": "fastsam.video.tracked",
    "TrainConfig": "fastsam.config",
    "VideoConfig": "fastsam.config",
    "all_of": "prompts",
    "any_of": "prompts",
    "but_not": "prompts",
    "containment_tree": "fastsam.levels",
    "prompt_from_json": "prompts",
    "read_frame": "fastsam.sources",
    "select": "prompts",
}

if TYPE_CHECKING:
    from fastsam.config import OutputConfig, RenderConfig, SegmentConfig, TrainConfig, VideoConfig
    from fastsam.errors import FastSAMError
    from fastsam.levels import Levels, containment_tree
    from fastsam.pipeline import FastSAM, Result, Session
    from fastsam.records import Frame, MaskSet, Selection
    from fastsam.sources import read_frame
    from fastsam.video.stream import Stream
    from fastsam.video.tracked import Tracked
    from prompts import (
        AllOf,
        AnyOf,
        Box,
        ButNot,
        MaskLike,
        Points,
        Position,
        Reference,
        Text,
        all_of,
        any_of,
        but_not,
        prompt_from_json,
        select,
    )

__all__ = [
    "AllOf",
    "AnyOf",
    "Box",
    "ButNot",
    "FastSAM",
    "FastSAMError",
    "Frame",
    "Levels",
    "MaskLike",
    "MaskSet",
    "OutputConfig",
    "Points",
    "Position",
    "Reference",
    "RenderConfig",
    "Result",
    "SegmentConfig",
    "Selection",
    "Session",
    "Stream",
    "Text",
    "Tracked",
    "TrainConfig",
    "VideoConfig",
    "__version__",
    "all_of",
    "any_of",
    "but_not",
    "containment_tree",
    "prompt_from_json",
    "read_frame",
    "select",
]


def __getattr__(name: str) -> Any:
    """Import the module that owns a public name, on first use."""
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module 'fastsam' has no attribute {name!r}")
    return getattr(importlib.import_module(owner), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
