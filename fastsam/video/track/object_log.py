"""What is known of the objects of a stream over time: when they came, where they went, when they left."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastsam.video.track.tracked import Tracked

__all__ = ["ObjectLog", "TrackedObject"]

_ENDED_KEPT = 1000  # objects that have left, over an hour of video


@dataclass(eq=False)
class TrackedObject:
    """One object over time.

    Attributes:
        object_id: its number.
        label: what it is, where words were asked for; else empty.
        prompt: what selected it; empty where everything is tracked.
        birth: the frame in which it was first seen, or pointed at.
        seen: the last frame in which it was seen.
        death: the frame in which it was given up; None while it is seen or may come back.
        trail: (frame index, x, y) the middle of its box in the last frames in which it was seen.
        state: ``"seen"`` in the current frame, ``"lost"`` (it may come back), or ``"ended"``.
    """

    object_id: int
    birth: int
    seen: int
    label: str = ""
    prompt: str = ""
    death: int | None = None
    trail: deque[tuple[int, float, float]] = field(default_factory=deque)
    state: Literal["seen", "lost", "ended"] = "seen"


class ObjectLog:
    """The objects of a stream, in the order in which they came; those that left long ago are forgotten.

    Args:
        trail: places that are remembered of each object.
    """

    def __init__(self, trail: int) -> None:
        self._trail = trail
        self.objects: dict[int, TrackedObject] = {}

    def note(self, tracked: Tracked, alive: Iterable[int], prompts: Mapping[int, str] | None = None) -> None:
        """Take in one frame; again when prompts have changed what is known of it.

        Args:
            tracked: what was found in it.
            alive: ids that are seen or may come back.
            prompts: what selected them.
        """
        index = tracked.frame.index
        boxes = tracked.masks.boxes_xyxy.tolist()
        labels = tracked.labels or ("",) * len(tracked)
        for object_id, (x1, y1, x2, y2), label in zip(tracked.ids.tolist(), boxes, labels, strict=True):
            known = self.objects.get(object_id)
            if known is None:
                empty: deque[tuple[int, float, float]] = deque(maxlen=self._trail)
                known = self.objects[object_id] = TrackedObject(object_id, index, index, trail=empty)
            known.seen, known.state, known.death = index, "seen", None
            known.label = label or known.label
            known.prompt = (prompts or {}).get(object_id, known.prompt)
            if known.trail and known.trail[-1][0] == index:
                known.trail.pop()  # a prompt has changed what was known of this frame
            known.trail.append((index, (x1 + x2) / 2, (y1 + y2) / 2))
        seen, waiting = set(tracked.ids.tolist()), set(alive)
        for object_id, known in self.objects.items():
            if object_id in seen or known.state == "ended":
                continue
            known.state = "lost" if object_id in waiting else "ended"
            known.death = None if known.state == "lost" else index
        self._forget()

    def clear(self) -> None:
        """Forget all objects: their numbers are given anew."""
        self.objects.clear()

    def _forget(self) -> None:
        """Drop the objects that left first, once there are too many."""
        ended = [i for i, known in self.objects.items() if known.state == "ended"]
        for object_id in ended[: max(len(ended) - _ENDED_KEPT, 0)]:
            del self.objects[object_id]
