"""The data set that ultralytics trains on: labels, copies of the images, and what is used again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam.datasets import CocoDataset, read_coco
from fastsam.errors import DatasetError
from fastsam.images.reading import image_size_hw, read_frame
from fastsam.masks.rle import encode_rle
from fastsam.training.dataset import class_names, write_yolo_dataset
from tests import oracles
from tests.drawing import ellipse, rectangle


def drawn(label: str, size_hw: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """What a YOLO trainer makes of a label file."""
    height, width = size_hw
    found = []
    for line in label.splitlines():
        number, *values = line.split()
        assert number == "0"
        ring = np.array(values, float).reshape(-1, 2) * [width, height]
        canvas = np.zeros(size_hw, np.uint8)
        cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
        found.append(canvas.astype(bool))
    return found


def dataset(root: Path, masks: dict[str, list[NDArray[np.bool_]]]) -> CocoDataset:
    """Write drawn masks as a dataset of grey images."""
    images, annotations = [], []
    for number, (name, found) in enumerate(masks.items()):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((60, 80, 3), 114, np.uint8)).save(path)
        images.append({"id": number, "file_name": name, "height": 60, "width": 80})
        annotations += [{"image_id": number, "segmentation": encode_rle(mask)} for mask in found]
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return read_coco(root, "train")


def test_labels_are_the_masks(tmp_path: Path) -> None:
    size = (60, 80)
    ring = ellipse(size, 5, 5, 50, 50) & ~ellipse(size, 18, 18, 36, 36)
    islands = rectangle(size, 55, 5, 75, 25) | rectangle(size, 55, 35, 75, 55)
    speck = rectangle(size, 3, 50, 4, 51)
    found = dataset(tmp_path / "some data", {"a.png": [ring, islands, speck], "b.jpg": []})
    written = write_yolo_dataset([found], tmp_path / "out: here")
    description = written.description
    out = description.parent
    first = drawn((out / "labels" / "some data__a.txt").read_text(), size)
    assert [oracles.iou(a, b) > 0.93 for a, b in zip(first, (ring, islands, speck), strict=True)] == [
        True
    ] * 3
    assert (out / "labels" / "some data__b.txt").read_text() == ""
    listed = (out / "train.txt").read_text().splitlines()
    assert [Path(line).name for line in listed] == ["some data__a.png", "some data__b.jpg"]
    assert all(Path(line).is_file() for line in listed)
    assert not list(out.rglob("*.part"))

    from ultralytics.utils import YAML

    content = YAML.load(description)
    assert (content["path"], content["names"]) == (str(out), {0: "object"})


def test_a_label_is_used_again_only_if_its_source_and_itself_are_the_same(tmp_path: Path) -> None:
    """Training again into a folder used the labels of the first time."""
    found = dataset(tmp_path / "d", {"a.png": [ellipse((60, 80), 5, 5, 50, 50)], "b.png": []})
    out = write_yolo_dataset([found], tmp_path / "out", ["d"]).description.parent
    label, copy = out / "labels" / "d__a.txt", out / "images" / "d__a.png"
    first, made = label.read_text(), copy.stat().st_mtime_ns
    written = write_yolo_dataset([found], tmp_path / "out", ["d"])
    assert (label.read_text(), copy.stat().st_mtime_ns) == (first, made)
    assert written.partial == {"d__a.png", "d__b.png"}

    moved = dataset(tmp_path / "d", {"a.png": [ellipse((60, 80), 30, 5, 75, 50)], "b.png": []})
    (out / "labels.cache").write_text("of the labels before")
    write_yolo_dataset([moved], tmp_path / "out")
    assert label.read_text() != first
    assert not (out / "labels.cache").exists()
    second = label.read_text()
    label.write_text(first)  # somebody's, or a torn one
    write_yolo_dataset([moved], tmp_path / "out")
    assert label.read_text() == second

    Image.fromarray(np.full((60, 80, 3), 20, np.uint8)).save(tmp_path / "d" / "images" / "a.png")
    write_yolo_dataset([moved], tmp_path / "out")
    assert read_frame(copy).rgb.max() == 20


def test_originals_are_out_of_reach(tmp_path: Path) -> None:
    """Ultralytics writes a JPEG with bytes after its end mark again, where it lies."""
    found = dataset(tmp_path / "d", {"a.jpg": [ellipse((60, 80), 5, 5, 50, 50)]})
    original = tmp_path / "d" / "images" / "a.jpg"
    original.write_bytes(original.read_bytes() + b"bytes that phones add")
    before = hashlib.sha256(original.read_bytes()).hexdigest()
    written = write_yolo_dataset([found], tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        assert path.resolve().is_relative_to(tmp_path / "out")
        assert path.is_dir() or path.stat().st_nlink == 1
    for copy in written.images:  # whatever a tool does to what it is given
        copy.write_bytes(b"")
    assert hashlib.sha256(original.read_bytes()).hexdigest() == before


def test_pixels_are_those_that_are_segmented(tmp_path: Path) -> None:
    """A photo that EXIF turns, and formats that ultralytics passes over, come as PNG."""
    root = tmp_path / "d"
    dataset(root, {"a.jpg": [], "b.gif": [], "c.png": []})
    turned = Image.fromarray(np.arange(80 * 60 * 3, dtype=np.uint32).reshape(80, 60, 3).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    turned.save(root / "images" / "a.jpg", exif=exif)
    written = write_yolo_dataset([read_coco(root, "train")], tmp_path / "out")
    assert [path.suffix for path in written.images] == [".png", ".png", ".png"]
    assert [image_size_hw(path) for path in written.images] == [(60, 80)] * 3
    assert written.images[2].read_bytes() == (root / "images" / "c.png").read_bytes()

    turned.save(root / "images" / "a.jpg")
    with pytest.raises(DatasetError, match=r"instances\.json says 80x60, the file is 60x80"):
        write_yolo_dataset([read_coco(root, "train")], tmp_path / "out")


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    size = (60, 80)
    masks = {"a.jpg": [ellipse(size, 5, 5, 50, 50), rectangle(size, 3, 3, 4, 3)], "b.jpg": [], "c.jpg": []}
    root = tmp_path / "d"
    dataset(root, masks)
    whole = (root / "images" / "b.jpg").read_bytes()
    (root / "images" / "b.jpg").write_bytes(whole[: len(whole) // 2])
    content = json.loads((root / "instances.json").read_text())
    content["annotations"].append(
        {"image_id": 2, "iscrowd": 1, "segmentation": encode_rle(masks["a.jpg"][0])}
    )
    (root / "instances.json").write_text(json.dumps(content))
    written = write_yolo_dataset([read_coco(root, "train")], tmp_path / "out")
    assert [path.name for path in written.images] == ["d__a.jpg", "d__c.jpg"]
    assert "1 images are damaged and left out" in written.notes
    assert any(note.startswith("1 masks without a pixel") for note in written.notes)
    assert written.partial == {"d__c.jpg"}  # a crowd is not background


def test_classes_are_kept_if_asked_for(tmp_path: Path) -> None:
    size = (60, 80)
    root = tmp_path / "d"
    dataset(root, {"a.png": [ellipse(size, 5, 5, 50, 50), ellipse(size, 55, 5, 75, 50)]})
    content = json.loads((root / "instances.json").read_text())
    content["categories"] = [{"id": 3, "name": "dog"}, {"id": 7, "name": "a cat: grey"}]
    for annotation, kind in zip(content["annotations"], (7, 3), strict=True):
        annotation["category_id"] = kind
    (root / "instances.json").write_text(json.dumps(content))
    found = read_coco(root, "train")
    names = class_names([found])
    assert names == ("dog", "a cat: grey")
    out = write_yolo_dataset([found], tmp_path / "out", names=names).description
    text = (out.parent / "labels" / "d__a.txt").read_text()
    assert [line[0] for line in text.splitlines()] == ["1", "0"]

    from ultralytics.utils import YAML

    assert YAML.load(out)["names"] == {0: "dog", 1: "a cat: grey"}
    write_yolo_dataset([found], tmp_path / "out")  # the same folder without them
    assert {line[0] for line in (out.parent / "labels" / "d__a.txt").read_text().splitlines()} == {"0"}
    with pytest.raises(DatasetError, match="expected categories"):
        class_names([dataset(tmp_path / "e", {"a.png": []})])


@pytest.mark.parametrize("names", [("1.jpg", "1.png"), ("x/1.jpg", "x__1.png")])
def test_two_images_do_not_share_a_label(tmp_path: Path, names: tuple[str, str]) -> None:
    found = dataset(tmp_path / "d", {name: [] for name in names})
    with pytest.raises(DatasetError, match="its label file would be that of"):
        write_yolo_dataset([found], tmp_path / "out")


def test_two_folders_of_one_name_do_not_mix(tmp_path: Path) -> None:
    folders = [dataset(tmp_path / side / "d", {"1.png": []}) for side in ("left", "right")]
    with pytest.raises(DatasetError, match="rename one"):
        write_yolo_dataset(folders, tmp_path / "out")


def test_a_dataset_needs_images_that_are_there(tmp_path: Path) -> None:
    empty = dataset(tmp_path / "d", {"1.png": []})
    (tmp_path / "d" / "images" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png"):
        write_yolo_dataset([empty], tmp_path / "out")
    with pytest.raises(DatasetError, match="at least one training image"):
        write_yolo_dataset([], tmp_path / "none")
    with pytest.raises(DatasetError, match=r"\['e'\] not among the datasets \['d'\]"):
        write_yolo_dataset([empty], tmp_path / "out", ["e"])
