"""``FastSAM.track``: ids that stay, from frame to frame and from call to call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastsam import Session
from fastsam.video.track.tracking import Tracking

if TYPE_CHECKING:
    from fastsam.compat.results import MaskKind, Results

__all__ = ["Tracks"]


class Tracks:
    """Gives the masks of one video ids; its frames come in order, in as many calls as the caller likes."""

    def __init__(self) -> None:
        self._tracking = Tracking()
        self._count = 0

    def step(self, session: Session, path: str, mask_kind: MaskKind) -> Results:
        """Return the tracked masks of the next frame; ``boxes.id`` are their numbers."""
        from fastsam.compat.results import Results

        numbered = replace(session, frame=replace(session.frame, index=self._count))
        self._count += 1
        tracked = self._tracking.step(numbered)
        return Results(session, tracked.masks, path=path, mask_kind=mask_kind, ids=tracked.ids)
