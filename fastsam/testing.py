"""Stand-ins for the networks, so that users' tests and our docs run without weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import RecordError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.segmenter import Part, Segmentation, Segmenter

__all__ = ["ColourWordEncoder", "FixedSegmenter"]


class FixedSegmenter(Segmenter):
    """A segmenter that always finds the same masks.

    Args:
        masks: (N, H, W) boolean array.
        scores: (N,) confidences; ones by default.

    >>> from fastsam import FastSAM, Points
    >>> model = FastSAM(segmenter=FixedSegmenter(np.ones((1, 4, 4), bool)))
    >>> len(model.open(np.zeros((4, 4, 3), np.uint8)).select(Points((1, 1))))
    1
    """

    def __init__(self, masks: NDArray[Any], scores: Any = None) -> None:
        self.masks = MaskSet.from_dense(masks, scores)

    def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        """Return the fixed masks with a score above ``config.conf``, best first, as a network would.

        Raises:
            RecordError: the frame has another size than the masks.
        """
        if frame.size_hw != self.masks.size_hw:
            raise RecordError(
                f"frame: expected the masks' size {self.masks.size_hw}, got {frame.size_hw} (H, W)"
            )
        order = np.argsort(-self.masks.scores, kind="stable")
        kept = order[self.masks.scores[order] > config.conf]
        times_ms = {"prepare": 0.0, "network": 0.0, "decode": 0.0}
        return Segmentation.of(self.masks[kept[: config.max_det]], times_ms)


# Corners of the colour cube: each is as far as can be from grey, and tells from each other.
_COLOURS = {
    "black": (-1, -1, -1),
    "red": (1, -1, -1),
    "green": (-1, 1, -1),
    "blue": (-1, -1, 1),
    "yellow": (1, 1, -1),
    "magenta": (1, -1, 1),
    "cyan": (-1, 1, 1),
    "white": (1, 1, 1),
}
_MIDDLE = (123.0, 117.0, 104.0)  # the grey around masked pictures says nothing
_GREYNESS = 0.4  # of every picture: it is more like no colour than like a wrong one


class ColourWordEncoder:
    """A text-image model that knows nothing but colours: a red mask is what ``"a red car"`` means.

    A picture becomes the direction of its mean colour from grey, a text the colour that it names; a text
    without a colour is like any picture a little.

    Attributes:
        calls: how many pictures and texts it was given so far.

    >>> encoder = ColourWordEncoder()
    >>> pictures = [np.full((4, 4, 3), (220, 10, 10), np.uint8)]
    >>> vectors = encoder.encode_images(pictures) @ encoder.encode_texts(["a red car", "a blue car"]).T
    >>> bool(vectors[0, 0] > 0.8 and vectors[0, 1] < 0.1)
    True
    """

    location = "colour words"
    logit_scale = 40.0

    def __init__(self) -> None:
        self.calls = {"pictures": 0, "texts": 0}

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return (N, 4) unit vectors of RGB pictures."""
        self.calls["pictures"] += len(pictures)
        means = [picture.reshape(-1, 3).mean(axis=0) - _MIDDLE for picture in pictures]
        return _vectors(means, _GREYNESS)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (M, 4) unit vectors; two colours in a text are mixed."""
        self.calls["texts"] += len(texts)
        words = [re.findall(r"[a-z]+", text.lower()) for text in texts]
        named = [[_COLOURS[word] for word in row if word in _COLOURS] for row in words]
        means = [np.mean(row, axis=0) if row else np.zeros(3) for row in named]
        return _vectors(means, 0.0)


def _vectors(colours: Sequence[NDArray[Any]], greyness: float) -> NDArray[np.float32]:
    """Return the directions of colours, however pale, and a last coordinate for greyness."""
    array = np.array(colours, np.float64).reshape(-1, 3)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    directions = np.divide(array, lengths, out=np.zeros_like(array), where=lengths > 0)
    last = np.where(lengths > 0, greyness, 1.0)
    whole = np.concatenate([directions, last], axis=1)
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True), np.float32)
