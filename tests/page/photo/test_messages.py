"""What the browser is sent: outlines, the map of what is under the pointer, names."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.model import FastSAM
from fastsam.page.photo import steps
from fastsam.page.photo.messages import display_picture
from fastsam.page.photo.outlines import rings_of
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.prompts import Points
from fastsam.testing import FixedSegmenter
from tests.drawing import ellipse
from tests.page.setting import MASKS, PART, PHOTO, WHOLE, Page


def filled(rings: list[list[int]], size_hw: tuple[int, int]) -> np.ndarray:
    """The pixels inside rings by the even-odd rule: a slow truth of what the browser paints."""
    height, width = size_hw
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside = np.zeros(size_hw, bool)
    for ring in rings:
        points = np.array(ring).reshape(-1, 2)
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if y1 != y2:
                crosses = (y1 > y) != (y2 > y)
                inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


@pytest.mark.parametrize(
    "mask",
    [
        *MASKS,
        MASKS[WHOLE] & ~MASKS[PART],  # a hole
        MASKS[1] | MASKS[2],  # two islands
        ellipse((60, 80), 10, 10, 70, 50),
        np.ones((60, 80), bool),
        np.eye(60, 80, dtype=bool)[::1],
    ],
)
def test_outlines_enclose_the_mask(mask: np.ndarray) -> None:
    painted = filled(rings_of(Crop(0, 0, mask)), (60, 80))
    assert (painted & mask).sum() / max((painted | mask).sum(), 1) > 0.93 or mask.sum() < 100


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_rectilinear_masks_of_any_shape_have_outlines(patch: np.ndarray) -> None:
    large = np.repeat(np.repeat(patch, 6, axis=0), 6, axis=1)
    painted = filled(rings_of(Crop(0, 0, large)), large.shape)
    assert np.mean(painted != large) < 0.05


def test_outlines_of_nothing_and_of_one_pixel() -> None:
    assert rings_of(Crop(3, 4, np.zeros((5, 6), bool))) == []
    assert rings_of(Crop(3, 4, np.ones((1, 1), bool))) == [[3, 4, 3, 5, 4, 5, 4, 4]]


def test_sparse_outlines_have_the_size_of_the_photo() -> None:
    whole = np.zeros((400, 600), bool)
    whole[100:300, 120:480] = True
    (ring,) = rings_of(Crop(120, 100, whole[100:300:4, 120:480:4]), 4)
    assert (min(ring[::2]), max(ring[::2]), min(ring[1::2]), max(ring[1::2])) == (120, 480, 100, 300)


def unpacked(hover: dict[str, Any]) -> np.ndarray:
    runs = np.array(hover["runs"]).reshape(-1, 2)
    return np.repeat(runs[:, 0], runs[:, 1]).reshape(hover["height"], hover["width"])


def test_the_pointer_shows_what_a_click_means() -> None:
    page = Page()
    under = unpacked(page.scene["hover"])
    assert under.shape == (60, 80)
    session = page.visitor.state.opened
    for x, y in [(2, 2), (12, 12), (22, 24), (16, 16), (35, 45), (60, 30), (51, 6), (79, 59)]:
        selected = session.select(Points([(x, y)])).indices.tolist()
        assert under[y, x] == (selected[0] if selected else -1), (x, y)


def test_a_large_photo_is_shown_smaller_and_answered_at_its_own_size() -> None:
    rgb = cv2.resize(PHOTO, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((1, 3000, 4000), bool)
    mask[0, 600:2400, 1000:3000] = True
    visitor = PageSession(MemoryBudget(1 << 40))
    model = SharedModel(model=FastSAM(segmenter=FixedSegmenter(mask)))
    scene = json.loads(steps.open_photo(visitor, model, Frame(rgb, "large"), {}))["scene"]
    assert (scene["width"], scene["height"]) == (4000, 3000)
    with Image.open(io.BytesIO(base64.b64decode(scene["image"].partition(",")[2]))) as picture:
        assert picture.size == (1600, 1200)
    assert scene["masks"][0]["share"] == pytest.approx(0.3, abs=0.002)
    under = unpacked(scene["hover"])
    assert max(under.shape) <= 320
    assert (under >= 0).mean() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5000, 3), (1700, 3, 3)])
def test_pictures_of_odd_shapes_are_shown(shape: tuple[int, int, int]) -> None:
    assert 1 <= min(display_picture(np.zeros(shape, np.uint8)).shape[:2]) <= 1600


def test_names_of_files_are_no_html() -> None:
    model, visitor = (
        SharedModel(model=FastSAM(segmenter=FixedSegmenter(MASKS))),
        PageSession(MemoryBudget(1 << 30)),
    )
    message = steps.open_photo(visitor, model, Frame(PHOTO, "<script>alert(1)</script>"), {})
    assert "<" not in message
    assert json.loads(message)["scene"]["name"] == "<script>alert(1)</script>"
