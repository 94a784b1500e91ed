"""FastSAM-style segmentation: find every mask of an image once, then select by prompt.

>>> from fastsam import FastSAM, Box, Points

``__init__.pyi`` beside this file lists the public names and who owns them. What it lists is the interface;
modules may move.
"""

from __future__ import annotations

import ast
import importlib
import os
from typing import Any

__version__ = "0.1.0"

# In a checkout ``fastsam/prompts`` is a symbolic link to ``prompts/`` beside this folder. Where git cannot
# make links (Windows), look for it there; an installed package has a real folder.
if not os.path.isdir(os.path.join(__path__[0], "prompts")):
    __path__.append(os.path.dirname(__path__[0]))


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


def _owners() -> dict[str, str]:
    """Return the module that owns each public name, from the stub: one list for Python and type checkers."""
    with open(os.path.join(__path__[0], "__init__.pyi"), encoding="utf-8") as stub:
        tree = ast.parse(stub.read())
    return {
        alias.name: node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip


_OWNERS = _owners()  # nothing of it is imported until a name is used
__all__ = sorted([*_OWNERS, "__version__"])


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
    return list(__all__)
