"""A photo of 60 x 80 pixels with three known masks, and visitors of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import skimage.data

import fastsam
from fastsam.images.frame import Frame
from fastsam.page.photo import steps
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.testing import ColourWordEncoder, FixedSegmenter

PHOTO = np.ascontiguousarray(skimage.data.astronaut()[100:160, 200:280])  # 60 x 80
MASKS = np.zeros((3, 60, 80), bool)
MASKS[0, 10:50, 10:40] = MASKS[1, 15:35, 15:30] = MASKS[2, 5:55, 50:70] = True  # whole, its part, another
WHOLE, PART, OTHER = 0, 1, 2  # their rows


def fixed(masks: np.ndarray = MASKS, encoder: Any = None) -> fastsam.FastSAM:
    scores = np.array([0.9, 0.8, 0.7])[: len(masks)]
    return fastsam.FastSAM(segmenter=FixedSegmenter(masks, scores), text_model=encoder)


def painted() -> np.ndarray:
    """The same masks in colours that a colour encoder tells apart."""
    rgb = np.full((60, 80, 3), 255, np.uint8)
    for mask, colour in zip(MASKS, ((20, 20, 220), (220, 20, 20), (220, 20, 20)), strict=True):
        rgb[mask] = colour
    return rgb


class Page:
    """One visitor, spoken to as the canvas does."""

    def __init__(
        self, rgb: np.ndarray = PHOTO, encoder: Any = None, budget: MemoryBudget | None = None
    ) -> None:
        self.model = SharedModel(model=fixed(encoder=encoder))
        self.visitor = PageSession(budget or MemoryBudget(1 << 30))
        self.scene = self.opened(rgb)

    def opened(self, rgb: np.ndarray) -> dict[str, Any]:
        self.last = json.loads(steps.open_photo(self.visitor, self.model, Frame(rgb, "astro"), {}))
        assert self.last["kind"] == "scene"
        return self.last["scene"]

    def act(self, do: str, **what: Any) -> dict[str, Any]:
        sent = {"do": do, "scene": self.visitor.state.scene, **what}
        self.last = json.loads(steps.act(self.visitor, sent))
        return self.last["answer"]

    def mark(self, kind: str, *xy: tuple[float, float], sign: str = "add") -> dict[str, Any]:
        return self.act("mark", kind=kind, xy=[list(point) for point in xy], sign=sign)

    def ask(self, text: str, sign: str = "add") -> dict[str, Any]:
        self.last = json.loads(steps.ask(self.visitor, {"text": text, "sign": sign}))
        return self.last["answer"]


def colour_words() -> ColourWordEncoder:
    return ColourWordEncoder()
