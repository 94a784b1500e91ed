"""How objects look: learnt from one frame, told in another."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.video.track.appearance import Basis, TargetModel
from fastsam.video.track.grid_frame import GridFrame, to_size
from tests.video.drawn import Drawn, Shape, model_of, still, walk

TWO = Drawn(Shape("red", walk(30, 40, 4)), Shape("blue", walk(95, 60, -4)))


def scene_of(drawn: Drawn, index: int, channels: int) -> GridFrame:
    frame = Frame(drawn.rgb(index), index=index)
    return GridFrame(frame, model_of(drawn, channels=channels).open(frame).masks)


@pytest.mark.parametrize("channels", [0, 32, 300])
def test_a_look_finds_its_object_in_another_place(channels: int) -> None:
    first, later = scene_of(TWO, 0, channels), scene_of(TWO, 6, channels)
    basis, model = Basis.fit(first), TargetModel()
    model.learn(basis.project(first), first.cells[0].astype(np.float32), first.coarse_hw, shown=True)
    looks = model.score(basis.project(later), later.coarse_hw, later.grid_hw)
    assert looks.shape == later.grid_hw
    red, blue = later.cells
    assert looks[red].mean() > 0.5
    assert looks[blue].mean() < 0
    assert looks[~red].mean() < -0.5


def test_before_any_frame_nothing_is_known() -> None:
    scene = scene_of(TWO, 0, 0)
    assert not TargetModel().score(Basis.fit(scene).project(scene), scene.coarse_hw, scene.grid_hw).any()


def test_other_features_than_those_learnt_from_tell_nothing() -> None:
    """As after a change from a segmenter with maps to one without."""
    plain, deep = scene_of(TWO, 0, 0), scene_of(TWO, 0, 32)
    basis, model = Basis.fit(plain), TargetModel()
    model.learn(basis.project(plain), plain.cells[0].astype(np.float32), plain.coarse_hw, shown=True)
    assert basis.fits(plain)
    assert not basis.fits(deep)
    assert not model.score(Basis.fit(deep).project(deep), deep.coarse_hw, deep.grid_hw).any()
    # and it learns anew from them
    model.learn(Basis.fit(deep).project(deep), deep.cells[0].astype(np.float32), deep.coarse_hw, shown=True)
    assert (
        model.score(Basis.fit(deep).project(deep), deep.coarse_hw, deep.grid_hw)[deep.cells[0]].mean() > 0.5
    )


@pytest.mark.parametrize("soft", [0.0, 1.0])
def test_nothing_and_everything_teach_nothing(soft: float) -> None:
    scene = scene_of(TWO, 0, 0)
    model = TargetModel()
    features = Basis.fit(scene).project(scene)
    model.learn(features, np.full(scene.grid_hw, soft, np.float32), scene.coarse_hw, shown=True)
    assert not model.score(features, scene.coarse_hw, scene.grid_hw).any()


def test_an_object_of_one_cell_is_learnt() -> None:
    drawn = Drawn(Shape("red", still(40, 40), (2, 2), round=False))
    scene = scene_of(drawn, 0, 0)
    model = TargetModel()
    features = Basis.fit(scene).project(scene)
    model.learn(features, scene.cells[0].astype(np.float32), scene.coarse_hw, shown=True)
    looks = model.score(features, scene.coarse_hw, scene.grid_hw)
    assert looks[scene.cells[0]].mean() > np.percentile(looks, 99)


def test_a_grey_frame_tells_nothing_apart() -> None:
    frame = Frame(np.full((96, 128, 3), 128, np.uint8))
    scene = GridFrame(frame, MaskSet.from_dense(Shape("red", still(40, 40)).mask(0, (96, 128))[None]))
    model = TargetModel()
    features = Basis.fit(scene).project(scene)
    assert np.isfinite(features).all()
    model.learn(features, scene.cells[0].astype(np.float32), scene.coarse_hw, shown=True)
    looks = model.score(features, scene.coarse_hw, scene.grid_hw)
    np.testing.assert_allclose(looks, looks[0, 0], atol=1e-4)


def test_what_was_shown_outweighs_what_was_seen_since() -> None:
    """A model that drifts onto the blue shape for a hundred frames still knows the red one."""
    scene = scene_of(TWO, 0, 32)
    features = Basis.fit(scene).project(scene)
    model = TargetModel()
    red, blue = (cells.astype(np.float32) for cells in scene.cells)
    model.learn(features, red, scene.coarse_hw, shown=True)
    for _ in range(100):
        model.learn(features, blue, scene.coarse_hw, shown=False)
    looks = to_size(model.score(features, scene.coarse_hw, scene.grid_hw), scene.grid_hw)
    assert looks[red > 0].mean() > looks[blue > 0].mean()
