"""The masks of one frame of a video, with ids that stay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import frozen_array
from fastsam.errors import RecordError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.pictured import Pictured

__all__ = ["Tracked"]


@dataclass(frozen=True, eq=False, repr=False)
class Tracked(Pictured):
    """K masks of one frame, each with the id of the object that it shows.

    Attributes:
        frame: the image; ``frame.index`` counts the frames of the source, ``frame.t_ms`` is its time.
        masks: the K masks; ``masks.scores`` is how good each mask is.
        ids: (K,) int64, at least 1; an object keeps its id for as long as the stream lives.
        scores: (K,) float32 in 0..1, how sure it is that the mask shows that object.
        labels: what each object is, where words were asked for; else None.
        lost: ids of followed objects that are not seen in this frame.
        times_ms: what each stage took: ``read``, ``prepare``, ``network``, ``decode``, ``track``, ...

    Index it as an array: ``tracked[tracked.ids == 3]``. Iterating yields one object at a time, with ``id``,
    ``mask``, ``box``, ``score`` and ``label``. It draws, shows, saves and exports itself as a result of a
    photo.
    """

    frame: Frame
    masks: MaskSet
    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: tuple[str, ...] | None = None
    lost: tuple[int, ...] = ()
    times_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parallel arrays fit together."""
        count = len(self.masks)
        if self.masks.size_hw != self.frame.size_hw:
            raise RecordError(
                f"masks: expected those of a {self.frame.size_hw} frame, got {self.masks.size_hw}"
            )
        for name, dtype in (("ids", np.int64), ("scores", np.float32)):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype, (count,), name))
        if len(np.unique(self.ids)) != count or (count and self.ids.min() < 1):
            raise RecordError(f"ids: expected {count} different numbers from 1 on, got {self.ids.tolist()}")
        if self.labels is not None and len(self.labels) != count:
            raise RecordError(f"labels: expected {count} names for {count} masks, got {len(self.labels)}")

    @classmethod
    def none(cls, frame: Frame, lost: tuple[int, ...] = ()) -> Tracked:
        """Return a frame that shows no object."""
        nothing = MaskSet.none(frame.size_hw)
        return cls(frame, nothing, np.zeros(0, np.int64), np.zeros(0, np.float32), lost=lost)

    def __repr__(self) -> str:
        """Return which frame and which ids."""
        return f"Tracked({self.frame.name!r}, ids {self.ids.tolist()}, lost {list(self.lost)})"

    def __getitem__(self, key: Any) -> Self:
        """Return the chosen rows."""
        rows = np.atleast_1d(np.arange(len(self))[key])
        return replace(
            self,
            masks=self.masks[rows],
            ids=self.ids[rows],
            scores=self.scores[rows],
            labels=None if self.labels is None else tuple(self.labels[i] for i in rows),
        )

    @property
    def id(self) -> int:
        """The id of the one object."""
        self.only_row("id")
        return int(self.ids[0])

    def mask_of(self, object_id: int) -> NDArray[np.bool_]:
        """Return the (H, W) pixels of an object in this frame; none where it is not seen."""
        rows = np.flatnonzero(self.ids == object_id)
        return self.masks.mask(int(rows[0])) if len(rows) else np.zeros(self.frame.size_hw, bool)

    def drawing(self) -> dict[str, Any]:
        """Return the captions; an id keeps its colour."""
        return {"labels": self.captions, "rows": self.ids.tolist()}

    def row_facts(self, i: int) -> dict[str, Any]:
        """Return the id of an object."""
        return {"id": int(self.ids[i])}

    def to_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types, with the frame's ``index`` and ``t_ms``, and what is ``lost``."""
        return {
            **super().to_dict(),
            "index": self.frame.index,
            "t_ms": self.frame.t_ms,
            "lost": [int(i) for i in self.lost],
        }

    def _tracker_ids(self) -> NDArray[np.int64]:
        return np.array(self.ids, np.int64)

    @property
    def captions(self) -> list[str]:
        """Each object's id, with its label where there is one."""
        labels = self.labels or ("",) * len(self)
        return [f"{i} {label}".strip() for i, label in zip(self.ids.tolist(), labels, strict=True)]
