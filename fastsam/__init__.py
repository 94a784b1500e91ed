"""FastSAM-style segmentation: find every mask of an image once, then select by prompt.

>>> from fastsam import FastSAM, Box, Points
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# In a checkout ``fastsam/prompts`` is a symbolic link to ``prompts/`` beside this folder. Where git cannot
# make links (Windows), look for it there; an installed package has a real folder.
if not os.path.isdir(os.path.join(__path__[0], "prompts")):
    __path__.append(os.path.dirname(__path__[0]))

# Public name -> module that owns it. Nothing is imported until a name is used.
_OWNERS = {
    "AllOf": "fastsam.prompts",
    "AnyOf": "fastsam.prompts",
    "Box": "fastsam.prompts",
    "ButNot": "fastsam.prompts",
    "FastSAM": "fastsam.model",
    "FastSAMError": "fastsam.errors",
    "Frame": "fastsam.images.frame",
    "Levels": "fastsam.masks.levels",
    "MaskLike": "fastsam.prompts",
    "MaskSet": "fastsam.masks.maskset",
    "OutputConfig": "fastsam.config",
    "Points": "fastsam.prompts",
    "Position": "fastsam.prompts",
    "Reference": "fastsam.prompts",
    "RenderConfig": "fastsam.config",
    "Result": "fastsam.result",
    "SegmentConfig": "fastsam.config",
    "Selection": "fastsam.masks.selection",
    "Session": "fastsam.session",
    "Stream": "fastsam.video.stream",
    "Text": "fastsam.prompts",
    "Tracked": "fastsam.video.track.tracked",
    "TrainConfig": "fastsam.config",
    "VideoConfig": "fastsam.config",
    "all_of": "fastsam.prompts",
    "any_of": "fastsam.prompts",
    "but_not": "fastsam.prompts",
    "containment_tree": "fastsam.masks.levels",
    "prompt_from_json": "fastsam.prompts",
    "read_frame": "fastsam.images.reading",
    "select": "fastsam.prompts",
}

# What code for other packages imports -> whose it is, and what to write instead.
_ELSEWHERE = {
    "FastSAMPrompt": "CASIA's FastSAM says: from fastsam.compat import FastSAM, FastSAMPrompt",
    **dict.fromkeys(
        ("FastSAMPredictor", "SAM"), "ultralytics says: from fastsam.compat.ultralytics import FastSAM, SAM"
    ),
    **dict.fromkeys(
        ("SamAutomaticMaskGenerator", "SamPredictor", "sam_model_registry"),
        "Segment Anything says: from fastsam.compat.segment_anything import SamPredictor, sam_model_registry",
    ),
}

if TYPE_CHECKING:
    from fastsam.config import OutputConfig, RenderConfig, SegmentConfig, TrainConfig, VideoConfig
    from fastsam.errors import FastSAMError
    from fastsam.images.frame import Frame
    from fastsam.images.reading import read_frame
    from fastsam.masks.levels import Levels, containment_tree
    from fastsam.masks.maskset import MaskSet
    from fastsam.masks.selection import Selection
    from fastsam.model import FastSAM
    from fastsam.prompts import (
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
    from fastsam.result import Result
    from fastsam.session import Session
    from fastsam.video.stream import Stream
    from fastsam.video.track.tracked import Tracked

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
    if owner is None and name in _ELSEWHERE:  # an AttributeError's message would not reach the reader
        raise ImportError(
            f"cannot import name {name!r} from 'fastsam': code written for {_ELSEWHERE[name]} "
            "(docs/moving-over.md)",
            name="fastsam",
        )
    if owner is None:
        raise AttributeError(f"module 'fastsam' has no attribute {name!r}")
    return getattr(importlib.import_module(owner), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
