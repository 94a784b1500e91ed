"""Crops against the same arithmetic on whole masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from fastsam.arrays import frozen_array, unit_rows
from fastsam.errors import RecordError
from fastsam.masks.crop import Crop

SIZE = (12, 15)


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    x0, y0 = draw(st.integers(0, 14)), draw(st.integers(0, 11))
    width, height = draw(st.integers(1, 15 - x0)), draw(st.integers(1, 12 - y0))
    bits = draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    return Crop(x0, y0, np.array(bits, bool).reshape(height, width))


def whole(crop: Crop) -> np.ndarray:
    canvas = np.zeros(SIZE, bool)
    for y, x in np.argwhere(crop.patch):
        canvas[crop.y0 + y, crop.x0 + x] = True
    return canvas


@given(crops())
def test_pasting_sets_the_masks_pixels_and_no_others(crop: Crop) -> None:
    canvas = np.full(SIZE, 7)
    crop.paste(canvas, 3)
    assert np.array_equal(canvas == 3, whole(crop))
    assert np.array_equal(canvas == 7, ~whole(crop))
    assert np.array_equal(crop.cut(whole(crop)), crop.patch)


@given(crops())
def test_a_tight_crop_is_the_same_mask_in_its_smallest_rectangle(crop: Crop) -> None:
    tight = crop.tight()
    assert np.array_equal(whole(tight), whole(crop))
    if crop.patch.any():
        assert all(
            side.any() for side in (tight.patch[0], tight.patch[-1], tight.patch[:, 0], tight.patch[:, -1])
        )
    else:
        assert tight.patch.shape == (0, 0)
    assert tight.box[2] - tight.box[0] == tight.patch.shape[1]


@given(crops(), crops())
def test_minus_takes_the_pixels_of_the_other(first: Crop, second: Crop) -> None:
    before = first.patch.copy()
    assert np.array_equal(whole(first.minus(second)), whole(first) & ~whole(second))
    assert np.array_equal(first.patch, before)


@given(crops(), st.integers(1, 4))
def test_the_deepest_pixel_is_in_the_mask_and_farthest_from_its_edge(crop: Crop, step: int) -> None:
    point = crop.deepest()
    if not crop.patch.any():
        assert point is None
        assert crop.deepest(step) is None
        return
    assert point is not None
    depth = distance_transform_edt(np.pad(crop.patch, 1))[1:-1, 1:-1]
    assert depth[point[1] - crop.y0, point[0] - crop.x0] == pytest.approx(depth.max(), rel=1e-4)
    near = crop.deepest(step)
    assert near is not None
    assert whole(crop)[near[1], near[0]]


def test_unit_rows_keep_directions_and_zeros() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    vectors[2] = 0
    units = unit_rows(vectors)
    assert np.linalg.norm(units, axis=1) == pytest.approx([1, 1, 0, 1, 1], abs=1e-6)
    assert (units * np.linalg.norm(vectors, axis=1, keepdims=True)) == pytest.approx(vectors, abs=1e-6)
    assert unit_rows(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_a_frozen_array_cannot_be_written_and_says_what_it_should_be() -> None:
    values = np.zeros(3, np.float32)
    frozen = frozen_array(values, np.float32, (3,), "scores")
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 1
    values[0] = 1  # the caller's own array stays writable
    with pytest.raises(RecordError, match=r"scores: expected \(2,\) for 2 masks, got \(3,\)"):
        frozen_array(values, np.float32, (2,), "scores")
    with pytest.raises(RecordError, match="scores: expected float32 numbers"):
        frozen_array(["a"], np.float32, (1,), "scores")
