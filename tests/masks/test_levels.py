"""The containment tree against its slow twin, and on grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from fastsam.errors import InputError, PromptError
from fastsam.masks.dense import iou_matrix
from fastsam.masks.levels import LEVELS, check_level, containment_tree, overlaps, samples_of
from fastsam.masks.maskset import MaskSet
from fastsam.masks.stores.grid import GridStore
from tests import nesting
from tests.drawing import ellipse, mask_set, random_grid, rectangle, scenes
from tests.oracles import Scene, TooClose, containment_shares

SIZE = (60, 80)


def street() -> Scene:
    """A person twice, a coat on it, a button on that, a car that hides a bit of the person, a wheel."""
    person = rectangle(SIZE, 5, 5, 25, 55)
    return Scene(
        np.stack(
            [
                person,
                rectangle(SIZE, 5, 5, 26, 56),
                rectangle(SIZE, 6, 15, 24, 40),
                ellipse(SIZE, 12, 20, 16, 24),
                rectangle(SIZE, 22, 30, 78, 58),
                ellipse(SIZE, 60, 46, 72, 58),
            ]
        ),
        (16, 18, 14, 12, 10, 8),
    )


def test_a_street() -> None:
    tree = containment_tree(mask_set(street()))
    assert tree.twin.tolist() == [1, 1, 2, 3, 4, 5]
    assert tree.parent.tolist() == [-1, -1, 1, 2, -1, 4]
    assert tree.depth.tolist() == [0, 0, 1, 2, 0, 1]
    assert tree.names == ("whole", "whole", "part", "subpart", "whole", "part")
    assert [tree.at(level).tolist() for level in LEVELS] == [[0, 1, 4], [2, 5], [3]]
    assert tree.roots.tolist() == [0, 1, 4]
    assert [tree.children(i).tolist() for i in range(6)] == [[2], [2], [3], [], [5], []]
    assert [tree.ancestors(i) for i in (3, 2, 0)] == [[2, 1], [1], []]
    assert len(tree) == 6
    with pytest.raises(ValueError, match="read-only"):
        tree.parent[0] = 3


@given(st.data())
def test_agrees_with_its_slow_twin(data: st.DataObject) -> None:
    scene = data.draw(scenes())
    try:
        twins, parents = nesting.twins(scene), nesting.parents(scene)
    except TooClose:
        reject()
    tree = containment_tree(mask_set(scene))
    assert tree.twin.tolist() == twins
    assert tree.parent.tolist() == parents
    for i, parent in enumerate(tree.parent):
        assert tree.depth[i] == (0 if parent < 0 else tree.depth[parent] + 1)
        assert tree.depth[i] == len(tree.ancestors(i))


@given(scenes())
def test_overlaps_of_small_images_are_exact(scene: Scene) -> None:
    found = overlaps(mask_set(scene))
    assert np.allclose(found.shares, containment_shares(scene.masks), atol=1e-6)
    assert np.allclose(found.ious(), iou_matrix(scene.masks, scene.masks), atol=1e-6)
    assert found.areas_px.tolist() == scene.masks.sum(axis=(1, 2)).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [(480, 640), (900, 300)])
def test_large_images_are_estimated_well(size: tuple[int, int], seed: int) -> None:
    """Masks on the grid, of which some have only a few pixels."""
    store = random_grid(size, 320, count=20, seed=seed)
    boxes = store.boxes_xyxy.copy()
    boxes[15:, 2:] = boxes[15:, :2] + np.array([9, 14], np.float32)
    tiny = GridStore(store.coefficients, store.prototypes, boxes, store.grid)
    masks = MaskSet.from_grid(tiny, np.linspace(0.9, 0.5, 20, dtype=np.float32))
    dense = np.asarray(masks)
    found, shares = overlaps(masks), containment_shares(dense)
    assert abs(found.shares - shares).max() < 0.25
    assert abs(found.shares - shares).mean() < 0.01
    assert abs(found.ious() - iou_matrix(dense, dense)).max() < 0.1
    assert np.allclose(found.areas_px, dense.sum(axis=(1, 2)), rtol=0.3, atol=130)


def test_samples_of_equal_sizes_are_of_the_same_pixels() -> None:
    store = random_grid((500, 700), 320, seed=1)
    masks = MaskSet.from_grid(store, np.ones(len(store), np.float32))
    again = MaskSet.from_dense(np.asarray(masks))
    assert samples_of(masks).shape[1:] <= (192, 192)
    assert np.count_nonzero(samples_of(masks) != samples_of(again)) <= 2  # logits of about 0


def test_no_masks() -> None:
    tree = containment_tree(MaskSet.none(SIZE))
    assert (len(tree), tree.names, tree.roots.tolist(), tree.at("part").tolist()) == (0, (), [], [])
    assert overlaps(MaskSet.none((900, 900))).ious().shape == (0, 0)


def test_masks_without_pixels_are_roots() -> None:
    masks = np.zeros((3, 400, 400), bool)
    masks[0] = True
    tree = containment_tree(MaskSet.from_dense(masks))
    assert tree.parent.tolist() == [-1, -1, -1]
    assert tree.twin.tolist() == [0, 1, 2]


@pytest.mark.parametrize("threshold", [0.5, 0, 1.01, float("nan")])
def test_bad_thresholds(threshold: float) -> None:
    with pytest.raises(InputError, match=r"threshold: expected a share above 0\.5, 1 at most"):
        containment_tree(MaskSet.none(SIZE), threshold)


@pytest.mark.parametrize("level", ["auto", "", "Whole", 1, None, np.zeros(2)[:0].tolist()])
def test_bad_levels(level: Any) -> None:
    with pytest.raises(PromptError, match=r"level .*: expected one of whole, part, subpart"):
        check_level(level)
