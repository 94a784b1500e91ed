"""How long the stages of a stream take: mean, median and slowest, and frames a second end to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["STAGES", "StageTimes"]

STAGES = ("read", "prepare", "network", "decode", "track", "prompts", "draw", "write")
_KEPT = 2000  # frames: constant memory over an hour


class StageTimes:
    """Milliseconds by stage, of the last frames; frames and passes of the network are counted from the first.

    >>> times = StageTimes()
    >>> times.note({"network": 80.0}, 100.0)
    >>> times.summary()["fps"]
    10.0
    """

    def __init__(self) -> None:
        self._rows: deque[tuple[dict[str, float], float]] = deque(maxlen=_KEPT)
        self.frames = self.passes = 0

    def note(self, times_ms: Mapping[str, float], whole_ms: float) -> None:
        """Take in one frame: its stages, and how long it took altogether."""
        self._rows.append((dict(times_ms), whole_ms))
        self.frames += 1
        self.passes += "network" in times_ms

    def add(self, times_ms: Mapping[str, float]) -> None:
        """Add stages that came after the frame was given, such as drawing, to the last frame."""
        if self._rows:
            stages, whole_ms = self._rows[-1]
            stages |= times_ms
            self._rows[-1] = (stages, whole_ms + sum(times_ms.values()))

    def summary(self) -> dict[str, Any]:
        """Return ``fps``, ``frames``, ``passes`` (frames on which the network ran) and ``stages``.

        Each stage has ``mean_ms`` over all frames, and ``p50_ms`` and ``p95_ms`` over the frames that have
        it. The first frame, which warms everything up, is left out where there are others.
        """
        rows = list(self._rows)[1:] if len(self._rows) == self.frames > 1 else list(self._rows)
        stages: dict[str, dict[str, float]] = {}
        named = [*STAGES, *sorted({name for row, _ in rows for name in row} - set(STAGES))]
        for name in named:
            values = [row[name] for row, _ in rows if name in row]
            if values:
                stages[name] = {
                    "mean_ms": float(np.sum(values) / len(rows)),
                    "p50_ms": float(np.percentile(values, 50)),
                    "p95_ms": float(np.percentile(values, 95)),
                }
        whole = float(np.mean([whole for _, whole in rows])) if rows else 0.0
        return {
            "frames": self.frames,
            "passes": self.passes,
            "fps": 1e3 / whole if whole else 0.0,
            "mean_ms": whole,
            "stages": stages,
        }
