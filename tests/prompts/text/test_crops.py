"""What an encoder sees of a mask."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.prompts.spec import CropStyle
from fastsam.prompts.text.crops import FILL_RGB, LEAST_PX, crop_picture
from tests.drawing import ellipse, rectangle

SIZE = (80, 120)
STYLES: tuple[CropStyle, ...] = get_args(CropStyle)


def picture(mask: Any, style: CropStyle, rgb: Any = None) -> Any:
    frame = Frame(np.full((*mask.shape, 3), 255, np.uint8) if rgb is None else rgb)
    return crop_picture(frame, MaskSet.from_dense(mask[None]).crop(0), style)


@pytest.mark.parametrize("style", STYLES)
def test_pictures_are_square_with_the_mask_in_the_middle(style: CropStyle) -> None:
    mask = rectangle(SIZE, 30, 20, 70, 30)
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[mask] = (250, 0, 0)
    seen = picture(mask, style, rgb)
    side = seen.shape[0]
    assert seen.shape == (side, side, 3)
    assert seen.dtype == np.uint8
    rows, columns = np.nonzero(seen[..., 0].astype(int) - seen[..., 1] > 180)
    assert rows.mean() == pytest.approx((side - 1) / 2, abs=1)
    assert columns.mean() == pytest.approx((side - 1) / 2, abs=1)
    assert np.ptp(columns) + 1 == 40  # as wide as it is


def test_neighbours_do_not_leak_into_masked_pictures() -> None:
    mask = ellipse(SIZE, 30, 20, 70, 60)
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[...] = (0, 0, 255)
    rgb[mask] = (255, 0, 0)
    seen = picture(mask, "masked", rgb).reshape(-1, 3)
    assert {tuple(colour) for colour in np.unique(seen, axis=0).tolist()} == {(255, 0, 0), FILL_RGB}
    assert (picture(mask, "context", rgb) == (0, 0, 255)).all(axis=-1).any()


def test_blurred_surroundings_lose_detail_and_the_mask_does_not() -> None:
    mask = rectangle(SIZE, 40, 20, 80, 60)
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[::2] = 255  # stripes everywhere
    seen = picture(mask, "blurred", rgb).astype(int)[..., 0]
    inside, outside = seen[10:-10, 10:-10], seen[:4]
    assert np.abs(np.diff(inside, axis=0)).min() == 255
    assert np.abs(np.diff(outside, axis=0)).max() < 30


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("box", [(0, 0, 10, 10), (110, 70, 120, 80), (0, 0, 120, 80), (0, 40, 120, 41)])
def test_windows_may_leave_the_image(style: CropStyle, box: tuple[int, int, int, int]) -> None:
    seen = picture(rectangle(SIZE, *box), style)
    longer = max(box[2] - box[0], box[3] - box[1])
    assert seen.shape[0] >= longer
    colours = {tuple(colour) for colour in np.unique(seen.reshape(-1, 3), axis=0).tolist()}
    assert (255, 255, 255) in colours
    if style != "blurred":
        assert colours == {(255, 255, 255), FILL_RGB}


@pytest.mark.parametrize("style", STYLES)
def test_too_small_to_tell(style: CropStyle) -> None:
    assert picture(np.zeros(SIZE, bool), style) is None
    line = np.zeros(SIZE, bool)
    line[3, : LEAST_PX - 1] = True
    assert picture(line, style) is None
    line[3, LEAST_PX - 1] = True
    assert picture(line, style) is not None


@pytest.mark.parametrize("style", STYLES)
def test_large_masks_give_small_pictures(style: CropStyle) -> None:
    seen = picture(rectangle((1500, 2000), 10, 10, 1990, 1400), style)
    assert seen.shape == (512, 512, 3)
    assert seen[256, 256].tolist() == [255, 255, 255]


@pytest.mark.parametrize("style", STYLES)
def test_pictures_are_no_larger_than_the_encoder_takes(style: CropStyle, photographs: dict[str, Any]) -> None:
    frame = Frame(photographs["bus"])
    mask = ellipse(frame.size_hw, 100, 300, 700, 900)
    crop = MaskSet.from_dense(mask[None]).crop(0)
    whole, small = crop_picture(frame, crop, style), crop_picture(frame, crop, style, 64)
    assert whole is not None
    assert small is not None
    assert small.shape == (64, 64, 3)
    shrunk = np.asarray(Image.fromarray(whole).resize((64, 64), Image.Resampling.BILINEAR), int)
    assert np.abs(shrunk - small).mean() < 3  # of 255
    tiny = crop_picture(
        frame, MaskSet.from_dense(ellipse(frame.size_hw, 50, 50, 70, 70)[None]).crop(0), style, 64
    )
    assert tiny is not None
    assert tiny.shape[0] < 64  # enlarging is the encoder's own affair
