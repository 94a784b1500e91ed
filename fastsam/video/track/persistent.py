"""Prompts that stay: a text or a reference looks at every mask that comes into sight, once or a few times.

Showing a mask to the text-image model costs more than tracking it. So each *track* is looked at when it is
new, the largest first and some in a frame, and again only when it has grown or after a while.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam.masks.selection import Selection
from fastsam.prompts import Prompt, Text
from fastsam.prompts.spec import class_names
from fastsam.video.track.grid_frame import GridFrame

if TYPE_CHECKING:
    from fastsam.video.track.tracking import FrameView

__all__ = ["PersistentPrompt"]

_GROWN = 1.5  # times its area at the last look
_AGAIN = 30  # frames after which a track is looked at again
_LOOKS = 4  # at most, at a track that was never selected
_REMEMBERED = 4096  # tracks that were looked at


@dataclass(eq=False)
class _Looked:
    frame: int
    area: float
    times: int


class PersistentPrompt:
    """A prompt that stays.

    Attributes:
        prompt: what it asks.
        objects: ids of the objects that it selected and that are followed.
        best: for each text, by its name, the highest score of any mask so far, whether it was enough or not.
    """

    def __init__(self, prompt: Prompt, label: str = "") -> None:
        self.prompt, self._label = prompt, label
        self.objects: set[int] = set()
        self.best: dict[str, float] = {}
        self._looked: OrderedDict[int, _Looked] = OrderedDict()

    def look(
        self, view: FrameView, scene: GridFrame, ids: NDArray[np.int64], conf: float, limit: int
    ) -> list[tuple[int, float, str]]:
        """Look at tracks that may be new, ``limit`` at most; return (row, score, label) of those selected.

        Args:
            view: the frame.
            scene: the same, on the grid.
            ids: (N,) the track of each mask, 0 for none.
            conf: least score of a mask.
            limit: how many.
        """
        frame = view.frame.index
        waiting = [
            (float(scene.areas[row]), row, int(ids[row]))
            for row in np.flatnonzero((ids > 0) & (view.masks.scores >= conf)).tolist()
            if self._worth(int(ids[row]), float(scene.areas[row]), frame)
        ]
        chosen = sorted(waiting, reverse=True)[:limit]
        if not chosen:
            return []
        rows = np.array([row for _, row, _ in chosen], np.int64)
        answer = self._answer(view.only(rows))
        for area, _, track in chosen:
            known = self._looked.setdefault(track, _Looked(frame, area, 0))
            known.frame, known.area, known.times = frame, area, known.times + 1
            self._looked.move_to_end(track)
        while len(self._looked) > _REMEMBERED:
            self._looked.popitem(last=False)
        labels = answer.labels or ("",) * len(answer)
        return [
            (int(rows[index]), float(score), self._label or label)
            for index, score, label in zip(answer.indices, answer.scores, labels, strict=True)
            if index >= 0
        ]

    @property
    def not_found(self) -> dict[str, float]:
        """Names of texts that no mask has been enough for, each with the highest score of any."""
        if not isinstance(self.prompt, Text):
            return {}
        scores = {name: self.best.get(name, 0.0) for name in class_names(self.prompt)}
        return {text: best for text, best in scores.items() if best < self.prompt.threshold or best <= 0}

    def _answer(self, view: FrameView) -> Selection:
        """Return what the prompt selects; of texts the scores of all masks are noted."""
        if not isinstance(self.prompt, Text):
            return view.select(self.prompt)
        every = view.select(replace(self.prompt, threshold=0.0))
        for text, score in zip(every.labels or (), every.scores.tolist(), strict=every.labels is not None):
            self.best[text] = max(self.best.get(text, 0.0), score)
        return every[every.scores >= self.prompt.threshold]

    def leave(self, object_id: int, track: int) -> None:
        """Select an object no longer, nor the track that it is: it was removed."""
        if object_id in self.objects:
            self.objects.discard(object_id)
            known = self._looked.setdefault(track, _Looked(0, 0.0, 0))
            known.times = _LOOKS

    def _worth(self, track: int, area: float, frame: int) -> bool:
        """Tell whether a track should be looked at (again)."""
        known = self._looked.get(track)
        if known is None:
            return True
        return known.times < _LOOKS and (area > _GROWN * known.area or frame - known.frame >= _AGAIN)
