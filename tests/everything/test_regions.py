"""Regions of the photo where no mask is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.everything.cover import covered_cells
from fastsam.everything.regions import photo_on_grid, region_cells, region_scores, with_regions
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.stores.grid import GridStore

GRID_HW = (32, 40)  # of an image of 128 x 160 pixels, which the network sees as it is


def store(*boxes: tuple[int, int, int, int], size_hw: tuple[int, int] = (128, 160)) -> GridStore:
    """Masks that fill their boxes, which are given in cells."""
    letterbox = Letterbox.fit(size_hw, 160)
    grid_hw = (letterbox.net_hw[0] // 4, letterbox.net_hw[1] // 4)
    return GridStore(
        np.ones((len(boxes), 1), np.float32),
        np.ones((1, *grid_hw), np.float32),
        4 * np.array(boxes, np.float32).reshape(-1, 4),
        GridMap(letterbox, grid_hw),
    )


def halves(grid_hw: tuple[int, int] = GRID_HW) -> NDArray[np.float32]:
    """A photo of two colours, each with a little noise, that meet at column 24."""
    noise = np.random.default_rng(0).normal(0, 0.01, (*grid_hw, 3))
    photo = np.where(np.arange(grid_hw[1])[None, :, None] < 24, (0.8, 0.3, 0.2), (0.2, 0.4, 0.8)) + noise
    return np.clip(photo, 0, 1).astype(np.float32)


def test_two_colours_are_two_regions() -> None:
    cells, standing = region_cells(store(), np.zeros(0, np.float32), halves(), 20)
    assert len(cells) == 2
    shares = sorted((mask[:, :24].mean(), mask[:, 24:].mean()) for mask in cells)
    assert shares[0][0] < 0.05
    assert shares[0][1] > 0.95
    assert shares[1][0] > 0.95
    assert shares[1][1] < 0.05
    assert ((standing > 0) & (standing <= 1)).all()


def test_only_what_is_missing_is_added() -> None:
    left = store((0, 0, 24, 32))
    cells, _ = region_cells(left, np.ones(1, np.float32), halves(), 20)
    assert len(cells) == 1
    assert cells[0][:, 25:].all()
    whole = store((0, 0, 40, 32))
    assert region_cells(whole, np.ones(1, np.float32), halves(), 20)[0].shape == (0, *GRID_HW)


@pytest.mark.parametrize("limit", [0, 1])
def test_at_most_so_many(limit: int) -> None:
    cells, standing = region_cells(store(), np.zeros(0, np.float32), halves(), limit)
    assert (len(cells), len(standing)) == (limit, limit)


def test_a_plain_photo_has_no_regions_to_tell_apart() -> None:
    cells, standing = region_cells(
        store(), np.zeros(0, np.float32), np.full((*GRID_HW, 3), 0.5, np.float32), 20
    )
    assert len(cells) == len(standing) <= 1


def test_padding_is_no_part_of_the_photo() -> None:
    narrow = store(size_hw=(100, 160))
    x0, y0, x1, y1 = narrow.content_on_grid
    assert (y1 - y0) < narrow.grid.grid_hw[0]
    cells, _ = region_cells(narrow, np.zeros(0, np.float32), halves(narrow.grid.grid_hw), 20)
    assert len(cells) == 2
    outside = np.ones(narrow.grid.grid_hw, bool)
    outside[y0:y1, x0:x1] = False
    assert not cells[:, outside].any()


def test_outlines_of_masks_divide_a_plain_photo() -> None:
    """The photo shows nothing; a mask's outline is the only boundary there is."""
    plain = np.random.default_rng(1).normal(0.5, 0.02, (*GRID_HW, 3)).astype(np.float32)
    disc = np.full(GRID_HW, -4, np.float32)
    y, x = np.mgrid[: GRID_HW[0], : GRID_HW[1]]
    disc[(x - 20) ** 2 + (y - 16) ** 2 < 81] = 4
    voting = store((0, 0, 40, 32))
    voting = GridStore(voting.coefficients, disc[None], voting.boxes_xyxy, voting.grid)
    cells, _ = region_cells(voting, np.ones(1, np.float32), plain, 1)
    rest = disc < 0
    assert np.count_nonzero(cells[0] & rest) > 0.9 * np.count_nonzero(cells[0])


def test_regions_become_masks_like_others() -> None:
    plain = store((0, 0, 24, 32))
    cells, standing = region_cells(plain, np.ones(1, np.float32), halves(), 20)
    joined = with_regions(plain, cells)
    scores = np.concatenate([[0.9], region_scores(standing)]).astype(np.float32)
    masks = MaskSet.from_grid(joined, scores)
    assert np.array_equal(masks[:1].mask(0), MaskSet.from_grid(plain, np.ones(1, np.float32)).mask(0))
    region = masks.mask(1)
    assert region[:, 104:].all()
    assert not region[:, :92].any()
    assert covered_cells(joined).mean() > 0.98
    x0, y0, x1, y1 = masks.boxes_xyxy[1]
    assert (x0, y0, x1, y1) == pytest.approx((94, 0, 160, 128), abs=4)
    assert np.array_equal(joined.hits(np.array([[150, 60], [10, 60]])), [[False, True], [True, False]])
    assert 0 < scores[1] < 0.1


def test_no_regions_leave_the_store_as_it_is() -> None:
    plain = store((0, 0, 24, 32))
    assert with_regions(plain, np.zeros((0, *GRID_HW), bool)) is plain


def test_the_photo_on_the_grid() -> None:
    image = np.random.default_rng(0).random((1, 3, 128, 160), dtype=np.float32)
    small = photo_on_grid(image, GRID_HW)
    assert small.shape == (*GRID_HW, 3)
    assert np.allclose(small[3, 5], image[0, :, 12:16, 20:24].mean(axis=(1, 2)), atol=1e-5)
