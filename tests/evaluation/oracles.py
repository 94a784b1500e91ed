"""Figures of following, said slowly: contours, and the cheapest assignment."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]


def contour_pixels(mask: BoolArray) -> list[tuple[int, int]]:
    """The pixels unlike one right, below or right below of them; in the last row only right counts, in the
    last column only below."""
    height, width = mask.shape

    def unlike(y: int, x: int) -> bool:
        inside = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
        return any(mask[y, x] != mask[v, u] for v, u in inside if v < height and u < width)

    return [(y, x) for y in range(height) for x in range(width) if unlike(y, x)]


def contour_f(found: BoolArray, truth: BoolArray, tolerance: Fraction) -> Fraction:
    """DAVIS's F: contour pixels that have one of the other contour within the rounded-up tolerance."""
    height, width = found.shape
    reach = next(r for r in range(height + width + 1) if r * r >= tolerance**2 * (height**2 + width**2))
    mine, theirs = contour_pixels(found), contour_pixels(truth)
    if not mine or not theirs:
        return Fraction(int(not mine and not theirs))

    def share(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> Fraction:
        near = [any((y - v) ** 2 + (x - u) ** 2 <= reach**2 for v, u in others) for y, x in some]
        return Fraction(sum(near), len(some))

    precision, recall = share(mine, theirs), share(theirs, mine)
    return 2 * precision * recall / (precision + recall) if precision + recall else Fraction(0)


def cheapest_assignment(cost: NDArray[np.float64], limit: float) -> float:
    """The least total of matched costs plus half the limit for each row and column that stays alone."""

    def least(row: int, free: frozenset[int]) -> float:
        if row == len(cost):
            return len(free) * limit / 2
        alone = limit / 2 + least(row + 1, free)
        return min([alone, *(cost[row, c] + least(row + 1, free - {c}) for c in free)])

    return least(0, frozenset(range(cost.shape[1])))
