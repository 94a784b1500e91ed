"""Where the pixels live: each store against dense arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsam.errors import RecordError
from fastsam.masks.crop import Crop
from fastsam.masks.letterbox import GridMap
from fastsam.masks.region import Region
from fastsam.masks.stores.crops import CropStore
from fastsam.masks.stores.grid import GridStore
from fastsam.masks.stores.store import MaskStore
from tests.drawing import blob, random_grid, rectangle, scenes

# Image sizes, network sizes; the padding needs the grid refined by 1, 2 and 4; images larger and smaller
# than the grid, and of extreme shapes.
GRIDS = [
    ((120, 128), 128, 1),
    ((84, 128), 128, 2),
    ((101, 128), 128, 4),
    ((301, 203), 160, None),
    ((500, 40), 160, None),
    ((7, 400), 128, None),
    ((20, 31), 256, None),
    ((1, 1), 64, None),
    ((257, 255), 96, None),
]


def logits(store: GridStore) -> NDArray[np.float32]:
    """The reference: ultralytics' own upsampling of every logit of every mask."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    ops = pytest.importorskip("ultralytics.utils.ops")
    grid = torch.from_numpy(np.tensordot(store.coefficients, store.prototypes, axes=1))[None]
    factor = store.grid._upsample
    if factor > 1:
        grid = functional.interpolate(grid, scale_factor=factor, mode="bilinear")
    return np.asarray(ops.scale_masks(grid, store.grid.letterbox.image_hw)[0].numpy())


def reference(store: GridStore) -> NDArray[np.bool_]:
    """ultralytics' masks of the store."""
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("ultralytics.utils.ops")
    found = ops.process_mask_native(
        torch.from_numpy(store.prototypes),
        torch.from_numpy(store.coefficients),
        torch.from_numpy(store.boxes_xyxy),
        store.grid.letterbox.image_hw,
    )
    return np.asarray(found.numpy().astype(bool))


def dense(store: MaskStore, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Every mask, decoded."""
    stack = np.zeros((len(store), *size_hw), bool)
    for i in range(len(store)):
        x0, y0, patch = store.crop(i)
        stack[i, y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] = patch
    return stack


@pytest.fixture(params=GRIDS, ids=lambda grid: f"{grid[0][0]}x{grid[0][1]}@{grid[1]}")
def store(request: pytest.FixtureRequest) -> GridStore:
    image_hw, imgsz, factor = request.param
    made = random_grid(image_hw, imgsz, seed=sum(image_hw))
    assert factor is None or made.grid._upsample == factor
    return made


def regions(size_hw: tuple[int, int]) -> list[Region]:
    """Boxes and bitmaps: all, a part, a corner, a thin one, noise, nothing."""
    height, width = size_hw
    boxes = [(0, 0, 1, 1), (0.2, 0.3, 0.7, 0.8), (0.9, 0.9, 1, 1), (0.5, 0, 0.51, 1), (0, 0.4, 1, 0.41)]
    scale = np.array([width, height, width, height])
    found = [Region.from_box(np.array(box) * scale, size_hw) for box in boxes]
    noise = blob(size_hw, 7)
    part = noise & rectangle(size_hw, width // 4, height // 4, width, height)
    return [*found, *(Region.from_mask(m) for m in (noise, part, np.zeros(size_hw, bool)))]


def test_grid_masks_are_the_reference(store: GridStore) -> None:
    size = store.grid.letterbox.image_hw
    found, wanted = dense(store, size), reference(store)
    doubtful = np.abs(logits(store)) < 1e-4
    assert np.array_equal(found | doubtful, wanted | doubtful)
    assert doubtful.mean() < 0.01


def test_grid_hits_are_the_pixels(store: GridStore) -> None:
    height, width = store.grid.letterbox.image_hw
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    pick = np.random.default_rng(0).permutation(len(x))[:500]
    x, y = x[pick], y[pick]
    found = store.hits(np.stack([x, y], axis=1))
    doubtful = np.abs(logits(store)[:, y, x]) < 1e-4
    assert np.array_equal(found | doubtful, dense(store, (height, width))[:, y, x] | doubtful)
    assert store.hits(np.zeros((0, 2), np.int64)).shape == (len(store), 0)


def test_grid_bounds_bracket_the_truth(store: GridStore) -> None:
    size = store.grid.letterbox.image_hw
    masks = dense(store, size)
    for index in (np.arange(len(store)), np.array([4, 0]), np.zeros(0, np.int64)):
        for region in regions(size):
            bounds = store.bounds(region, index)
            area = masks[index].sum(axis=(1, 2))
            shared = np.array([region.shared_px(0, 0, masks[i]) for i in index], int)
            assert all(len(values) == len(index) and values.dtype == np.int64 for values in bounds)
            assert (bounds.area_low <= area).all()
            assert (area <= bounds.area_high).all()
            assert (bounds.shared_low <= shared).all()
            assert (shared <= bounds.shared_high).all()


def test_grid_bounds_are_worth_having() -> None:
    """On a grid of 4 px cells and smooth masks, the undecided rim is a small part."""
    store = random_grid((480, 640), 640, seed=3)
    bounds = store.bounds(Region(0, 0, 640, 480), np.arange(len(store)))
    assert bounds.area_low.sum() > 0.4 * bounds.area_high.sum()


def test_grid_bounds_of_a_huge_mask_do_not_round() -> None:
    """float32 cannot count above 2**24 pixels."""
    store = random_grid((4200, 4100), 64, count=2)
    full = GridStore(
        np.array([[1, 0, 0, 0]], np.float32), np.ones_like(store.prototypes), store.boxes_xyxy[:1], store.grid
    )
    region = Region(1, 0, 4100, 4199)
    bounds = full.bounds(region, np.array([0]))
    assert [int(values[0]) for values in bounds] == [4200 * 4100] * 2 + [4199 * 4099] * 2
    bitmap = Region(1, 0, 4100, 4199, np.ones((4199, 4099), bool))
    assert [int(values[0]) for values in full.bounds(bitmap, np.array([0]))] == [4200 * 4100] * 2 + [
        4199 * 4099
    ] * 2


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_sampled_crop_is_every_nth_pixel(store: GridStore, step: int) -> None:
    for i in range(len(store)):
        x0, y0, patch = store.crop(i)
        assert store.crop(i, step)[:2] == (x0, y0)
        assert np.array_equal(store.crop(i, step).patch, patch[::step, ::step])
    crops = CropStore.from_crops([store.crop(i) for i in range(len(store))], store.grid.letterbox.image_hw)
    for i in range(len(crops)):
        assert np.array_equal(crops.crop(i, step).patch, crops.crop(i).patch[::step, ::step])


def test_grid_stability_is_the_share_that_both_thresholds_keep(store: GridStore) -> None:
    values = logits(store)
    inside = np.stack([rectangle(store.grid.letterbox.image_hw, *window) for window in store._windows])
    for offset in (0.1, 1.0):
        smaller = (inside & (values > offset)).sum(axis=(1, 2))
        larger = (inside & (values > -offset)).sum(axis=(1, 2))
        for i in range(len(store)):
            wanted = smaller[i] / larger[i] if larger[i] else 0
            assert store.stability(i, offset) == pytest.approx(wanted, abs=2e-3)


def test_take_shares_the_prototypes(store: GridStore) -> None:
    some = store.take(np.array([3, 1, 1]))
    assert len(some) == 3
    assert some.prototypes is store.prototypes
    for k, i in enumerate((3, 1, 1)):
        assert np.array_equal(some.crop(k).patch, store.crop(i).patch)
    assert len(store.take(np.zeros(0, np.int64))) == 0


def test_a_grid_box_without_pixels_is_an_empty_mask() -> None:
    store = random_grid((60, 80), 64, count=3)
    boxes = np.array([[5.2, 5.1, 5.8, 20], [0, 0, 0, 0], [80, 60, 80, 60]], np.float32)
    thin = GridStore(store.coefficients, store.prototypes, boxes, store.grid)
    assert not dense(thin, (60, 80)).any()
    assert not thin.hits(np.array([[5, 10], [79, 59], [0, 0]])).any()
    assert [int(v.sum()) for v in thin.bounds(Region(0, 0, 80, 60), np.arange(3))] == [0, 0, 0, 0]
    assert [thin.stability(i, 1.0) for i in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("coefficients", "prototypes", "boxes", "said"),
    [
        ((2, 3), (4, 16, 16), (2, 4), r"coefficients: expected shape \(2, 4\), got \(2, 3\)"),
        ((1, 4), (4, 16, 16), (2, 4), r"coefficients: expected shape \(2, 4\), got \(1, 4\)"),
        ((2, 4), (4, 16, 17), (2, 4), r"prototypes: expected shape \(C, 16, 16\), got \(4, 16, 17\)"),
        ((2, 4), (16, 16), (2, 4), "prototypes"),
    ],
)
def test_grid_arrays_have_to_fit(coefficients: Any, prototypes: Any, boxes: Any, said: str) -> None:
    grid: GridMap = random_grid((64, 64), 64).grid
    with pytest.raises(RecordError, match=said):
        GridStore(
            np.zeros(coefficients, np.float32),
            np.zeros(prototypes, np.float32),
            np.zeros(boxes, np.float32),
            grid,
        )


# CropStore


@given(scenes(max_side=30), st.integers(0, 99))
def test_crops_are_the_masks(scene: Any, seed: int) -> None:
    masks, size = scene.masks, scene.size_hw
    store = CropStore.from_crops([Crop(0, 0, mask) for mask in masks], size)
    assert len(store) == len(masks)
    assert np.array_equal(dense(store, size), masks)
    y, x = np.mgrid[: size[0], : size[1]].reshape(2, -1)
    assert np.array_equal(store.hits(np.stack([x, y], axis=1)), masks[:, y, x])
    region = Region.from_mask(blob(size, seed))
    bounds = store.bounds(region, np.arange(len(masks)))
    shared = [region.shared_px(0, 0, mask) for mask in masks]
    assert bounds.area_low.tolist() == bounds.area_high.tolist() == masks.sum(axis=(1, 2)).tolist()
    assert bounds.shared_low.tolist() == bounds.shared_high.tolist() == shared
    assert [store.stability(i, 1.0) for i in range(len(masks))] == masks.any(axis=(1, 2)).tolist()
    order = np.random.default_rng(seed).permutation(len(masks))
    assert np.array_equal(dense(store.take(order), size), masks[order])


def test_crops_keep_only_their_box() -> None:
    big = np.zeros((2000, 3000), bool)
    big[700:710, 800:820] = True
    store = CropStore.from_crops([Crop(0, 0, big), Crop(100, 50, big[:1000, :1000])], big.shape)
    assert store.windows.tolist() == [[800, 700, 820, 710], [900, 750, 920, 760]]
    assert sum(packed.nbytes for packed in store.packed) == 50


@pytest.mark.parametrize(
    "crop", [(-1, 0, 2, 2), (0, -1, 2, 2), (9, 0, 2, 2), (0, 7, 2, 2), (100, 100, 1, 1)], ids=str
)
def test_crops_outside_the_image_are_refused(crop: tuple[int, int, int, int]) -> None:
    x0, y0, height, width = crop
    with pytest.raises(RecordError, match="outside the 10x8 image"):
        CropStore.from_crops([Crop(x0, y0, np.ones((height, width), bool))], (8, 10))


def test_only_the_pixels_of_a_crop_have_to_be_inside() -> None:
    patch = np.zeros((20, 20), bool)
    patch[12, 13] = True
    store = CropStore.from_crops([Crop(-5, -6, patch)], (8, 10))
    assert store.windows.tolist() == [[8, 6, 9, 7]]


def test_no_crops() -> None:
    store = CropStore.from_crops([], (4, 5))
    assert len(store) == 0
    assert store.hits(np.array([[0, 0]])).shape == (0, 1)
    assert [len(values) for values in store.bounds(Region(0, 0, 5, 4), np.zeros(0, np.int64))] == [0, 0, 0, 0]
