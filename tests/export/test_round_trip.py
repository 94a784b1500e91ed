"""What fastsam wrote, and what others wrote, reads back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fastsam.datasets import read_coco
from fastsam.errors import ExportError, InputError
from fastsam.export import Exporter, load_npz, load_sam_json, write
from fastsam.images.frame import Frame
from fastsam.masks.dense import box_from_mask
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_rle, encode_rle
from fastsam.prompts import Box, Points, select
from tests.export.drawn import SIZE, drawn

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


@pytest.mark.parametrize("load", [load_npz, load_sam_json])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"PK\x03\x04broken", b"null", b"\xff\xfe"])
def test_loading_something_else(load: Any, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file: expected (an NPZ|SA-1B's JSON)"):
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
    with pytest.raises(InputError, match=r"size of its image \(3, 2\) \(H, W\), got \(2, 2\)"):
        load_sam_json(path)


def test_decoded_rle_is_the_mask(masks: MaskSet, tmp_path: Path) -> None:
    (path,) = write(masks, tmp_path, "sam-json")
    for entry, mask in zip(json.loads(path.read_text())["annotations"], drawn(), strict=True):
        assert np.array_equal(decode_rle(entry["segmentation"]), mask)
