"""Objects that were prompted in one frame, followed through the next ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, Frame, Session
from fastsam.config import VideoConfig
from fastsam.video.track.tracking import Tracking

__all__ = ["Following"]

BoolArray = NDArray[np.bool_]


class Following:
    """Follows objects by any names through frames that come in order.

    Args:
        core: finds the masks of each frame.
        config: how objects are followed.
    """

    def __init__(self, core: FastSAM, config: VideoConfig) -> None:
        self._core, self._config = core, config
        self._tracking = Tracking(config)
        self._numbers: dict[Hashable, int] = {}

    def step(
        self, frame: Frame, given: Mapping[Hashable, BoolArray]
    ) -> tuple[Session, dict[Hashable, BoolArray]]:
        """Return the next frame with its masks, and the (H, W) mask of each object; empty while it is lost.

        Args:
            frame: the image.
            given: the masks that some objects have there, whatever the tracker says; empty ones say nothing.

        Raises:
            PromptError: a mask has another size.
        """
        conf = min(self._config.conf, self._config.follow_conf)
        session = self._core.open(frame, conf=conf, quality=False)
        tracked = self._tracking.step(session)
        found = {name: tracked.mask_of(number) for name, number in self._numbers.items()}
        for name, mask in given.items():
            if mask.any():
                self._tracking.follow(mask, self._numbers.setdefault(name, len(self._numbers) + 1))
                found[name] = mask
        return session, found
