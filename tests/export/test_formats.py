"""Formats for people and for trainers hold the masks."""

from __future__ import annotations

import csv
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from fastsam.errors import ExportError, RecordError
from fastsam.export import Exporter, write
from fastsam.images.frame import Frame
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import rasterise
from tests.export.drawn import SIZE, drawn, iou

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
    masks = MaskSet.from_dense(drawn())
    files = write(masks, tmp_path, "yolo", name="bus", labels=labels)
    assert files == [tmp_path / "labels" / "bus.txt", tmp_path / "classes.txt"]
    assert files[1].read_text() == "dog\ncat\n"
    lines = files[0].read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "0", "1"]  # nothing has no polygon
    for line, mask in zip(lines, drawn(), strict=False):
        values = np.array(line.split()[1:], float).reshape(-1, 2)
        assert values.min() >= 0
        assert values.max() <= 1
        assert iou(rasterise([values * SIZE[::-1]], SIZE), mask) > 0.95


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
    assert [shape["group_id"] for shape in content["shapes"]] == [None, 1, 1, 1, None, None]
    filled = np.zeros((5, *SIZE), bool)
    for shape in content["shapes"]:
        mask = int(float(shape["description"].split()[1]) * -10 + 9.5)  # 0.9 -> 0, 0.8 -> 1, ...
        filled[mask] |= rasterise([np.array(shape["points"])], SIZE)
    assert all(iou(filled[i], drawn()[i]) > 0.95 for i in range(4))


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
