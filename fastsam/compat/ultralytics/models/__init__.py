"""``ultralytics.models``: the submodules that scripts for FastSAM and SAM import."""

from __future__ import annotations

from typing import Any

from fastsam.compat import ultralytics

__all__ = ["SAM", "FastSAM"]


def __getattr__(name: str) -> Any:
    """Import a class on first use."""
    if name in __all__:
        return getattr(ultralytics, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
