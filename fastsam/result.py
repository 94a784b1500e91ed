"""A selection together with its photograph: it draws, shows, saves and exports itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastsam.images.frame import Frame
from fastsam.masks.selection import Selection
from fastsam.pictured import Pictured
from fastsam.prompts import Box, Points, Prompt
from fastsam.prompts.text.labels import Labels

__all__ = ["Result"]


@dataclass(frozen=True, eq=False, repr=False)
class Result(Selection, Pictured):
    """A selection together with the image it is of: it can draw, show, save and export itself.

    >>> for thing in result:                                             # doctest: +SKIP
    ...     print(thing.box, thing.score, thing.label, thing.area_px)

    Attributes:
        frame: the image.
        prompt: what was asked; None for everything.
        known: the labels of everything, where the session has them; ``labels`` are then these.
    """

    frame: Frame = field(kw_only=True)
    prompt: Prompt | None = field(default=None, kw_only=True)
    known: Labels | None = field(default=None, kw_only=True)

    def drawing(self) -> dict[str, Any]:
        """Return the prompt and the labels; a mask keeps the colour that it has among everything."""
        points, point_labels, boxes = _drawn(self.prompt)
        return {
            "points": points,
            "point_labels": point_labels,
            "boxes": boxes,
            "labels": self.labels,
            "rows": np.maximum(self.indices, 0).tolist(),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types, as :meth:`Pictured.to_dict`, and the ``reason``."""
        return {**super().to_dict(), "reason": self.reason}

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "levels": self.level_names}


def _drawn(prompt: Prompt | None) -> tuple[Any, Any, Any]:
    """Return what of a prompt is drawn: points, their labels, boxes."""
    if isinstance(prompt, Points):
        clicks = [(p, 1) for o in prompt.objects for p in o.foreground]
        clicks += [(p, 0) for o in prompt.objects for p in o.background]
        return [p for p, _ in clicks], [label for _, label in clicks], None
    return None, None, list(prompt.xyxy) if isinstance(prompt, Box) else None
