"""A selection together with its photograph: it draws, saves and exports itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig, override
from fastsam.errors import ConfigError
from fastsam.export import write
from fastsam.images.drawing import cutout, overlay, save_image
from fastsam.images.frame import Frame
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, Points, Prompt, Text
from fastsam.prompts.text.labels import UNKNOWN, Labels

__all__ = ["Result"]


@dataclass(frozen=True, eq=False, repr=False)
class Result(Selection):
    """A selection together with the image it is of: it can draw, save and export itself.

    Attributes:
        frame: the image.
        prompt: what was asked; None for everything.
        known: the labels of everything, where the session has them.
    """

    frame: Frame = field(kw_only=True)
    prompt: Prompt | None = field(default=None, kw_only=True)
    known: Labels | None = field(default=None, kw_only=True)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What each mask is: by the session's labels, else by the text that it answers; else None."""
        if self.known is not None:
            return tuple(self.known.names[i] if i >= 0 else UNKNOWN for i in self.indices)
        if isinstance(self.prompt, Text):
            return tuple(self.prompt.texts[number] for number in self.groups)
        return None

    def plot(self, **options: Any) -> NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 RGB photo with the masks and the prompt drawn over it.

        Args:
            options: fields of :class:`fastsam.config.RenderConfig`, such as ``alpha=0.3``.
        """
        points, point_labels, boxes = _drawn(self.prompt)
        config = override(RenderConfig(), options)
        return overlay(
            self.frame,
            self.masks,
            config,
            points=points,
            point_labels=point_labels,
            boxes=boxes,
            labels=self.labels,
            # A mask keeps the colour that it has among everything.
            rows=np.maximum(self.indices, 0).tolist(),
        )

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write :meth:`plot` as an image file (by its suffix) and return the path."""
        target = checked_path(path, "path")
        return save_image(self.plot(**options), target)

    def export(self, folder: str | Path, format: str = "png", **options: Any) -> list[Path]:
        """Write the masks into a folder and return the files.

        Args:
            folder: made when absent.
            format: a name of ``fastsam.export.FORMATS``, such as ``"png"``, ``"coco"``, ``"yolo"``.
            options: what the format takes beside the masks: ``labels`` (by default :attr:`labels`),
                ``stability_scores``, ``points_xy``, ``file_name``.

        Raises:
            ExportError: unknown format, or the folder cannot be written.
            ConfigError: unknown option.
        """
        known = ("labels", "levels", "stability_scores", "points_xy", "file_name")
        for name in options:
            if name not in known:
                raise ConfigError(f"option {name!r}: expected one of {', '.join(known)}")
        about = {
            "source": self.frame.source,
            "levels": self.level_names,
            "rgb": self.frame.rgb,
            "labels": self.labels,
            **options,
        }
        return write(self.masks, checked_path(folder, "folder"), str(format), name=self.frame.name, **about)

    def cutouts(self) -> list[NDArray[np.uint8]]:
        """Return each mask's part of the photo as (h, w, 4) RGBA, transparent outside the mask."""
        return [cutout(self.frame, self.masks, i) for i in range(len(self))]


def checked_path(value: Any, what: str) -> Path:
    """Return a path, or say what was given instead."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value):
        raise ConfigError(f"{what}: expected a path, got {value!r}")
    return Path(value)


def _drawn(prompt: Prompt | None) -> tuple[Any, Any, Any]:
    """Return what of a prompt is drawn: points, their labels, boxes."""
    if isinstance(prompt, Points):
        clicks = [(p, 1) for o in prompt.objects for p in o.foreground]
        clicks += [(p, 0) for o in prompt.objects for p in o.background]
        return [p for p, _ in clicks], [label for _, label in clicks], None
    return None, None, list(prompt.xyxy) if isinstance(prompt, Box) else None
