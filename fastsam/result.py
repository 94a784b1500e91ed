"""A selection together with its photograph: it draws, shows, saves and exports itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from fastsam.images.frame import Frame
from fastsam.masks.selection import Selection
from fastsam.pictured import Pictured
from fastsam.prompts import Prompt
from fastsam.prompts.base import Marks
from fastsam.prompts.spec import class_names
from fastsam.prompts.text.labels import UNKNOWN, Labels

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
        marks = Marks() if self.prompt is None else self.prompt.marks()
        return {
            "points": [(x, y) for x, y, _ in marks.clicks] or None,
            "point_labels": [label for _, _, label in marks.clicks] or None,
            "boxes": list(marks.boxes) or None,
            "labels": self.labels,
            "rows": np.maximum(self.indices, 0).tolist(),
        }

    @property
    def classes(self) -> tuple[str, ...]:
        """The vocabulary of :meth:`fastsam.Session.label`, or the names of the texts that were asked for."""
        return class_names(self.prompt) if self.known is None else self.known.vocabulary

    def named(self) -> Self:
        """Return the masks that have a name, where :meth:`fastsam.Session.label` gave names; else all."""
        if self.known is None or self.labels is None:
            return self
        return self[[i for i, name in enumerate(self.labels) if name != UNKNOWN]]

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types, as :meth:`Pictured.to_dict`, and the ``reason``."""
        return {**super().to_dict(), "reason": self.reason}

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "levels": self.level_names}
