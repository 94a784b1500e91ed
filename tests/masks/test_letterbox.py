"""Points, boxes, letterboxes, and the maps between the image and the network's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import InputError, PromptError
from fastsam.masks.coordinates import check_boxes, check_points, clip_boxes
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.region import Region
from tests.drawing import blob, rectangle
from tests.oracles import box_pixels

SIZE = (30, 40)
NAN, INF = float("nan"), float("inf")
SIZES = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ((3, 4), [[3, 4]]),
        ([(3, 4), (39.99, 29.99)], [[3, 4], [39.99, 29.99]]),
        (np.float32([[0, 0]]), [[0, 0]]),
        ([], []),
        ([[]], []),
        (np.zeros((0, 2)), []),
        (((1, 2), (1, 2)), [[1, 2], [1, 2]]),
    ],
)
def test_points_become_an_array(points: Any, wanted: list[Any]) -> None:
    found = check_points(points, SIZE)
    assert (found.dtype, found.shape) == (np.float64, (len(wanted), 2))
    assert found.tolist() == wanted


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (
            (40, 3),
            r"point \(40, 3\) is outside the 40x30 image; .* image pixels, 0 <= x < 40, 0 <= y < 30",
        ),
        ((3, 30), r"\(3, 30\) is outside"),
        ((-1e-9, 3), "outside"),
        ([(1, 1), (3, -1), (99, 99)], r"\(3, -1\)"),
        ((NAN, 1), r"point \(nan, 1\): coordinates must be finite"),
        ((1, -INF), "finite"),
        ((None, 1), "finite"),
        ((1, 2, 3), r"shape \(3,\)"),
        (5, r"shape \(\)"),
        ([[[1, 2]]], r"shape \(1, 1, 2\)"),
        ([(1, 2), (1,)], r"got \[\(1, 2\), \(1,\)\]"),
        ("ab", "got 'ab'"),
        ((10**400, 1), "expected"),
    ],
)
def test_what_are_no_points(points: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        check_points(points, SIZE)


@pytest.mark.parametrize("boxes", [(0, 0, 40, 30), [[0, 0, 40, 30], [1.5, 2, 1.6, 3]], [], np.zeros((0, 4))])
def test_boxes_become_an_array(boxes: Any) -> None:
    found = check_boxes(boxes, SIZE)
    assert found.dtype == np.float64
    assert found.shape == (np.asarray(boxes).size // 4, 4)


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ((0, 0, 41, 30), r"box \(0, 0, 41, 30\) leaves the 40x30 image"),
        ((0, 0, 40, 30.001), "leaves"),
        ((-0.001, 0, 4, 4), "leaves"),
        ((3, 3, 3, 4), "x1 < x2"),
        ((3, 5, 4, 4), "y1 < y2"),
        ((0, 0, NAN, 3), "finite"),
        ([(0, 0, 1, 1), (5, 5, 4, 4)], r"\(5, 5, 4, 4\)"),
        ((1, 2, 3), r"shape \(3,\)"),
        ("abcd", "got 'abcd'"),
        ([(1, 2, 3, 4), (1,)], "expected xyxy boxes"),
    ],
)
def test_what_are_no_boxes(boxes: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        check_boxes(boxes, SIZE)


def test_clipping_copies() -> None:
    boxes = np.array([[-5, -5, 50, 50], [1, 2, 3, 4]], np.float32)
    assert clip_boxes(boxes, SIZE).tolist() == [[0, 0, 40, 30], [1, 2, 3, 4]]
    assert boxes[0, 0] == -5
    assert clip_boxes(np.zeros((0, 4), np.float32), SIZE).shape == (0, 4)


# Letterbox


def ultralytics_letterbox(image_hw: tuple[int, int], imgsz: int, auto: bool) -> dict[str, Any]:
    """What ultralytics does with an image of a size."""
    augment = pytest.importorskip("ultralytics.data.augment")
    box = augment.LetterBox((imgsz, imgsz), auto=auto, stride=32)
    params = box.get_params({"img": np.zeros((*image_hw, 1), np.uint8)})
    width, height = params["new_unpad"]
    net_hw = (height + params["top"] + params["bottom"], width + params["left"] + params["right"])
    return {"net_hw": net_hw, "content_hw": (height, width), "offset_yx": (params["top"], params["left"])}


@given(SIZES, SIZES, st.sampled_from([320, 416, 640, 1024]), st.booleans())
def test_letterbox_is_ultralytics(height: int, width: int, imgsz: int, square: bool) -> None:
    wanted = ultralytics_letterbox((height, width), imgsz, auto=not square)
    found = Letterbox.fit((height, width), imgsz, square=square)
    assert found.net_hw == wanted["net_hw"]
    # Where the shorter side was rounded down to a whole stride, ultralytics scales boxes back by another
    # factor than it scaled the image by; here one factor serves both, and the content is a bit smaller.
    exact = min(found.net_hw[0] / height, found.net_hw[1] / width) == imgsz / max(height, width)
    difference = np.subtract(wanted["content_hw"], found.content_hw)
    assert (difference == 0).all() if exact else ((difference >= 0) & (difference <= 0.016 * imgsz)).all()
    if exact:
        assert found.offset_yx == wanted["offset_yx"]


@pytest.mark.parametrize(
    ("image_hw", "imgsz", "net_hw", "content_hw", "offset_yx"),
    [
        ((1080, 810), 640, (640, 480), (640, 480), (0, 0)),
        ((720, 1280), 640, (384, 640), (360, 640), (12, 0)),
        ((720, 1280), 600, (352, 608), (342, 608), (5, 0)),
        ((1, 5000), 640, (32, 640), (1, 640), (15, 0)),
        ((1, 1), 64, (64, 64), (64, 64), (0, 0)),
        ((333, 801), 640, (288, 640), (266, 640), (11, 0)),
    ],
)
def test_letterbox_by_known_answers(
    image_hw: Any, imgsz: int, net_hw: Any, content_hw: Any, offset_yx: Any
) -> None:
    found = Letterbox.fit(image_hw, imgsz)
    assert (found.net_hw, found.content_hw, found.offset_yx) == (net_hw, content_hw, offset_yx)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_an_image_needs_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="at least 1x1"):
        Letterbox.fit(size, 640)


@given(SIZES, SIZES, st.sampled_from([320, 640, 1024]), st.integers(0, 999))
def test_boxes_go_to_the_net_and_back(height: int, width: int, imgsz: int, seed: int) -> None:
    letterbox = Letterbox.fit((height, width), imgsz)
    corners = np.sort(np.random.default_rng(seed).uniform(0, 1, (5, 2, 2)), axis=1).reshape(5, 4)
    boxes = corners * [width, height, width, height]
    gain = np.divide(letterbox.content_hw, letterbox.image_hw)[[1, 0, 1, 0]]
    net = boxes * gain + np.array(letterbox.offset_yx)[[1, 0, 1, 0]]
    back = letterbox.boxes_to_image(net.astype(np.float32))
    assert np.allclose(back, boxes, atol=1e-3 * max(1.0, 1 / gain.min()))
    outside = letterbox.boxes_to_image(np.array([[-99, -99, 1e5, 1e5]], np.float32))
    assert outside.tolist() == [[0, 0, width, height]]
    assert letterbox.boxes_to_image(np.zeros((0, 4), np.float32)).shape == (0, 4)


# GridMap


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from([64, 160, 320]))
def test_grid_weights_are_averages_of_neighbours(height: int, width: int, imgsz: int) -> None:
    letterbox = Letterbox.fit((height, width), imgsz)
    grid = GridMap(letterbox, (letterbox.net_hw[0] // 4, letterbox.net_hw[1] // 4))
    for matrix, spans, side, cells in (
        (grid.rows, grid.row_spans, height, grid.grid_hw[0]),
        (grid.columns, grid.column_spans, width, grid.grid_hw[1]),
    ):
        assert matrix.shape == (side, cells)
        assert (matrix >= 0).all()
        assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)
        assert (np.diff(spans, axis=0) >= 0).all()
        assert (spans[:, 1] - spans[:, 0] <= 2).all()
        assert ((spans >= 0) & (spans < cells)).all()
        for row, (first, last) in zip(matrix, spans, strict=True):
            assert row[:first].sum() == row[last + 1 :].sum() == 0


@pytest.mark.parametrize(
    ("image_hw", "imgsz", "factor"),
    [
        ((120, 128), 128, 1),
        ((100, 128), 128, 2),
        ((84, 128), 128, 2),
        ((126, 128), 128, 4),
        ((101, 128), 128, 4),
    ],
)
def test_grid_is_refined_where_padding_is_no_whole_number_of_cells(
    image_hw: Any, imgsz: int, factor: int
) -> None:
    letterbox = Letterbox.fit(image_hw, imgsz)
    grid = GridMap(letterbox, (letterbox.net_hw[0] // 4, letterbox.net_hw[1] // 4))
    assert grid._upsample == factor


# Region


@given(st.data())
def test_a_box_is_the_pixels_whose_centres_it_covers(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    xs = data.draw(st.lists(st.floats(0, width), min_size=2, max_size=2, unique=True).map(sorted))
    ys = data.draw(st.lists(st.floats(0, height), min_size=2, max_size=2, unique=True).map(sorted))
    box = (xs[0], ys[0], xs[1], ys[1])
    found = Region.from_box(np.array(box), (height, width))
    shown = np.zeros((height, width), bool)
    shown[found.y0 : found.y1, found.x0 : found.x1] = True
    assert np.array_equal(shown, box_pixels(box, (height, width)))
    assert found.area_px == shown.sum() > 0


@pytest.mark.parametrize("seed", range(5))
def test_regions_of_masks_share_pixels_with_patches(seed: int) -> None:
    mask, other = blob(SIZE, seed, 0.2), blob(SIZE, seed + 50)
    mask[:4], mask[:, :7] = False, False
    region = Region.from_mask(mask)
    assert region.area_px == mask.sum()
    assert region.bitmap is not None
    assert region.bitmap.shape == (region.y1 - region.y0, region.x1 - region.x0)
    for x0, y0, x1, y1 in [(0, 0, 40, 30), (5, 6, 20, 25), (39, 29, 40, 30), (0, 0, 6, 3), (4, 4, 4, 4)]:
        shared = (mask & other & rectangle(SIZE, x0, y0, x1, y1)).sum()
        assert region.shared_px(x0, y0, other[y0:y1, x0:x1]) == shared
        box = Region(x0, y0, x1, y1)
        assert (
            box.shared_px(3, 2, other[2:, 3:])
            == (other[2:, 3:] & rectangle(SIZE, x0, y0, x1, y1)[2:, 3:]).sum()
        )


def test_an_empty_mask_is_an_empty_region() -> None:
    region = Region.from_mask(np.zeros(SIZE, bool))
    assert region.area_px == 0
    assert region.shared_px(0, 0, np.ones(SIZE, bool)) == 0
