"""A photograph in memory, as a viewer sees it."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import read_only
from fastsam.errors import ImageError

__all__ = ["Frame"]


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """One image.

    Attributes:
        rgb: (H, W, 3) uint8, RGB, as a viewer sees it (after EXIF rotation); read-only.
        name: what to call it in messages and output files (a file's stem, ``"frame_000012"``).
        source: where it came from, as the caller wrote it; empty for arrays.
        index: its position in a stream.
        t_ms: its time in a video, milliseconds; None for photos.
        origin_xy: where its top left pixel lies in a larger picture that it was cut from. Tiles are laid on a
            grid that begins at that picture's corner, so that any cut of it gives the same masks.
    """

    rgb: NDArray[np.uint8]
    name: str = "image"
    source: str = ""
    index: int = 0
    t_ms: float | None = None
    origin_xy: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Check the array and make it read-only."""
        rgb = self.rgb
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            found = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
            raise ImageError(f"frame {self.name!r}: expected uint8 (H, W, 3) RGB, got {found}")
        if 0 in rgb.shape:
            raise ImageError(
                f"frame {self.name!r}: expected at least 1x1 pixel, got {rgb.shape[1]}x{rgb.shape[0]}"
            )
        object.__setattr__(self, "rgb", read_only(rgb))
        try:
            x, y = (operator.index(value) for value in self.origin_xy)
        except (TypeError, ValueError) as error:
            raise ImageError(
                f"frame {self.name!r}: expected origin_xy as two whole numbers, got {self.origin_xy!r}"
            ) from error
        object.__setattr__(self, "origin_xy", (x, y))

    def __repr__(self) -> str:
        """Return name and size, not the pixels."""
        return f"Frame({self.name!r}, {self.size_hw[1]}x{self.size_hw[0]})"

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return int(self.rgb.shape[0]), int(self.rgb.shape[1])
