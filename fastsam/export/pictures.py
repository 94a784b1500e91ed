"""Photos beside their labels, for tools that want both in one folder."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from fastsam.errors import ImageError
from fastsam.export.annotations import Annotations
from fastsam.files import as_export_errors, write_bytes
from fastsam.images.reading import image_size_hw, opened_image, read_frame

__all__ = ["put_picture"]

_AS_THEY_ARE = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "BMP": (".bmp",), "WEBP": (".webp",)}
_MODES = ("RGB", "L")  # others look different to readers that know nothing of transparency, palettes, 16 bits
_ORIENTATION = 0x0112
_JPEG_QUALITY = 95


def put_picture(item: Annotations, folder: Path) -> Path | None:
    """Write the photo of the masks into a folder, named after ``item.name``; None where nobody has it.

    It is a copy, never a link: trainers repair files in place. A photo that is turned by its EXIF data, or of
    a kind that not every reader knows, is written upright as it was segmented.

    Raises:
        ExportError: it cannot be written.
        ImageError: its file can no longer be read.
    """
    suffix = _copied(item)
    if suffix:
        with as_export_errors(folder):
            content = Path(item.source).read_bytes()
        return write_bytes(folder / f"{item.name}{suffix}", content)
    rgb = item.rgb
    if rgb is None and item.source and os.path.isfile(item.source):
        rgb = read_frame(item.source).rgb
    if rgb is None:
        return None
    photo = Path(item.source).suffix.lower() in (*_AS_THEY_ARE["JPEG"], ".jfif", ".jpe", ".heic", ".heif")
    stream = io.BytesIO()
    picture = Image.fromarray(rgb)
    if photo:
        picture.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        picture.save(stream, "PNG", compress_level=1)
    return write_bytes(folder / f"{item.name}{'.jpg' if photo else '.png'}", stream.getvalue())


def _copied(item: Annotations) -> str:
    """Return the suffix of a photo whose file every reader takes for what was segmented; else nothing."""
    suffix = Path(item.source).suffix.lower()
    if not any(suffix in suffixes for suffixes in _AS_THEY_ARE.values()):
        return ""
    try:
        if image_size_hw(item.source) != item.masks.size_hw:
            return ""
        with Path(item.source).open("rb") as stream, opened_image(stream, item.source) as image:
            plain = image.mode in _MODES and image.getexif().get(_ORIENTATION, 1) == 1
            return suffix if plain and suffix in _AS_THEY_ARE.get(str(image.format), ()) else ""
    except (ImageError, OSError, ValueError):
        return ""
