"""Functions on binary masks: known answers, slow references, and N = 0."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy.ndimage import binary_fill_holes, label

from fastsam.errors import InputError
from fastsam.masks.dense import (
    area_px,
    box_from_mask,
    clean,
    farthest_point,
    iou_matrix,
)
from fastsam.masks.polygons import fill_polygons, join_rings, outlines
from fastsam.masks.rle import decode_crop, decode_rle, encode_rle, rle_iou_matrix
from tests import oracles
from tests.drawing import blob, ellipse, rectangle, runs, scenes

BoolArray = NDArray[np.bool_]
NONE = np.zeros((0, 5, 7), bool)
L = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]], bool)


@given(scenes(max_side=20))
def test_areas_boxes_and_overlaps_count_pixels(scene: oracles.Scene) -> None:
    masks, count = scene.masks, len(scene.masks)
    assert area_px(masks).tolist() == [sum(map(sum, mask.tolist())) for mask in masks]
    assert [box_from_mask(mask).tolist() for mask in masks] == [
        list(map(float, oracles.tight_box(m))) for m in masks
    ]
    overlap = iou_matrix(masks, masks[::-1])
    assert overlap.shape == (count, count)
    for i in range(count):
        for j in range(count):
            assert overlap[i, count - 1 - j] == pytest.approx(
                float(oracles.iou(masks[i], masks[j])), abs=1e-6
            )


def test_no_masks() -> None:
    assert area_px(NONE).shape == (0,)
    assert iou_matrix(NONE, NONE).shape == (0, 0)
    assert iou_matrix(NONE, np.ones((3, 5, 7), bool)).shape == (0, 3)
    assert iou_matrix(np.ones((3, 5, 7), bool), NONE).shape == (3, 0)
    assert rle_iou_matrix([], []).shape == (0, 0)
    assert rle_iou_matrix([encode_rle(L)], []).shape == (1, 0)
    assert fill_polygons([], (3, 4)).shape == (3, 4)
    assert not fill_polygons([], (3, 4)).any()
    assert join_rings([]).shape == (0, 2)
    assert outlines(np.zeros((4, 4), bool)) == []


def test_known_answers() -> None:
    assert area_px(L) == 4
    assert box_from_mask(L).tolist() == [0, 0, 2, 3]
    assert box_from_mask(np.zeros((4, 4), bool)).tolist() == [0, 0, 0, 0]
    assert box_from_mask(rectangle((9, 9), 8, 8, 9, 9)).tolist() == [8, 8, 9, 9]


def test_stacks_of_different_images_do_not_compare() -> None:
    with pytest.raises(InputError, match=r"\(5, 7\) and \(7, 5\)"):
        iou_matrix(np.zeros((1, 5, 7), bool), np.zeros((1, 7, 5), bool))
    with pytest.raises(InputError, match="one image size"):
        rle_iou_matrix([encode_rle(L)], [encode_rle(L.T)])


# RLE


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 999), st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0])
)
def test_rle_there_and_back(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    rle = encode_rle(mask)
    assert rle["size"] == [height, width]
    assert np.array_equal(decode_rle(rle), mask)
    assert np.array_equal(decode_rle({**rle, "counts": rle["counts"].encode()}), mask)
    assert np.array_equal(decode_rle({"size": rle["size"], "counts": runs(mask)}), mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, with numpy 2
        assert np.array_equal(decode_rle(rle), coco_mask.decode(rle).astype(bool))


@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**16), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])
)
def test_a_crop_of_an_rle_is_the_masks_tight_box(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    x0, y0, patch = decode_crop(encode_rle(mask))
    full = np.zeros((height, width), bool)
    full[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] = patch
    np.testing.assert_array_equal(full, mask)
    if mask.any():
        assert box_from_mask(mask).tolist() == [x0, y0, x0 + patch.shape[1], y0 + patch.shape[0]]
    else:
        assert (x0, y0, patch.shape) == (0, 0, (0, 0))


def test_a_crop_of_an_rle_with_empty_runs() -> None:
    counts = [0, 2, 0, 1, 3, 0, 2, 1, 0, 0]  # ones of 0..3 in two runs that meet, a run of nothing, one pixel
    rle = {"size": [3, 3], "counts": counts}
    whole = decode_rle(rle)
    x0, y0, patch = decode_crop(rle)
    np.testing.assert_array_equal(patch, whole[y0:, x0:])
    with pytest.raises(InputError, match="counts add up to 8, expected 9"):
        decode_crop({"size": [3, 3], "counts": [8]})


def test_rle_of_a_large_mask() -> None:
    mask = ellipse((3000, 2000), 10, 20, 1990, 2980)
    assert np.array_equal(decode_rle(encode_rle(mask)), mask)


def test_rle_overlaps_are_those_of_the_masks() -> None:
    masks = np.stack(
        [ellipse((40, 50), 2, 3, 30, 38), rectangle((40, 50), 10, 10, 50, 40), blob((40, 50), 3)]
    )
    assert np.allclose(
        rle_iou_matrix([encode_rle(m) for m in masks], [encode_rle(m) for m in masks]),
        iou_matrix(masks, masks),
    )


@pytest.mark.parametrize(
    ("rle", "said"),
    [
        (None, "got NoneType"),
        ("abc", "got str"),
        ([4, 4], "got list"),
        ({}, "got dict"),
        ({"size": [2, 2]}, r"\['size'\]"),
        ({"counts": [4], 7: 0}, "'counts'"),
        ({"size": None, "counts": [4]}, "got None"),
        ({"size": "ab", "counts": [4]}, "got 'ab'"),
        ({"size": [2], "counts": [4]}, r"got \[2\]"),
        ({"size": [2, 2, 1], "counts": [4]}, r"got \[2, 2, 1\]"),
        ({"size": [2.5, 2], "counts": [5]}, "whole numbers"),
        ({"size": [-2, -2], "counts": [4]}, r"\[-2, -2\]"),
        ({"size": [2, 2], "counts": [3]}, "add up to 3, expected 4 for 2x2"),
        ({"size": [2, 2], "counts": [5]}, "add up to 5"),
        ({"size": [2, 2], "counts": [-1, 5]}, "negative"),
        ({"size": [2, 2], "counts": []}, "add up to 0"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "whole numbers"),
        ({"size": [2, 2], "counts": ["4"]}, "whole numbers"),
        ({"size": [2, 2], "counts": [10**30]}, "whole numbers"),
        ({"size": [2, 2], "counts": 4}, "text or a list"),
        ({"size": [2, 2], "counts": None}, "got None"),
        ({"size": [2, 2], "counts": "é"}, "text"),
        ({"size": [2, 2], "counts": ""}, "add up to 0"),
        ({"size": [2, 2], "counts": " "}, "compressed form"),
        ({"size": [2, 2], "counts": "zz"}, "compressed form"),
        ({"size": [2, 2], "counts": "ooooooooooooooo0"}, "compressed form"),
        ({"size": [4, 4], "counts": "02"}, "add up to 2, expected 16"),
        ({"size": [4, 4], "counts": "0P1"}, "add up to"),
    ],
)
def test_what_is_no_rle(rle: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        decode_rle(rle)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
def test_damaged_text_is_an_error_or_a_mask(counts: str) -> None:
    with suppress(InputError):
        assert decode_rle({"size": [3, 4], "counts": counts}).shape == (3, 4)


# Polygons


def test_fill_leaves_out_what_encloses_nothing() -> None:
    rings = [np.array([[1, 1], [5, 5]], np.float32), np.array([[1, 1], [3, 1], [3, 3], [1, 3]], np.float32)]
    assert fill_polygons(rings, (6, 6)).sum() == 9


# clean and farthest_point


def cleaned(mask: BoolArray, least: int) -> BoolArray:
    """Fill each small hole, then drop each small island, one at a time."""
    eight = np.ones((3, 3))
    mask = mask.copy()
    holes, count = label(~mask, eight)
    for k in range(1, count + 1):
        if (holes == k).sum() < least:
            mask[holes == k] = True
    islands, count = label(mask)
    sizes = [int((islands == k).sum()) for k in range(1, count + 1)]
    for k, size in enumerate(sizes, 1):
        if size < least and k != 1 + int(np.argmax(sizes)):
            mask[islands == k] = False
    return mask


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("least", [0, 1, 5, 20, 10_000])
def test_clean_fills_small_holes_and_drops_small_islands(seed: int, least: int) -> None:
    mask = blob((30, 40), seed, 0.5)
    before = mask.copy()
    found = clean(mask, least)
    assert np.array_equal(found, cleaned(mask, least))
    assert np.array_equal(mask, before)
    assert found is not mask
    if least:
        assert np.array_equal(clean(found, least), found)


def test_clean_of_extremes() -> None:
    assert not clean(np.zeros((5, 5), bool), 10).any()
    assert clean(np.ones((5, 5), bool), 100).all()
    ring = rectangle((9, 9), 1, 1, 8, 8) & ~rectangle((9, 9), 3, 3, 6, 6)
    assert np.array_equal(clean(ring, 9), ring)
    assert np.array_equal(clean(ring, 10), binary_fill_holes(ring))


@given(scenes(max_side=20, min_masks=1, max_masks=1))
def test_farthest_point_is_the_deepest_pixel(scene: oracles.Scene) -> None:
    mask = scene.masks[0]
    if not mask.any():
        with pytest.raises(InputError, match="empty mask"):
            farthest_point(mask)
        return
    x, y = farthest_point(mask)
    assert mask[y, x]
    assert oracles.depth_squared(mask, (x, y)) == 1


def test_the_edge_of_the_image_counts_as_an_edge() -> None:
    assert farthest_point(np.ones((5, 9), bool))[1] == 2
    assert farthest_point(rectangle((9, 9), 0, 0, 5, 5)) == (2, 2)


def test_functions_do_not_write_to_their_input() -> None:
    mask = blob((20, 30), 1)
    mask.flags.writeable = False
    clean(mask, 5)
    farthest_point(mask)
    outlines(mask)
    encode_rle(mask)
    box_from_mask(mask)
    iou_matrix(mask[None], mask[None])
