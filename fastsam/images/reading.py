"""Anything that holds an image -> :class:`Frame`: the only place where colour order and EXIF are decided.

What comes out is always uint8 RGB, upright (the EXIF rotation is applied), one image a frame:

* grey is repeated to three channels, palettes are looked up, CMYK is converted as PIL does it;
* transparent pixels are laid on white, as a viewer shows them on an empty page;
* 16-bit grey is divided by the smallest of 2**8 - 1, 2**9 - 1, ... 2**16 - 1 that holds its maximum,
  so that 10- and 12-bit cameras come out bright (16-bit *colour* files keep their high byte: PIL);
* floats are taken as 0..1; animations give their first frame.

Arrays are RGB. An array from ``cv2.imread`` is BGR and has to be turned: ``array[..., ::-1]``.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageError
from fastsam.images.video_file import video_frames
from fastsam.masks.maskset import Frame
from fastsam.needed import require

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_EXTENSIONS",
    "VIDEO_EXTENSIONS",
    "FrameSource",
    "list_images",
    "open_frames",
    "opened_image",
    "read_frame",
    "read_mask",
]

FrameSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any] | Frame"
)

DEFAULT_MAX_PIXELS = 178_956_970
"""The most pixels that an encoded image may have: PIL's own limit, half a GiB of RGB."""

IMAGE_EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".webp", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".ico",
})  # fmt: skip
VIDEO_EXTENSIONS = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts",
    ".ogv",
})  # fmt: skip

# Raster formats only: PIL would hand EPS to a Ghostscript process, and takes random bytes for TGA.
_PIL_FORMATS = (
    "JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "ICO", "HEIF",
)  # fmt: skip
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_URL = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]+://|data:)")
_FLOAT_SLACK = 1e-4  # what rounding in a resize or a colour conversion leaves outside 0..1
_KINDS = "a path, bytes of an image file, an open binary file, a PIL image, a numpy array or a Frame"


def read_frame(
    source: FrameSource, name: str | None = None, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Frame:
    """Read one image.

    Args:
        source: a path, the bytes of an image file, an open binary file, a PIL image, an RGB array of
            shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) and dtype uint8, uint16, bool or float in
            0..1, or a Frame, which is returned as it is. Arrays are copied.
        name: what to call the frame; a file's stem by default.
        max_pixels: refuse encoded images with more pixels than this, before they are decoded.

    Raises:
        ImageError: there is no readable image in ``source``; the message says why and what to do.
        MissingPackageError: a HEIC photo, and pillow-heif is not installed.

    >>> read_frame(np.zeros((2, 3), bool), "night").size_hw
    (2, 3)
    """
    if max_pixels < 1:
        raise ConfigError(f"max_pixels: expected at least 1, got {max_pixels!r}")
    if isinstance(source, Frame):
        return source if name is None else replace(source, name=name)
    if isinstance(source, (str, os.PathLike)):
        return _read_path(os.fspath(source), name, max_pixels)
    label = name or "image"
    what = f"image {label!r}"
    if isinstance(source, np.ndarray):
        return Frame(_rgb_from_array(source, what), label)
    if isinstance(source, Image.Image):
        origin = str(getattr(source, "filename", ""))
        return Frame(_convert(source, what), name or Path(origin).stem or "image", origin)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Frame(_decode(BytesIO(source), what, max_pixels), label)
    if hasattr(source, "read"):
        return _read_file(source, name, max_pixels)
    raise ImageError(
        f"{what}: expected {_KINDS}, got {type(source).__name__}; "
        "a torch tensor (C, H, W) goes in as tensor.permute(1, 2, 0).cpu().numpy()"
    )


def read_mask(path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.bool_]:
    """Read a drawn mask: the (H, W) pixels that an image file marks.

    Marked is what is brighter than half; in a file that holds nothing above 1, as data sets write them,
    what is 1. Transparent pixels are not marked.

    Raises:
        ImageError: there is no readable image, or it marks nothing.
    """
    text = os.fspath(path)
    what = f"mask {_shown(text)}"
    _check_not_url(text)
    try:
        with open(text, "rb") as stream, opened_image(stream, what, max_pixels) as image:
            rgb = _convert(image, what)
            clear = image.has_transparency_data and np.asarray(_upright(image).convert("RGBA"))[..., 3] == 0
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{what}: cannot be opened ({getattr(error, 'strerror', None) or error})") from error
    bright = rgb.max(axis=2)
    marked = np.asarray((bright > (127 if bright.max() > 1 else 0)) & ~np.asarray(clear))
    if not marked.any():
        raise ImageError(f"{what}: expected bright pixels (above half) that mark the region, found none")
    return marked


def open_frames(
    source: FrameSource | Iterable[Any], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Iterator[Frame]:
    """Yield the frames of a file, a folder, a pattern, a video file, or of several of these in order.

    Missing paths are reported by this call; files are opened one by one while iterating. The frames of
    a video are called ``STEM_000012`` and carry ``t_ms``; ``index`` counts through everything.

    Args:
        source: what :func:`read_frame` takes; a folder (its images in natural order, subfolders left
            out); a pattern such as ``"photos/**/*.jpg"``; a video file; or an iterable of any of these.
        max_pixels: as in :func:`read_frame`.

    Raises:
        ImageError: nothing matches, or (while iterating) an image or video cannot be read.
    """
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
    ``img10``); subfolders are left out unless the pattern holds ``**``. A file named outright is taken
    whatever its extension.

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


def _shown(source: Any) -> str:
    """Return a path for a message; what is too long to be one is cut."""
    text = os.fspath(source)
    return repr(text if len(text) <= 200 else text[:60] + "..." + text[-20:])


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key: numbers by value, letters whatever their case."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    # A number's digits without leading zeros, ordered by length first, compare by value at any size.
    key = [(len(s.lstrip("0")), s.lstrip("0")) if k % 2 else (0, s) for k, s in enumerate(parts)]
    return key, str(path)


def _check_not_url(text: str) -> None:
    if _URL.match(text):
        raise ImageError(
            f"{_shown(text)} is a URL; fastsam reads files and bytes only: "
            "download it first, then pass the file's path or its bytes"
        )


def _missing(text: str) -> ImageError:
    """Return the error for a path that is not there."""
    if not text:
        return ImageError("image: expected the path of a file, got an empty string")
    where = "" if os.path.isabs(text) else f" (relative paths start at {os.getcwd()})"
    return ImageError(f"image {_shown(text)}: no such file or folder{where}; check the path")


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
        raise ImageError(f"pattern {_shown(text)}: expected at least one image, it matches {got}")
    return found


def _images_in(folder: Path) -> list[Path]:
    """Return a folder's images in natural order; hidden files are left out."""
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise ImageError(f"folder {_shown(folder)}: cannot be listed ({error.strerror})") from error
    files = [path for path in entries if path.is_file()]
    found = sorted((path for path in files if path.suffix.lower() in IMAGE_EXTENSIONS), key=_natural_key)
    if not found:
        inner = len(entries) - len(files)
        hint = f"; for its {inner} subfolders use the pattern {str(folder / '**' / '*')!r}" if inner else ""
        raise ImageError(
            f"folder {_shown(folder)}: expected at least one image (.jpg, .png, .tif, .webp, ...), "
            f"found none among its {len(files)} files{hint}"
        )
    return found


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
        else:
            frame = read_frame(part, max_pixels=max_pixels)
            yield frame if isinstance(part, Frame) else replace(frame, index=index)
            index += 1


def _read_path(text: str, name: str | None, max_pixels: int) -> Frame:
    """Read an image file."""
    _check_not_url(text)
    what = f"image {_shown(text)}"
    try:
        with open(text, "rb") as stream:
            rgb = _decode(stream, what, max_pixels)
    except (FileNotFoundError, ValueError) as error:  # ValueError: a null byte in the path
        if isinstance(error, ImageError):
            raise
        raise _missing(text) from error
    except OSError as error:
        if os.path.isdir(text):  # Windows calls it a missing permission
            raise ImageError(f"{what}: is a folder; its images are read one by one (open_many)") from error
        raise ImageError(f"{what}: cannot be opened ({error.strerror or error})") from error
    return Frame(rgb, name or Path(text).stem, text)


def _read_file(source: Any, name: str | None, max_pixels: int) -> Frame:
    """Read an open file from where it stands; it is left open."""
    origin = getattr(source, "name", "")
    origin = origin if isinstance(origin, str) else ""
    label = name or Path(origin).stem or "image"
    what = f"image {label!r}"
    try:
        content = source.read()
    except (OSError, ValueError) as error:  # ValueError: closed, or text that is no UTF-8
        raise ImageError(
            f"{what}: the file cannot be read ({error}); open it in binary mode, 'rb', and keep it open"
        ) from error
    if not isinstance(content, bytes):
        raise ImageError(
            f"{what}: expected a file opened in binary mode ('rb'), its read() gave {type(content).__name__}"
        )
    return Frame(_decode(BytesIO(content), what, max_pixels), label, origin)


def _decode(stream: BinaryIO, what: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a seekable stream that stands at its beginning."""
    with opened_image(stream, what, max_pixels) as image:
        return _convert(image, what)


def opened_image(stream: BinaryIO, what: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Return the image of a seekable stream that stands at its beginning, not decoded yet.

    ``PIL.Image.open`` will not do: where ultralytics is loaded, that is a function which installs packages.

    Raises:
        ImageError: it is none, or has too many pixels; ``what`` names it.
    """
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise ImageError(f"{what}: is empty (0 bytes); the copy or download that made it has failed")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
        require("pillow_heif", "read HEIC photos").register_heif_opener()
    image = _open(stream, head, what)
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise ImageError(
            f"{what}: has {width}x{height} = {width * height:,} pixels, the limit is {max_pixels:,} "
            "(guards against decompression bombs); if you trust the file, raise max_pixels"
        )
    return image


def _open(stream: BinaryIO, head: bytes, what: str) -> Image.Image:
    """Read the header of an image.

    ``PIL.Image.open`` is not asked, but the plugins that it would ask: its size limit is a global of the
    process (ours is an argument), and ultralytics replaces it by one that installs packages.
    """
    if "WEBP" not in Image.OPEN:
        Image.init()
    trouble = ""
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
            trouble = trouble or (
                f"begins as {name}, but is damaged or of a rare kind ({str(error).strip()}); "
                "copy it again, or convert it to PNG"
            )
    raise ImageError(f"{what}: {trouble or _not_an_image(head)}")


def _not_an_image(head: bytes) -> str:
    """Say what a file is that PIL does not know."""
    if head[4:8] == b"ftyp" or head[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        return "is a video or an image format that PIL cannot read; for a video use open_frames"
    if head.lstrip()[:1] in (b"<", b"{"):
        return f"is text, not an image (begins with {head!r}); a download may have saved an error page"
    return f"is not an image that PIL can read (begins with {head!r}); expected JPEG, PNG, TIFF, WebP, ..."


def _convert(image: Image.Image, what: str) -> NDArray[np.uint8]:
    """Return the first frame of a PIL image, upright, as RGB."""
    if 0 in image.size:
        raise ImageError(f"{what}: expected at least 1x1 pixel, got {image.width}x{image.height}")
    try:
        image.load()
        return _rgb_from_pil(_upright(image), what)
    except ImageError:
        raise
    except Exception as error:  # decoders fail in their own ways
        raise ImageError(
            f"{what}: is damaged or cut off: it begins as {image.format or 'a PIL image'}, but cannot be "
            f"decoded ({type(error).__name__}: {error}); copy or download it again"
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF rotation."""
    try:
        method = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo; it has no rotation then
        return image
    return image if method is None else image.transpose(method)


def _rgb_from_pil(image: Image.Image, what: str) -> NDArray[np.uint8]:
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if values.dtype.itemsize == 4 and values.dtype.kind in "iu":  # 32-bit integers: grey TIFF, PGM
            if values.min() < 0 or values.max() > 65535:
                raise ImageError(
                    f"{what}: expected grey values in 0..65535, got {values.min()}..{values.max()}; "
                    "scale them to 8 bits first"
                )
            values = values.astype(np.uint16)
        return _rgb_from_array(values, what)
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _on_white(rgba: Image.Image) -> NDArray[np.uint8]:
    page = Image.new("RGBA", rgba.size, "white")
    return np.asarray(Image.alpha_composite(page, rgba).convert("RGB"))


def _rgb_from_array(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    """Return a checked copy of an array as (H, W, 3) uint8 RGB."""
    wanted = "an RGB array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; channels come last: use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; pass the images of a batch one at a time"
        raise ImageError(f"{what}: expected {wanted}, got shape {array.shape}{hint}")
    if array.size == 0:
        raise ImageError(f"{what}: expected at least 1x1 pixel, got shape {array.shape}")
    levels = _to_uint8(array, what)
    if levels.ndim == 2 or levels.shape[2] == 1:
        return np.repeat(levels.reshape(*levels.shape[:2], 1), 3, axis=2)
    if levels.shape[2] == 4:
        return _on_white(Image.fromarray(np.ascontiguousarray(levels)))
    return np.array(levels, order="C")


def _to_uint8(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    """Scale the values of an array to 0..255."""
    if array.dtype == np.uint8:
        return cast(NDArray[np.uint8], array)
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        full = float(2 ** max(int(array.max()).bit_length(), 8) - 1)
        return np.rint(array * np.float32(255 / full)).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ImageError(
            f"{what}: expected dtype uint8, uint16, bool or float, got {array.dtype}; "
            "for values in 0..255 use array.astype(np.uint8)"
        )
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(
            f"{what}: expected finite numbers, got NaN or infinity; replace them with np.nan_to_num first"
        )
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise ImageError(
            f"{what}: expected floats in 0..1, got {low:g}..{high:g}; divide by 255 if they are 0..255, "
            "otherwise scale with (array - array.min()) / (array.max() - array.min())"
        )
    levels: NDArray[np.float32] = np.clip(array, 0, 1).astype(np.float32) * np.float32(255)
    return np.rint(levels).astype(np.uint8)
