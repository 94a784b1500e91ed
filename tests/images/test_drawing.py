"""Pictures of masks: what is drawn where, and that nothing else is touched."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from ultralytics.utils import ASSETS

from fastsam.config import RenderConfig
from fastsam.errors import ExportError, PromptError, RecordError
from fastsam.images.drawing import colours, cutout, overlay, save_image
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.stores.crops import CropStore

PLAIN = RenderConfig(contours=False)
GREEN, RED, WHITE = (40, 200, 80), (235, 60, 60), (255, 255, 255)


def grey(height: int = 40, width: int = 60, level: int = 100) -> Frame:
    return Frame(np.full((height, width, 3), level, np.uint8), "grey")


def box_mask(frame: Frame, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.bool_]:
    mask = np.zeros(frame.size_hw, bool)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.fixture
def nested() -> MaskSet:
    """A small mask, the large one that holds it, and an empty one; the small one comes first."""
    frame = grey()
    stack = [box_mask(frame, 20, 10, 30, 20), box_mask(frame, 5, 5, 50, 35), box_mask(frame, 0, 0, 0, 0)]
    return MaskSet.from_dense(np.stack(stack), scores=[0.5, 0.75, 1.0])


def mixed(level: int, colour: NDArray[np.uint8], alpha: float) -> NDArray[np.uint8]:
    return np.asarray(np.rint(level * (1 - alpha) + colour * alpha), np.uint8)


# --- colours ----------------------------------------------------------------------------------------


def test_colours_do_not_depend_on_how_many_there_are() -> None:
    assert colours(0).shape == (0, 3)
    assert np.array_equal(colours(7), colours(500)[:7])
    assert not np.array_equal(colours(7), colours(7, seed=1))
    assert np.array_equal(colours(7, seed=3), colours(7, seed=3))


@pytest.mark.parametrize("seed", [0, 1, 2, 99])
def test_colours_are_distinct(seed: int) -> None:
    palette = colours(300, seed).astype(int)
    assert len(np.unique(palette, axis=0)) == 300
    first = palette[:12]
    distance = np.abs(first[:, None] - first[None]).sum(axis=2) + 1000 * np.eye(12, dtype=int)
    assert distance.min() > 40
    assert np.ptp(first, axis=1).min() > 60, "a colour is nearly grey"


# --- overlay ----------------------------------------------------------------------------------------


def test_no_masks_is_the_photo() -> None:
    frame = read_frame(Path(ASSETS) / "bus.jpg")
    picture = overlay(frame, MaskSet.none(frame.size_hw))
    assert np.array_equal(picture, frame.rgb)
    assert picture.flags.writeable
    assert not np.shares_memory(picture, frame.rgb)


def test_fills_mix_colour_and_photo(nested: MaskSet) -> None:
    palette = colours(3)
    for alpha in (0.0, 0.3, 1.0):
        picture = overlay(grey(), nested, RenderConfig(contours=False, alpha=alpha))
        assert picture[0, 0].tolist() == [100, 100, 100]
        assert np.abs(picture[7, 7].astype(int) - mixed(100, palette[1], alpha)).max() <= 1
    assert np.array_equal(overlay(grey(), nested, RenderConfig(contours=False, alpha=0)), grey().rgb)


def test_small_masks_are_drawn_over_large_ones_in_any_order(nested: MaskSet) -> None:
    opaque = RenderConfig(contours=False, alpha=1)
    picture = overlay(grey(), nested, opaque)
    palette = colours(3)
    assert np.array_equal(picture[15, 25], palette[0])
    assert np.array_equal(picture[7, 7], palette[1])
    again = overlay(grey(), nested[[2, 1, 0]], opaque, rows=[2, 1, 0])
    assert np.array_equal(again, picture)


def test_a_selection_keeps_the_colours_of_the_set(nested: MaskSet) -> None:
    alone = overlay(grey(), nested[[1]], RenderConfig(contours=False, alpha=1), rows=[1])
    assert np.array_equal(alone[7, 7], colours(2)[1])


def test_colours_of_far_rows_are_those_of_the_list(nested: MaskSet) -> None:
    picture = overlay(grey(), nested[[1]], RenderConfig(contours=False, alpha=1, seed=4), rows=[4321])
    assert np.array_equal(picture[7, 7], colours(4322, 4)[-1])


def test_masks_that_are_not_held_in_memory_are_drawn_alike(
    nested: MaskSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = RenderConfig(scores=True, boxes=True)
    held = overlay(grey(), nested, everything, labels=["a", "b", "c"])
    monkeypatch.setattr("fastsam.images.drawing._HELD_PX", 0)
    assert np.array_equal(overlay(grey(), nested, everything, labels=["a", "b", "c"]), held)


def test_words_look_the_same_every_time(nested: MaskSet) -> None:
    fresh = overlay(grey(), nested, labels=["again", "and", "again"])
    for _ in range(2):
        assert np.array_equal(overlay(grey(), nested, labels=["again", "and", "again"]), fresh)


def test_only_pixels_of_masks_change(nested: MaskSet) -> None:
    frame = read_frame(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    picture = overlay(frame, nested, PLAIN)
    outside = ~nested.union()
    assert np.array_equal(picture[outside], frame.rgb[outside])
    assert (picture != frame.rgb).any(axis=2)[~outside].mean() > 0.9


def test_outlines_run_along_the_edge(nested: MaskSet) -> None:
    bare, drawn = overlay(grey(), nested[[1]], PLAIN), overlay(grey(), nested[[1]])
    changed = (bare != drawn).any(axis=2)
    assert changed[5, 5:50].all()
    assert changed[5:35, 5].all()
    assert not changed[9:31, 9:46].any()


def test_holes_are_outlined_and_not_filled() -> None:
    frame = grey()
    ring = box_mask(frame, 5, 5, 50, 35) & ~box_mask(frame, 20, 12, 40, 28)
    picture = overlay(frame, MaskSet.from_dense(ring[None]))
    assert picture[20, 30].tolist() == [100, 100, 100]
    assert (picture[11, 20:40] != overlay(frame, MaskSet.from_dense(ring[None]), PLAIN)[11, 20:40]).any()


def test_line_width_grows_with_the_image() -> None:
    def changed(scale: int) -> int:
        frame = grey(400 * scale, 600 * scale)
        masks = MaskSet.from_crops([Crop(50, 50, np.ones((100, 100), bool))], frame.size_hw)
        difference = overlay(frame, masks, PLAIN) != overlay(frame, masks)
        return int(difference.any(axis=2).sum(axis=1)[100])  # two vertical lines

    assert changed(5) > 2 * changed(1) > 0


def test_boxes_and_scores_are_drawn_where_asked(nested: MaskSet) -> None:
    boxed = overlay(grey(), nested, RenderConfig(contours=False, boxes=True))
    assert np.array_equal(boxed[5, 45], colours(3)[1])
    assert np.array_equal(boxed[34, 49], colours(3)[1])
    large = grey(300, 400)
    mask = MaskSet.from_dense(box_mask(large, 100, 100, 300, 200)[None], scores=[0.87])
    bare, scored = (overlay(large, mask, RenderConfig(contours=False, scores=flag)) for flag in (False, True))
    rows, columns = np.nonzero((bare != scored).any(axis=2))
    assert 100 < rows.min() <= rows.max() < 200
    assert 100 < columns.min() <= columns.max() < 300
    labelled = overlay(large, mask, PLAIN, labels=["a long name of a thing"])
    assert (labelled != bare).any(axis=2).sum() > (scored != bare).any(axis=2).sum()
    assert np.array_equal(overlay(large, mask, PLAIN, labels=[" \n"]), bare)


@pytest.mark.parametrize("label", ["dog", "größe", "犬", "dog\ncat", "x" * 200])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (60, 80)])
def test_labels_of_any_text_fit_any_image(label: str, size: tuple[int, int]) -> None:
    frame = grey(*size)
    everything = MaskSet.from_dense(np.ones((1, *size), bool))
    picture = overlay(frame, everything, RenderConfig(scores=True, boxes=True), labels=[label])
    assert picture.shape == (*size, 3)


def test_prompt_points_and_boxes() -> None:
    frame = grey(200, 300)
    empty = MaskSet.none(frame.size_hw)
    picture = overlay(frame, empty, points=[[50, 60], [250.5, 100.9]], point_labels=[1, 0])
    assert tuple(picture[60, 50]) == GREEN
    assert tuple(picture[100, 250]) == RED
    assert (picture == WHITE).all(axis=2).any()
    assert picture[150, 150].tolist() == [100, 100, 100]
    assert tuple(overlay(frame, empty, points=[50, 60])[60, 50]) == GREEN
    boxed = overlay(frame, empty, boxes=[[20, 30, 120, 90]])
    assert tuple(boxed[30, 70]) == GREEN
    assert tuple(boxed[89, 70]) == GREEN
    assert tuple(boxed[60, 119]) == GREEN
    assert boxed[60, 70].tolist() == [100, 100, 100]
    assert np.array_equal(overlay(frame, empty, points=[], point_labels=[], boxes=[]), frame.rgb)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"points": [[300, 10]]}, PromptError, r"\(300, 10\) is outside"),
        ({"points": [[1, 2]], "point_labels": [1, 0]}, PromptError, "point_labels: expected 1 of"),
        ({"points": [[1, 2]], "point_labels": [2]}, PromptError, "point_labels"),
        ({"points": [[1, 2]], "point_labels": ["fg"]}, PromptError, "point_labels"),
        ({"point_labels": [1]}, PromptError, "expected points"),
        ({"boxes": [[5, 5, 2, 2]]}, PromptError, "x1 < x2"),
        ({"labels": ["a"]}, RecordError, "labels: expected 3, one for each mask, got 1"),
        ({"rows": [1, 2]}, RecordError, "rows: expected 3"),
        ({"rows": [0, 1, -1]}, RecordError, "at least 0"),
    ],
)
def test_what_does_not_fit(
    options: dict[str, Any], error: type[Exception], said: str, nested: MaskSet
) -> None:
    with pytest.raises(error, match=said):
        overlay(grey(), nested, **options)


def test_masks_of_another_image(nested: MaskSet) -> None:
    with pytest.raises(RecordError, match=r"'grey', \(H, W\) = \(41, 60\), got \(40, 60\)"):
        overlay(grey(41), nested)
    with pytest.raises(RecordError, match="expected those of frame"):
        cutout(grey(41), nested, 0)


def test_many_masks_on_a_large_photo_in_bounded_memory() -> None:
    size = (3000, 4000)
    frame = Frame(np.zeros((*size, 3), np.uint8))
    patch = np.ones((600, 700), bool)
    packed = np.packbits(patch)
    corners = np.random.default_rng(0).integers(0, 2400, (300, 2))
    windows = np.concatenate([corners, corners + np.array([700, 600])], axis=1)
    store = CropStore(size, (packed,) * 300, windows)
    masks = MaskSet(size, windows.astype(np.float32), np.ones(300, np.float32), store)
    tracemalloc.start()
    picture = overlay(frame, masks, RenderConfig(scores=True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.any()
    assert peak < 2 * frame.rgb.nbytes, "dense masks would take 3.6 GB, the photo takes 36 MB"


# --- single pictures --------------------------------------------------------------------------------


def test_cutout_is_the_tight_box_with_transparency() -> None:
    frame = read_frame(np.random.default_rng(0).integers(1, 256, (40, 60, 3), dtype=np.uint8))
    mask = box_mask(frame, 5, 6, 30, 26) & ~box_mask(frame, 10, 10, 15, 15)
    rgba = cutout(frame, MaskSet.from_dense(mask[None]), 0)
    assert rgba.shape == (20, 25, 4)
    inside = mask[6:26, 5:30]
    assert np.array_equal(rgba[..., 3], inside * 255)
    assert np.array_equal(rgba[inside][:, :3], frame.rgb[mask])
    assert not rgba[~inside].any(), "the photo shows through transparent pixels"


def test_cutout_of_an_empty_mask_and_of_none(nested: MaskSet) -> None:
    assert cutout(grey(), nested, 2).shape == (0, 0, 4)
    assert cutout(grey(), nested, -2).shape == (30, 45, 4)
    for masks, i in ((nested, 3), (MaskSet.none((40, 60)), 0)):
        with pytest.raises(IndexError):
            cutout(grey(), masks, i)


def test_union_of_masks(nested: MaskSet) -> None:
    assert np.array_equal(nested.union(), np.asarray(nested).any(axis=0))
    assert MaskSet.none((4, 5)).union().tolist() == [[False] * 5] * 4


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".webp", ".tiff", ".bmp", ".jpg"])
def test_save_image(suffix: str, tmp_path: Path) -> None:
    frame = read_frame(Path(ASSETS) / "bus.jpg")
    path = tmp_path / "new" / f"picture{suffix}"
    assert save_image(frame.rgb, path) == path
    assert os.listdir(path.parent) == [path.name]
    difference = np.abs(read_frame(path).rgb.astype(int) - frame.rgb)
    assert difference.mean() < (3 if suffix in (".jpg", ".webp") else 1e-9)


def test_save_image_of_a_cutout(tmp_path: Path) -> None:
    rgba = np.zeros((4, 5, 4), np.uint8)
    with Image.open(save_image(rgba, tmp_path / "a.png")) as image:
        assert image.mode == "RGBA"
    assert read_frame(save_image(rgba, str(tmp_path / "a.jpg"))).rgb.min() > 250


def test_save_image_errors(tmp_path: Path) -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ExportError, match=r"expected a suffix of \.png, .* got '\.xyz'"):
        save_image(picture, tmp_path / "a.xyz")
    with pytest.raises(ExportError, match="at least 1x1 pixel"):
        save_image(np.zeros((0, 0, 4), np.uint8), tmp_path / "a.png")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="cannot be written"):
        save_image(picture, tmp_path / "file" / "a.png")
    with pytest.raises(ExportError, match="cannot be written"):
        save_image(np.zeros((1, 70000, 3), np.uint8), tmp_path / "wide.jpg")
    assert sorted(os.listdir(tmp_path)) == ["file"]
