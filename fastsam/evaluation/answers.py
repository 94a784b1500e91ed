"""How good scored answers are: right, wrong or neither, at one threshold and over all of them.

An answer is a mask that is said to show what a text names. Nothing here knows of images or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError
from fastsam.evaluation.metrics import mean

__all__ = ["NEITHER", "RIGHT", "WRONG", "Answers", "average_precision", "hit_rate", "judge", "known_figures"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

RIGHT, WRONG, NEITHER = 1, 0, -1


def judge(
    scores: NDArray[np.floating], ious: NDArray[np.floating], excused: BoolArray, iou: float = 0.5
) -> IntArray:
    """Return (N,) whether each of N answers is right, wrong, or neither.

    Answers choose objects one to one, best score first; each takes the object that it overlaps most of
    those that are left. One that fits an object that is taken shows it a second time: whoever looks at the
    answer sees the right object marked, so it is not wrong, but finds nothing new either. What is decided
    about an answer depends on better ones only, so that it holds at any threshold.

    Args:
        scores: (N,) of the answers.
        ious: (N, G) of answers and objects.
        excused: (N,) wrong answers that do not count, as they lie in a region of uncounted objects.
        iou: least overlap.

    >>> judge(np.array([0.9, 0.8, 0.7]), np.array([[0.6], [0.9], [0.1]]), np.zeros(3, bool)).tolist()
    [1, -1, 0]
    """
    verdicts = np.where(excused, NEITHER, WRONG).astype(np.int64)
    if not ious.shape[1]:
        return verdicts
    free = np.ones(ious.shape[1], bool)
    for row in np.argsort(-np.asarray(scores), kind="stable"):
        fits = ious[row] >= iou
        if (fits & free).any():
            free[int(np.where(fits & free, ious[row], -1.0).argmax())] = False
            verdicts[row] = RIGHT
        elif fits.any():
            verdicts[row] = NEITHER
    return verdicts


def average_precision(scores: NDArray[np.floating], right: BoolArray, objects: int) -> float | None:
    """Return the mean, over the objects, of the precision at the threshold that finds each; None without any.

    An object that no answer finds counts as 0. Equal scores enter together, so that their order is no luck.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 2)
    0.8333333333333333
    """
    if objects == 0:
        return None
    right_so_far, wrong, _ = _curve(scores, right)
    gained = np.diff(right_so_far, prepend=0)
    return float((gained * right_so_far / np.maximum(right_so_far + wrong, 1)).sum() / objects)


def _curve(
    scores: NDArray[np.floating], right: BoolArray
) -> tuple[FloatArray, FloatArray, NDArray[np.floating]]:
    """Return how many right and wrong answers there are at each threshold, and the thresholds, falling."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    values = np.asarray(scores)[order]
    ends = np.flatnonzero(np.diff(values, append=-np.inf))
    right_so_far = np.cumsum(right[order], dtype=np.float64)[ends]
    wrong = np.cumsum(~right[order], dtype=np.float64)[ends]
    return right_so_far, wrong, values[ends]


@dataclass(frozen=True, eq=False)
class Answers:
    """All K answers to C texts on many images that are right or wrong; those that are neither are left out.

    Attributes:
        scores: (K,) above 0.
        right: (K,) bool.
        texts: (K,) which text.
        objects: (C,) how many objects each text should have found.
        absent: (P,) the best score of each pair of an image and a text that nothing in it shows; 0 where
            there is no answer at all.
    """

    scores: FloatArray
    right: BoolArray
    texts: IntArray
    objects: IntArray
    absent: FloatArray

    def figures(self, threshold: float) -> dict[str, float | None]:
        """Return precision, recall and F1 at a threshold, average precision, and false alarms.

        ``macro_`` figures are means over the texts that have objects; the others pool all answers. A
        text without any answer has a recall of 0, an F1 of 0 and no precision.
        """
        over = self.scores >= threshold
        hits, wrong = over & self.right, over & ~self.right
        count = len(self.objects)
        by_text = [np.bincount(self.texts[which], minlength=count) for which in (hits, wrong)]
        pooled = _precision_recall_f1(*(each.sum(keepdims=True) for each in (*by_text, self.objects)))
        present = self.objects > 0
        single = _precision_recall_f1(*(each[present] for each in (*by_text, self.objects)))
        names = ("precision", "recall", "F1")
        aps = [self._average_precision(text) for text in np.flatnonzero(present).tolist()]
        best, at = self._best_f1()
        return {
            **{name: mean(value) for name, value in zip(names, pooled, strict=True)},
            **{f"macro_{name}": mean(value) for name, value in zip(names, single, strict=True)},
            "AP": average_precision(self.scores, self.right, int(self.objects.sum())),
            "macro_AP": mean(np.array(aps, np.float64)),
            "best_F1": best,
            "best_threshold": at,
            "false_alarms": mean((self.absent >= max(threshold, np.finfo(float).tiny)).astype(float)),
        }

    def _average_precision(self, text: int) -> float | None:
        mine = self.texts == text
        return average_precision(self.scores[mine], self.right[mine], int(self.objects[text]))

    def _best_f1(self) -> tuple[float | None, float | None]:
        """Return the highest pooled F1 of any threshold, and that threshold."""
        total = int(self.objects.sum())
        if total == 0 or len(self.scores) == 0:
            return (None if total == 0 else 0.0), None
        hits, wrong, thresholds = _curve(self.scores, self.right)
        f1 = 2 * hits / (hits + wrong + total)
        return float(f1.max()), float(thresholds[int(f1.argmax())])


def _precision_recall_f1(found: IntArray, wrong: IntArray, objects: IntArray) -> tuple[FloatArray, ...]:
    """Return the three of each row; NaN where there is nothing to divide by."""
    return tuple(
        np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
        for part, whole in (
            (found.astype(np.float64), found + wrong),
            (found.astype(np.float64), objects),
            (2.0 * found, found + wrong + objects),
        )
    )


def known_figures(
    likely: NDArray[np.floating], truth: IntArray, threshold: float, ranks: Sequence[int] = (1, 5)
) -> dict[str, float | None]:
    """Return how often the right name of an object is among the most probable ones.

    Args:
        likely: (C, G) probability of each name for each object; all 0 for objects too small to tell.
        truth: (G,) the right name.
        threshold: below it an object is unknown.
        ranks: how many of the best names count.

    Returns:
        ``top1``, ``top5``; ``macro_top1``, the mean over the names that objects have; ``named``, the share
        of objects whose best name reaches the threshold, and ``named_right``, the share of those that it is
        the right name of.
    """
    described = likely.max(axis=0, initial=0.0) > 0
    own = likely[truth, np.arange(len(truth))]
    # Equally probable names come first: no luck.
    place = np.where(described, (likely >= own).sum(axis=0), len(likely) + max(ranks))
    named = described & (likely.max(axis=0, initial=0.0) >= threshold)
    first = place <= 1
    return {
        **{f"top{rank}": mean((place <= rank).astype(float)) for rank in ranks},
        "macro_top1": mean(np.array([first[truth == name].mean() for name in np.unique(truth)])),
        "named": mean(named.astype(float)),
        "named_right": mean(first[named].astype(float)),
    }


def hit_rate(similarity: FloatArray, own: BoolArray, rank: int) -> float | None:
    """Return R@rank: how many rows have one of their own among their ``rank`` most similar columns.

    Args:
        similarity: (Q, K) of queries and candidates.
        own: (Q, K) bool: what a query should find.
        rank: how many candidates count.

    Raises:
        InputError: the arrays do not fit together.

    >>> hit_rate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.eye(2, dtype=bool), 1)
    0.5
    """
    if similarity.shape != own.shape or similarity.ndim != 2:
        raise InputError(
            f"similarity: expected (queries, candidates) as own, got {similarity.shape}, {own.shape}"
        )
    if similarity.size == 0:
        return None
    best = np.where(own, similarity, -np.inf).max(axis=1, keepdims=True)
    better = ((similarity >= best) & ~own).sum(axis=1)
    return mean((better < rank).astype(float))
