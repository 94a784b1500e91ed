"""What a run says in the end: how long its stages took, and when each object was seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["STAGES", "ObjectTally", "StageTimes"]

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


@dataclass
class _Seen:
    id: int
    label: str
    prompt: str
    first_frame: int
    last_frame: int
    seen: int = 0
    lost: int = 0


class ObjectTally:
    """When each followed object was seen, frame by frame.

    >>> tally = ObjectTally()
    >>> tally.note(4, [1], ["dog"], ())
    >>> tally.note(5, [], [], (1,))
    >>> tally.rows()
    [{'id': 1, 'label': 'dog', 'prompt': '', 'first_frame': 4, 'last_frame': 4, 'seen': 1, 'lost': 1}]
    """

    def __init__(self) -> None:
        self._objects: dict[int, _Seen] = {}

    def note(
        self,
        index: int,
        ids: Iterable[int],
        labels: Iterable[str],
        lost: Iterable[int],
        prompts: Mapping[int, str] | None = None,
    ) -> None:
        """Take in a frame.

        Args:
            index: its number.
            ids: the objects that are seen in it.
            labels: of each of them.
            lost: those that are not.
            prompts: what selected them.
        """
        for object_id, label in zip(ids, labels, strict=True):
            known = self._objects.setdefault(object_id, _Seen(object_id, label, "", index, index))
            known.last_frame, known.seen = index, known.seen + 1
            known.label = label or known.label
            known.prompt = known.prompt or (prompts or {}).get(object_id, "")
        for object_id in lost:
            if object_id in self._objects:
                self._objects[object_id].lost += 1

    def rows(self) -> list[dict[str, Any]]:
        """Return for each object its ``label``, ``prompt``, ``first_frame``, ``last_frame`` and in how many
        frames it was ``seen`` and, after the first, ``lost``.
        """
        return [asdict(known) for _, known in sorted(self._objects.items())]
