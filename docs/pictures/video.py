"""Make docs/video.jpg: two men are pointed at once, and followed while the camera turns away and back.

python docs/pictures/video.py docs/video.jpg

The clip is made here, of a photo that ultralytics brings along.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ultralytics.utils import ASSETS

from fastsam import FastSAM, Points, RenderConfig

FRAMES, SHOWN = 40, (0, 13, 20, 39)
SIZE_HW = (360, 480)


def frames() -> Iterator[NDArray[np.uint8]]:
    """Yield a camera's view of a street: it turns away to the right, comes near, and turns back."""
    with Image.open(ASSETS / "bus.jpg") as image:
        street = np.asarray(image.convert("RGB"))
    for k in range(FRAMES):
        turn = float(np.sin(np.pi * k / (FRAMES - 1)))  # 0, 1, 0
        width = 620 - 120 * turn
        middle = (310 + 245 * turn, 640 + 30 * turn)
        scale = SIZE_HW[1] / width
        shift = (SIZE_HW[1] / 2 - scale * middle[0], SIZE_HW[0] / 2 - scale * middle[1])
        view = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        moved = cv2.warpAffine(
            street, view, SIZE_HW[::-1], flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
        )
        yield np.asarray(moved, np.uint8)


def follow() -> list[Any]:
    """Return the masks of the frames that are shown."""
    shown = []
    with FastSAM().stream(frames(), imgsz=640) as stream:
        stream.select(0, Points([(117, 190)]), label="first man")
        stream.select(0, Points([(220, 170)]), label="second man")
        for frame, masks in stream:
            if frame.index in SHOWN:
                shown.append(masks)
    return shown


def main(path: str) -> None:
    """Draw the frames side by side: who is lost keeps the number until seen again."""
    found = follow()
    for masks in found:
        print(f"frame {masks.frame.index}: sees {masks.captions}, lost {list(masks.lost)}")
    joined = np.concatenate([masks.plot(RenderConfig(alpha=0.6)) for masks in found], axis=1)
    Image.fromarray(joined).resize((1600, 300)).save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "video.jpg")
