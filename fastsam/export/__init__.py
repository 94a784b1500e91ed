"""MaskSet -> files, one sink a format; :data:`FORMATS` lists them.

All formats can share one folder. Every file appears at once or not at all (temporary file, then rename),
so an interrupted run leaves only whole files; writing the same image again replaces its files.

Coordinates are image pixels, x to the right, y *down*, (0, 0) the top left corner of the image; boxes
are the tight boxes of the pixels. Formats that cannot say "no pixels" (COCO, YOLO, LabelMe) leave out
empty masks; the others keep a row for each mask.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastsam.errors import ExportError, check_one_of
from fastsam.export.annotations import DEFAULT_LABEL, Annotations, one_line
from fastsam.export.formats import FORMATS, Format
from fastsam.export.load import load_npz, load_sam_json
from fastsam.export.read import read_annotations
from fastsam.export.sinks import Sink
from fastsam.files import safe_name, unique_names, writable_folder
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet

__all__ = [
    "DEFAULT_LABEL",
    "FORMATS",
    "Annotations",
    "Exporter",
    "Format",
    "load_npz",
    "load_sam_json",
    "read_annotations",
    "safe_name",
    "unique_names",
    "write",
]


class Exporter:
    """Writes the images of a run into a folder, in one format.

    Args:
        format: a name of :data:`FORMATS`.
        folder: made when absent.
        classes: names of classes, in the order of their ids; all are listed, found or not.

    Raises:
        ExportError: unknown format, or the folder cannot be written.

    Use it as a context manager, or call :meth:`close`: that is when files for the whole run are written.
    Whatever was added before an interruption is kept: the next exporter on the folder goes on from there.
    """

    def __init__(self, format: str, folder: str | os.PathLike[str], classes: Sequence[str] = ()) -> None:
        names = tuple(dict.fromkeys(one_line(name) for name in classes))
        self._sink: Sink = _format(format).sink(writable_folder(Path(folder)), names)
        self._written: dict[str, tuple[str, str]] = {}

    def add(self, frame: Frame, masks: MaskSet, **known: Any) -> list[Path]:
        """Write the masks of one frame and return its files, which are named after ``frame.name``.

        Args:
            frame: of the image; names of a run must differ, see :func:`unique_names`.
            masks: its masks.
            known: ``labels``, ``classes``, ``levels``, ``stability_scores``, ``points_xy``, ``file_name`` of
                :class:`Annotations`.

        Raises:
            ExportError: the files cannot be written, or the run has written another image under this name.
            RecordError: there is not one label (level, ...) for each mask.
        """
        return self.add_annotations(
            Annotations(frame.name, masks, **{"source": frame.source, "rgb": frame.rgb, **known})
        )

    def add_annotations(self, item: Annotations) -> list[Path]:
        """Write one image, as :meth:`add`."""
        name = safe_name(item.name)
        this = (item.name, item.source)
        before = self._written.setdefault(name.casefold(), this)
        if before is not this and (before != this or not item.source):
            raise ExportError(
                f"image {item.source or item.name!r} would overwrite the files of "
                f"{before[1] or before[0]!r}, both are named {name!r}; give the frames of a run different "
                "names (fastsam.export.unique_names makes them from paths)"
            )
        return self._sink.add(item.renamed(name))

    def done(self, name: str) -> bool:
        """Tell whether an image of this name has been written, now or by an earlier run."""
        return self._sink.target(safe_name(name)).exists()

    def close(self) -> list[Path]:
        """Write the files of the whole run and return them; may be called again."""
        return self._sink.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an error that is on its way is not replaced by one of closing."""
        if error is None:
            self.close()
        else:
            with suppress(ExportError):
                self.close()


def write(
    masks: MaskSet, folder: str | os.PathLike[str], format: str = "png", *, name: str = "image", **known: Any
) -> list[Path]:
    """Write the masks of one image into a folder and return the files.

    Args:
        masks: of one image.
        folder: made when absent.
        format: a name of :data:`FORMATS`.
        name: what the files are called after.
        known: ``labels``, ``classes``, ``levels``, ``stability_scores``, ``points_xy``, ``file_name``,
            ``source``, ``rgb`` of :class:`Annotations`.

    Raises:
        ExportError: unknown format, or the folder cannot be written.
        RecordError: there is not one label (level, ...) for each mask.
    """
    item = Annotations(name, masks, **known)
    exporter = Exporter(format, folder, item.classes)
    return [*exporter.add_annotations(item), *exporter.close()]


def _format(name: str) -> Format:
    """Return a row of the table, or say which there are."""
    check_one_of(name, FORMATS, "format", ExportError)
    return FORMATS[name]
