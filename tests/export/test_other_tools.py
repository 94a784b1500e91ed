"""What other tools make of the exports, each with its own package; one that is not installed is skipped."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.export import Exporter
from fastsam.export.annotations import Annotations
from fastsam.masks.maskset import MaskSet
from tests.export.drawn import SIZE, drawn, iou

CLASSES = ["zebra", "ü", "ring", "a b"]  # none of the first is found
LABELS = ["ring", "a b", "ring", "ü"]
NAMES = ("bus", "zidane", "x1", "x2")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(form: str) -> Path:
        with Exporter(form, tmp_path, CLASSES) as exporter:
            for number, name in enumerate(NAMES):
                photo = np.random.default_rng(number).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
                masks = MaskSet.from_dense(drawn()[:4], scores=[0.9, 0.8, 0.7, 0.6])
                exporter.add_annotations(Annotations(name, masks, f"{name}.png", labels=LABELS, rgb=photo))
        return tmp_path

    return write


def fits(found: NDArray[Any], least: float = 0.8) -> bool:
    """Tell whether each of the three large masks is among those found; readers may draw the outline, too."""
    return all(max(iou(mask.astype(bool), wanted) for mask in found) > least for wanted in drawn()[:3])


def test_ultralytics_reads_the_yolo_folder(write: Any) -> None:
    data = pytest.importorskip("ultralytics.data.utils", reason="ultralytics is not installed")
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import polygon2mask

    root = write("yolo")
    found = data.check_det_dataset(str(root / "data.yaml"))
    assert list(found["names"].values()) == CLASSES
    parts = [
        YOLODataset(img_path=found[part], data=found, task="segment", imgsz=120, augment=False)
        for part in ("train", "val")
    ]
    assert sum(map(len, parts)) == len(NAMES)
    label = parts[0].labels[0]
    assert [int(kind) for kind in label["cls"].ravel()] == [2, 3, 2, 1]
    assert (label["bboxes"][0] * [120, 90, 120, 90]).tolist() == pytest.approx([60.5, 45.5, 79, 79], abs=0.01)
    masks = [polygon2mask(SIZE, [(ring * SIZE[::-1]).reshape(-1)]) for ring in label["segments"]]
    for k in (0, 2, 3):  # bridges between islands are drawn
        extra = masks[k].astype(bool) ^ drawn()[k]
        assert extra.sum() <= 20


@pytest.mark.parametrize("form", ["yolo", "coco", "coco-polygons", "roboflow"])
@pytest.mark.filterwarnings("ignore")
def test_supervision_reads_yolo_and_coco(form: str, write: Any) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    root = write(form)
    if form == "yolo":
        found = supervision.DetectionDataset.from_yolo(
            str(root / "images"), str(root / "labels"), str(root / "data.yaml"), force_masks=True
        )
    else:
        write("yolo")
        folder = root / "roboflow" / "train" if form == "roboflow" else root / "images"
        file = {"coco": "instances.json", "coco-polygons": "instances_polygons.json"}
        listing = folder / "_annotations.coco.json" if form == "roboflow" else root / file[form]
        found = supervision.DetectionDataset.from_coco(str(folder), str(listing), force_masks=True)
    assert found.classes == CLASSES
    assert len(found) == len(NAMES)
    _, _, detections = next(iter(found))
    assert fits(detections.mask)


def test_label_studio_imports_the_polygons_of_coco(write: Any, tmp_path: Path) -> None:
    reason = "label-studio-sdk is not installed"
    coco = pytest.importorskip("label_studio_sdk.converter.imports.coco", reason=reason)
    root = write("coco-polygons")
    coco.convert_coco_to_ls(str(root / "instances_polygons.json"), str(tmp_path / "tasks.json"))
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == len(NAMES)
    kinds = [one["type"] for one in tasks[0]["annotations"][0]["result"]]
    assert kinds.count("polygonlabels") == 6  # islands


def test_label_studio_exports_the_tasks(write: Any, tmp_path: Path) -> None:
    reason = "label-studio-sdk is not installed"
    converter = pytest.importorskip("label_studio_sdk.converter.converter", reason=reason)
    root = write("label-studio")
    tasks = json.loads((root / "label_studio.json").read_text())
    for task in tasks:
        task["annotations"] = task.pop("predictions")  # as accepted by a person
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "tasks.json").write_text(json.dumps(tasks))
    back = converter.Converter(str(root / "label_studio.xml"), str(root), download_resources=False)
    back.convert_to_coco(str(tmp_path / "tasks"), str(tmp_path / "coco"), is_dir=True)
    found = json.loads((tmp_path / "coco" / "result.json").read_text())
    assert len(found["images"]) == len(NAMES)
    assert {one["name"] for one in found["categories"]} == set(CLASSES)
    assert found["annotations"][0]["area"] == pytest.approx(drawn()[0].sum(), rel=0.01)


def test_roboflow_pairs_photos_and_annotations(write: Any) -> None:
    parser = pytest.importorskip("roboflow.util.folderparser", reason="roboflow is not installed")
    found = parser.parsefolder(str(write("roboflow") / "roboflow"))["images"]
    assert {one["name"] for one in found} == {f"{name}.png" for name in NAMES}
    for one in found:
        assert one["split"] in ("train", "valid")
        assert len(json.loads(one["annotationfile"]["rawText"])["annotations"]) == 4


def test_datumaro_reads_cvat_and_coco(write: Any) -> None:
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed")
    found = datumaro.Dataset.import_from(str(write("cvat") / "cvat.xml"), "cvat")
    assert len(found) == len(NAMES)
    labels = found.categories()[datumaro.AnnotationType.label]
    assert [labels[i].name for i in range(len(labels))] == CLASSES
    item = next(iter(found))
    islands: dict[int, float] = defaultdict(float)
    for one in item.annotations:
        islands[one.group or -one.id] += one.get_area()
    assert len(item.annotations) == 6


def test_labelme_draws_the_masks(write: Any) -> None:
    utils = pytest.importorskip("labelme.utils", reason="labelme is not installed")
    content = json.loads((write("labelme") / "labelme" / "bus.json").read_text())
    found: dict[Any, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(SIZE, bool))
    for number, shape in enumerate(content["shapes"]):
        key = (shape["label"], -1 - number if shape["group_id"] is None else shape["group_id"])
        found[key] |= utils.shape_to_mask(SIZE, shape["points"], shape["shape_type"])
    assert fits(np.stack(list(found.values())), 0.9)
    assert found["ü", -6].sum() == 1  # the one pixel


def test_fiftyone_reads_coco_and_yolo(write: Any) -> None:
    fiftyone = pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    root = write("yolo")
    found = fiftyone.Dataset.from_dir(dataset_dir=str(root), dataset_type=fiftyone.types.YOLOv5Dataset)
    assert len(found) > 0
