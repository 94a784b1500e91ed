"""Masks to files: what each format holds, what reads back, and what is said when writing fails."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fastsam.datasets import read_coco
from fastsam.errors import ExportError, InputError, RecordError
from fastsam.export import FORMATS, Exporter, load_npz, load_sam_json, safe_name, unique_names, write
from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.dense import box_from_mask
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import edge_polygons, fill_polygons, join_rings, polygon_parts, yolo_polygon
from fastsam.masks.rle import decode_rle, encode_crop, encode_rle
from fastsam.prompts import Box, Points, select

SIZE = (90, 120)


def drawn() -> NDArray[np.bool_]:
    """A ring, three islands of which one has a hole, a slab at the corner, one pixel, nothing."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    radius = np.hypot(x - 60, y - 45)
    islands = (np.hypot(x - 15, y - 15) < 12) | ((abs(x - 100) < 15) & (abs(y - 70) < 15))
    islands |= np.hypot(x - 30, y - 70) < 8
    islands &= ~((abs(x - 100) < 6) & (abs(y - 70) < 7))
    pixel = (x == 7) & (y == 3)
    return np.stack([(radius < 40) & (radius > 20), islands, (x > 80) & (y < 25), pixel, x < 0])


@pytest.fixture
def masks() -> MaskSet:
    return MaskSet.from_dense(drawn(), scores=[0.9, 0.8, 0.7, 0.6, 0.5])


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


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


@pytest.mark.parametrize("tolerance", [0.0, 0.7])
def test_polygon_parts_keep_islands_and_holes(tolerance: float) -> None:
    mask = drawn()[1]
    parts = polygon_parts(mask, tolerance)
    assert sorted(len(part) for part in parts) == [1, 1, 2]
    filled = fill_polygons([join_rings(part) for part in parts], SIZE)
    assert iou(filled, mask) == 1 if tolerance == 0 else iou(filled, mask) > 0.95
    assert polygon_parts(np.zeros((3, 3), bool)) == []


def test_yolo_polygon_of_a_patch_is_that_of_the_image() -> None:
    mask = drawn()[2]
    assert yolo_polygon(mask[:25, 81:], (81, 0), SIZE) == yolo_polygon(mask)
    assert yolo_polygon(drawn()[3]) is None
    assert yolo_polygon(np.zeros(SIZE, bool)) is None


# --- what reads back --------------------------------------------------------------------------------


def test_npz_round_trip(masks: MaskSet, tmp_path: Path) -> None:
    boxes = masks.boxes_xyxy + np.float32(0.25)  # boxes of a network are not the tight ones
    given_masks = MaskSet(SIZE, boxes, masks.scores, masks.store)
    (path,) = write(given_masks, tmp_path, "npz", name="bus", labels=["a", "b", "c", "d", "é"])
    assert path == tmp_path / "bus.npz"
    found = load_npz(path)
    assert found.size_hw == SIZE
    assert np.array_equal(np.asarray(found), drawn())
    assert np.array_equal(found.boxes_xyxy, boxes)
    assert np.array_equal(found.scores, masks.scores)
    with np.load(path) as arrays:
        assert arrays["labels"].tolist() == ["a", "b", "c", "d", "é"]
        assert "stability_scores" not in arrays


def test_sam_json_round_trip(masks: MaskSet, tmp_path: Path) -> None:
    stability = np.linspace(0.9, 0.95, 5)
    points = np.full((5, 2), 7.5)
    (path,) = write(
        masks,
        tmp_path,
        "sam-json",
        name="bus",
        file_name="x/bus.jpg",
        stability_scores=stability,
        points_xy=points,
    )
    content = json.loads(path.read_text())
    assert content["image"] | {"image_id": 0} == {
        "image_id": 0, "width": 120, "height": 90, "file_name": "x/bus.jpg",
    }  # fmt: skip
    first = content["annotations"][0]
    assert first["area"] == drawn()[0].sum()
    assert first["bbox"] == [21, 6, 79, 79]
    assert first["crop_box"] == [0, 0, 120, 90]
    assert first["predicted_iou"] == 0.9
    assert first["stability_score"] == pytest.approx(0.9)
    assert first["point_coords"] == [[7.5, 7.5]]
    found = load_sam_json(path)
    assert np.array_equal(np.asarray(found), drawn())
    assert np.array_equal(found.scores, masks.scores)
    assert np.array_equal(found.boxes_xyxy, masks.tight_boxes())


def test_masks_of_sa_1b_are_read_and_prompted(tmp_path: Path) -> None:
    """A file as Meta publishes them: compressed RLE, one image, keys that are not ours."""
    dog, tail = np.zeros((90, 120), bool), np.zeros((90, 120), bool)
    dog[20:70, 30:90] = True
    tail[20:30, 80:90] = True
    entries = [
        {
            "id": 5 + k, "segmentation": encode_rle(mask), "bbox": [0, 0, 1, 1], "area": int(mask.sum()),
            "predicted_iou": score, "stability_score": 0.97, "crop_box": [0, 0, 120, 90],
            "point_coords": [[40.5, 30.25]],
        }
        for k, (mask, score) in enumerate([(dog, 0.98), (tail, 0.91)])
    ]  # fmt: skip
    image = {"image_id": 1, "width": 120, "height": 90, "file_name": "sa_1.jpg"}
    path = tmp_path / "sa_1.json"
    path.write_text(json.dumps({"image": image, "annotations": entries}))
    masks = load_sam_json(path)
    np.testing.assert_array_equal(np.asarray(masks), [dog, tail])
    assert select(masks, Points((85, 25))).indices.tolist() == [1]
    assert select(masks, Box((30, 20, 90, 70))).indices.tolist() == [0]
    (again,) = write(masks, tmp_path / "out", "sam-json", file_name="sa_1.jpg")
    written = json.loads(again.read_text())
    assert [e["segmentation"] for e in written["annotations"]] == [e["segmentation"] for e in entries]
    assert [e["predicted_iou"] for e in written["annotations"]] == [0.98, 0.91]


def test_sam_json_says_only_what_was_measured(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "sam-json")
    keys = {key for entry in json.loads(path.read_text())["annotations"] for key in entry}
    assert keys == {"id", "segmentation", "bbox", "area", "predicted_iou", "crop_box"}


def test_sa1b_files_of_others_are_read(tmp_path: Path) -> None:
    mask = drawn()[0]
    entry = {"id": 532, "segmentation": encode_rle(mask), "area": 1, "bbox": [0, 0, 1, 1]}
    path = tmp_path / "sa_1.json"
    path.write_text(json.dumps({"image": {"height": 90, "width": 120}, "annotations": [entry]}))
    found = load_sam_json(path)
    assert np.array_equal(found.mask(0), mask)
    assert found.scores.tolist() == [1.0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_is_what_pycocotools_reads(
    masks: MaskSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["dog", "cat", "dog", "cat", "unseen"]
    with Exporter("coco", tmp_path) as exporter:
        exporter.add(Frame(np.zeros((*SIZE, 3), np.uint8), "b", "p/b.jpg"), masks, labels=labels)
        exporter.add(Frame(np.zeros((*SIZE, 3), np.uint8), "a", "p/a.jpg"), masks[[1]])
        exporter.add(Frame(np.zeros((4, 5, 3), np.uint8), "c", "p/c.png"), MaskSet.none((4, 5)))
    coco = COCO(str(tmp_path / "instances.json"))
    capsys.readouterr()  # pycocotools prints
    assert [(i["id"], i["file_name"]) for i in coco.loadImgs(coco.getImgIds())] == [
        (1, "a.jpg"), (2, "b.jpg"), (3, "c.png"),
    ]  # fmt: skip
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    assert names == {1: "cat", 2: "dog", 3: "object"}
    found = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert [names[a["category_id"]] for a in found] == ["dog", "cat", "dog", "cat"]
    assert len({a["id"] for a in coco.loadAnns(coco.getAnnIds())}) == 5
    for annotation, mask in zip(found, drawn(), strict=False):
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        x1, y1, x2, y2 = box_from_mask(mask).tolist()
        assert annotation["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        overlaps = coco_mask.iou([annotation["segmentation"]], [encode_rle(mask)], [0])
        assert overlaps[0, 0] == 1
    assert [len(image.annotations) for image in read_coco(tmp_path).images] == [1, 4, 0]


def test_coco_results_load_too(masks: MaskSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(masks, tmp_path, "coco", name="b")
    coco = COCO(str(tmp_path / "instances.json"))
    results = coco.loadRes(json.loads((tmp_path / "instances.json").read_text())["annotations"])
    capsys.readouterr()
    assert len(results.getAnnIds()) == 4
    assert results.loadAnns([1])[0]["score"] == 0.9


def test_interrupted_coco_run_loses_nothing(masks: MaskSet, tmp_path: Path) -> None:
    frames = [Frame(np.zeros((*SIZE, 3), np.uint8), name) for name in ("a", "b", "c")]
    killed = Exporter("coco", tmp_path)  # never closed
    for frame in frames[:2]:
        killed.add(frame, masks)
    assert not (tmp_path / "instances.json").exists()
    with Exporter("coco", tmp_path) as resumed:
        assert [resumed.done(frame.name) for frame in frames] == [True, True, False]
        resumed.add(frames[2], masks[[0]], labels=["ring"])
    content = json.loads((tmp_path / "instances.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a", "b", "c"]
    assert len(content["annotations"]) == 4 + 4 + 1
    with Exporter("coco", tmp_path) as again:  # an image exported again replaces its masks
        again.add(frames[0], masks[[1]])
    assert len(json.loads((tmp_path / "instances.json").read_text())["annotations"]) == 1 + 4 + 1


def test_an_error_in_the_run_still_merges_what_is_there(masks: MaskSet, tmp_path: Path) -> None:
    def run() -> None:
        with Exporter("coco", tmp_path) as exporter:
            exporter.add(Frame(np.zeros((*SIZE, 3), np.uint8), "a"), masks)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(json.loads((tmp_path / "instances.json").read_text())["images"]) == 1


def test_damaged_coco_part_is_named(masks: MaskSet, tmp_path: Path) -> None:
    write(masks, tmp_path, "coco", name="a")
    (tmp_path / "coco_parts" / "b.json").write_text('{"images": [')
    with pytest.raises(ExportError, match=r"b\.json: .*delete it and export that image again"):
        Exporter("coco", tmp_path).close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"images": []}', '{"images": [{"id": 1}]}', "null"])
def test_every_kind_of_damaged_part(content: str, tmp_path: Path) -> None:
    (tmp_path / "coco_parts").mkdir()
    (tmp_path / "coco_parts" / "b.json").write_text(content)
    with pytest.raises(ExportError, match="expected a COCO file of one image"):
        Exporter("coco", tmp_path).close()


# --- formats for people and for trainers ------------------------------------------------------------


def test_png_folder_is_that_of_sams_amg(masks: MaskSet, tmp_path: Path) -> None:
    files = write(masks, tmp_path, "png", name="bus")
    names = ["000.png", "001.png", "002.png", "003.png", "004.png", "metadata.csv"]
    assert files == [tmp_path / "bus_masks" / name for name in names]
    for path, mask in zip(files, drawn(), strict=False):
        with Image.open(path) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), mask * 255)
    lines = files[-1].read_text().splitlines()
    assert lines[0] == "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,predicted_iou"
    assert lines[1] == f"0,{drawn()[0].sum()},21,6,79,79,0.9"
    assert lines[4:] == ["3,1,7,3,1,1,0.6", "4,0,0,0,0,0,0.5"]


def test_png_folder_is_replaced_whole(masks: MaskSet, tmp_path: Path) -> None:
    write(masks, tmp_path, "png")
    write(masks[[0]], tmp_path, "png", labels=["ring"], stability_scores=[0.5], levels=["whole"])
    assert sorted(os.listdir(tmp_path)) == ["image_masks"]
    assert sorted(os.listdir(tmp_path / "image_masks")) == ["000.png", "metadata.csv"]
    header = (tmp_path / "image_masks" / "metadata.csv").read_text().splitlines()[0]
    assert header.endswith("predicted_iou,stability_score,label,level")


def test_yolo_labels_draw_the_masks(tmp_path: Path) -> None:
    labels = ["dog", "cat", "dog", "cat", "unseen"]
    large = drawn().repeat(3, axis=1).repeat(3, axis=2)  # a bridge is a pixel wide, whatever the mask's size
    large[3] = drawn()[3].repeat(3, axis=0).repeat(3, axis=1) & (np.arange(360) == 21)
    files = write(MaskSet.from_dense(large), tmp_path, "yolo", name="bus", labels=labels)
    assert files == [tmp_path / "labels" / "bus.txt", tmp_path / "classes.txt"]
    assert files[1].read_text() == "dog\ncat\n"
    lines = files[0].read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "0"]  # a thin line and nothing have no polygon
    for line, mask in zip(lines, large, strict=False):
        values = np.array(line.split()[1:], float).reshape(-1, 2)
        assert values.min() >= 0
        assert values.max() <= 1
        corners = (values * [360, 270]).astype(int).astype(np.float32)  # as ultralytics' polygon2mask
        assert iou(fill_polygons([corners], (270, 360)), mask) > 0.95


def test_yolo_classes_keep_their_ids_in_later_runs(masks: MaskSet, tmp_path: Path) -> None:
    write(masks[[0, 1]], tmp_path, "yolo", name="a", labels=["dog", "fire\nengine"])
    write(masks[[0, 1]], tmp_path, "yolo", name="b", labels=["ant", "dog"])
    assert (tmp_path / "classes.txt").read_text() == "dog\nfire engine\nant\n"
    assert [line[0] for line in (tmp_path / "labels" / "b.txt").read_text().splitlines()] == ["2", "0"]


def test_labelme_polygons_draw_the_masks(masks: MaskSet, tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "bus.jpg"
    photo.parent.mkdir()
    Image.new("RGB", SIZE[::-1]).save(photo)
    (path,) = write(masks, tmp_path / "out", "labelme", name="bus", source=str(photo))
    content = json.loads(path.read_text())
    assert (path.parent / content["imagePath"]).resolve() == photo.resolve()
    assert (content["imageHeight"], content["imageWidth"], content["imageData"]) == (90, 120, None)
    assert [shape["group_id"] for shape in content["shapes"]] == [None, 1, 1, 1, None]
    filled = np.zeros((5, *SIZE), bool)
    for shape in content["shapes"]:
        mask = int(float(shape["description"].split()[1]) * -10 + 9.5)  # 0.9 -> 0, 0.8 -> 1, ...
        canvas = Image.new("L", SIZE[::-1])  # as labelme's shape_to_mask
        corners = [tuple(point) for point in shape["points"]]
        ImageDraw.Draw(canvas).polygon(corners, fill=1, outline=1)
        filled[mask] |= np.asarray(canvas, bool)
    assert all(iou(filled[i], drawn()[i]) > 0.95 for i in range(3))


def test_geojson_polygons_are_exact(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "geojson", labels=list("abcde"), levels=["whole"] * 5)
    content = json.loads(path.read_text())
    assert "y down" in content["coordinate_unit"]
    kinds = [feature["geometry"] and feature["geometry"]["type"] for feature in content["features"]]
    assert kinds == ["Polygon", "MultiPolygon", "Polygon", "Polygon", None]
    assert content["features"][0]["properties"] == {
        "label": "a", "score": 0.9, "area_px": int(drawn()[0].sum()), "level": "whole",
    }  # fmt: skip
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    for feature, mask in zip(content["features"][:3], drawn(), strict=False):
        geometry = feature["geometry"]
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        crossings = np.zeros(SIZE, int)  # even-odd rule at pixel centres, along a ray to the left
        for ring in (ring for polygon in polygons for ring in polygon):
            assert ring[0] == ring[-1]
            for (x1, y1), (_, y2) in itertools.pairwise(ring):
                crossings += (columns > x1) & (rows > min(y1, y2)) & (rows < max(y1, y2))
        assert np.array_equal(crossings % 2 == 1, mask)


def test_csv_has_a_row_a_mask(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "csv", source="p/bus, red.jpg", labels=['say "a"', "b", "c", "d", ""])
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == ['say "a"', "b", "c", "d", "object"]
    assert {row["image"] for row in rows} == {"bus, red.jpg"}
    assert [int(row["area_px"]) for row in rows] == drawn().sum(axis=(1, 2)).tolist()
    assert [rows[2][name] for name in ("x1", "y1", "x2", "y2")] == ["81", "0", "120", "25"]


def test_labelmap_is_16_bit_with_the_smaller_in_front(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "labelmap", name="bus")
    assert path.name == "bus_labels.png"
    with Image.open(path) as kept:
        labels = np.asarray(kept)
    assert (labels.dtype, labels.shape) == (np.uint16, SIZE)
    for i in (2, 3):  # the slab and the pixel are in front of all that they touch
        assert np.array_equal(labels == i + 1, drawn()[i])
    assert np.array_equal(labels > 0, drawn().any(axis=0))


def test_labelmap_of_hundreds_of_masks_and_of_too_many(tmp_path: Path) -> None:
    pixels = [Crop(x, 0, np.ones((1, 1), bool)) for x in range(300)]
    (path,) = write(MaskSet.from_crops(pixels, (1, 300)), tmp_path, "labelmap")
    with Image.open(path) as kept:
        assert np.asarray(kept).tolist() == [list(range(1, 301))]
    one = MaskSet.from_crops(pixels[:1], (1, 300))
    with pytest.raises(ExportError, match="expected 65535 masks at most"):
        write(one[np.zeros(65536, np.int64)], tmp_path, "labelmap")


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
    elif format == "coco":
        content = json.loads(files[1].read_bytes())
        assert (len(content["images"]), content["annotations"]) == (1, [])
        assert content["categories"] == [{"id": 1, "name": "object", "supercategory": ""}]
    elif format == "yolo":
        assert main == b""
        assert files[1].read_text() == "object\n"
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
        "sam-json",
        "yolo",
        "labelme",
        "csv",
        "labelmap",
        "cutout",
        "geojson",
    ]
    for name, row in FORMATS.items():
        assert row.name == name
        assert row.help
        assert row.extension.startswith(".")
    assert [name for name, row in FORMATS.items() if row.per == "run"] == ["coco"]


# --- what cannot be written or read -----------------------------------------------------------------


def test_unknown_format_lists_the_known(masks: MaskSet, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected one of png, npz, coco.*did you mean 'coco'"):
        write(masks, tmp_path, "cocoo")
    with pytest.raises(ExportError, match="expected one of png"):
        Exporter("", tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_where_the_folder_should_be(format: str, masks: MaskSet, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(ExportError, match="a part of the path is a file, not a folder"):
            write(masks, folder, format)


def test_cutouts_are_soft_pictures_of_each_object(tmp_path: Path) -> None:
    photo = skimage.data.coffee()
    dense = np.zeros((2, *photo.shape[:2]), bool)
    dense[0, 120:280, 200:400] = dense[1, 300:360, 20:90] = True
    masks = MaskSet.from_dense(dense)
    frame = Frame(photo, "cup")
    with Exporter("cutout", tmp_path) as exporter:
        files = exporter.add(frame, masks, labels=["a cup", "a/b"])
    assert [path.name for path in files] == ["000_a cup.png", "001_a_b.png"]
    for path, mask in zip(files, dense, strict=True):
        with Image.open(path) as picture:
            assert picture.mode == "RGBA"
            alpha = np.asarray(picture)[..., 3]
        assert alpha.any(axis=0).all()  # the box is tight
        assert alpha.any(axis=1).all()
        assert (alpha == 255).sum() / mask.sum() > 0.7
        assert (alpha > 0).sum() / mask.sum() < 1.5


def test_cutouts_need_the_photo(masks: MaskSet, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected the photo of 'bus', got masks only; pass rgb="):
        write(masks, tmp_path, "cutout", name="bus")


def test_a_photo_of_another_size_is_refused(masks: MaskSet, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="rgb: expected the photo of the masks"):
        write(masks, tmp_path, "cutout", rgb=np.zeros((2, 3, 3), np.uint8))


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """Let no file grow beyond ``limit`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("format", FORMATS)
def test_a_write_that_fails_half_way_leaves_the_old_files(format: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = MaskSet.from_dense(rng.random((3, 60, 60)) > 0.5)
    photo = rng.integers(0, 255, (60, 60, 3)).astype(np.uint8)
    write(noise[[0]], tmp_path, format, name="a", rgb=photo)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    labels = [str(i) * 3000 for i in range(3)]  # makes every format large enough
    with small_disk(500), pytest.raises(ExportError, match="cannot be written"):
        write(noise, tmp_path, format, name="a", labels=labels, rgb=photo)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EACCES, "no permission to write there; choose another folder"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "cannot be written: .*error"),
    ],
)
def test_what_the_file_system_says(
    number: int, said: str, masks: MaskSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    exporter = Exporter("npz", tmp_path)
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(ExportError, match=said):
        exporter.add(Frame(np.zeros((*SIZE, 3), np.uint8), "a"), masks)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"labels": ["a"]}, "labels: expected 5 texts for 5 masks, got 1"),
        ({"labels": "abcde"}, "labels: expected 5 texts for 5 masks, got 'abcde'"),
        ({"levels": []}, "levels: expected 5 texts"),
        ({"stability_scores": [1.0]}, r"stability_scores: expected shape \(5,\) for 5 masks, got \(1,\)"),
        ({"points_xy": np.zeros((5, 3))}, r"points_xy: expected shape \(5, 2\)"),
        ({"stability_scores": ["x"] * 5}, "stability_scores: expected numbers"),
    ],
)
def test_annotations_must_fit(known: dict[str, Any], said: str, masks: MaskSet, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=said):
        write(masks, tmp_path, "csv", **known)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("load", [load_npz, load_sam_json])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"PK\x03\x04broken", b"null", b"\xff\xfe"])
def test_loading_something_else(load: Any, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file: expected .* got something else"):
        load(path)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected"):
        load(tmp_path)


def test_loading_npz_of_others(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "npz")
    with np.load(path) as file:
        arrays = dict(file)
    for name, value in (
        ("bits", arrays["bits"][:-1]),
        ("windows", arrays["windows"] + 200),
        ("windows", arrays["windows"][:, ::-1]),
        ("scores", arrays["scores"][:-1]),
        ("size_hw", np.array([5])),
    ):
        np.savez(path, **{**arrays, name: value})
        with pytest.raises(InputError, match="expected an NPZ of masks"):
            load_npz(path)
    np.savez(path, masks=drawn())
    with pytest.raises(InputError, match="got something else"):
        load_npz(path)


def test_sam_json_with_an_rle_of_another_image(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    entry = {"segmentation": encode_rle(np.ones((2, 2), bool))}
    path.write_text(json.dumps({"image": {"height": 3, "width": 2}, "annotations": [entry]}))
    with pytest.raises(InputError, match=r"RLE of the image's size \(3, 2\), got \(2, 2\)"):
        load_sam_json(path)


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("bus", "bus"),
        ("", "image"),
        ("..", "image"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\\b:c*d", "a_b_c_d"),
        ("nul\0byte\nline", "nul_byte_line"),
        ("con", "con_"),
        ("COM1.backup", "COM1.backup_"),
        ("instances", "instances_"),
        ("Über straße 日本", "Über straße 日本"),
        ("e\u0301", "\u00e9"),
        ("bad\udcff", "bad_"),
        ("end. ", "end"),
        ("x" * 400, "x" * 180),
        ("日" * 100, "日" * 60),
    ],
)
def test_safe_names(name: str, safe: str, masks: MaskSet, tmp_path: Path) -> None:
    assert safe_name(name) == safe
    assert safe_name(safe) == safe or safe.endswith("_")
    (path,) = write(masks[[0]], tmp_path, "npz", name=name)
    assert path == tmp_path / f"{safe}.npz"
    assert path.is_file()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["p/cat.jpg", "p/dog.jpg"], ["cat", "dog"]),
        (["a/cat.jpg", "b/cat.jpg"], ["a_cat", "b_cat"]),
        (["x/a/cat.jpg", "y/a/cat.jpg", "z/dog.jpg"], ["x_a_cat", "y_a_cat", "dog"]),
        (["p/cat.jpg", "p/cat.png"], ["cat_jpg", "cat_png"]),
        (["p/cat.jpg", "p/Cat.png"], ["cat_jpg", "Cat_png"]),
        (["a/cat.jpg", "a/cat.png", "b/cat.jpg"], ["cat_jpg", "cat_png", "cat"]),
        (["p/cat.jpg", "p/cat.jpg", "q/../p/cat.jpg"], ["cat", "cat_2", "cat_3"]),
        (["a/cat.jpg", "b/cat.jpg", "c/a_cat.jpg"], None),
        (["p/a:b.jpg", "p/a*b.jpg", "p/a?b.jpg"], None),
        (["p/c.jpg", "p/c.jpg", "p/c_2.jpg"], None),
    ],
)
def test_unique_names(paths: list[str], names: list[str] | None) -> None:
    found = unique_names(paths)
    assert names is None or found == names
    assert len({name.casefold() for name in found}) == len(paths)
    assert [safe_name(name) for name in found] == found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("aA1_./", min_size=1, max_size=6), max_size=8))
def test_unique_names_never_meet(paths: list[str]) -> None:
    found = unique_names(paths)
    assert len({name.casefold() for name in found}) == len(paths)


def test_two_images_of_a_run_do_not_overwrite_each_other(masks: MaskSet, tmp_path: Path) -> None:
    def frame(name: str, source: str) -> Frame:
        return Frame(np.zeros((*SIZE, 3), np.uint8), name, source)

    exporter = Exporter("npz", tmp_path)
    exporter.add(frame("cat", "a/cat.jpg"), masks)
    exporter.add(frame("cat", "a/cat.jpg"), masks[[0]])  # the same image again
    assert len(load_npz(tmp_path / "cat.npz")) == 1
    for name, source in (("cat", "b/cat.jpg"), ("Cat", "a/Cat.jpg"), ("cat", "")):
        with pytest.raises(ExportError, match=r"would overwrite the files of 'a/cat\.jpg'.*unique_names"):
            exporter.add(frame(name, source), masks)
    exporter.add(frame("image", ""), masks)
    with pytest.raises(ExportError, match="would overwrite the files of 'image'"):
        exporter.add(frame("image", ""), masks)
    names = unique_names(["a/cat.jpg", "b/cat.jpg"])
    for name, source in zip(names, ["a/cat.jpg", "b/cat.jpg"], strict=True):
        exporter.add(frame(name, source), masks)
    assert sorted(os.listdir(tmp_path)) == ["a_cat.npz", "b_cat.npz", "cat.npz", "image.npz"]


def test_decoded_rle_is_the_mask(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "sam-json")
    for entry, mask in zip(json.loads(path.read_text())["annotations"], drawn(), strict=True):
        assert np.array_equal(decode_rle(entry["segmentation"]), mask)
