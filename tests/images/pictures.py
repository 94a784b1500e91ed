"""Small pictures as files in memory."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ultralytics.utils import ASSETS

BUS = Path(ASSETS) / "bus.jpg"

RED, WHITE, GREY = [255, 0, 0], [255, 255, 255], [128, 128, 128]


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def gradient(height: int = 6, width: int = 9) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 20, y * 30, x * 5 + y * 7], axis=2).astype(np.uint8)
