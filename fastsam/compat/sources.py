"""What old code passes as images -> frames: colour order, tensors, lists, cameras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam import Frame
from fastsam.compat.arguments import is_tensor
from fastsam.errors import ImageError, InputError
from fastsam.images.listing import IMAGE_EXTENSIONS, open_frames
from fastsam.images.reading import read_frame

__all__ = ["array_frame", "frames_of", "shown_path"]

_LIVE = ("rtsp://", "rtmp://", "udp://", "tcp://", "srt://", "rtp://", "http://", "https://")


def frames_of(source: Any, *, bgr: bool) -> Iterator[Frame]:
    """Yield the frames that a source of ultralytics' kind stands for.

    Args:
        source: a path, a folder, a pattern, a video, a camera's number, a stream's address, a PIL image, an
            array (H, W, 3), a tensor (3, H, W) or (B, 3, H, W) in RGB and 0..1, or several of these.
        bgr: arrays are BGR, as OpenCV reads them; else RGB.

    Raises:
        ImageError: an image cannot be read.
    """
    if source is None:
        raise InputError("source: expected an image (a path, array, PIL image, ...), got None")
    if is_tensor(source):
        yield from _tensor_frames(source)
    elif isinstance(source, np.ndarray):
        arrays = source if source.ndim == 4 else [source]
        yield from (array_frame(array, bgr=bgr) for array in arrays)
    elif isinstance(source, (str, int)) and _is_live(source):
        yield from _live_frames(source)
    elif isinstance(source, (str, bytes, Path, Image.Image, Frame)) or hasattr(source, "read"):
        yield from open_frames(source)
    elif not isinstance(source, Iterable):
        yield read_frame(source)  # says what is wrong with it
    else:
        for part in source:
            yield from frames_of(part, bgr=bgr)


def array_frame(array: NDArray[Any], *, bgr: bool) -> Frame:
    """Return an array as a frame; with ``bgr`` its first and third channel change places."""
    if bgr and array.ndim == 3 and array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return read_frame(np.ascontiguousarray(array))


def shown_path(frame: Frame, number: int) -> str:
    """Return what ``result.path`` says: the file's whole path, or ``image0.jpg`` for what has none."""
    return str(Path(frame.source).absolute()) if frame.source else f"image{number}.jpg"


def _tensor_frames(tensor: Any) -> Iterator[Frame]:
    """Yield a frame an image of a tensor."""
    if tensor.ndim not in (3, 4) or tensor.shape[-3] != 3:
        raise ImageError(
            f"tensor: expected (3, H, W) or (B, 3, H, W), RGB in 0..1, got shape {tuple(tensor.shape)}"
        )
    array = tensor.detach().cpu().numpy()
    for image in array if array.ndim == 4 else array[None]:
        rgb = np.ascontiguousarray(image.transpose(1, 2, 0))
        yield read_frame(rgb.astype(np.float32) if rgb.dtype.kind == "f" else rgb)


def _is_live(source: str | int) -> bool:
    """Tell whether this is a camera's number or a stream's address; that of an image is none."""
    if not isinstance(source, str) or source.isdigit():
        return True
    return source.lower().startswith(_LIVE) and Path(source).suffix.lower() not in IMAGE_EXTENSIONS


def _live_frames(source: str | int) -> Iterator[Frame]:
    """Yield what a camera or a stream shows, until it ends or the caller stops."""
    from fastsam.video.read.reader import open_video

    with open_video(source) as reader:
        yield from reader
