"""Masks to files: every format, and the geometry that the formats stand on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from fastsam.export import FORMATS, Exporter, load_npz, load_sam_json, write
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import edge_polygons, yolo_polygon
from fastsam.masks.rle import encode_crop, encode_rle
from tests.export.drawn import SIZE, drawn

# --- geometry that the formats stand on -------------------------------------------------------------

small_masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


@settings(max_examples=150, deadline=None)
@given(small_masks, st.tuples(*[st.integers(0, 3)] * 4))
def test_rle_of_a_crop_is_the_rle_of_the_image(mask: NDArray[np.bool_], margins: tuple[int, ...]) -> None:
    top, bottom, left, right = margins
    full = np.pad(mask, ((top, bottom), (left, right)))
    assert encode_crop(mask, left, top, full.shape) == encode_rle(full)


@settings(max_examples=150, deadline=None)
@given(small_masks)
def test_edge_polygons_are_exact_and_simple(mask: NDArray[np.bool_]) -> None:
    total = 0.0
    for part in edge_polygons(mask):
        for k, ring in enumerate(part):
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps == 0).sum(axis=1) == 1).all(), "axis-parallel edges only"
            assert len(np.unique(ring, axis=0)) == len(ring), "a ring touches itself"
            x, y = ring.T
            area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
            assert (area > 0) == (k == 0), "outer rings and holes turn in opposite directions"
            total += area
    assert total == mask.sum()


def test_yolo_polygon_of_a_patch_is_that_of_the_image() -> None:
    mask = drawn()[2]
    assert yolo_polygon(mask[:25, 81:], (81, 0), SIZE) == yolo_polygon(mask)
    assert yolo_polygon(np.zeros(SIZE, bool)) is None


# --- every format -----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_no_masks_make_valid_empty_files(format: str, tmp_path: Path) -> None:
    photo = np.zeros((4, 6, 3), np.uint8)
    files = write(MaskSet.none((4, 6)), tmp_path, format, name="empty", labels=[], rgb=photo)
    if format == "cutout":
        assert files == []
        return
    assert all(path.is_file() for path in files)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    main = files[0].read_bytes()
    if format == "npz":
        assert (len(load_npz(files[0])), load_npz(files[0]).size_hw) == (0, (4, 6))
    elif format == "sam-json":
        assert (len(load_sam_json(files[0])), load_sam_json(files[0]).size_hw) == (0, (4, 6))
    elif format in ("coco", "coco-polygons"):
        content = json.loads(files[1].read_bytes())
        assert (len(content["images"]), content["annotations"]) == (1, [])
        assert content["categories"] == [{"id": 1, "name": "object", "supercategory": ""}]
    elif format == "yolo":
        assert main == b""
        assert [path.name for path in files[1:]] == [
            "empty.png", "classes.txt", "train.txt", "val.txt", "data.yaml"
        ]  # fmt: skip
        assert files[2].read_text() == "object\n"
    elif format == "roboflow":
        assert json.loads(files[-1].read_bytes())["images"][0]["file_name"] == "empty.png"
    elif format == "cvat":
        assert b'<image id="0" name="empty" width="6" height="4">\n</image>' in files[-1].read_bytes()
    elif format == "label-studio":
        assert json.loads(files[1].read_bytes())[0]["predictions"][0]["result"] == []
    elif format == "labelme":
        assert json.loads(main)["shapes"] == []
    elif format == "geojson":
        assert json.loads(main)["features"] == []
    elif format == "labelmap":
        with Image.open(files[0]) as labels:
            assert not np.asarray(labels).any()
    else:
        assert main.count(b"\n") == 1  # the header


@pytest.mark.parametrize("format", FORMATS)
def test_masks_on_the_grid_export_as_their_pixels(format: str, tmp_path: Path) -> None:
    """Exports of masks that the network left on its grid are those of the same masks, decoded."""
    from fastsam.masks.letterbox import GridMap, Letterbox
    from fastsam.masks.stores.grid import GridStore

    rng = np.random.default_rng(0)
    boxes = np.array([[3.4, 5.1, 60.2, 50.7], [10, 10, 70, 60]], np.float32)
    grid = GridMap(Letterbox.fit((64, 80), 64), (16, 16))
    grid = GridMap(grid.letterbox, (grid.letterbox.net_hw[0] // 4, grid.letterbox.net_hw[1] // 4))
    prototypes = rng.normal(size=(4, *grid.grid_hw)).astype(np.float32)
    store = GridStore(rng.normal(size=(2, 4)).astype(np.float32), prototypes, boxes, grid)
    masks = MaskSet.from_grid(store, np.array([0.9, 0.8], np.float32))
    decoded = MaskSet.from_dense(np.asarray(masks), masks.scores)
    assert masks.areas_px.min() > 50
    photo = rng.integers(0, 255, (64, 80, 3)).astype(np.uint8)
    files = write(masks, tmp_path / "grid", format, rgb=photo)
    others = write(decoded, tmp_path / "dense", format, rgb=photo)
    if format == "npz":
        assert np.array_equal(np.asarray(load_npz(files[0])), np.asarray(load_npz(others[0])))
        return
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in others]


@pytest.mark.parametrize("format", FORMATS)
def test_formats_share_a_folder_and_know_what_is_done(format: str, masks: MaskSet, tmp_path: Path) -> None:
    for other in FORMATS:
        if other != format:
            write(masks, tmp_path, other, name="bus", rgb=np.zeros((*SIZE, 3), np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    exporter = Exporter(format, tmp_path)
    assert not exporter.done("bus")
    exporter.add(Frame(np.zeros((*SIZE, 3), np.uint8), "bus"), masks)
    assert exporter.done("bus")
    assert all(path.read_bytes() == content for path, content in before.items())


def test_table() -> None:
    assert list(FORMATS) == [
        "png",
        "npz",
        "coco",
        "coco-polygons",
        "sam-json",
        "yolo",
        "labelme",
        "csv",
        "labelmap",
        "cutout",
        "roboflow",
        "cvat",
        "label-studio",
        "geojson",
    ]
    for name, row in FORMATS.items():
        assert row.name == name
        assert row.help
        assert row.extension.startswith(".")
    assert [name for name, row in FORMATS.items() if row.per == "run"] == [
        "coco", "coco-polygons", "roboflow", "cvat", "label-studio",
    ]  # fmt: skip
