"""Whether a frame goes on from the one before, or shows another scene."""

from __future__ import annotations

import cv2
import numpy as np

from fastsam.video.track.grid_frame import FloatArray, GridFrame, follow_flow

__all__ = ["is_cut"]

# Neighbours in six clips of DAVIS: at most .45 is left, and histograms are at least .96 alike; a frame and a
# photo: at least .84 is left (docs/experiments.md).
_OTHER, _DOUBTFUL = 0.65, 0.5  # difference that motion leaves, of the frame's own contrast
_UNLIKE = 0.88  # overlap of two histograms below which a doubtful frame is another scene
_LEAST_CONTRAST = 8.0  # grey levels: what a plain frame differs by is noise
_BINS = 32


def is_cut(before: GridFrame, after: GridFrame, flow: FloatArray | None) -> bool:
    """Tell whether two frames in a row are of two scenes: motion explains little of the second.

    Args:
        before: a frame.
        after: the next.
        flow: from ``after`` to ``before``; None where their shapes differ.
    """
    if flow is None:
        return _alike(before, after) < _UNLIKE
    size = after.grid_hw[::-1]
    old, new = (
        cv2.resize(one.grey, size, interpolation=cv2.INTER_AREA).astype(np.float32) for one in (before, after)
    )
    moved = follow_flow(np.asarray(old, np.float32), flow, after.grid_hw, beyond=cv2.BORDER_REPLICATE)
    left = float(np.abs(_evened(moved) - _evened(new)).mean())
    return left > _OTHER or (left > _DOUBTFUL and _alike(before, after) < _UNLIKE)


def _evened(grey: FloatArray) -> FloatArray:
    """Return a picture with mean 0 and contrast 1: a change of light is no other scene."""
    centred = grey - grey.mean()
    return np.asarray(centred / max(float(np.abs(centred).mean()), _LEAST_CONTRAST), np.float32)


def _alike(before: GridFrame, after: GridFrame) -> float:
    """Return in 0..1 how much the histograms of two frames' brightness overlap."""
    shares = [np.bincount(one.grey.reshape(-1) // (256 // _BINS), minlength=_BINS) for one in (before, after)]
    return float(np.minimum(*(share / max(share.sum(), 1) for share in shares)).sum())
