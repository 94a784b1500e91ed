"""Video clips with a mask a frame: plain folders, and DAVIS's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import DatasetError, ImageError
from fastsam.images.frame import Frame
from fastsam.images.reading import opened_image, read_frame

__all__ = ["AnnotatedClip", "read_clips"]

_PHOTOS = (".jpg", ".jpeg", ".png")
_VOID = 255
_LAYOUTS = "CLIP/frames/*.jpg with CLIP/masks/*.png, or DAVIS's JPEGImages/480p and Annotations/480p"


@dataclass(frozen=True)
class AnnotatedClip:
    """A video as one image a frame, and the objects to follow in it.

    Attributes:
        name: its folder's.
        frames: the images, in order of time.
        masks: an indexed image for each: 0 is background, any other number an object.
        ids: the objects of the first mask; those that come later are nobody's to follow.
    """

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    ids: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def frame(self, number: int) -> Frame:
        """Return a frame; its ``index`` is its number in the clip."""
        return replace(read_frame(self.frames[number]), index=number)

    def truth(self, number: int) -> dict[int, NDArray[np.bool_]]:
        """Return the (H, W) mask of each object of :attr:`ids` in a frame, empty where it is not seen.

        Raises:
            DatasetError: the mask is no indexed image.
        """
        indexed = _read_indexed(self.masks[number])
        return {object_id: np.asarray(indexed == object_id) for object_id in self.ids}


def read_clips(root: str | Path, limit: int | None = None) -> list[AnnotatedClip]:
    """Return the clips of a folder, in the order of their names.

    Args:
        root: holds folders ``CLIP/frames/*.jpg`` and ``CLIP/masks/*.png``, or is one of them, or is laid out
            as DAVIS (``JPEGImages/480p/CLIP/*.jpg``, ``Annotations/480p/CLIP/*.png``). Masks are
            palette or grey PNGs whose pixels are object numbers; 255 is an object where it is the only one
            (DAVIS 2016), else no one's pixels.
        limit: maximum number.

    Raises:
        DatasetError: there is no clip, frames and masks do not match, or a first mask is empty.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"clips {root}: expected a folder ({_LAYOUTS}), found none")
    images, annotations = root / "JPEGImages" / "480p", root / "Annotations" / "480p"
    if (root / "frames").is_dir():
        folders = [(root.resolve().name, root / "frames", root / "masks")]
    elif images.is_dir():
        folders = [(path.name, path, annotations / path.name) for path in _folders(images)]
    else:
        folders = [
            (path.name, path / "frames", path / "masks")
            for path in _folders(root)
            if (path / "frames").is_dir()
        ]
    if not folders:
        raise DatasetError(f"clips {root}: expected {_LAYOUTS}; found no clip in it")
    return [_clip(*one) for one in folders[:limit]]


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def _clip(name: str, frames_in: Path, masks_in: Path) -> AnnotatedClip:
    """Return a clip whose files match, checked."""
    frames = _files(frames_in, _PHOTOS)
    masks = _files(masks_in, (".png",))
    if len(frames) != len(masks):
        raise DatasetError(
            f"clip {name}: expected a mask for each frame, got {len(frames)} frames in {frames_in} "
            f"and {len(masks)} masks in {masks_in}"
        )
    if len(frames) < 3:
        raise DatasetError(
            f"clip {name}: expected at least 3 frames, as the first and the last do not count; "
            f"got {len(frames)} in {frames_in}"
        )
    for frame, mask in zip(frames, masks, strict=True):
        if frame.stem != mask.stem:
            raise DatasetError(
                f"clip {name}: expected frames and masks of the same names, got {frame.name} and {mask.name}"
            )
    _check_sizes(name, frames, masks)
    ids = np.unique(_read_indexed(masks[0]))
    ids = ids[ids > 0]
    if len(ids) > 1:
        ids = ids[ids != _VOID]
    if len(ids) == 0:
        raise DatasetError(
            f"clip {name}: its first mask {masks[0]} marks no object; it says what to follow: "
            "start the clip where the object is seen"
        )
    return AnnotatedClip(name, tuple(frames), tuple(masks), tuple(int(i) for i in ids))


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"clips: expected a folder {folder}, found none ({_LAYOUTS})")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)


def _check_sizes(name: str, frames: Sequence[Path], masks: Sequence[Path]) -> None:
    """Compare the sizes in the files' headers; no pixels are read."""
    first: tuple[int, int] | None = None
    for path in [path for pair in zip(frames, masks, strict=True) for path in pair]:
        try:
            with path.open("rb") as stream, opened_image(stream, path.name) as opened:
                size = opened.size
        except (OSError, ImageError) as error:
            raise DatasetError(f"clip {name}: {path} cannot be read as an image ({error})") from error
        first = first or size
        if size != first:
            raise DatasetError(
                f"clip {name}: expected frames and masks of one size, "
                f"got {first[0]}x{first[1]} and {size[0]}x{size[1]} ({path})"
            )


def _read_indexed(path: Path) -> NDArray[np.uint8]:
    """Return the (H, W) object numbers of a mask."""
    try:
        with path.open("rb") as stream, opened_image(stream, path.name) as opened:
            mode, pixels = opened.mode, np.asarray(opened)
    except (OSError, ImageError, SyntaxError) as error:
        raise DatasetError(f"mask {path}: cannot be read as an image ({error})") from error
    if mode not in ("P", "L", "1"):
        raise DatasetError(
            f"mask {path}: expected a palette or grey PNG with an object's number at each pixel, "
            f"got mode {mode}; save it with a palette"
        )
    return pixels.astype(np.uint8)
