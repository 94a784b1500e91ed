"""Masks together with the photo or frame they are of: they draw, show, save and export themselves."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.config import RenderConfig, override
from fastsam.errors import ConfigError, check_one_of
from fastsam.export import DEFAULT_LABEL, Annotations, write
from fastsam.export.annotations import all_classes
from fastsam.export.records import coco_record, mask_record
from fastsam.images.drawing import cutout, overlay, save_image
from fastsam.images.frame import Frame
from fastsam.masks.rows import MaskRows
from fastsam.needed import needed
from fastsam.options import ExportOptions, RenderOptions

if TYPE_CHECKING:
    from typing import Self, Unpack

__all__ = ["Pictured", "checked_path"]


class Pictured(MaskRows):
    """K masks of a photo or of a frame of a video, with that picture.

    In a notebook it shows itself, drawn over the picture.
    """

    frame: Frame

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that masks may have, in the order that they were asked for; empty where nobody said."""
        return ()

    def named(self) -> Self:
        """Return the masks that have a name, where names were looked for; else all of them."""
        return self

    @abstractmethod
    def drawing(self) -> dict[str, Any]:
        """Return what :func:`fastsam.images.drawing.overlay` draws beside the masks."""

    def plot(self, config: RenderConfig | None = None, **options: Unpack[RenderOptions]) -> NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 RGB picture with the masks, and the prompt, drawn over it.

        Args:
            config: how to draw; its fields can also be given by name.
            options: fields of :class:`fastsam.config.RenderConfig`, such as ``alpha=0.3``.

        Raises:
            ConfigError: an option is unknown or outside its range.
        """
        if not isinstance(config, RenderConfig | None):
            raise ConfigError(
                f"config: expected a RenderConfig, got {type(config).__name__}; options can be given by name"
            )
        chosen = override(config or RenderConfig(), dict(options))
        return overlay(self.frame, self.masks, chosen, **self.drawing())

    def save(self, path: str | Path, **options: Unpack[RenderOptions]) -> Path:
        """Write :meth:`plot` as an image file (by its suffix) and return the path.

        Raises:
            ExportError: the file cannot be written.
            ConfigError: an option is unknown or outside its range.
        """
        target = checked_path(path, "path")
        return save_image(self.plot(**options), target)

    def show(self, **options: Unpack[RenderOptions]) -> None:
        """Show :meth:`plot`: in the output of a notebook's cell, else in the system's viewer of images."""
        picture = Image.fromarray(self.plot(**options))
        if _in_notebook():
            with needed("IPython", "show a picture in a notebook"):
                from IPython.display import display
            display(picture)
        else:
            picture.show(title=self.frame.name)

    def _repr_png_(self) -> bytes:
        """Return :meth:`plot` as PNG: what notebooks show of it."""
        stream = io.BytesIO()
        Image.fromarray(self.plot()).save(stream, "PNG")
        return stream.getvalue()

    def export(self, folder: str | Path, format: str = "png", **options: Unpack[ExportOptions]) -> list[Path]:
        """Write the masks into a folder and return the files.

        Args:
            folder: made when absent.
            format: a name of ``fastsam.export.FORMATS``, such as ``"png"``, ``"coco"``, ``"yolo"``.
            options: what the format takes beside the masks: ``labels`` (by default :attr:`labels`),
                ``classes`` (by default :attr:`classes`), ``stability_scores``, ``points_xy``, ``file_name``.

        Masks that :meth:`fastsam.Session.label` knows no name for are left out, see :meth:`named`;
        ``labels=result.labels`` writes them as ``"unknown"``.

        Raises:
            ExportError: unknown format, or the folder cannot be written.
            ConfigError: unknown option.
        """
        for name in options:
            check_one_of(name, ExportOptions.__annotations__, "option", ConfigError)
        kept = self if "labels" in options else self.named()
        about: dict[str, Any] = {**kept._about(), **options}
        return write(kept.masks, checked_path(folder, "folder"), str(format), name=self.frame.name, **about)

    def cutouts(self) -> list[NDArray[np.uint8]]:
        """Return each mask's part of the picture as (h, w, 4) RGBA, transparent outside the mask."""
        return [cutout(self.frame, self.masks, i) for i in range(len(self))]

    @property
    def cutout(self) -> NDArray[np.uint8]:
        """The one object's part of the picture as (h, w, 4) RGBA, transparent outside the mask."""
        self.only_row("cutout")
        return cutout(self.frame, self.masks, 0)

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types; masks are COCO's compressed RLE.

        ``image`` (its file, else its name), ``width``, ``height`` and ``masks``, each with ``label``,
        ``score`` (how well it fits what was asked), ``mask_score`` (how good the mask is), ``box_xyxy``,
        ``area_px``, ``segmentation``, and what tells it from the others.
        """
        height, width = self.frame.size_hw
        return {
            "image": self.frame.source or self.frame.name,
            "width": width,
            "height": height,
            "masks": [mask_record(self, i) for i in range(len(self))],
        }

    def to_coco(self) -> dict[str, Any]:
        """Return a COCO dataset of this one image: ``images``, ``annotations`` and ``categories``.

        Masks without a pixel, which COCO cannot say, are left out, and those that :meth:`named` leaves out.
        """
        kept = self.named()
        return coco_record(Annotations(self.frame.name, kept.masks, **kept._about()))

    def to_supervision(self) -> Any:
        """Return a ``supervision.Detections``: boxes, masks, scores, and labels as ``class_name``.

        Raises:
            MissingPackageError: supervision is not installed.
        """
        with needed("supervision", "return detections"):
            import supervision
        named = [name or DEFAULT_LABEL for name in self.labels or ("",) * len(self)]
        names, order = np.array(named, dtype=np.str_), all_classes(self.classes, named)
        numbers = np.array([order.index(name) for name in named], np.int64)
        return supervision.Detections(
            xyxy=np.array(self.boxes_xyxy, np.float32),
            mask=np.asarray(self.masks),
            confidence=np.array(self.scores, np.float32),
            class_id=numbers,
            tracker_id=self._tracker_ids(),
            data={"class_name": names},
        )

    def _tracker_ids(self) -> NDArray[np.int64] | None:
        """Return (K,) ids that stay from frame to frame, or None."""
        return None

    def _about(self) -> dict[str, Any]:
        """Return what the formats of :mod:`fastsam.export` take beside the masks."""
        return {
            "source": self.frame.source,
            "labels": self.labels,
            "classes": self.classes,
            "rgb": self.frame.rgb,
        }


def checked_path(value: Any, what: str) -> Path:
    """Return a path, or say what was given instead."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value):
        raise ConfigError(f"{what}: expected a path, got {value!r}")
    return Path(value)


def _in_notebook() -> bool:
    """Return whether pictures go into the output of a notebook's cell."""
    import sys

    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" or hasattr(shell, "kernel")
