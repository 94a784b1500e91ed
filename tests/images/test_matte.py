"""Soft edges of cut-outs: opaque inside, clear outside, translucent where the photo says so."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from fastsam.images.matte import alpha_matte, soft_cutout, without_fringe
from fastsam.masks.crop import Crop

PHOTO = skimage.data.coffee()  # 400 x 600
MASK = np.zeros(PHOTO.shape[:2], bool)
MASK[120:280, 200:400] = True
BAND = 4  # 600 / 160, rounded


def test_only_pixels_near_the_edge_are_translucent() -> None:
    alpha = alpha_matte(PHOTO, MASK)
    assert (alpha.dtype, alpha.shape) == (np.float32, MASK.shape)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert (alpha[120 + BAND : 280 - BAND, 200 + BAND : 400 - BAND] == 1).all()
    far = np.ones_like(MASK)
    far[120 - BAND : 280 + BAND, 200 - BAND : 400 + BAND] = False
    assert (alpha[far] == 0).all()


def test_a_sharp_edge_of_the_photo_stays_sharp_where_the_mask_misses_it() -> None:
    photo = np.full((200, 300, 3), (30, 40, 60), np.uint8)
    photo[:, 150:] = (220, 200, 180)
    mask = np.zeros((200, 300), bool)
    mask[:, 152:] = True  # two pixels off
    alpha = alpha_matte(photo, mask, band_px=6)
    steps = np.diff(alpha[100])
    assert steps.argmax() == 149  # the photo's edge, not the mask's
    assert steps.max() > 3 * np.delete(steps, 149).max()


def blend(alpha: np.ndarray, front: tuple[int, ...], behind: tuple[int, ...]) -> np.ndarray:
    mixed = alpha[..., None] * np.array(front) + (1 - alpha[..., None]) * np.array(behind)
    return np.rint(mixed).astype(np.uint8)


def test_a_soft_edge_becomes_translucent_and_loses_the_old_background() -> None:
    ramp = np.clip((np.arange(320) - 150) / 16 + 0.5, 0, 1)
    truth = np.tile(ramp, (120, 1)).astype(np.float32)
    photo = blend(truth, (200, 40, 40), (20, 200, 60))
    alpha = alpha_matte(photo, truth > 0.5, band_px=12)
    inside = slice(30, 90)
    assert np.abs(alpha - truth)[inside].mean() < 0.02
    hard = (truth > 0.5).astype(np.float32)
    assert np.abs(alpha - truth)[inside].mean() < 0.5 * np.abs(hard - truth)[inside].mean()
    colors = without_fringe(photo, truth, band_px=12).astype(int)
    edge = (truth > 0.3) & (truth < 0.9)
    edge[:30] = edge[90:] = False
    before = np.abs(photo.astype(int) - (200, 40, 40))[edge].mean()
    after = np.abs(colors - (200, 40, 40))[edge].mean()
    assert after < 0.4 * before


def test_opaque_pixels_keep_their_colors() -> None:
    alpha = alpha_matte(PHOTO, MASK)
    np.testing.assert_array_equal(without_fringe(PHOTO, alpha)[alpha == 1], PHOTO[alpha == 1])
    hard = MASK.astype(np.float32)
    assert without_fringe(PHOTO, hard) is PHOTO


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("size_hw", [(1, 1), (2, 500), (50, 60)])
def test_empty_and_full_masks_of_any_size(fill: bool, size_hw: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (*size_hw, 3)).astype(np.uint8)
    alpha = alpha_matte(rgb, np.full(size_hw, fill))
    np.testing.assert_array_equal(alpha, np.full(size_hw, fill, np.float32))


def test_a_cutout_is_that_part_of_the_whole_matte() -> None:
    picture = soft_cutout(PHOTO, Crop(200, 120, MASK[120:280, 200:400]))
    alpha = np.rint(alpha_matte(PHOTO, MASK) * 255).astype(np.uint8)
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    whole = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_array_equal(picture[..., 3], whole)
    assert (picture[..., :3][picture[..., 3] == 0] == 0).all()


def test_a_cutout_at_the_corner_and_one_of_nothing() -> None:
    corner = soft_cutout(PHOTO, Crop(0, 0, np.ones((30, 20), bool)))
    assert corner.shape[2] == 4
    assert (corner[:10, :10, 3] == 255).all()
    assert soft_cutout(PHOTO, Crop(5, 5, np.zeros((3, 3), bool))).shape == (0, 0, 4)
