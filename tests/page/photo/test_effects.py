"""Cut-outs with soft edges, and other backgrounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data

from fastsam.errors import ConfigError
from fastsam.page.photo.effects import Effect, apply_effect

PHOTO = skimage.data.coffee()  # 400 x 600
MASK = np.zeros(PHOTO.shape[:2], bool)
MASK[120:280, 200:400] = True
INSIDE, FAR = (slice(140, 260), slice(220, 380)), (slice(0, 60), slice(0, 120))


@pytest.mark.parametrize("kind", ["cutout", "blur", "replace"])
def test_the_selection_itself_is_left_alone(kind: Any) -> None:
    made = apply_effect(PHOTO, MASK, Effect(kind))
    np.testing.assert_array_equal(made[INSIDE][..., :3], PHOTO[INSIDE])


def test_a_cutout_is_transparent_around_the_selection_and_soft_at_its_edge_only() -> None:
    made = apply_effect(PHOTO, MASK, Effect("cutout"))
    assert made.shape == (400, 600, 4)
    assert not made[..., 3][FAR].any()
    assert (made[INSIDE][..., 3] == 255).all()
    assert ((made[..., 3] == 255) | (made[..., 3] == 0)).mean() > 0.9
    hard = apply_effect(PHOTO, MASK, Effect("cutout", soft=False))
    np.testing.assert_array_equal(hard[..., 3], MASK * 255)


def test_the_background_is_blurred_and_the_selection_does_not_leak_into_it() -> None:
    red = PHOTO.copy()
    red[MASK] = (255, 0, 0)
    made = apply_effect(red, MASK, Effect("blur", strength=20, soft=False))
    assert made[FAR].astype(int).std() < PHOTO[FAR].astype(int).std()
    plain = apply_effect(PHOTO, MASK, Effect("blur", strength=20, soft=False))
    np.testing.assert_array_equal(made[~MASK], plain[~MASK])  # whatever color the selection has


def test_the_background_is_replaced_by_a_color_or_a_picture() -> None:
    made = apply_effect(PHOTO, MASK, Effect("replace", color=(1, 2, 3), soft=False))
    assert (made[~MASK] == (1, 2, 3)).all()
    for shape in ((30, 900, 3), (900, 30, 3), (1, 1, 3), (4000, 3000, 3)):
        behind = np.full(shape, 77, np.uint8)
        made = apply_effect(PHOTO, MASK, Effect("replace", background=behind, soft=False))
        assert made.shape == PHOTO.shape
        assert (made[~MASK] == 77).all()


@pytest.mark.parametrize("kind", ["masks", "cutout", "blur", "replace"])
@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("size_hw", [(1, 1), (3, 2000), (50, 60)])
def test_empty_and_full_selections_of_any_size(kind: Any, fill: bool, size_hw: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (*size_hw, 3)).astype(np.uint8)
    made = apply_effect(rgb, np.full(size_hw, fill), Effect(kind))
    assert made.dtype == np.uint8
    assert made.shape == (*size_hw, 4 if kind == "cutout" else 3)


def test_unknown_effects_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"effect .*: expected one of masks, cutout"):
        Effect("sparkle")  # type: ignore[arg-type]
