"""Stand-ins for the network, so that users' tests and our docs run without weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import RecordError
from fastsam.records import Frame, MaskSet

__all__ = ["FixedSegmenter"]


class FixedSegmenter:
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
        self.times_ms: dict[str, float] = {"prepare": 0.0, "network": 0.0, "decode": 0.0}

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
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
        return self.masks[kept[: config.max_det]]
