"""Anything that holds an image -> :class:`Frame`: the only place where colour order and EXIF are decided.

What comes out is always uint8 RGB, upright (the EXIF rotation is applied), one image a frame:

* grey is repeated to three channels, palettes are looked up, CMYK is converted as PIL does it;
* transparent pixels are laid on white, as a viewer shows them on an empty page;
* 16-bit grey and colour are divided by the smallest of 2**8 - 1, 2**9 - 1, ... 2**16 - 1 that holds all but
  0.1 % of the values, so that 10- and 12-bit cameras come out bright; an image that uses less than a quarter
  of that range is stretched to what it uses (:class:`fastsam.images.pixels.PixelRules` has the options);
* floats are taken as 0..1; animations give their first frame, files of several pages their first full one,
  with a warning.

Arrays are RGB. An array from ``cv2.imread`` is BGR and has to be turned: ``array[..., ::-1]``.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageError, ImageTooLargeError, reason_of, translated
from fastsam.images.frame import Frame
from fastsam.images.pixels import (
    GreyRange,
    PixelRules,
    is_turned,
    orientation,
    rgb_from_array,
    rgb_of,
    upright,
)
from fastsam.needed import needed
from fastsam.untrusted import Limits, limits

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "FrameSource",
    "full_pages",
    "image_size_hw",
    "opened_image",
    "pixel_limit",
    "read_frame",
    "read_mask",
]

FrameSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any] | Frame"
)

DEFAULT_MAX_PIXELS = Limits().image_pixels
"""The most pixels that an encoded image may have, where nothing else is asked for."""
_RAISE_IT = "if you trust the file, raise max_pixels (--max-pixels, FASTSAM_MAX_IMAGE_PIXELS)"


# Raster formats only: PIL would hand EPS to a Ghostscript process, and takes random bytes for TGA.
_PIL_FORMATS = (
    "JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "ICO", "HEIF",
)  # fmt: skip
# What decoding takes at its peak: PIL's own pixels, the RGB array, and steps between.
_BYTES_A_PIXEL = {"1": 4, "L": 4, "P": 4, "I;16": 6, "I;16B": 6, "I;16L": 6, "I": 14, "F": 24}
_SUBFILE_TAG = 254  # of TIFF: bit 0 marks a reduced copy
_MOST_PAGES = 10_000
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_URL = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]+://|data:)")
_KINDS = "a path, bytes of an image file, an open binary file, a PIL image, a numpy array or a Frame"


def read_frame(
    source: FrameSource,
    name: str | None = None,
    *,
    max_pixels: int | None = None,
    grey_range: GreyRange = "auto",
    transparency: Literal["white", "ignore"] = "white",
) -> Frame:
    """Read one image.

    Args:
        source: a path, the bytes of an image file, an open binary file, a PIL image, an RGB array of
            shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) and dtype uint8, uint16, bool or float in
            0..1, or a Frame, which is returned as it is. Arrays are copied.
        name: what to call the frame; a file's stem by default.
        max_pixels: refuse encoded images with more pixels than this, before they are decoded; None is
            ``limits().image_pixels`` of :mod:`fastsam.untrusted`.
        grey_range: which 16-bit values become black and white: ``"auto"``, ``"full"`` or two numbers; see
            :class:`fastsam.images.pixels.PixelRules`.
        transparency: ``"white"``, or ``"ignore"`` where the fourth band is not opacity.

    Raises:
        ImageError: there is no readable image in ``source``; the message says why and what to do.
        MissingPackageError: a HEIC photo, and pillow-heif is not installed.

    >>> read_frame(np.zeros((2, 3), bool), "night").size_hw
    (2, 3)
    """
    max_pixels = pixel_limit(max_pixels)
    rules = PixelRules(grey_range, transparency)
    if isinstance(source, Frame):
        return source if name is None else replace(source, name=name)
    if isinstance(source, (str, os.PathLike)):
        return _read_path(os.fspath(source), name, max_pixels, rules)
    label = name or "image"
    what = f"image {label!r}"
    if isinstance(source, np.ndarray):
        return Frame(rgb_from_array(source, what, rules), label)
    if isinstance(source, Image.Image):
        origin = str(getattr(source, "filename", ""))
        return Frame(rgb_of(source, what, rules), name or Path(origin).stem or "image", origin)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Frame(_decode(BytesIO(source), what, max_pixels, rules), label)
    if hasattr(source, "read"):
        return _read_file(source, name, max_pixels, rules)
    raise ImageError(
        f"expected {_KINDS}, got {type(source).__name__}",
        subject=what,
        advice="a torch tensor (C, H, W) goes in as tensor.permute(1, 2, 0).cpu().numpy()",
    )


def pixel_limit(max_pixels: int | None) -> int:
    """Return the most pixels that an image may have: those asked for, else the limit in force.

    Raises:
        ConfigError: it is no whole number of at least 1.
    """
    if max_pixels is None:
        return limits().image_pixels
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, (int, np.integer)) or max_pixels < 1:
        raise ConfigError(f"max_pixels: expected a whole number, at least 1, got {max_pixels!r}")
    return int(max_pixels)


def read_mask(path: str | os.PathLike[str], *, max_pixels: int | None = None) -> NDArray[np.bool_]:
    """Read a drawn mask: the (H, W) pixels that an image file marks.

    Marked is what is brighter than half; in a file that holds nothing above 1, as data sets write them,
    what is 1. Transparent pixels are not marked.

    Raises:
        ImageError: there is no readable image, or it marks nothing.
    """
    text = os.fspath(path)
    what = f"mask {_shown(text)}"
    _check_not_url(text)
    with (
        translated(
            OSError, ValueError, to=ImageError, problem="cannot be opened ({reason})", subject=what, path=text
        ),
        open(text, "rb") as stream,
        opened_image(stream, what, pixel_limit(max_pixels)) as image,
    ):
        rgb = rgb_of(image, what)
        clear = image.has_transparency_data and np.asarray(upright(image).convert("RGBA"))[..., 3] == 0
    bright = rgb.max(axis=2)
    marked = np.asarray((bright > (127 if bright.max() > 1 else 0)) & ~np.asarray(clear))
    if not marked.any():
        raise ImageError(
            "expected bright pixels (above half) that mark the region, found none", subject=what, path=text
        )
    return marked


def _shown(source: Any) -> str:
    """Return a path for a message; what is too long to be one is cut."""
    text = os.fspath(source)
    return repr(text if len(text) <= 200 else text[:60] + "..." + text[-20:])


def _check_not_url(text: str) -> None:
    if _URL.match(text):
        raise ImageError(
            "is a URL; fastsam reads files and bytes only",
            subject=f"image {_shown(text)}",
            advice="download it first, then pass the file's path or its bytes",
            path=text,
        )


def _missing(text: str) -> ImageError:
    """Return the error for a path that is not there."""
    if not text:
        return ImageError("expected the path of a file, got an empty string", subject="image")
    where = "" if os.path.isabs(text) else f" (relative paths start at {os.getcwd()})"
    return ImageError(
        "no such file or folder", subject=f"image {_shown(text)}", advice=f"check the path{where}", path=text
    )


def _read_path(text: str, name: str | None, max_pixels: int, rules: PixelRules) -> Frame:
    """Read an image file."""
    _check_not_url(text)
    what = f"image {_shown(text)}"
    try:
        with open(text, "rb") as stream:
            rgb = _decode(stream, what, max_pixels, rules)
    except ImageError as error:
        error.path = text
        raise
    except (FileNotFoundError, ValueError) as error:  # ValueError: a null byte in the path
        raise _missing(text) from error
    except OSError as error:
        folder = os.path.isdir(text)  # Windows calls it a missing permission
        raise ImageError(
            "is a folder" if folder else f"cannot be opened ({reason_of(error)})",
            subject=what,
            advice="its images are read one by one (open_many)" if folder else "",
            path=text,
        ) from error
    return Frame(rgb, name or Path(text).stem, text)


def _read_file(source: Any, name: str | None, max_pixels: int, rules: PixelRules) -> Frame:
    """Read an open file from where it stands; it is left open."""
    origin = getattr(source, "name", "")
    origin = origin if isinstance(origin, str) else ""
    label = name or Path(origin).stem or "image"
    what = f"image {label!r}"
    try:
        content = source.read()
    except (OSError, ValueError) as error:  # ValueError: closed, or text that is no UTF-8
        raise ImageError(
            f"the file cannot be read ({reason_of(error)})",
            subject=what,
            advice="open it in binary mode, 'rb', and keep it open",
        ) from error
    if not isinstance(content, bytes):
        raise ImageError(
            f"expected a file opened in binary mode ('rb'), its read() gave {type(content).__name__}",
            subject=what,
        )
    return Frame(_decode(BytesIO(content), what, max_pixels, rules), label, origin)


def _decode(stream: BinaryIO, what: str, max_pixels: int, rules: PixelRules) -> NDArray[np.uint8]:
    """Decode a seekable stream that stands at its beginning."""
    with opened_image(stream, what, max_pixels) as image:
        if image.format == "TIFF":
            _to_first_page(image, what)
        elif _moves(image):
            warnings.warn(f"{what}: is an animation, only its first frame is read", stacklevel=2)
        deep = _deep_colour(stream, image)
        return rgb_of(image, what, rules) if deep is None else rgb_from_array(deep, what, rules)


def _to_first_page(image: Image.Image, what: str) -> None:
    """Go to the first page of a TIFF that is no thumbnail, and say that there are more."""
    pages = full_pages(image)
    if len(pages) > 1:
        warnings.warn(
            f"{what}: has {len(pages)} pages, only the first is read; open_frames(...) reads all of them",
            stacklevel=2,
        )
    image.seek(pages[0] if pages else 0)


def _moves(image: Image.Image) -> bool:
    """Tell whether a file is an animation; the small copies in photos of phones are none."""
    with suppress(Exception):  # plugins raise whatever their parsing trips over
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    return False


def full_pages(image: Image.Image) -> list[int]:
    """Return which pages of a TIFF are pictures, and not reduced copies of another page."""
    found = []
    for page in range(_MOST_PAGES):
        try:
            image.seek(page)
            kind = image.tag_v2.get(_SUBFILE_TAG, 0)  # type: ignore[attr-defined]  # TIFF plugin
        except Exception:  # the end, or a damaged page
            break
        if not isinstance(kind, int) or not kind & 1:
            found.append(page)
    return found


def _deep_colour(stream: BinaryIO, image: Image.Image) -> NDArray[np.uint16] | None:
    """Return the (H, W, 3 or 4) pixels of a 16-bit colour file; None for all others.

    PIL keeps only the high byte of these, which leaves the pictures of 12-bit cameras black.
    """
    tiles = getattr(image, "tile", [])  # of files that are not decoded yet
    raw = str(tiles[0][3]) if tiles and image.format in ("PNG", "TIFF") else ""
    first = image.format != "TIFF" or image.tell() == 0
    if not re.search(r"RGB[AX]?;16", raw) or not first or orientation(image) != 1:
        return None
    stream.seek(0)
    try:
        bgr = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        bgr = None
    stream.seek(0)
    if bgr is None or bgr.dtype != np.uint16 or bgr.shape not in [(*image.size[::-1], n) for n in (3, 4)]:
        return None  # PIL knows what is wrong with it
    bgr[..., :3] = bgr[..., 2::-1].copy()
    return np.asarray(bgr, np.uint16)


def image_size_hw(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the (H, W) that :func:`read_frame` would give a photo, from its header alone.

    Raises:
        ImageError: it is no image, or cannot be opened.
    """
    text = os.fspath(path)
    what = f"image {_shown(text)}"
    with (
        translated(
            OSError, ValueError, to=ImageError, problem="cannot be opened ({reason})", subject=what, path=text
        ),
        open(text, "rb") as stream,
        opened_image(stream, what, sys.maxsize) as image,
    ):
        if image.format == "TIFF":
            image.seek(next(iter(full_pages(image)), 0))
        width, height = image.size
        return (width, height) if is_turned(image) else (height, width)


def opened_image(stream: BinaryIO, what: str, max_pixels: int | None = None) -> Image.Image:
    """Return the image of a seekable stream that stands at its beginning, not decoded yet.

    ``PIL.Image.open`` will not do: where ultralytics is loaded, that is a function which installs packages.

    Raises:
        ImageError: not an image; ``what`` names it.
        ImageTooLargeError: it has more than ``max_pixels``.
    """
    max_pixels = pixel_limit(max_pixels)
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise ImageError(
            "is empty (0 bytes)", subject=what, advice="the copy or download that made it has failed"
        )
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
        with needed("pillow_heif", "read HEIC photos"):
            import pillow_heif
        pillow_heif.register_heif_opener()
    image = _open(stream, head, what)
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise ImageTooLargeError(
            f"has {width}x{height} = {width * height:,} pixels, the limit is {max_pixels:,} "
            "(guards against decompression bombs)",
            subject=what,
            advice=_RAISE_IT,
        )
    try:
        _check_memory(image, what, max_pixels)
    except ImageError:
        image.close()
        raise
    return image


def _check_memory(image: Image.Image, what: str, max_pixels: int) -> None:
    """Refuse what decoding would take too much memory for; rows cost, too, however narrow they are.

    Who asks for more pixels than usual has the memory for them.
    """
    most = limits().decoded_bytes
    if max_pixels > DEFAULT_MAX_PIXELS:
        most = max(most, max_pixels * max(_BYTES_A_PIXEL.values()))
    width, height = image.size
    if max(width, height) > limits().side_px:
        raise ImageTooLargeError(
            f"has a side of {max(width, height):,} pixels, the limit is {limits().side_px:,}",
            subject=what,
            advice="FASTSAM_MAX_SIDE_PX in the environment raises the limit",
        )
    each = _BYTES_A_PIXEL.get(image.mode, 7) + (4 if is_turned(image) else 0)
    each += 6 if image.info.get("progressive") else 0
    needs = width * height * each + height * 64
    if needs > most:
        raise ImageTooLargeError(
            f"takes about {needs / 1e9:.1f} GB to decode, the limit is {most / 1e9:.1f} GB",
            subject=what,
            advice="FASTSAM_MAX_DECODED_BYTES in the environment raises the limit",
        )


def _open(stream: BinaryIO, head: bytes, what: str) -> Image.Image:
    """Read the header of an image.

    ``PIL.Image.open`` is not asked, but the plugins that it would ask: its size limit is a global of the
    process (ours is an argument), and ultralytics replaces it by one that installs packages.
    """
    if "WEBP" not in Image.OPEN:
        Image.init()
    damage: ImageError | None = None
    for name in _PIL_FORMATS:
        if name not in Image.OPEN:
            continue
        factory, accepts = Image.OPEN[name]
        accepted = accepts is None or accepts(head.ljust(16, b"\0"))
        if not accepted or isinstance(accepted, str):  # a str: this build of PIL lacks the decoder
            continue
        try:
            stream.seek(0)
            return factory(stream, "")
        except Exception as error:  # plugins raise whatever their parsing trips over
            damage = damage or ImageError(
                f"begins as {name}, but is damaged or of a rare kind ({reason_of(error)})",
                subject=what,
                advice="copy it again, or convert it to PNG",
            )
    raise damage or _not_an_image(head, what)


def _not_an_image(head: bytes, what: str) -> ImageError:
    """Say what a file is that PIL does not know."""
    if head[4:8] == b"ftyp" or head[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        problem = "is a video or an image format that PIL cannot read"
        advice = "for a video use open_frames"
    elif head.lstrip()[:1] in (b"<", b"{"):
        problem = f"is text, not an image (begins with {head!r})"
        advice = "a download may have saved an error page"
    else:
        problem = f"is not an image that PIL can read (begins with {head!r})"
        advice = "expected JPEG, PNG, TIFF, WebP, ..."
    return ImageError(problem, subject=what, advice=advice)
