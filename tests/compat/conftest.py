"""What the tests of call sequences share: a small photo, and what ultralytics itself finds in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from ultralytics.models.fastsam import FastSAM as TheirFastSAM
from ultralytics.utils import ASSETS

import fastsam
from fastsam.config import SegmentConfig
from fastsam.everything.backends.choose import open_network
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet

# What programs pass, but for the size: the network is asked about a small photo.
ASKED: dict[str, Any] = {"retina_masks": True, "imgsz": 320, "conf": 0.15, "iou": 0.9}
SIZE = (540, 405)  # H, W
BUS = [5, 115, 400, 370]  # xyxy
MAN = [24, 200, 122, 450]


def iou(one: Any, other: Any) -> float:
    """Return the IoU of two masks, whatever holds them."""
    first, second = (np.asarray(mask.cpu() if hasattr(mask, "cpu") else mask) > 0 for mask in (one, other))
    return float((first & second).sum() / max((first | second).sum(), 1))


def box_iou(mask: Any, box: list[int]) -> float:
    """Return the IoU of a mask and a box."""
    drawn = np.zeros(SIZE, bool)
    drawn[box[1] : box[3], box[0] : box[2]] = True
    return iou(mask, drawn)


class Remembering:
    """A network that looks at each image once, however often it is asked; all else is the network's own."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._known: dict[tuple[bytes, SegmentConfig], MaskSet] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        key = (frame.rgb.tobytes(), config)
        if key not in self._known:
            self._known[key] = self._network.segment(frame, config)
        return self._known[key]


@pytest.fixture(scope="session")
def quick(embedded_weights: Path) -> fastsam.FastSAM:
    """The embedded weights, which remember; with the options of ``ASKED``."""
    model = fastsam.FastSAM(segmenter=Remembering(open_network(embedded_weights, device="cpu").segmenter))
    options = {name: value for name, value in ASKED.items() if name != "retina_masks"}
    model.defaults = SegmentConfig(**options, beyond_boxes=False)  # as ultralytics cuts masks
    return model


@pytest.fixture(scope="session")
def photo_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A street photo of 405x540 pixels, without the loss of JPEG."""
    path = tmp_path_factory.mktemp("photo") / "bus.png"
    with Image.open(ASSETS / "bus.jpg") as image:
        image.resize(SIZE[::-1]).save(path)
    return str(path)


@pytest.fixture(scope="session")
def photo(photo_path: str) -> NDArray[np.uint8]:
    """The same as an RGB array; read-only."""
    with Image.open(photo_path) as image:
        rgb = np.asarray(image.convert("RGB")).copy()
    rgb.flags.writeable = False
    return rgb


@pytest.fixture(scope="session")
def bgr(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same as OpenCV reads it."""
    return np.ascontiguousarray(photo[..., ::-1])


@pytest.fixture(scope="session")
def their_model(embedded_weights: Path) -> Callable[..., Any]:
    """Ultralytics' own FastSAM of the embedded weights, without its log."""
    model = TheirFastSAM(str(embedded_weights))
    return lambda source, **options: model(source, verbose=False, **options)


@pytest.fixture(scope="session")
def their_masks(their_model: Callable[..., Any], photo_path: str) -> torch.Tensor:
    """(N, H, W) everything that ultralytics finds in the photo."""
    return their_model(photo_path, **ASKED)[0].masks.data
