"""Tiles and crops: where they lie, what is joined, and that an extent does not change what is in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsam import FastSAM, Frame, MaskSet, Points, SegmentConfig
from fastsam.errors import ConfigError, ImageError
from fastsam.everything.seams import margin_px
from fastsam.everything.tiling import TiledSegmenter, crop_views, tile_views, views_of
from fastsam.masks.crop import Crop
from fastsam.masks.dense import iou_matrix
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.rle import rle_iou_matrix
from fastsam.masks.stores.grid import GridStore
from fastsam.masks.stores.joined import JoinedStore
from fastsam.masks.stores.logits import LogitStore
from fastsam.testing import FixedSegmenter

TILE, OVERLAP = 96, 0.25
STEP = 72
TILED = SegmentConfig(tile=TILE, tile_overlap=OVERLAP)
TILES_ONLY = replace(TILED, tile_whole=False)


class Finder:
    """Finds the patches of one colour in what it is shown, as crops; remembers what that was."""

    def __init__(self, least_px: int = 1) -> None:
        self.times_ms: dict[str, float] = {"network": 2.0}
        self.least_px = least_px
        self.shown: list[Frame] = []

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        self.shown.append(frame)
        crops, scores = [], []
        colours = np.unique(frame.rgb.reshape(-1, 3), axis=0)
        for colour in colours[~np.isin(colours[:, 0], (0, 114))]:
            _, labels, stats, _ = cv2.connectedComponentsWithStats(
                (frame.rgb == colour).all(axis=2).astype(np.uint8)
            )
            for k, (x, y, w, h, area) in enumerate(stats[1:], start=1):
                if area >= self.least_px:
                    crops.append(Crop(int(x), int(y), labels[y : y + h, x : x + w] == k))
                    scores.append(0.5 + colour[0] / 512)
        order = np.argsort(-np.array(scores), kind="stable")
        return MaskSet.from_crops([crops[i] for i in order], frame.size_hw, np.array(scores)[order])


class GridFinder(Finder):
    """The same, on a prototype grid of one cell a pixel."""

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        masks = super().segment(frame, config)
        logits = np.asarray(masks).astype(np.float32) * 2 - 1
        grid = GridMap(Letterbox(frame.size_hw, frame.size_hw), frame.size_hw)
        store = GridStore(np.eye(len(masks), dtype=np.float32), logits, np.array(masks.boxes_xyxy), grid)
        return MaskSet.from_grid(store, masks.scores)


def canvas(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def truths(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(Finder().segment(Frame(rgb), SegmentConfig()))


def found_as_drawn(masks: MaskSet, rgb: NDArray[np.uint8]) -> None:
    """Each drawn thing is there, whole, once."""
    wanted = truths(rgb)
    assert len(masks) == len(wanted)
    ious = iou_matrix(np.asarray(masks), wanted)
    np.testing.assert_array_equal(ious.max(axis=0), 1)
    np.testing.assert_array_equal(ious.max(axis=1), 1)


# ---- where the views lie -------------------------------------------------------------------------------


@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    side=st.integers(64, 300),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    origin=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
)
def test_whatever_is_smaller_than_the_overlap_lies_whole_in_some_tile(
    height: int, width: int, side: int, overlap: float, origin: tuple[int, int]
) -> None:
    tiles = tile_views((height, width), side, overlap, origin)
    shared = round(side * overlap)
    if max(height, width) <= side:
        assert tiles == []
        return
    seen = np.zeros((height, width), bool)
    for tile in tiles:
        assert (tile.x1 - tile.x0, tile.y1 - tile.y0) == (side, side)
        assert ((tile.x0 + origin[0]) % (side - shared), (tile.y0 + origin[1]) % (side - shared)) == (0, 0)
        x0, y0, x1, y1 = tile.inside((height, width))
        assert x1 > x0
        assert y1 > y0
        seen[y0:y1, x0:x1] = True
    assert seen.all()
    assert len({tile.xyxy for tile in tiles}) == len(tiles)
    random = np.random.default_rng(height)
    for w, h in random.integers(1, max(shared, 1) + 1, (5, 2)):
        x, y = random.integers(0, max(width - w, 0) + 1), random.integers(0, max(height - h, 0) + 1)
        box = (x, y, min(x + w, width), min(y + h, height))
        assert shared == 0 or any(
            t.x0 <= box[0] and t.y0 <= box[1] and box[2] <= t.x1 and box[3] <= t.y1 for t in tiles
        )


@pytest.mark.parametrize(("layers", "count"), [(0, 0), (1, 4), (2, 20), (3, 84)])
def test_crop_layers(layers: int, count: int) -> None:
    views = crop_views((300, 401), layers, 512 / 1500)
    assert len(views) == count
    for layer in range(1, layers + 1):
        seen = np.zeros((300, 401), bool)
        for view in views:
            if view.layer == layer + 1:
                seen[view.y0 : view.y1, view.x0 : view.x1] = True
        assert seen.all()


def test_what_the_network_is_shown() -> None:
    frame = Frame(canvas(100, 200))
    assert [v.layer for v in views_of(frame, SegmentConfig())] == [0]
    assert [v.layer for v in views_of(frame, TILED)] == [0] + [1] * 6
    assert [v.layer for v in views_of(frame, TILES_ONLY)] == [1] * 6
    assert [v.layer for v in views_of(frame, replace(TILED, crop_layers=1))] == [0] + [1] * 6 + [2] * 4
    assert [v.layer for v in views_of(Frame(canvas(96, 90)), TILES_ONLY)] == [0]  # one tile shows it all
    assert len(crop_views((1, 1), 2, 0.3)) > 0


def test_without_parts_the_inner_segmenter_is_asked_once() -> None:
    finder = Finder()
    rgb = canvas(50, 60)
    rgb[5:9, 5:9] = 200
    tiled = TiledSegmenter(finder)
    found = tiled.segment(Frame(rgb), SegmentConfig())
    assert isinstance(found, MaskSet)
    assert [frame.size_hw for frame in finder.shown] == [(50, 60)]
    assert found.times_ms == {"network": 2.0}


def test_tiles_are_all_of_one_size_and_are_told_of() -> None:
    finder, told = Finder(), []
    rgb = canvas(100, 200)
    rgb[:] = 7
    tiled = TiledSegmenter(finder, lambda done, total: told.append((done, total)))
    found = tiled.segment(Frame(rgb, "scan"), TILES_ONLY)
    assert {frame.size_hw for frame in finder.shown} == {(TILE, TILE)}
    assert finder.shown[0].name == "scan at 0,0"
    last = finder.shown[-1].rgb
    assert (last[: 100 - STEP, : 200 - 2 * STEP] == 7).all()
    assert (last[100 - STEP :] == 114).all()
    assert (last[:, 200 - 2 * STEP :] == 114).all()
    assert told == [(k, 6) for k in range(1, 7)]
    assert found.times_ms["network"] == 12
    assert "join" in found.times_ms


# ---- what is found -------------------------------------------------------------------------------------


def scattered(seed: int, height: int = 260, width: int = 330) -> NDArray[np.uint8]:
    """Small things everywhere, on seams too; none touches another."""
    rgb, random = canvas(height, width), np.random.default_rng(seed)
    taken = np.zeros((height, width), bool)
    for colour in range(20, 60):
        w, h = random.integers(2, round(TILE * OVERLAP) - 2 * margin_px(TILE), 2)
        x, y = random.integers(0, width - w), random.integers(0, height - h)
        around = taken[max(y - 2, 0) : y + h + 2, max(x - 2, 0) : x + w + 2]
        if not around.any():
            cv2.ellipse(
                rgb,
                (int(x + w // 2), int(y + h // 2)),
                (int(w // 2), int(h // 2)),
                0,
                0,
                360,
                (colour,) * 3,
                -1,
            )
            taken |= rgb.any(axis=2)
    return rgb


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("finder", [Finder, GridFinder])
def test_small_things_are_found_whole_and_once_wherever_they_lie(seed: int, finder: Any) -> None:
    rgb = scattered(seed)
    masks = TiledSegmenter(finder()).segment(Frame(rgb), TILES_ONLY)
    found_as_drawn(masks, rgb)
    assert (np.diff(masks.scores) <= 0).all()
    crops = SegmentConfig(crop_layers=2)
    found_as_drawn(TiledSegmenter(finder()).segment(Frame(rgb), crops), rgb)


def large_things() -> NDArray[np.uint8]:
    rgb = canvas(300, 420)
    cv2.rectangle(rgb, (10, 20), (400, 45), (200,) * 3, -1)  # across all columns
    cv2.circle(rgb, (150, 170), 85, (150,) * 3, -1)  # over the corners of tiles
    cv2.rectangle(rgb, (300, 60), (330, 299), (100,) * 3, -1)  # down to the image's edge
    cv2.rectangle(rgb, (5, 60), (20, 200), (80,) * 3, -1)  # along a seam
    return rgb


@pytest.mark.parametrize("finder", [Finder, GridFinder])
@pytest.mark.parametrize("origin", [(0, 0), (31, 50)])
def test_what_no_tile_holds_is_joined_across_the_seams(finder: Any, origin: tuple[int, int]) -> None:
    rgb = large_things()
    masks = TiledSegmenter(finder()).segment(Frame(rgb, origin_xy=origin), TILES_ONLY)
    found_as_drawn(masks, rgb)


def test_a_thing_within_a_thing_is_joined_with_its_own_half() -> None:
    rgb = canvas(96, 168)
    cv2.rectangle(rgb, (4, 30), (164, 70), (200,) * 3, -1)
    whole = rgb[..., 0] == 200
    inner = np.zeros_like(whole)
    inner[40:60, 30:150] = True

    class Nested(Finder):
        def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
            x = int(frame.name.split()[-1].split(",")[0])
            both = np.zeros((2, *frame.size_hw), bool)
            part = np.stack([inner, whole])[:, :96, x : x + 96]
            both[:, :, : part.shape[2]] = part
            return MaskSet.from_dense(both, [0.9, 0.8])

    found = np.asarray(TiledSegmenter(Nested()).segment(Frame(rgb), TILES_ONLY))
    np.testing.assert_array_equal(found, [inner, whole])


def test_half_a_thing_is_not_handed_out() -> None:
    class OneTile(Finder):
        """Sees nothing but in the first tile."""

        def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
            masks = super().segment(frame, config)
            return masks if frame.name.endswith("0,0") else masks[[]]

    rgb = canvas(96, 240)
    rgb[20:40, 10:200] = 150
    assert len(TiledSegmenter(OneTile()).segment(Frame(rgb), TILES_ONLY)) == 0


@pytest.mark.parametrize(("width", "wanted"), [(4 * TILE, [150, 60]), (4 * TILE + 1, [150])])
def test_large_things_come_from_the_whole_image_where_the_tiles_have_none(
    width: int, wanted: list[int]
) -> None:
    class WholeOnly(Finder):
        def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
            masks = super().segment(frame, config)
            return masks if frame.size_hw == size_hw else masks[[]]

    size_hw = (200, width)
    rgb = canvas(*size_hw)
    rgb[20:120, 30:250] = 150
    rgb[150:160, 30:40] = 60
    masks = TiledSegmenter(WholeOnly()).segment(Frame(rgb), TILED)
    np.testing.assert_array_equal(np.asarray(masks), [(rgb == value).all(axis=2) for value in wanted])
    assert len(TiledSegmenter(WholeOnly()).segment(Frame(rgb), TILES_ONLY)) == 0


def test_joined_masks_have_the_mean_score_and_know_where_they_are_from() -> None:
    rgb = canvas(96, 240)
    rgb[20:40, 10:230] = 150
    rgb[60:70, 20:30] = 60
    masks = TiledSegmenter(GridFinder()).segment(Frame(rgb), TILES_ONLY)
    assert masks.scores.tolist() == pytest.approx([0.5 + 150 / 512, 0.5 + 60 / 512])
    assert isinstance(masks.store, JoinedStore)
    assert masks.store.found_in.tolist() == [[0, 0, 240, 96], [0, 0, 96, 96]]
    assert masks.store.cells_px.tolist() == [1, 1]
    assert masks.stability_scores().tolist() == pytest.approx([1, masks.store.stability(1, 1.0)])
    assert any(isinstance(part, JoinedStore | LogitStore) for part in masks.store.parts)


def test_nothing_to_find() -> None:
    for config in (TILED, TILES_ONLY, SegmentConfig(crop_layers=2)):
        masks = TiledSegmenter(Finder()).segment(Frame(canvas(150, 300)), config)
        assert (len(masks), masks.size_hw) == (0, (150, 300))


# ---- the extent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [TILES_ONLY, TILED, replace(TILES_ONLY, tile_overlap=0.5)])
def test_what_lies_in_an_extent_does_not_depend_on_it(config: SegmentConfig) -> None:
    picture = scattered(7, 400, 500)
    everything = TiledSegmenter(Finder()).segment(Frame(picture), config)
    x0, y0, x1, y1 = 53, 37, 411, 333
    part = Frame(np.ascontiguousarray(picture[y0:y1, x0:x1]), origin_xy=(x0, y0))
    cut = TiledSegmenter(Finder()).segment(part, config)
    boxes = everything.tight_boxes()
    inside = (boxes[:, :2] > [x0, y0]).all(axis=1) & (boxes[:, 2:] < [x1, y1]).all(axis=1)
    here = np.asarray(everything[inside])[:, y0:y1, x0:x1]
    assert len(here) > 10
    np.testing.assert_array_equal(iou_matrix(here, np.asarray(cut)).max(axis=1), 1)


def mosaic(photographs: dict[str, Any]) -> NDArray[np.uint8]:
    """Several photographs as one picture of 1280 x 1000 pixels."""
    bus = photographs["bus"][180:820, :800]
    names = ("chelsea", "coffee", "rocket", "astronaut")
    others = [np.asarray(cv2.resize(photographs[name], (480, 360))) for name in names]
    right = np.concatenate([others[1], others[0]])[:640]
    below = np.concatenate([others[2], others[3], others[1]], axis=1)[:, :1280]
    return np.concatenate([np.concatenate([bus, right], axis=1), below])


def agreeing(first: MaskSet, second: MaskSet, extent: tuple[int, int, int, int], deep: int) -> list[float]:
    """The best IoU with the second set of each mask of the first whose box lies so deep in the extent."""
    x0, y0, x1, y1 = extent
    boxes = first.boxes_xyxy
    inside = (boxes[:, :2] >= [x0 + deep, y0 + deep]).all(axis=1)
    inside &= (boxes[:, 2:] <= [x1 - deep, y1 - deep]).all(axis=1)
    rles = [[masks.rle(i) for i in range(len(masks))] for masks in (first[inside], second)]
    return rle_iou_matrix(*rles).max(axis=1, initial=0.0).tolist()


def test_the_extent_does_not_change_what_the_network_finds(photographs: dict[str, Any]) -> None:
    """docs/tiling.md: a tile inside both extents all masks agree, half 85 %, one overlap 70 %."""
    picture = mosaic(photographs)
    model = FastSAM(device="cpu")
    side = 192
    options = {"imgsz": side, "tile": side, "tile_whole": False}
    x0, y0, x1, y1 = extent = 170, 90, 1130, 930
    whole = model.open(Frame(picture), **options).masks
    part = model.open(Frame(np.ascontiguousarray(picture[y0:y1, x0:x1]), origin_xy=(x0, y0)), **options).masks
    crops = [Crop(x + x0, y + y0, patch) for x, y, patch in map(part.crop, range(len(part)))]
    moved = MaskSet.from_crops(crops, whole.size_hw, part.scores)
    for first, second in ((whole, moved), (moved, whole)):
        for deep, least, count in ((side, 1, 3), (side // 2, 0.85, 15), (side // 4, 0.7, 25)):
            ious = np.array(agreeing(first, second, extent, deep))
            assert len(ious) >= count
            assert (ious >= 0.95).mean() >= least, (deep, np.sort(ious)[: len(ious) // 2])


# ---- the facade ----------------------------------------------------------------------------------------


def test_prompts_and_results_work_on_tiles() -> None:
    rgb = scattered(3)
    told: list[tuple[int, int]] = []
    model = FastSAM(segmenter=GridFinder())
    session = model.open(
        rgb, tile=TILE, edge_radius=1.0, min_region_share=0.1, on_tile=lambda *counts: told.append(counts)
    )
    assert told[-1] == (len(told), len(told))
    assert session.times_ms["join"] >= 0
    row = int(session.masks.areas_px.argmax())
    x, y = np.argwhere(session.masks.mask(row))[0][::-1]
    answer = session.select(Points((int(x), int(y))))
    assert answer.indices.tolist() == [row]
    assert session.everything().plot().shape == rgb.shape
    assert len(session.everything().masks.areas_px) == len(session.masks)


def test_options_are_checked() -> None:
    with pytest.raises(
        ConfigError, match=r"tile: expected 0 \(no tiles\) or a side of at least 64 image pixels"
    ):
        SegmentConfig(tile=20)
    with pytest.raises(ConfigError, match="tile_overlap"):
        SegmentConfig(tile_overlap=0.6)
    with pytest.raises(ImageError, match="expected origin_xy as two whole numbers"):
        Frame(canvas(3, 3), origin_xy=(0.5, 1))  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="origin_xy"):
        Frame(canvas(3, 3), origin_xy=3)  # type: ignore[arg-type]


def test_a_segmenter_that_takes_one_size_says_so() -> None:
    model = FastSAM(segmenter=FixedSegmenter(np.ones((1, 100, 200), bool)))
    with pytest.raises(Exception, match="expected the masks' size"):
        model.open(canvas(100, 200), tile=64)
