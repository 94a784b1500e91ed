"""Rows of a mask set, in order, with scores and the reason: what a prompt answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import checked_array, read_only, row_index
from fastsam.errors import RecordError
from fastsam.masks.maskset import MaskSet

__all__ = ["Selection"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """The answer to a prompt: K masks in order, and why.

    Attributes:
        masks: the K chosen masks.
        scores: (K,) float32, how well each fits the prompt (IoU, point score, probability).
        indices: (K,) int64, the row of the everything set that each came from; -1 for none of them.
        groups: (K,) int64, which box, object or text of the prompt each answers.
        levels: K names: ``"whole"``, ``"part"``, ``"subpart"``, or ``""`` where levels make no sense.
        edited: (K,) bool: the mask was cut or joined, so it is no longer row ``indices`` as it was.
        reason: one line: what was chosen, or why nothing was.

    Index it as an array: ``selection[0]``, ``selection[selection.scores > 0.5]``.
    """

    masks: MaskSet
    scores: FloatArray
    indices: IntArray
    groups: IntArray
    levels: tuple[str, ...]
    edited: BoolArray
    reason: str = field(default="")

    def __post_init__(self) -> None:
        """Check that the parallel arrays fit together."""
        count = len(self.masks)
        for name, dtype in (
            ("scores", np.float32),
            ("indices", np.int64),
            ("groups", np.int64),
            ("edited", bool),
        ):
            array = checked_array(getattr(self, name), dtype, name)
            if array.shape != (count,):
                raise RecordError(f"{name}: expected ({count},) for {count} masks, got {array.shape}")
            object.__setattr__(self, name, read_only(array))
        if len(self.levels) != count:
            raise RecordError(f"levels: expected {count} names for {count} masks, got {len(self.levels)}")

    @classmethod
    def of(cls, masks: MaskSet, index: Any, scores: Any, reason: str, groups: Any = None) -> Selection:
        """Return rows ``index`` of ``masks``, as they are."""
        rows = np.asarray(index, np.int64).reshape(-1)
        count = len(rows)
        return cls(
            masks=masks[rows],
            scores=np.asarray(scores, np.float32).reshape(-1),
            indices=rows,
            groups=np.zeros(count, np.int64) if groups is None else np.asarray(groups, np.int64),
            levels=("",) * count,
            edited=np.zeros(count, bool),
            reason=reason,
        )

    def __repr__(self) -> str:
        """Return how many masks and why."""
        return f"{type(self).__name__}({len(self)} masks, {self.reason!r})"

    def __len__(self) -> int:
        """Return the number of chosen masks."""
        return len(self.masks)

    def __getitem__(self, key: Any) -> Self:
        """Return the chosen rows as a new selection."""
        index = row_index(key, len(self))
        return replace(
            self,
            masks=self.masks[index],
            scores=self.scores[index],
            indices=self.indices[index],
            groups=self.groups[index],
            levels=tuple(self.levels[i] for i in index),
            edited=self.edited[index],
        )

    @property
    def boxes_xyxy(self) -> FloatArray:
        """(K, 4) float32 boxes of the chosen masks, image frame."""
        return self.masks.boxes_xyxy

    @property
    def level_names(self) -> tuple[str, ...] | None:
        """The levels, or None where they make no sense for any of the masks."""
        return self.levels if any(self.levels) else None

    def label_map(self) -> NDArray[np.int32]:
        """Return the answers as one picture, as :meth:`MaskSet.label_map`."""
        return self.masks.label_map()

    def stability_scores(self, offset: float = 1.0) -> FloatArray:
        """Return (K,) how little each answer hangs on the threshold of its logits, as SAM defines it.

        As :meth:`MaskSet.stability_scores`; with ``scores`` it is what SAM gives with its three masks.
        """
        return self.masks.stability_scores(offset)

    def group(self, number: int) -> Self:
        """Return the answers to one box, object or text of the prompt."""
        return self[self.groups == number]
