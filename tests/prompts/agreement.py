"""Does a fast answer agree with its oracle's?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import reject

from fastsam.masks.selection import Selection
from fastsam.prompts import select
from tests import oracles
from tests.drawing import mask_set


def expected(scene: oracles.Scene, prompt: Any) -> list[oracles.Answer]:
    """The oracle's answer; a scene that hangs on rounding is drawn again."""
    try:
        return oracles.select(scene, prompt)
    except oracles.TooClose:
        reject()


def assert_agrees(scene: oracles.Scene, prompt: Any, *, ordered: bool = True) -> Selection:
    """Compare pixels, groups, levels, scores and marks of a selection with the oracle's."""
    wanted = expected(scene, prompt)
    found = select(mask_set(scene), prompt)
    assert (found.masks.size_hw, len(found)) == (scene.size_hw, len(wanted)), found.reason
    if not ordered:
        wanted = sorted(wanted, key=lambda one: (one.group, one.pixels.tobytes(), one.score))
        found = found[_order(found)]
    for k, one in enumerate(wanted):
        assert np.array_equal(found.masks.mask(k), one.pixels), f"pixels of answer {k}: {found.reason}"
    assert found.groups.tolist() == [one.group for one in wanted]
    assert found.levels == tuple(one.level for one in wanted)
    assert found.edited.tolist() == [one.edited for one in wanted]
    assert np.allclose(found.scores, [one.score for one in wanted], atol=1e-5)
    for k in np.flatnonzero(~found.edited):
        assert np.array_equal(scene.masks[found.indices[k]], found.masks.mask(int(k)))
    assert found.reason
    return found


def _order(found: Selection) -> list[int]:
    def key(k: int) -> tuple[int, bytes, float]:
        return int(found.groups[k]), found.masks.mask(k).tobytes(), float(found.scores[k])

    return sorted(range(len(found)), key=key)


def permuted(scene: oracles.Scene, order: Sequence[int]) -> oracles.Scene:
    """The same masks in another order."""
    return oracles.Scene(scene.masks[list(order)], tuple(scene.twentieths[i] for i in order))


def pixels(found: Selection) -> list[tuple[int, str, bytes]]:
    """What a selection shows, whatever rows it came from."""
    return [(int(found.groups[k]), found.levels[k], found.masks.mask(k).tobytes()) for k in range(len(found))]


def assert_order_does_not_matter(scene: oracles.Scene, prompt: Any, order: Sequence[int]) -> None:
    """The answer of permuted masks has the same pixels."""
    first, second = select(mask_set(scene), prompt), select(mask_set(permuted(scene, order)), prompt)
    assert sorted(pixels(first)) == sorted(pixels(second))
