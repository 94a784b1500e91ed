"""How masks nest and what explains a region together, said slowly on dense arrays and exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tests.oracles import SAME_IOU, BoolArray, Scene, TooClose, iou, tie_key

HOLDS = Fraction(4, 5)
GAIN = Fraction(1, 50)
FEW = 4  # pixels that a mask of a group has at least


def twins(scene: Scene) -> list[int]:
    """The best scored, then smallest mask that shows the same, for each mask."""
    areas = scene.masks.sum(axis=(1, 2))
    order = sorted(range(len(areas)), key=lambda i: (-scene.twentieths[i], areas[i], i))
    found: dict[int, int] = {}
    for i in order:
        values = [(j, iou(scene.masks[i], scene.masks[j])) for j, first in found.items() if j == first]
        if any(value == SAME_IOU for _, value in values):
            raise TooClose
        found[i] = next((j for j, value in values if value > SAME_IOU), i)
    return [found[i] for i in range(len(areas))]


def parents(scene: Scene) -> list[int]:
    """The smallest mask of another thing that holds four fifths of each mask, -1 where there is none."""
    twin = twins(scene)
    areas = [int(mask.sum()) for mask in scene.masks]
    nodes = [i for i, j in enumerate(twin) if i == j]
    above = {}
    for i in nodes:
        holders = []
        for j in nodes:
            share = Fraction(int((scene.masks[i] & scene.masks[j]).sum()), max(areas[i], 1))
            if areas[i] and share == HOLDS:
                raise TooClose
            if areas[j] > areas[i] and share > HOLDS:
                holders.append(j)
        above[i] = min(holders, key=lambda j: (areas[j], j), default=-1)
    return [above[j] for j in twin]


def group(scene: Scene, region: BoolArray) -> list[int]:
    """Masks that lie by four fifths, or by half, in a region: what explains it better."""
    found = [one_by_one(scene, region, inside) for inside in (Fraction(4, 5), Fraction(1, 2))]
    worth = [iou(np.any(scene.masks[rows], axis=0), region) if rows else Fraction(0) for rows in found]
    if set(found[0]) != set(found[1]) and abs(worth[0] - worth[1]) < Fraction(1, 10**6):
        raise TooClose
    return found[0] if worth[0] >= worth[1] else found[1]


def one_by_one(scene: Scene, region: BoolArray, inside: Fraction) -> list[int]:
    """Masks in a region, one after another the one that makes the union's IoU with it the best."""
    areas = scene.masks.sum(axis=(1, 2))
    rows = []
    for i, mask in enumerate(scene.masks):
        if areas[i] >= FEW and Fraction(int((mask & region).sum()), int(areas[i])) >= inside:
            rows.append(i)
    chosen: list[int] = []
    union = np.zeros(scene.size_hw, bool)
    while set(rows) - set(chosen):
        gains = {i: iou(union | scene.masks[i], region) for i in rows if i not in chosen}
        best = min(gains, key=lambda i: (-gains[i], *tie_key(scene, i)))
        added = gains[best] - iou(union, region)
        if abs(added - GAIN) < Fraction(1, 10**5):
            raise TooClose
        if added < GAIN:
            break
        chosen.append(best)
        union |= scene.masks[best]
    return chosen
