"""Binary line maps: thinning them, and pairing the pixels of two of them one to one."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.errors import InputError

__all__ = ["LineMatcher", "thin_lines"]

BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]

# Bit k of a neighbourhood is the k-th neighbour, counter-clockwise from the right one.
_NEIGHBOURS = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], np.float32)


def _removable() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (256,) whether a pixel of that neighbourhood goes, in either of Guo and Hall's passes (1989)."""
    code = np.arange(256)
    p = [(code >> k) % 2 == 1 for k in range(8)]
    crossings = np.sum([~p[k] & (p[k + 1] | p[(k + 2) % 8]) for k in (0, 2, 4, 6)], axis=0)
    pairs = [np.sum([p[k] | p[(k + 1) % 8] for k in ks], axis=0) for ks in ((0, 2, 4, 6), (1, 3, 5, 7))]
    few = np.minimum(*pairs)
    inner = (crossings == 1) & (few >= 2) & (few <= 3)
    first = inner & ~((p[1] | p[2] | ~p[7]) & p[0])
    second = inner & ~((p[5] | p[6] | ~p[3]) & p[4])
    return first.astype(np.uint8), second.astype(np.uint8)


_PASSES = _removable()


def thin_lines(lines: BoolArray) -> BoolArray:
    """Return an (H, W) map with its lines one pixel wide, as Matlab's ``bwmorph(lines, 'thin', inf)``."""
    thinned = lines.astype(np.uint8)
    before, left = -1, cv2.countNonZero(thinned)
    while left != before:
        for goes in _PASSES:
            around = cv2.filter2D(thinned, -1, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
            thinned[cv2.LUT(around, goes) > 0] = 0
        before, left = left, cv2.countNonZero(thinned)
    return thinned.astype(bool)


class LineMatcher:
    """Pairs the pixels of line maps with those of one drawn map, as many as possible.

    The nearest free pixels are paired first. While an augmenting path is left (a free pixel, then by turns
    a pixel in reach and that one's partner, up to another free pixel), its pairs are exchanged, which makes
    one more. By Berge's theorem no matching is larger when there is none. No pixel loses its partner for
    good on the way, so pixels with a near partner stay among the paired.

    Args:
        truth: (H, W) drawn lines.
        max_distance_px: pixels farther apart are no pair.
    """

    def __init__(self, truth: BoolArray, max_distance_px: float) -> None:
        self._size_hw = truth.shape
        self._reach = reach = math.floor(max_distance_px)
        # Pixels are numbered on a grid with a rim, so that a step cannot leave it or wrap around.
        self._grid_hw = (truth.shape[0] + 2 * reach, truth.shape[1] + 2 * reach)
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        squared = dy**2 + dx**2
        disk = squared <= max_distance_px**2
        steps = (dy * self._grid_hw[1] + dx)[disk]
        self._steps: IndexArray = steps[np.argsort(squared[disk], kind="stable")].astype(np.int64)
        self._truth = self._numbers(truth)
        drawn = np.pad(truth, reach).astype(np.uint8)
        self._in_reach = cv2.dilate(drawn, disk.astype(np.uint8)).astype(bool).reshape(-1)

    def match(self, found: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Return the (H, W) pixels of ``found`` and of the drawn lines that have a partner.

        Raises:
            InputError: ``found`` is not of the drawn map's size.
        """
        if found.shape != self._size_hw:
            raise InputError(
                f"boundaries: expected two maps of one size, got {found.shape} and {self._size_hw}"
            )
        pixels = self._numbers(found)
        pixels = pixels[self._in_reach[pixels]]
        of_found, of_truth = self._nearest(pixels)
        free_found, free_truth = pixels[of_found[pixels] < 0], self._truth[of_truth[self._truth] < 0]
        # The search starts from the side with fewer free pixels: paths are the same from either end.
        if len(free_truth) <= len(free_found):
            self._augment(free_truth, pixels, of_truth, of_found)
        else:
            self._augment(free_found, self._truth, of_found, of_truth)
        return self._map(of_found >= 0), self._map(of_truth >= 0)

    def _numbers(self, lines: BoolArray) -> IndexArray:
        ys, xs = np.nonzero(lines)
        return np.asarray((ys + self._reach) * self._grid_hw[1] + xs + self._reach, np.int64)

    def _map(self, paired: BoolArray) -> BoolArray:
        inside = paired.reshape(self._grid_hw)[self._reach :, self._reach :]
        return inside[: self._size_hw[0], : self._size_hw[1]]

    def _nearest(self, pixels: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Pair what is free, step by step of rising length; -1 where a grid pixel has no partner."""
        of_found = np.full(self._in_reach.shape, -1, np.int64)
        of_truth = of_found.copy()
        free = np.zeros(self._in_reach.shape, bool)
        free[self._truth] = True
        for step in self._steps:  # one step moves all pixels alike, so no two of them meet
            partners = pixels + step
            taken = free[partners]
            if taken.any():
                of_found[pixels[taken]] = partners[taken]
                of_truth[partners[taken]] = pixels[taken]
                free[partners[taken]] = False
                pixels = pixels[~taken]
        return of_found, of_truth

    def _augment(
        self, roots: IndexArray, others: IndexArray, of_one: IndexArray, of_other: IndexArray
    ) -> None:
        """Search from all free pixels of one side at once, exchange along the paths; until there is none.

        A pixel of the other side belongs to the first tree that reaches it, and a tree gives one path: no
        two paths share a pixel. A search that finds nothing has stopped no tree, so it has seen everything
        that can be reached.

        Args:
            roots: the free pixels of one side.
            others: all pixels of the other side.
            of_one: partner of each pixel of the first side, -1 without; changed in place.
            of_other: the same of the other side.
        """
        count = len(of_one)
        exists = np.zeros(count, bool)
        exists[others] = True
        parent, root, order = (np.empty(count, np.int64) for _ in range(3))
        while True:
            unseen, finished = exists.copy(), np.zeros(count, bool)
            root[roots] = front = roots
            ends = [roots[:0]]
            while len(front):
                near = self._steps[:, None] + front  # short steps come first, so they win
                steps, places = np.nonzero(unseen[near])
                reached, known = _once(near[steps, places], order)
                unseen[reached] = False
                parent[reached] = front[places[known]]
                tree, partner = root[parent[reached]], of_other[reached]
                free = partner < 0
                _, known = _once(tree[free], order)
                ends.append(reached[free][known])
                finished[tree[free]] = True
                grows = ~finished[tree] & ~free
                front = partner[grows]
                root[front] = tree[grows]
            end = np.concatenate(ends)
            if not len(end):
                return
            while len(end):  # all paths at once, back to their roots
                one = parent[end]
                before = of_one[one]
                of_one[one], of_other[end] = end, one
                end = before[before >= 0]
            roots = roots[of_one[roots] < 0]


def _once(values: IndexArray, order: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Return each value once, and where it first stands; ``order`` is scratch space for every value."""
    places = np.arange(len(values))
    order[values[::-1]] = places[::-1]
    places = places[order[values] == places]
    return values[places], places
