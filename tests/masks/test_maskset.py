"""Frame, MaskSet and Selection: checked once, read-only, indexable."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import ImageError, PromptError, RecordError
from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.region import Region
from fastsam.masks.rle import decode_rle
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, Points, select
from tests import oracles
from tests.drawing import blob, ellipse, mask_set, random_grid, rectangle, scenes

SIZE = (30, 40)
GRIDS = [
    ((120, 128), 128),
    ((84, 128), 128),
    ((126, 128), 128),
    ((301, 203), 160),
    ((40, 500), 160),
    ((20, 31), 256),
]


def three() -> MaskSet:
    stack = np.stack([rectangle(SIZE, 1, 2, 5, 6), ellipse(SIZE, 10, 10, 30, 25), np.zeros(SIZE, bool)])
    return MaskSet.from_dense(stack, [0.9, 0.5, 0.1])


def lazy(seed: int = 0, size: tuple[int, int] = (84, 128), count: int = 9) -> MaskSet:
    return MaskSet.from_grid(
        random_grid(size, 128, count, seed), np.linspace(0.9, 0.3, count, dtype=np.float32)
    )


# Frame


def test_a_frame_is_rgb_and_read_only() -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    frame = Frame(rgb, name="a", t_ms=40.0)
    assert frame.size_hw == (4, 6)
    with pytest.raises(ValueError, match="read-only"):
        frame.rgb[0, 0, 0] = 1
    rgb[0, 0, 0] = 1  # the caller's own array stays writable
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rgb", "said"),
    [
        (np.zeros((4, 6, 4), np.uint8), r"got uint8 \(4, 6, 4\)"),
        (np.zeros((4, 6), np.uint8), r"got uint8 \(4, 6\)"),
        (np.zeros((4, 6, 3), np.float32), "got float32"),
        (np.zeros((0, 6, 3), np.uint8), "got 6x0"),
        (np.zeros((4, 0, 3), np.uint8), "got 0x4"),
        ([[[0, 0, 0]]], "got list"),
        ("photo.jpg", "got str"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_frame(rgb: Any, said: str) -> None:
    with pytest.raises(ImageError, match=f"frame 'x'.*{said}"):
        Frame(rgb, name="x")


# MaskSet: making


@given(scenes(max_side=30))
def test_dense_masks_go_in_and_come_out(scene: oracles.Scene) -> None:
    masks = mask_set(scene)
    assert len(masks) == len(scene.masks)
    assert np.array_equal(np.asarray(masks), scene.masks)
    assert np.array_equal(masks.scores, scene.scores)
    assert masks.areas_px.tolist() == scene.masks.sum(axis=(1, 2)).tolist()
    tight = [list(oracles.tight_box(mask)) for mask in scene.masks]
    assert masks.boxes_xyxy.tolist() == tight
    assert masks.tight_boxes().tolist() == tight
    for i, mask in enumerate(masks):
        assert np.array_equal(mask, scene.masks[i])
        assert np.array_equal(masks.mask(i), mask)
        assert np.array_equal(decode_rle(masks.rle(i)), mask)


@pytest.mark.parametrize(
    "stack",
    [
        np.ones((2, 3, 4), bool),
        np.ones((2, 3, 4), np.uint8),
        np.full((2, 3, 4), 255, np.uint8),
        np.ones((2, 3, 4), np.float32),
        np.ones((2, 3, 4)).tolist(),
        [np.ones((3, 4), bool)] * 2,
    ],
)
def test_masks_in_any_form(stack: Any) -> None:
    masks = MaskSet.from_dense(stack)
    assert masks.areas_px.tolist() == [12, 12]
    assert masks.scores.tolist() == [1, 1]
    assert masks.scores.dtype == np.float32


@pytest.mark.parametrize(
    ("stack", "scores", "said"),
    [
        (np.ones((3, 4), bool), None, r"got shape \(3, 4\)"),
        ([], None, r"got shape \(0,\)"),
        (np.ones((1, 2, 3, 4), bool), None, r"\(1, 2, 3, 4\)"),
        (np.full((1, 3, 4), 0.3), None, "float64 values; cut logits and probabilities"),
        (np.full((1, 3, 4), -7), None, "int64"),
        (np.full((1, 3, 4), np.nan), None, "float64"),
        ([np.ones((3, 4), bool), np.ones((4, 3), bool)], None, "several shapes"),
        (np.ones((2, 3, 4), bool), [1.0], r"scores: expected \(2,\) for 2 masks, got \(1,\)"),
        (np.ones((2, 3, 4), bool), [[1.0, 1.0]], r"got \(1, 2\)"),
        (np.ones((2, 3, 4), bool), 1.0, r"got \(\)"),
        (np.ones((2, 3, 4), bool), ["a", "b"], r"scores: expected float32 numbers, got \['a', 'b'\]"),
        (np.ones((2, 3, 4), bool), [0.5, np.nan], "scores: expected finite"),
    ],
)
def test_what_are_no_masks(stack: Any, scores: Any, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        MaskSet.from_dense(stack, scores)


def test_parallel_arrays_have_to_fit() -> None:
    masks = three()
    with pytest.raises(RecordError, match=r"boxes_xyxy: expected \(3, 4\) for 3 masks, got \(2, 4\)"):
        dataclasses.replace(masks, boxes_xyxy=masks.boxes_xyxy[:2])
    with pytest.raises(RecordError, match="boxes_xyxy: expected finite"):
        dataclasses.replace(masks, boxes_xyxy=np.full((3, 4), np.inf))
    with pytest.raises(RecordError, match=r"crop 1: .* outside the 40x30 image"):
        MaskSet.from_crops([Crop(0, 0, np.ones((2, 2), bool)), Crop(39, 0, np.ones((2, 2), bool))], SIZE)


def test_everything_is_read_only() -> None:
    masks = three()
    assert masks.areas_px.flags.writeable is False
    for array in (masks.scores, masks.boxes_xyxy, masks.areas_px):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        masks.scores = np.zeros(3)  # type: ignore[misc,assignment]


def test_no_masks() -> None:
    none = MaskSet.none(SIZE)
    assert len(none) == 0
    assert np.asarray(none).shape == (0, *SIZE)
    assert none.boxes_xyxy.shape == none.tight_boxes().shape == (0, 4)
    assert none.scores.shape == none.areas_px.shape == none.stability_scores().shape == (0,)
    assert none.hits(np.array([[1.0, 2.0]])).shape == (0, 1)
    assert none.hits(np.zeros((0, 2))).shape == (0, 0)
    assert none.ious(Region(0, 0, 5, 5)).shape == (0,)
    assert none.depths(np.array([1.0, 1.0]), np.zeros(0, np.int64)).shape == (0,)
    assert list(none) == []
    assert len(none[[]]) == len(none[:]) == len(none[np.zeros(0, bool)]) == 0
    assert len(MaskSet.concatenate([none, none], SIZE)) == len(MaskSet.concatenate([], SIZE)) == 0
    assert len(MaskSet.from_dense(np.zeros((0, 3, 4)))) == 0
    assert len(lazy(count=0)) == 0
    assert lazy(count=0).ious(Region(0, 0, 5, 5), 0.5).shape == (0,)


# MaskSet: indexing

KEYS: list[tuple[Any, list[int]]] = [
    (0, [0]),
    (2, [2]),
    (-1, [2]),
    (-3, [0]),
    (np.int32(1), [1]),
    (np.uint8(1), [1]),
    (slice(None), [0, 1, 2]),
    (slice(1, None), [1, 2]),
    (slice(None, None, -1), [2, 1, 0]),
    (slice(5, 9), []),
    ([2, 0], [2, 0]),
    ((2, 0), [2, 0]),
    ([-1, 1, 1], [2, 1, 1]),
    ([], []),
    (np.array([1]), [1]),
    (np.array([], np.int64), []),
    (np.array([True, False, True]), [0, 2]),
    ([True, False, True], [0, 2]),
    (np.zeros(3, bool), []),
    (range(2), [0, 1]),
]


@pytest.mark.parametrize(("key", "rows"), KEYS, ids=lambda value: str(value).replace(" ", ""))
def test_indexing(key: Any, rows: list[int]) -> None:
    masks, grid = three(), lazy(count=3)
    for one in (masks, grid):
        _ = one.areas_px
        some = one[key]
        assert np.array_equal(np.asarray(some), np.asarray(one)[rows])
        assert some.scores.tolist() == one.scores[rows].tolist()
        assert some.boxes_xyxy.tolist() == one.boxes_xyxy[rows].tolist()
        assert some.areas_px.tolist() == one.areas_px[rows].tolist()
    selection = Selection.of(masks, [0, 1, 2], [0.3, 0.2, 0.1], "all", [0, 1, 1])[key]
    assert selection.indices.tolist() == rows
    assert selection.groups.tolist() == [[0, 1, 1][row] for row in rows]
    assert len(selection.levels) == len(rows)
    assert np.array_equal(np.asarray(selection.masks), np.asarray(masks)[rows])


@pytest.mark.parametrize("key", [3, -4, [0, 3], np.array([-4]), 10**9])
def test_rows_that_are_not_there(key: Any) -> None:
    with pytest.raises(IndexError):
        three()[key]


@pytest.mark.parametrize(
    "key",
    [
        "a",
        None,
        0.5,
        [0.5],
        [None],
        np.zeros(2, bool),
        np.zeros((3, 1), bool),
        True,
        np.True_,
        {"a": 1},
        ["0"],
    ],
)
def test_what_is_no_index(key: Any) -> None:
    with pytest.raises(RecordError, match="index: expected"):
        three()[key]


def test_the_array_protocol() -> None:
    masks = three()
    assert np.asarray(masks).dtype == bool
    assert np.asarray(masks, np.uint8).sum() == masks.areas_px.sum()
    assert np.array(masks).shape == (3, *SIZE)
    assert np.stack(list(masks)).shape == (3, *SIZE)


def test_concatenate() -> None:
    first, second = three(), three()[[1, 0]]
    joined = MaskSet.concatenate([first, MaskSet.none(SIZE), second], SIZE)
    assert np.array_equal(np.asarray(joined), np.concatenate([np.asarray(first), np.asarray(second)]))
    assert joined.scores.tolist() == [*first.scores.tolist(), *second.scores.tolist()]
    assert MaskSet.concatenate([MaskSet.none(SIZE), first], SIZE) is first
    grid = lazy(count=3)
    both = MaskSet.concatenate([grid, grid[1:]], grid.size_hw)
    assert np.array_equal(np.asarray(both), np.asarray(grid)[[0, 1, 2, 1, 2]])
    assert np.array_equal(both.boxes_xyxy, grid.boxes_xyxy[[0, 1, 2, 1, 2]])
    region = Region(20, 20, 90, 70)
    assert np.allclose(both.ious(region, 0.0), grid.ious(region, 0.0)[[0, 1, 2, 1, 2]])
    with pytest.raises(RecordError, match=r"\(30, 40\).*\(84, 128\)"):
        MaskSet.concatenate([grid, first], grid.size_hw)


# MaskSet: asking


@pytest.mark.parametrize(
    "points", [[(1, 2), (39.99, 29.99)], [(20.5, 17.9)], (4.99, 5.99), [], np.zeros((0, 2))]
)
def test_hits_are_the_pixels_under_the_points(points: Any) -> None:
    found = three().hits(points)
    pixels = np.floor(np.asarray(points, float).reshape(-1, 2)).astype(int)
    assert np.array_equal(found, np.asarray(three())[:, pixels[:, 1], pixels[:, 0]])


@pytest.mark.parametrize("point", [(-1, 0), (40, 0), (0, 30), (np.nan, 0), (-0.5, 29)])
@pytest.mark.parametrize("masks", [three(), lazy(size=SIZE)], ids=["crops", "grid"])
def test_points_outside_hit_nothing_by_mistake(masks: MaskSet, point: tuple[float, float]) -> None:
    with pytest.raises(PromptError, match="point"):
        masks.hits(np.array([point]))


def exact_ious(masks: MaskSet, region: Region) -> np.ndarray[Any, Any]:
    """Intersection over union, on dense arrays."""
    shown = np.zeros(masks.size_hw, bool)
    bitmap = True if region.bitmap is None else region.bitmap
    shown[region.y0 : region.y1, region.x0 : region.x1] = bitmap
    return np.array([float(oracles.iou(mask, shown)) for mask in masks])


@pytest.mark.parametrize(("size", "imgsz"), GRIDS)
@pytest.mark.parametrize("seed", range(4))
def test_the_best_iou_is_exact_and_is_the_best(size: tuple[int, int], imgsz: int, seed: int) -> None:
    height, width = size
    masks = MaskSet.from_grid(random_grid(size, imgsz, 24, seed), np.ones(24, np.float32))
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.uniform(0, 1, (6, 2, 2)), axis=1).transpose(1, 0, 2)
    boxes = np.concatenate([low, high], axis=1) * [width, height, width, height]
    regions = [Region.from_box(box, size) for box in [*boxes, *masks.boxes_xyxy[:3]]]
    regions.append(Region.from_mask(masks.mask(5) | blob(size, seed, 0.05)))
    for region in regions:
        exact, found = exact_ious(masks, region), masks.ious(region)
        assert found.max() == pytest.approx(exact.max(), abs=1e-6)
        if exact.max() > 0:
            assert exact[found.argmax()] == pytest.approx(exact.max(), abs=1e-6)
        for threshold in (0.0, 0.1, 0.5):
            found = masks.ious(region, threshold)
            assert np.allclose(found[exact >= threshold], exact[exact >= threshold], atol=1e-6)
            assert (found[exact < threshold] < threshold).all()


@given(scenes(max_side=24), st.integers(0, 99))
def test_ious_of_drawn_masks_are_exact_where_they_matter(scene: oracles.Scene, seed: int) -> None:
    masks, region = mask_set(scene), Region.from_mask(blob(scene.size_hw, seed))
    exact = exact_ious(masks, region)
    assert np.allclose(masks.ious(region, 0.0), exact, atol=1e-6)
    found = masks.ious(region)
    if len(exact):
        assert found.max() == pytest.approx(exact.max(), abs=1e-6)
        assert exact[found.argmax()] == pytest.approx(exact.max(), abs=1e-6)


def test_ties_are_found_however_many_masks_there_are() -> None:
    """The bounds are taken some masks at a time; a mask as good as the best so far may come last."""
    stack = np.repeat(rectangle(SIZE, 5, 5, 15, 15)[None], 30, axis=0)
    masks = MaskSet.from_dense(stack, np.linspace(0.1, 0.9, 30))
    assert masks.ious(Region(5, 5, 15, 15)).tolist() == [1] * 30
    assert select(masks, Box((5, 5, 15, 15))).indices.tolist() == [29]


def test_iou_with_nothing_is_zero() -> None:
    empty = Region.from_mask(np.zeros(SIZE, bool))
    assert three().ious(empty).tolist() == [0, 0, 0]
    assert three().ious(Region(38, 28, 40, 30)).tolist() == [0, 0, 0]


@given(scenes(max_side=48, min_masks=1))
def test_depth_is_the_distance_to_the_edge(scene: oracles.Scene) -> None:
    masks = mask_set(scene)
    rows = np.arange(len(masks))
    height, width = scene.size_hw
    for x, y in [(0, 0), (width - 0.01, height - 0.01), (width / 2, height / 2)]:
        found = masks.depths(np.array([x, y]), rows)
        for row in rows:
            mask = scene.masks[row]
            wanted = float(oracles.depth_squared(mask, (x, y))) ** 0.5 if mask[int(y), int(x)] else 0
            assert found[row] == pytest.approx(wanted, abs=1e-5)


def test_depth_in_a_large_mask_is_good_to_a_few_percent() -> None:
    size = (700, 900)
    stack = np.stack(
        [ellipse(size, 50, 30, 850, 660), rectangle(size, 0, 0, 900, 700), ellipse(size, 300, 200, 620, 640)]
    )
    masks = MaskSet.from_dense(stack)
    for x, y in np.random.default_rng(0).uniform((0, 0), (900, 700), (40, 2)):
        found = masks.depths(np.array([x, y]), np.arange(3))
        for row in range(3):
            inside = stack[row, int(y), int(x)]
            wanted = float(oracles.depth_squared(stack[row], (x, y))) ** 0.5 if inside else 0
            assert found[row] == pytest.approx(wanted, abs=0.04)
            assert (found[row] > 0) == inside


def test_stability_needs_an_offset_above_zero() -> None:
    assert three().stability_scores().tolist() == [1, 1, 0]
    found = lazy().stability_scores(0.5)
    assert ((found >= 0) & (found <= 1)).all()
    assert (lazy().stability_scores(2.0) <= found).all()
    for offset in (0, -1, float("nan")):
        with pytest.raises(RecordError, match="above 0"):
            three().stability_scores(offset)


# Selection


def test_a_selection_of_rows() -> None:
    found = Selection.of(three(), [1, 0], [0.7, 0.2], "two", [0, 3])
    assert (len(found), found.levels, found.edited.tolist()) == (2, ("", ""), [False, False])
    assert np.array_equal(found.boxes_xyxy, three().boxes_xyxy[[1, 0]])
    assert found.group(3).indices.tolist() == [0]
    assert len(found.group(1)) == 0
    assert found[found.scores > 0.5].indices.tolist() == [1]
    assert Selection.of(three(), [], [], "none").scores.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0] = 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": [0.1]}, r"scores: expected \(2,\) for 2 masks, got \(1,\)"),
        ({"indices": [[0, 1]]}, "indices"),
        ({"groups": [0, 1, 2]}, "groups"),
        ({"edited": True}, "edited"),
        ({"levels": ("whole",)}, "levels: expected 2 names for 2 masks, got 1"),
        ({"scores": ["a", "b"]}, "scores: expected float32 numbers"),
    ],
)
def test_parallel_arrays_of_a_selection_have_to_fit(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        dataclasses.replace(Selection.of(three(), [1, 0], [0.7, 0.2], "two"), **change)


# Complaint: huge images exhaust memory (ultralytics#4105)


@pytest.mark.parametrize(
    "prompt",
    [
        Points((2000, 2000), multimask=True),
        Points([(2000, 2000), (90, 90)], [1, 0]),
        Box((300, 300, 4000, 4100)),
    ],
    ids=["click", "background", "box"],
)
def test_a_huge_image_does_not_exhaust_memory(prompt: Any) -> None:
    store = random_grid((4512, 4512), 1024, count=72, channels=32)
    scores = np.linspace(0.9, 0.4, 72, dtype=np.float32)
    tracemalloc.start()
    try:
        masks = MaskSet.from_grid(store, scores)
        found = select(masks, prompt)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found)
    assert peak < 150e6, f"{peak / 1e6:.0f} MB; all masks as booleans would be {72 * 4512**2 / 1e6:.0f} MB"
