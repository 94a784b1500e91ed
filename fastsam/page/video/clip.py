"""A visitor's video file: what is taken, and its frames one by one."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fastsam.errors import FastSAMError, FrameTooLargeError, VideoError
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.page.shared.canvas import example_photos
from fastsam.video.read.reader import open_video
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.sinks import open_sinks

__all__ = [
    "MAX_PIXELS",
    "MAX_VIDEO_BYTES",
    "Clip",
    "Limits",
    "example_clip",
    "new_folder",
    "open_clip",
    "read_still",
    "sweep",
]

MAX_VIDEO_BYTES = 100 * 2**20  # of an uploaded file
MAX_PIXELS = 9_000_000  # of a frame: 4K
_FRAMES_A_S = 25
_FOLDER = "fastsam-page-"
_SUFFIX = re.compile(r"[.]\w{1,5}")
# What a video file begins with. Playlists and scripts, which FFmpeg takes for videos, too, would let a
# visitor open other files of this machine, so they never get that far.
_BEGINNINGS = re.compile(
    rb"....(?:ftyp|moov|mdat|wide|free|skip|pnot|styp)|\x1a\x45\xdf\xa3|RIFF....AVI |GIF8|OggS|FLV\x01"
    rb"|\x00\x00\x01[\xba\xb3]|\x30\x26\xb2\x75|\x47.{187}\x47",
    re.DOTALL,
)


@dataclass(frozen=True)
class Limits:
    """How much video a visitor may ask for.

    Attributes:
        seconds: of a video, as long as it plays.
        most_bytes: of its file.
    """

    seconds: float = 60.0
    most_bytes: int = MAX_VIDEO_BYTES

    @property
    def frames(self) -> int:
        """How many frames are followed at most.

        >>> Limits().frames
        1500
        """
        return max(round(self.seconds * _FRAMES_A_S), 1)

    @property
    def words(self) -> str:
        """The limits for visitors."""
        return f"{self.seconds:g} seconds or {self.frames:,} frames"


@dataclass(frozen=True)
class Clip:
    """A visitor's video.

    Attributes:
        path: the file, in the visitor's own folder.
        name: what the visitor calls it.
        frames: how many there are, or may be.
        fps: frames a second.
        size_hw: of its first frame.
    """

    path: Path
    name: str
    frames: int
    fps: float
    size_hw: tuple[int, int]


def open_clip(folder: Path, path: Path, name: str, limits: Limits) -> tuple[Clip, Frame]:
    """Take a video into a visitor's own folder; return it with its first frame.

    Args:
        folder: that folder.
        path: the uploaded file.
        name: what the visitor calls it.
        limits: how much a visitor may open.

    Raises:
        VideoError: it is too large or too long, not a video, or has no frame; in words for the visitor.
    """
    shown = name or path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError as error:
        raise VideoError(f"“{shown}” is not there any more; open it again.") from error
    if size > limits.most_bytes:
        raise VideoError(
            f"“{shown}” is larger than {limits.most_bytes >> 20} MB. Make it shorter, or choose another."
        )
    if size == 0:
        raise VideoError(f"“{shown}” is empty. Choose another video.")
    if not _BEGINNINGS.match(beginning):
        raise VideoError(f"“{shown}” is not a video. Choose one: MP4, MOV, WebM, MKV, AVI, GIF, ...")
    suffix = Path(shown).suffix.lower()
    own = folder / f"video{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    try:
        os.link(path, own)
    except OSError:  # another file system
        shutil.copyfile(path, own)
    return _first_frame(own, shown, limits)


def _first_frame(path: Path, shown: str, limits: Limits) -> tuple[Clip, Frame]:
    try:
        with open_video(path, queue_size=1, max_pixels=MAX_PIXELS) as reader:
            frame, info = reader.read(), reader.info
    except FrameTooLargeError as error:
        raise VideoError(
            f"“{shown}” has frames larger than 4K. Make it smaller, or choose another."
        ) from error
    except FastSAMError as error:
        raise VideoError(
            f"“{shown}” has no frame that can be read; it is damaged, or not a video."
        ) from error
    if frame is None:
        raise VideoError(f"“{shown}” has no frame. Choose another video.")
    fps = info.fps or float(_FRAMES_A_S)
    count = info.frame_count
    if count is not None and (count / fps > limits.seconds * 1.02 or count > limits.frames):
        raise VideoError(
            f"“{shown}” is too long: {count / fps:.0f} seconds, {count:,} frames. Up to {limits.words} are "
            "followed here; cut it, or choose another video."
        )
    return Clip(path, shown, count or limits.frames, fps, frame.size_hw), frame


def new_folder() -> Path:
    """Return a new folder for videos, named after this process."""
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))


def sweep() -> None:
    """Remove the folders of pages that were killed before they could do it themselves."""
    if os.name != "posix":  # elsewhere, asking whether a process lives may end it
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}[0-9]*-*"):
        try:
            os.kill(int(folder.name.removeprefix(_FOLDER).partition("-")[0]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError, OverflowError):
            continue  # another user's, or none of ours


def read_still(clip: Clip, index: int) -> Frame:
    """Return one frame of a video.

    Raises:
        VideoError: there is no such frame, or it cannot be read.
    """
    try:
        with open_video(clip.path, queue_size=1, start=index, max_pixels=MAX_PIXELS) as reader:
            frame = reader.read()
    except FastSAMError as error:
        raise VideoError(f"Frame {index} of “{clip.name}” cannot be read.") from error
    if frame is None:
        raise VideoError(f"“{clip.name}” has no frame {index}; it is shorter than it says.")
    return frame


def _panned() -> Iterator[Frame]:
    """Look at a photo through a window that goes right and back: a man leaves it, and comes again."""
    photo = read_frame(example_photos()["bus"]).rgb
    for index in range(40):
        left = round(270 * float(np.sin(np.pi * index / 39)))
        yield Frame(
            np.ascontiguousarray(photo[380:920, left : left + 540]), index=index, t_ms=1e3 * index / 12
        )


@lru_cache(maxsize=1)
def example_clip() -> Path:
    """Return a short video that is made of a photo of an installed package, once in a process."""
    folder = new_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with open_sinks(folder / "run", ["video"], fps=12) as sinks:
        for frame in _panned():
            sinks.append(Tracked.none(frame))
    return folder / "run" / "overlay.mp4"
