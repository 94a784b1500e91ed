"""Masks that are on disk -> other formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from fastsam.errors import ExportError, not_one_of
from fastsam.export import FORMATS, Exporter, read_annotations, safe_name
from fastsam.files import sole_writer

__all__ = ["convert"]


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str],
    *,
    images: str | os.PathLike[str] | None = None,
    on_image: Callable[[str, int], None] | None = None,
) -> list[Path]:
    """Write masks in other formats and return the files.

    Classes keep their order, and with it their ids. What a format cannot say is left out: crowds in all but
    COCO, masks without a pixel, overlaps in label maps.

    Args:
        source: what :func:`fastsam.export.read_annotations` reads.
        out: folder, made when absent.
        formats: names of ``fastsam.export.FORMATS``.
        images: folder of the photos, where they are not where the format has them.
        on_image: is told of each image that is done, and how many masks it has.

    Raises:
        InputError: ``source`` is of no known format, or damaged.
        ExportError: unknown format, or the folder cannot be written, or another run writes to it.
    """
    for name in formats:
        if name not in FORMATS:
            raise ExportError(not_one_of(name, FORMATS, "format"))
    written: list[Path] = []
    exporters: list[Exporter] = []
    used: dict[str, int] = {}
    with sole_writer(Path(out), "output folder"):
        for item in read_annotations(source, images):
            exporters = exporters or [Exporter(name, out, item.classes) for name in dict.fromkeys(formats)]
            name = safe_name(item.name)
            used[name.casefold()] = count = used.get(name.casefold(), 0) + 1
            one = item.renamed(name if count == 1 else f"{name}_{count}")
            for exporter in exporters:
                written += exporter.add_annotations(one)
            if on_image is not None:
                on_image(item.image_name, len(item.masks))
        for exporter in exporters or [Exporter(name, out) for name in dict.fromkeys(formats)]:
            written += exporter.close()
    return written
