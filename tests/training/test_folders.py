"""Folders to train on: COCO and YOLO, as others and as this program write them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastsam.datasets import Split
from fastsam.errors import DatasetError
from fastsam.export import Exporter
from fastsam.images.reading import read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.polygons import yolo_polygon
from fastsam.training.folders import read_folder
from tests import oracles
from tests.drawing import ellipse

SIZE = (60, 80)
DISC = ellipse(SIZE, 5, 5, 50, 50)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), 114, np.uint8)).save(path)
    return path


def yolo(root: Path, names: str = "names: [dog, cat]") -> Path:
    """Two images for training, one to measure on, one without a label."""
    for part, name in (("train", "a"), ("train", "empty"), ("val", "b")):
        photo(root / "images" / part / f"{name}.png")
        label = root / "labels" / part / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        if name != "empty":
            label.write_text(f"1 {yolo_polygon(DISC)}\n")
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\n{names}\n")
    return root


@pytest.mark.parametrize(("split", "names"), [("train", ["a", "empty"]), ("heldout", ["b"])])
def test_a_yolo_folder(tmp_path: Path, split: Split, names: list[str]) -> None:
    found = read_folder(yolo(tmp_path), split)
    assert [image.path.stem for image in found.images] == names
    assert found.categories == {0: "dog", 1: "cat"}
    mask = found.images[0].masks()[0]
    assert oracles.iou(mask, DISC) > 0.97
    assert [annotation["category_id"] for annotation in found.images[0].annotations] == [1]
    if split == "train":
        assert found.images[1].annotations == ()


def test_lists_of_images_and_names_by_number(tmp_path: Path) -> None:
    root = yolo(tmp_path, "names: {1: cat, 0: dog}")
    (root / "train.txt").write_text("images/train/a.png\n\n./images/val/b.png\n")
    (root / "data.yaml").write_text("path: .\ntrain: [train.txt]\nnames: {1: cat, 0: dog}\n")
    found = read_folder(root, "train")
    assert [image.path.stem for image in found.images] == ["a", "b"]
    assert found.categories == {0: "dog", 1: "cat"}
    assert read_folder(root, "heldout").images == ()


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_what_segment_wrote(tmp_path: Path, kind: str) -> None:
    """Its masks and labels, with the photos where they were."""
    photos = [photo(tmp_path / "photos" / f"{name}.png") for name in ("a", "b")]
    with Exporter(kind, tmp_path / "out") as exporter:
        for path in photos:
            exporter.add(read_frame(path), MaskSet.from_dense(DISC[None]), labels=["dog"])
    found = read_folder(tmp_path / "out", "train", images=tmp_path / "photos")
    assert [image.path for image in found.images] == photos
    assert oracles.iou(found.images[0].masks()[0], DISC) > 0.95
    assert "dog" in found.categories.values()


def test_images_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    content = {"images": [{"id": 1, "file_name": "a.png", "height": 60, "width": 80}], "annotations": []}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert read_folder(tmp_path, "train").images[0].path == tmp_path / "a.png"
    (tmp_path / "a.png").unlink()
    with pytest.raises(
        DatasetError, match=r"a\.png.*no such file in .*; say where the images are with --images"
    ):
        read_folder(tmp_path, "train")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("0 0.1 0.2 0.3", "line 1: expected a class and a polygon"),
        ("7 0.1 0.1 0.9 0.1 0.9 0.9", "class 7 of 2"),
        ("0 0.5 0.5 0.2 0.2", "2 corners"),  # a box, as detection has them
        ("0 1e999 0 1 1 0 1", "3 corners"),
        ("x 0 0 1 1 0 1", "line 1: expected a class"),
        ("\n0 0 0 nan 1 0 1", "line 2"),
        ("9" * 5000 + " 0 0 1 1 0 1", "line 1: expected a class"),
    ],
)
def test_damaged_labels_are_told(tmp_path: Path, label: str, said: str) -> None:
    root = yolo(tmp_path)
    (root / "labels" / "train" / "a.txt").write_text(label)
    with pytest.raises(DatasetError, match=said):
        read_folder(root, "train")


@pytest.mark.parametrize(
    "text", ["[", "3", "train: nowhere\n", "!!python/object/apply:os.system [id]", "a: &a [*b]"]
)
def test_damaged_descriptions_are_told(tmp_path: Path, text: str) -> None:
    root = yolo(tmp_path)
    (root / "data.yaml").write_text(text)
    with pytest.raises(DatasetError):
        read_folder(root, "train")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected instances\.json \(COCO\), or data\.yaml or labels/"):
        read_folder(tmp_path, "train")
    root = yolo(tmp_path)
    (root / "data.yaml").unlink()
    shutil.rmtree(root / "images")
    with pytest.raises(DatasetError, match="found no folder"):
        read_folder(root, "train")
