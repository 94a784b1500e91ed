"""Masks of parts of an image: against the grid that they were cut from, and against dense arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.letterbox import GridMap
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.stores.crops import CropStore
from fastsam.masks.stores.grid import GridStore
from fastsam.masks.stores.joined import JoinedStore
from fastsam.masks.stores.logits import LogitStore
from fastsam.masks.stores.store import MaskStore, lattice_axes
from tests.drawing import random_grid

PART = (96, 128)  # H, W
IMAGE = (150, 200)
OFFSET = (60, 40)
WHOLE_PART = Region(0, 0, PART[1], PART[0])


def grid_store(seed: int, count: int = 6) -> GridStore:
    return random_grid(PART, 128, count, seed)


def dense(store: MaskStore, size_hw: tuple[int, int] = IMAGE) -> NDArray[np.bool_]:
    stack = np.zeros((len(store), *size_hw), bool)
    for i in range(len(store)):
        x0, y0, patch = store.crop(i)
        stack[i, y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] = patch
    return stack


def shifted(store: GridStore) -> NDArray[np.bool_]:
    """What a part's masks are in the image."""
    full = np.zeros((len(store), IMAGE[0] + PART[0], IMAGE[1] + PART[1]), bool)
    full[:, OFFSET[1] : OFFSET[1] + PART[0], OFFSET[0] : OFFSET[0] + PART[1]] = dense(store, PART)
    return full[:, : IMAGE[0], : IMAGE[1]]


@pytest.mark.parametrize("seed", range(5))
def test_kept_logits_are_the_grids_masks_where_the_part_lies(seed: int) -> None:
    store = grid_store(seed)
    kept = LogitStore.from_grid(store, OFFSET, WHOLE_PART)
    found = np.zeros((len(kept), IMAGE[0] + PART[0], IMAGE[1] + PART[1]), bool)
    found[:] = dense(kept, (IMAGE[0] + PART[0], IMAGE[1] + PART[1]))
    wanted = shifted(store)
    assert wanted.any()
    differing = np.count_nonzero(found[:, : IMAGE[0], : IMAGE[1]] != wanted)
    assert differing <= 2e-3 * np.count_nonzero(wanted)  # float16
    assert kept.cells_px.tolist() == store.cells_px.tolist()
    for i in range(len(kept)):
        assert kept.stability(i, 1.0) == pytest.approx(store.stability(i, 1.0), abs=5e-3)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_image_does_not_cover_is_cut_off(seed: int) -> None:
    store = grid_store(seed)
    inside = Region(10, 0, 70, 55)
    kept = LogitStore.from_grid(store, (-10, 0), inside)
    stack = dense(kept, (55, 60))
    whole = dense(LogitStore.from_grid(store, (0, 0), WHOLE_PART), PART)
    np.testing.assert_array_equal(stack, whole[:, :55, 10:70])


def joined(seed: int = 0) -> tuple[JoinedStore, NDArray[np.bool_]]:
    """Masks of two kinds of stores, mixed, and their pixels."""
    low, high = grid_store(seed), grid_store(seed + 100, 3)
    parts = [LogitStore.from_grid(store, (dx, 30), WHOLE_PART) for store, dx in ((low, 5), (high, 50))]
    logits = LogitStore.joined([parts[0], replace(parts[1], grid=parts[0].grid)])
    crops = CropStore.from_crops(
        [Crop(7, 9, np.ones((20, 30), bool)), Crop(0, 0, np.eye(40, dtype=bool))], IMAGE, 3
    )
    made = JoinedStore.join([logits, crops], np.arange(4 * (len(logits) + 2)).reshape(-1, 4))
    rows = np.random.default_rng(seed).permutation(len(made))
    return made.take(rows), np.concatenate([dense(logits), dense(crops)])[rows]


@pytest.mark.parametrize("seed", range(3))
def test_a_joined_store_answers_as_its_parts(seed: int) -> None:
    store, stack = joined(seed)
    np.testing.assert_array_equal(dense(store), stack)
    random = np.random.default_rng(seed)
    points = random.integers(0, [IMAGE[1], IMAGE[0]], (40, 2))
    np.testing.assert_array_equal(store.hits(points), stack[:, points[:, 1], points[:, 0]])
    region = Region(20, 25, 90, 80)
    index = random.permutation(len(store))[:5]
    bounds = store.bounds(region, index)
    areas = stack[index].sum(axis=(1, 2))
    shared = stack[index, region.y0 : region.y1, region.x0 : region.x1].sum(axis=(1, 2))
    assert (bounds.area_low <= areas).all()
    assert (areas <= bounds.area_high).all()
    assert (bounds.shared_low <= shared).all()
    assert (shared <= bounds.shared_high).all()
    assert set(store.cells_px.tolist()) == {3.0, float(store.parts[0].cells_px[0])}
    np.testing.assert_array_equal(store.crop(0, 3).patch, store.crop(0).patch[::3, ::3])


def test_rows_keep_what_belongs_to_them() -> None:
    store, stack = joined()
    rows = np.array([4, 1, 1, 7])
    some = store.take(rows)
    np.testing.assert_array_equal(dense(some), stack[rows])
    np.testing.assert_array_equal(some.found_in, store.found_in[rows])
    assert [some.stability(k, 1.0) for k in range(4)] == [store.stability(int(row), 1.0) for row in rows]
    masks = MaskSet(IMAGE, np.zeros((len(store), 4)), np.ones(len(store)), store)
    np.testing.assert_array_equal(np.asarray(masks[rows]), stack[rows])


@pytest.mark.parametrize(
    "rectangle", [(0, 0, 200, 150), (30, 40, 70, 60), (0, 0, 3, 2), (199, 149, 200, 150)]
)
def test_pixels_in_a_rectangle(rectangle: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = rectangle
    store, stack = joined(2)
    for i in range(len(store)):
        np.testing.assert_array_equal(store.pixels_in(i, *rectangle), stack[i, y0:y1, x0:x1])
    grid = grid_store(5)
    np.testing.assert_array_equal(grid.pixels_in(1, 10, 20, 60, 70), dense(grid, PART)[1, 20:70, 10:60])


def test_no_masks() -> None:
    nothing = LogitStore.from_grid(grid_store(0).take(np.zeros(0, np.int64)), (0, 0), WHOLE_PART)
    assert len(nothing) == len(nothing.cells_px) == 0
    assert nothing.hits(np.zeros((3, 2), np.int64)).shape == (0, 3)
    empty = JoinedStore.join([nothing], np.zeros((0, 4), np.int64))
    assert empty.hits(np.zeros((2, 2), np.int64)).shape == (0, 2)
    assert len(JoinedStore.join([], np.zeros((0, 4), np.int64))) == 0
    assert len(empty.take(np.zeros(0, np.int64))) == 0


def test_what_does_not_fit_is_refused() -> None:
    store = grid_store(0)
    kept = LogitStore.from_grid(store, (0, 0), WHOLE_PART)
    other = replace(kept, grid=GridMap(store.grid.letterbox, (3, 4)))
    with pytest.raises(RecordError, match="expected one grid for all"):
        LogitStore.joined([kept, other])
    with pytest.raises(RecordError, match="expected one grid"):
        LogitStore.joined([])
    with pytest.raises(RecordError, match="joined store: expected owners"):
        JoinedStore((kept,), np.zeros(2, np.int64), np.zeros((2, 4), np.int64))
    with pytest.raises(RecordError, match="windows of shape"):
        JoinedStore.join([kept], np.zeros((1, 4), np.int64))


def test_every_store_answers_the_same_questions() -> None:
    """A lattice, a rectangle: by logits where there are some, by crops elsewhere."""
    logits, crops = joined(2)[0].parts[0], CropStore.of(joined(2)[0], IMAGE)
    for store in (grid_store(5), logits, crops, joined(2)[0]):
        size = PART if isinstance(store, GridStore) else IMAGE
        whole = dense(store, size)
        rows, columns = lattice_axes(size, 7)
        np.testing.assert_array_equal(store.lattice(size, 7), whole[:, rows][:, :, columns])
        for i in range(len(store)):
            np.testing.assert_array_equal(store.pixels_in(i, 5, 9, 60, 50), whole[i, 9:50, 5:60])
        assert (store.on_grid is store) == isinstance(store, GridStore)
