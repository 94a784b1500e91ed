"""Every format that holds pixels, written and read back: holes, islands, thin masks, crowds, empty images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastsam.errors import InputError
from fastsam.export import Exporter, read_annotations, write
from fastsam.export.annotations import Annotations
from fastsam.jobs.convert import convert
from fastsam.masks.maskset import MaskSet
from tests.export.drawn import SIZE, drawn, iou

FILES = {
    "coco": "instances.json",
    "coco-polygons": "instances_polygons.json",
    "roboflow": "roboflow",
    "yolo": ".",
    "sam-json": "ü a.json",
    "npz": "ü a.npz",
    "labelme": "labelme",
    "cvat": "cvat.xml",
    "label-studio": "label_studio.json",
    "geojson": "ü a.geojson",
}
EXACT = ("coco", "coco-polygons", "roboflow", "yolo", "sam-json", "npz", "geojson")
LABELS = ["ring", "a b", "ring", "ü", "empty"]
CLASSES = ("zebra", "ü", "ring", "a b")


def thin() -> np.ndarray:
    masks = drawn()
    masks[4, 3, 2:60] = True  # a line
    return masks


def exported(format: str, folder: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    masks = MaskSet.from_dense(thin(), scores=[0.9, 0.8, 0.7, 0.6, 0.5])
    item = Annotations("ü a", masks, "ü a.png", labels=LABELS, classes=CLASSES, rgb=photo)
    empty = Annotations("z", MaskSet.none((30, 40)), "z.png", labels=[], rgb=np.zeros((30, 40, 3), np.uint8))
    with Exporter(format, folder, CLASSES) as exporter:
        exporter.add_annotations(item)
        if format not in ("sam-json", "npz", "geojson"):
            exporter.add_annotations(empty)


@pytest.mark.parametrize("format", FILES)
def test_round_trip(format: str, tmp_path: Path) -> None:
    exported(format, tmp_path)
    found = {item.masks.size_hw: item for item in read_annotations(tmp_path / FILES[format])}
    item = found[SIZE]
    assert list(item.labels or ()) == LABELS
    pixels = np.asarray(item.masks)
    for k, mask in enumerate(thin()):
        if format in EXACT:
            assert np.array_equal(pixels[k], mask), LABELS[k]
        else:
            assert iou(pixels[k], mask) > 0.95, LABELS[k]
            assert abs(int(pixels[k].sum()) - int(mask.sum())) <= 0.02 * mask.sum()
    if (30, 40) in found:
        assert len(found[30, 40].masks) == 0
    if format in ("coco", "coco-polygons", "roboflow", "yolo", "cvat"):
        assert tuple(item.classes)[:4] == CLASSES
    if format not in ("npz", "sam-json", "labelme"):
        assert item.image_name == "ü a.png"


@pytest.mark.parametrize("format", FILES)
def test_a_square_of_ten_has_a_hundred_pixels(format: str, tmp_path: Path) -> None:
    square = np.zeros((1, 40, 50), bool)
    square[0, 20:30, 10:20] = True
    write(MaskSet.from_dense(square), tmp_path, format, name="ü a", rgb=np.zeros((40, 50, 3), np.uint8))
    (item,) = read_annotations(tmp_path / FILES[format])
    assert np.array_equal(np.asarray(item.masks), square)


def test_crowds_stay_crowds_in_coco_and_leave_the_others(tmp_path: Path) -> None:
    masks = MaskSet.from_dense(drawn()[:2])
    photo = np.zeros((*SIZE, 3), np.uint8)
    for name in ("coco", "yolo", "cvat"):
        item = Annotations("a", masks, labels=["x", "y"], rgb=photo, crowds=[False, True])
        with Exporter(name, tmp_path) as exporter:
            exporter.add_annotations(item)
    coco = json.loads((tmp_path / "instances.json").read_text())
    assert [one["iscrowd"] for one in coco["annotations"]] == [0, 1]
    (item,) = read_annotations(tmp_path / "instances.json")
    assert list(item.crowds or ()) == [False, True]
    assert np.array_equal(np.asarray(item.masks), drawn()[:2])
    for source in (tmp_path / "labels", tmp_path / "cvat.xml"):
        (item,) = read_annotations(source.parent if source.is_dir() else source)
        assert list(item.labels or ()) in (["x"], ["x", "y"])


def test_what_people_drew_elsewhere_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps(
            {
                "imagePath": "a.jpg", "imageHeight": 20, "imageWidth": 30, "imageData": None,
                "shapes": [
                    {"label": "box", "points": [[2, 3], [12, 13]], "shape_type": "rectangle"},
                    {"label": "disc", "points": [[20, 10], [20, 15]], "shape_type": "circle"},
                    {"label": "spot", "points": [[1, 1]], "shape_type": "point"},
                ],
            }
        )
    )  # fmt: skip
    (item,) = read_annotations(tmp_path / "a.json")
    assert item.masks.areas_px.tolist()[0] == 100
    assert item.masks.areas_px.tolist()[1] == pytest.approx(np.pi * 25, rel=0.05)
    (tmp_path / "b.xml").write_text(
        '<annotations><version>1.1</version><image id="0" name="b.jpg" width="6" height="4">'
        '<mask label="x" rle="1,2,1,2" left="1" top="1" width="3" height="2"/>'
        '<box label="y" xtl="0" ytl="0" xbr="2" ybr="2"/></image></annotations>'
    )
    (item,) = read_annotations(tmp_path / "b.xml")
    assert item.masks.areas_px.tolist() == [4, 4]
    assert list(item.labels or ()) == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "x", "expected a file of masks"),
        ("a.json", "{}", "no known format"),
        ("a.json", '[{"data": 3}]', "expected masks of a known format"),
        ("a.json", '{"shapes": [{"points": 3}], "imageHeight": 4, "imageWidth": 5}', "known format"),
        ("a.json", '{"shapes": [{"label": "x", "points": [[0, 0], [1e9, 0], [1, 1]]}], "imageHeight": 4, '
         '"imageWidth": 5}', "corners near the image of 5x4"),
        ("a.json", '{"shapes": [], "imageHeight": 400000, "imageWidth": 400000}', "at most 178,956,970"),
        ("a.json", '{"shapes": [], "imageHeight": 1e12, "imageWidth": 5}', "imageHeight: expected a whole"),
        ("a.xml", "<a", "expected XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "without a document type"),
        ("a.xml", '<a><image name="x" width="9" height="9"><mask rle="9999999999" left="0" top="0" '
         'width="9" height="9"/></image></a>', "expected runs of 81"),
        ("a.png", "x", "not an image"),
        ("a.npz", "x", "NPZ"),
    ],
)  # fmt: skip
def test_damaged_files_are_our_errors(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        list(read_annotations(tmp_path / name))
    with pytest.raises(InputError, match="no such file"):
        list(read_annotations(tmp_path / "gone"))


def test_convert_keeps_ids_photos_and_names(tmp_path: Path) -> None:
    exported("coco", tmp_path / "in")
    (tmp_path / "in" / "images").mkdir()
    for name, size in (("ü a", SIZE), ("z", (30, 40))):
        Image.new("RGB", size[::-1]).save(tmp_path / "in" / "images" / f"{name}.png")
    seen: list[tuple[str, int]] = []
    convert(tmp_path / "in", tmp_path / "out", ["yolo", "cvat"], on_image=lambda *one: seen.append(one))
    assert sorted(seen) == [("z.png", 0), ("ü a.png", 5)]
    assert (tmp_path / "out" / "classes.txt").read_text() == "zebra\nü\nring\na b\nempty\n"
    assert sorted(path.name for path in (tmp_path / "out" / "images").iterdir()) == ["z.png", "ü a.png"]
    convert(tmp_path / "out", tmp_path / "back", ["coco"])
    back = json.loads((tmp_path / "back" / "instances.json").read_text())
    assert [one["name"] for one in back["categories"]] == ["zebra", "ü", "ring", "a b", "empty"]
    (item, _) = sorted(read_annotations(tmp_path / "back"), key=lambda one: -len(one.masks))
    assert np.array_equal(np.asarray(item.masks), thin())
