"""``ultralytics.models``: the submodules that scripts for FastSAM and SAM import."""

from __future__ import annotations

import importlib
from typing import Any

from fastsam.compat import ultralytics

__all__ = ["SAM", "FastSAM"]


def __getattr__(name: str) -> Any:
    """Import a class or a submodule on first use: ours, or ultralytics' own."""
    if name in __all__:
        return getattr(ultralytics, name)
    if name in ("fastsam", "sam"):
        return importlib.import_module(f"{__name__}.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("ultralytics.models"), name)
