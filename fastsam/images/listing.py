"""Which images a path, a pattern or a list names, and one frame after the other from them."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ImageError, ImageTooLargeError, translated
from fastsam.images.frame import Frame
from fastsam.images.pixels import rgb_of
from fastsam.images.reading import (
    _check_not_url,
    _missing,
    _shown,
    full_pages,
    opened_image,
    pixel_limit,
    read_frame,
)
from fastsam.images.video_file import video_frames

__all__ = [
    "IMAGE_EXTENSIONS", "VIDEO_EXTENSIONS", "images_below", "list_images", "names_below", "open_frames",
]  # fmt: skip

_log = logging.getLogger(__name__)
_LOOKED_AT = 2_000  # folders: enough to tell whether there are images below one

FrameSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any] | Frame"
)


IMAGE_EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".webp", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".ico",
})  # fmt: skip


_PAGED = frozenset({".tif", ".tiff"})


VIDEO_EXTENSIONS = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts",
    ".ogv",
})  # fmt: skip


def open_frames(source: FrameSource | Iterable[Any], *, max_pixels: int | None = None) -> Iterator[Frame]:
    """Yield the frames of a file, a folder, a pattern, a video file, or of several of these in order.

    Missing paths are reported by this call; files are opened one by one while iterating. The frames of
    a video are called ``STEM_000012`` and carry ``t_ms``, the pages of a TIFF of several ``STEM_000001``;
    ``index`` counts through everything.

    Args:
        source: what :func:`read_frame` takes; a folder (its images in natural order, subfolders left
            out); a pattern such as ``"photos/**/*.jpg"``; a video file; or an iterable of any of these.
        max_pixels: as in :func:`read_frame`.

    Raises:
        ImageError: nothing matches, or (while iterating) an image or video cannot be read.
    """
    max_pixels = pixel_limit(max_pixels)
    if isinstance(source, (list, tuple)):
        return _numbered([item for part in source for item in _parts(part)], max_pixels)
    if isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, Image.Image, Frame)):
        return _numbered(_parts(source), max_pixels)
    if hasattr(source, "read") or not isinstance(source, Iterable):
        return _numbered([source], max_pixels)
    return _numbered((item for part in source for item in _parts(part)), max_pixels)


def list_images(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> list[Path]:
    """Return the image files that paths, folders and patterns stand for, without repeats.

    Folders and patterns give files with an image's extension in natural order (``img2`` before
    ``img10``); subfolders are left out unless the pattern holds ``**``. If they hold images, this module's
    logger warns. A file named outright is taken whatever its extension.

    Raises:
        ImageError: a path does not exist, is a video or a URL, or a folder or pattern holds no image.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    if not given:
        raise ImageError("images: expected at least one file, folder or pattern, got an empty list")
    found: dict[str, Path] = {}
    for source in given:
        for path in _expand(os.fspath(source), IMAGE_EXTENSIONS):
            if path.suffix.lower() in VIDEO_EXTENSIONS:
                raise ImageError(f"{_shown(path)} is a video, not an image; read its frames with open_frames")
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def images_below(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the images of a folder and of its subfolders, in natural order; hidden ones are left out.

    Raises:
        ImageError: it cannot be listed.
    """
    what = f"folder {_shown(folder)}"
    with translated(OSError, to=ImageError, problem="cannot be listed ({reason})", subject=what, path=folder):
        return sorted(_below(Path(folder)), key=_natural_key)


def _below(folder: Path, most: int | None = None) -> Iterator[Path]:
    """Yield the images of a folder and of those in it, of ``most`` folders; links to folders count once."""
    waiting, seen = [folder], set[Path]()
    while waiting and (most is None or len(seen) < most):
        here = waiting.pop()
        if here.resolve() in seen:
            continue
        seen.add(here.resolve())
        for path in here.iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir():
                waiting.append(path)
            elif path.suffix.lower() in IMAGE_EXTENSIONS and path.is_file():
                yield path


def names_below(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    files: Iterable[str | os.PathLike[str]],
) -> list[str]:
    """Return what images are called relative to what was asked for, with ``/`` between folders.

    The root is the folder that was named, the part of a pattern before its first ``*``, or a file's folder;
    of several, the folder that they have in common.

    >>> names_below(["in/a", "in/b"], ["in/a/1.jpg", "in/b/1.jpg"])
    ['a/1.jpg', 'b/1.jpg']
    >>> names_below("in/**/*.jpg", ["in/a/1.jpg"]), names_below("in/a/1.jpg", ["in/a/1.jpg"])
    (['a/1.jpg'], ['1.jpg'])
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    roots = [os.path.abspath(_root_of(os.fspath(source))) for source in given]
    try:
        root = os.path.commonpath(roots)
    except ValueError:  # nothing given, or several drives of Windows
        return [os.path.basename(path) for path in files]
    names = (os.path.relpath(os.path.abspath(path), root) for path in files)
    return [Path(name).as_posix() for name in names]


def _root_of(text: str) -> str:
    if os.path.isdir(text):
        return text
    if os.path.exists(text) or not glob.has_magic(text):
        return os.path.dirname(text)
    parts = Path(text).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return os.path.join(*parts[:plain]) if plain else ""


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key: numbers by value, letters whatever their case."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    # A number's digits without leading zeros, ordered by length first, compare by value at any size.
    key = [(len(s.lstrip("0")), s.lstrip("0")) if k % 2 else (0, s) for k, s in enumerate(parts)]
    return key, str(path)


def _expand(text: str, extensions: frozenset[str]) -> list[Path]:
    """Return the files that one path, folder or pattern stands for."""
    _check_not_url(text)
    if os.path.isdir(text) and text:
        return _images_in(Path(text))
    if os.path.exists(text):
        return [Path(text)]
    if not glob.has_magic(text):
        raise _missing(text)
    matches = [Path(match) for match in glob.glob(text, recursive=True) if os.path.isfile(match)]
    found = sorted((path for path in matches if path.suffix.lower() in extensions), key=_natural_key)
    if not found:
        got = f"{len(matches)} files without an image's extension" if matches else "nothing"
        raise ImageError(
            f"expected at least one image, it matches {got}", subject=f"pattern {_shown(text)}", path=text
        )
    return found


def _images_in(folder: Path) -> list[Path]:
    """Return a folder's images in natural order; hidden files are left out."""
    what = f"folder {_shown(folder)}"
    with translated(OSError, to=ImageError, problem="cannot be listed ({reason})", subject=what, path=folder):
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    files = [path for path in entries if path.is_file()]
    found = sorted((path for path in files if path.suffix.lower() in IMAGE_EXTENSIONS), key=_natural_key)
    if not found:
        inner = len(entries) - len(files)
        hint = f"for its {inner} subfolders use the pattern {str(folder / '**' / '*')!r}" if inner else ""
        raise ImageError(
            "expected at least one image (.jpg, .png, .tif, .webp, ...), "
            f"found none among its {len(files)} files",
            subject=what,
            advice=hint,
            path=folder,
        )
    _tell_of_subfolders(folder, [path for path in entries if path.is_dir()])
    return found


def _tell_of_subfolders(folder: Path, inner: list[Path]) -> None:
    """Say which subfolders hold images that are left out."""
    with suppress(OSError):
        holding = [path for path in inner if next(_below(path, _LOOKED_AT), None) is not None]
        if holding:
            those = f"{len(holding)} subfolders" if len(holding) > 1 else f"subfolder {holding[0].name!r}"
            pattern = str(folder / "**" / "*")
            what = f"folder {_shown(folder)}: images in its {those} are left out"
            _log.warning("%s; the pattern %r has all", what, pattern)


def _parts(source: Any) -> list[Any]:
    """Return what one entry of a source stands for: files, or the entry itself."""
    if isinstance(source, (str, os.PathLike)):
        return list(_expand(os.fspath(source), IMAGE_EXTENSIONS | VIDEO_EXTENSIONS))
    return [source]


def _numbered(parts: Iterable[Any], max_pixels: int) -> Iterator[Frame]:
    """Yield the frames of each part, counted through."""
    index = 0
    for part in parts:
        if isinstance(part, Path) and part.suffix.lower() in VIDEO_EXTENSIONS:
            for frame in video_frames(part, max_pixels):
                yield replace(frame, index=index)
                index += 1
        elif isinstance(part, Path) and part.suffix.lower() in _PAGED:
            for frame in _pages(part, max_pixels):
                yield replace(frame, index=index)
                index += 1
        else:
            frame = read_frame(part, max_pixels=max_pixels)
            yield frame if isinstance(part, Frame) else replace(frame, index=index)
            index += 1


def _pages(path: Path, max_pixels: int) -> Iterator[Frame]:
    """Yield each page of a TIFF; a file of one page keeps its own name."""
    text, what = os.fspath(path), f"image {_shown(path)}"
    with (
        translated(
            OSError, ValueError, to=ImageError, problem="cannot be opened ({reason})", subject=what, path=text
        ),
        open(text, "rb") as stream,
        opened_image(stream, what, max_pixels) as image,
    ):
        pages = full_pages(image) if image.format == "TIFF" else []
        if len(pages) < 2:
            pages = []
        for page in pages:
            image.seek(page)
            if image.width * image.height > max_pixels:
                raise ImageTooLargeError(
                    f"page {page + 1} has more than {max_pixels:,} pixels", subject=what, path=text
                )
            yield Frame(rgb_of(image.copy(), what), f"{path.stem}_{page:06d}", text)
    if not pages:
        yield read_frame(path, max_pixels=max_pixels)
