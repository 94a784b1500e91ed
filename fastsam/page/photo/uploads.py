"""Uploaded file -> photo, or why not in words for the visitor; only what was uploaded is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsam.errors import ImageError
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.needed import needed
from fastsam.page.shared.canvas import example_photos

__all__ = ["MAX_BYTES", "MAX_PIXELS", "photo_of", "read_photo", "read_upload", "refused", "uploaded"]

MAX_BYTES = 50 * 2**20  # of an uploaded file
MAX_PIXELS = 50_000_000  # of a photo: 150 MB of RGB
_TOO_LARGE = f"“{{}}” is larger than {MAX_BYTES >> 20} MB. Make it smaller, or choose another photo."
_REFUSED = {
    "size": _TOO_LARGE,
    "empty": "“{}” is empty. Choose another photo.",
    "kind": "“{}” is not an image. Choose a photo: JPEG, PNG, WebP, TIFF, ...",
    "upload": "“{}” could not be sent. Try again, or choose a smaller photo.",
    "camera": "The camera is not available. Allow it in the browser, or open a photo from a file.",
}


def refused(why: str, name: str) -> str:
    """Return why the browser did not send a file, in words for the visitor."""
    return _REFUSED.get(why, _REFUSED["upload"]).format(name)


def photo_of(event: Mapping[str, Any]) -> Frame:
    """Return the photo that the canvas names: an upload, or an example.

    Raises:
        ImageError: it is neither; no other file of the server is opened.
    """
    if "example" in event:
        path = example_photos().get(str(event["example"]))
        if path is None:
            raise ImageError("There is no such example.")
        return read_frame(path)
    return read_upload(uploaded(event), str(event.get("name") or ""))


def uploaded(event: Mapping[str, Any]) -> Path:
    """Return the file that the canvas names.

    Raises:
        ImageError: it was not uploaded; no other file of the server is opened.
    """
    with needed("gradio", "show the page"):
        from gradio import utils
    uploads = Path(utils.get_upload_folder()).resolve()
    path = Path(str(event.get("path", "")).replace("\0", "")).resolve()
    if not path.is_relative_to(uploads) or not path.is_file():  # gradio has checked it, too
        raise ImageError("That file was not sent to this page; open it again.")
    return path


def read_upload(path: str | Path, name: str = "") -> Frame:
    """Return the photo in an uploaded file.

    Raises:
        ImageError: it cannot be read; the message names no folder of the server.
    """
    shown = name or Path(path).name
    try:
        size = Path(path).stat().st_size
        content = Path(path).read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise ImageError(f"“{shown}” is not there any more; open it again.") from error
    if size > MAX_BYTES:
        raise ImageError(_TOO_LARGE.format(shown))
    return read_photo(content, shown)


def read_photo(content: bytes, shown: str) -> Frame:
    """Return the photo in the bytes of a file that visitors know as ``shown``.

    Raises:
        ImageError: it cannot be read.
    """
    label = Path(shown.replace("\\", "/")).stem or "photo"
    try:
        return read_frame(content, label, max_pixels=MAX_PIXELS)
    except ImageError as error:
        raise ImageError(f"“{shown}” {error.problem}. Choose another photo.") from error
