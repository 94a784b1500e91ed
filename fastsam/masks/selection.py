"""Rows of a mask set, in order, with scores and the reason: what a prompt answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import frozen_array, row_index
from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rows import MaskRows

__all__ = ["Selection"]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Selection(MaskRows):
    """The answer to a prompt: K masks in order, and why.

    Attributes:
        masks: the K chosen masks.
        scores: (K,) float32, how well each fits the prompt (IoU, point score, probability).
        indices: (K,) int64, the row of the everything set that each came from; -1 for none of them.
        groups: (K,) int64, which box, object or text of the prompt each answers; zeros by default.
        levels: K names: ``"whole"``, ``"part"``, ``"subpart"``, or ``""`` where levels make no sense.
        edited: (K,) bool: the mask was cut or joined, so it is no longer row ``indices`` as it was.
        reason: one line: what was chosen, or why nothing was.
        labels: K names of what each mask shows, ``""`` where nothing tells; None where nothing tells of any.
        clicks: the (x, y, label) clicks on one object that this answers, in order, 1 for foreground and 0 for
            background; empty for other prompts. Further clicks on this answer do not forget them.

    Index it as an array: ``selection[0]``, ``selection[selection.scores > 0.5]``. Iterating yields one object
    at a time, a selection of one row: its ``mask``, ``box``, ``score``, ``label``, ``level``, ``area_px``,
    ``polygon`` and ``rle`` are those of that object. ``np.asarray(selection)`` is the (K, H, W) boolean
    stack.
    """

    masks: MaskSet
    scores: FloatArray
    indices: IntArray
    # None stands for "nothing special", which takes the number of masks to write down.
    groups: IntArray = None  # type: ignore[assignment]
    levels: tuple[str, ...] = None  # type: ignore[assignment]
    edited: BoolArray = None  # type: ignore[assignment]
    reason: str = ""
    labels: tuple[str, ...] | None = None
    clicks: tuple[tuple[float, float, int], ...] = ()

    def __post_init__(self) -> None:
        """Check that the parallel arrays fit together."""
        count = len(self.masks)
        nothing: dict[str, Any] = {
            "groups": np.zeros(count, np.int64), "levels": ("",) * count, "edited": np.zeros(count, bool)
        }  # fmt: skip
        for name, default in nothing.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        for name, dtype in (
            ("scores", np.float32),
            ("indices", np.int64),
            ("groups", np.int64),
            ("edited", bool),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype, (count,), name))
        for name in ("levels", "labels"):
            names = getattr(self, name)
            if names is not None and len(names) != count:
                raise RecordError(f"{name}: expected {count} names for {count} masks, got {len(names)}")

    @classmethod
    def of(
        cls,
        masks: MaskSet,
        index: Any,
        scores: Any,
        reason: str,
        groups: Any = None,
        labels: Sequence[str] | None = None,
    ) -> Selection:
        """Return rows ``index`` of ``masks``, as they are."""
        rows = np.asarray(index, np.int64).reshape(-1)
        return Selection(
            masks=masks[rows],
            scores=np.asarray(scores, np.float32).reshape(-1),
            indices=rows,
            groups=np.zeros(len(rows), np.int64) if groups is None else np.asarray(groups, np.int64),
            reason=reason,
            labels=None if labels is None else tuple(labels),
        )

    @classmethod
    def edited_masks(
        cls, masks: MaskSet, crops: Sequence[Crop], rows: Any, scores: Any, reason: str, **columns: Any
    ) -> Selection:
        """Return masks that were cut or joined.

        Args:
            masks: the everything set.
            crops: K masks as they are now.
            rows: (K,) the row that each was before; -1 for none, whose quality counts as 1.
            scores: (K,) how well each fits.
            reason: what was done.
            columns: further columns of the selection, such as ``groups``.
        """
        before = np.asarray(rows, np.int64).reshape(-1)
        quality = np.append(masks.scores, np.float32(1))[before]  # -1 is the last one
        edited = columns.pop("edited", np.ones(len(before), bool))
        return Selection(
            MaskSet.from_crops(crops, masks.size_hw, quality),
            np.asarray(scores, np.float32).reshape(-1),
            before,
            edited=edited,
            reason=reason,
            **columns,
        )

    @classmethod
    def join(cls, parts: Sequence[Selection], size_hw: tuple[int, int], reason: str) -> Selection:
        """Return the answers of several selections of one image, in order.

        Args:
            parts: any number of them.
            size_hw: the image's size.
            reason: of the whole.

        Raises:
            RecordError: they are of images of different sizes.
        """

        def column(name: str, dtype: Any) -> NDArray[Any]:
            return np.concatenate([np.zeros(0, dtype), *(getattr(part, name) for part in parts)]).astype(
                dtype
            )

        names = [part.labels or ("",) * len(part) for part in parts]
        named = any(part.labels is not None for part in parts)
        return Selection(
            masks=MaskSet.concatenate([part.masks for part in parts], size_hw),
            scores=column("scores", np.float32),
            indices=column("indices", np.int64),
            groups=column("groups", np.int64),
            levels=tuple(level for part in parts for level in part.levels),
            edited=column("edited", bool),
            reason=reason,
            labels=tuple(name for part in names for name in part) if named else None,
        )

    def __repr__(self) -> str:
        """Return how many masks and why."""
        return f"{type(self).__name__}({len(self)} mask{'s' * (len(self) != 1)}, {self.reason!r})"

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
            labels=None if self.labels is None else tuple(self.labels[i] for i in index),
        )

    def row_facts(self, i: int) -> dict[str, Any]:
        """Return the row of the everything set, the group and the level of a mask."""
        return {"row": int(self.indices[i]), "group": int(self.groups[i]), "level": self.levels[i]}

    @property
    def level(self) -> str:
        """The level of the one mask; ``""`` where levels make no sense."""
        self.only_row("level")
        return self.levels[0]

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
