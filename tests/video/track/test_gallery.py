"""Whether an object is there at all: looks that are remembered, cuts, and what comes back after them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from fastsam.arrays import unit_rows
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.video.track.cuts import is_cut
from fastsam.video.track.gallery import Gallery
from fastsam.video.track.grid_frame import GridFrame, flow_between
from fastsam.video.track.tracking import Tracking
from tests.video.drawn import Drawn, Shape, model_of, still, walk

NONE = np.zeros(0, np.float32)


def unit(*values: float) -> np.ndarray:
    return unit_rows(np.array([values], np.float32))[0]


def test_likeness_is_the_largest_cosine_with_any_look() -> None:
    gallery = Gallery()
    assert gallery.near(unit(1, 0)[None]).tolist() == [1.0], "before any look nothing is refused"
    gallery.add(unit(1, 0), NONE, shown=True)
    gallery.add(unit(0, 1), NONE, shown=True)
    np.testing.assert_allclose(
        gallery.near(np.stack([unit(1, 0), unit(1, 1), unit(-1, 0)])), [1, 0.5**0.5, 0]
    )


def test_both_features_count_where_there_are_both() -> None:
    gallery = Gallery()
    gallery.add(unit(1, 0), unit(0, 1), shown=True)
    near, deep = np.stack([unit(1, 0)] * 2), np.stack([unit(0, 1), unit(1, 0)])
    np.testing.assert_allclose(gallery.likeness(near, deep), [1.0, 0.0], atol=1e-6)


def test_only_looks_that_are_new_and_of_the_object_are_worth_keeping() -> None:
    gallery = Gallery()
    gallery.add(unit(1, 0), NONE, shown=True)
    cosines = [0.99, 0.8, 0.2]
    assert [gallery.is_new(unit(c, (1 - c * c) ** 0.5)) for c in cosines] == [False, True, False]


def test_an_hour_of_looks_is_bounded_and_the_first_stays() -> None:
    gallery, rng = Gallery(), np.random.default_rng(0)
    first = unit(*rng.normal(size=40))
    gallery.add(first, NONE, shown=True)
    for k in range(200):
        gallery.add(unit(*rng.normal(size=40)), NONE, shown=k % 3 == 0)
    assert len(gallery._near) <= 13
    assert gallery.near(first[None])[0] == pytest.approx(1)


def scene(rgb: np.ndarray) -> GridFrame:
    small = cv2.resize(rgb, (320, 240))
    return GridFrame(Frame(np.ascontiguousarray(small)), MaskSet.none((240, 320)))


def test_another_photo_is_a_cut_and_a_moving_camera_is_none() -> None:
    cat, coffee = data.chelsea(), data.coffee()
    before = scene(cat[:280, :400])
    for photo, wanted in ((cat[6:286, 10:410], False), (coffee, True), (cat[::-1, ::-1], True)):
        after = scene(photo)
        assert is_cut(before, after, flow_between(before, after)) == wanted
    darker = scene((cat[:280, :400] * 0.8).astype(np.uint8))
    assert not is_cut(before, darker, flow_between(before, darker))


def test_an_object_is_lost_at_a_cut_and_found_when_its_scene_comes_back() -> None:
    """Over a photo with a shape of another colour at the very place."""
    drawn = Drawn(Shape("red", walk(40, 40, 2)), Shape("blue", still(90, 70)))
    other = Drawn(Shape("yellow", still(46, 40)), Shape("blue", still(90, 70)))
    model, elsewhere = model_of(drawn), model_of(other)
    coffee = cv2.resize(data.coffee(), (128, 96))
    tracking = Tracking()
    sights = []
    for index in range(10):
        rgb = drawn.rgb(index)
        if 4 <= index < 7:
            rgb = coffee.copy()
            rgb[other.masks(index)[0]], rgb[other.masks(index)[1]] = (235, 235, 20), (20, 20, 230)
        frame = Frame(rgb, index=index)
        tracked = tracking.step((elsewhere if 4 <= index < 7 else model).open(frame))
        if index == 0:
            tracking.follow(drawn.masks(0)[0])
        sights.append(tracked.lost)
    assert sights[4:7] == [(1,)] * 3
    assert sights[7:] == [()] * 3
