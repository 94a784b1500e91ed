"""The data engine: what joins the labels, what never does, and going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from fastsam import FastSAM
from fastsam.config import AnnotateConfig, SegmentConfig
from fastsam.datasets import read_coco
from fastsam.errors import DatasetError, ExportError, PromptError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_rle, encode_rle
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from fastsam.training import annotate as engine
from fastsam.training.annotate import annotate, new_objects
from tests.drawing import ellipse, rectangle

SIZE = (60, 80)
KNOWN = rectangle(SIZE, 5, 5, 30, 30)
NEW = ellipse(SIZE, 40, 10, 70, 50)
SMALL = rectangle(SIZE, 75, 55, 79, 59)
GATE = AnnotateConfig(conf=0.5, min_area_px=100)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two training photographs and a held-out one, one object labelled on each."""
    root = tmp_path / "photos"
    (root / "images").mkdir(parents=True)
    records, annotations = [], []
    for number, name in enumerate(("astronaut", "chelsea", "coffee"), start=10):
        Image.fromarray(getattr(skimage.data, name)()).resize((80, 60)).save(root / "images" / f"{name}.png")
        records.append({"id": number, "file_name": f"{name}.png", "height": 60, "width": 80})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 4, "segmentation": encode_rle(KNOWN)}
        )
    content = {"images": records, "annotations": annotations, "categories": [{"id": 4, "name": "thing"}]}
    (root / "instances.json").write_text(json.dumps(content))
    (root / "heldout.txt").write_text("coffee.png\n")
    return root


def _model(scores: tuple[float, ...] = (0.9, 0.8, 0.7)) -> FixedSegmenter:
    return FixedSegmenter(np.stack([KNOWN, NEW, SMALL]), scores)


@pytest.mark.parametrize(
    ("scores", "labelled", "changes", "expected"),
    [
        ((0.9, 0.8, 0.7), [KNOWN], {}, [1]),
        ((0.9, 0.8, 0.7), [], {}, [0, 1]),
        ((0.8, 0.9, 0.7), [], {}, [1, 0]),
        ((0.9, 0.4, 0.7), [KNOWN], {}, []),
        ((0.9, 0.8, 0.7), [KNOWN], {"min_area_px": 9}, [1, 2]),
        ((0.9, 0.8, 0.7), [rectangle(SIZE, 5, 5, 30, 18)], {}, [0, 1]),
        ((0.9, 0.8, 0.7), [rectangle(SIZE, 5, 5, 30, 18)], {"same_iou": 0.5}, [1]),
    ],
)
def test_the_gate(
    scores: tuple[float, ...], labelled: list[Any], changes: dict[str, Any], expected: list[int]
) -> None:
    masks = MaskSet.from_dense(np.stack([KNOWN, NEW, SMALL]), np.array(scores))
    config = AnnotateConfig(**{"conf": 0.5, "min_area_px": 100, **changes})
    assert new_objects(masks, [encode_rle(m) for m in labelled], config).tolist() == expected


def test_the_gate_takes_one_of_two_equal_masks_and_none_of_none() -> None:
    masks = MaskSet.from_dense(np.stack([NEW, NEW]), np.array([0.7, 0.8]))
    assert new_objects(masks, [], GATE).tolist() == [1]
    assert new_objects(MaskSet.none(SIZE), [encode_rle(KNOWN)], GATE).tolist() == []


def test_the_gate_refuses_unstable_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = MaskSet.from_dense(np.stack([KNOWN, NEW]), np.array([0.9, 0.8]))
    monkeypatch.setattr(
        MaskSet, "stability_scores", lambda self, offset=1.0: np.array([0.5, 0.95])[: len(self)]
    )
    assert new_objects(masks, [], GATE).tolist() == [1]


def test_labels_are_kept_and_new_ones_say_where_they_come_from(dataset: Path, tmp_path: Path) -> None:
    out = annotate(dataset, _model(), tmp_path / "more", GATE)
    before = json.loads((dataset / "instances.json").read_text())
    after = json.loads((out / "instances.json").read_text())
    assert after["annotations"][:3] == before["annotations"]
    added = after["annotations"][3:]
    assert [a["image_id"] for a in added] == [10, 11]  # the held-out photo got none
    assert len({a["id"] for a in after["annotations"]}) == 5
    for annotation in added:
        assert annotation["source"] == "model"
        assert annotation["score"] == pytest.approx(0.8)
        assert np.array_equal(decode_rle(annotation["segmentation"]), NEW)
        assert annotation["bbox"] == [40, 10, 30, 40]
        assert annotation["area"] == NEW.sum()
    assert {c["id"]: c["name"] for c in after["categories"]} == {4: "thing", 5: "object"}
    assert {a["category_id"] for a in added} == {5}


def test_the_result_is_a_dataset_with_the_same_split(dataset: Path, tmp_path: Path) -> None:
    out = annotate(dataset, _model(), tmp_path / "more", GATE)
    training, heldout = read_coco(out, "train"), read_coco(out, "heldout")
    assert [i.path.name for i in heldout.images] == ["coffee.png"]
    assert [len(i.annotations) for i in training.images] == [2, 2]
    assert all(i.path.is_file() for i in training.images)


def test_a_bare_folder_of_images_gets_its_first_labels(dataset: Path, tmp_path: Path) -> None:
    (dataset / "instances.json").unlink()
    out = annotate(dataset, _model(), tmp_path / "first", GATE)
    found = read_coco(out, "train")
    assert [(i.path.name, i.height, i.width, len(i.annotations)) for i in found.images] == [
        ("astronaut.png", 60, 80, 2),
        ("chelsea.png", 60, 80, 2),
    ]


class _Counting(FixedSegmenter):
    """Counts its images, and fails at one of them."""

    seen = 0
    fails_at = -1

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        if self.seen == self.fails_at:
            raise RuntimeError("power cut")
        self.seen += 1
        return super().segment(frame, config)


def test_an_interrupted_run_goes_on(dataset: Path, tmp_path: Path) -> None:
    first = _Counting(np.stack([KNOWN, NEW]), (0.9, 0.8))
    first.fails_at = 1
    with pytest.raises(RuntimeError, match="power cut"):
        annotate(dataset, first, tmp_path / "out", GATE)
    assert not (tmp_path / "out" / "instances.json").exists()
    with (tmp_path / "out" / ".annotated.jsonl").open("a") as stream:
        stream.write('["chelsea.png", [{"segm')  # cut in the middle of a line
    second = _Counting(np.stack([KNOWN, NEW]), (0.9, 0.8))
    out = annotate(dataset, second, tmp_path / "out", GATE)
    assert second.seen == 1
    assert [len(i.annotations) for i in read_coco(out, "train").images] == [2, 2]


def test_another_gate_or_other_labels_start_anew(dataset: Path, tmp_path: Path) -> None:
    annotate(dataset, _model(), tmp_path / "out", GATE)
    again = _Counting(np.stack([KNOWN, NEW]), (0.9, 0.8))
    annotate(dataset, again, tmp_path / "out", AnnotateConfig(conf=0.85))
    assert again.seen == 2
    assert [len(i.annotations) for i in read_coco(tmp_path / "out", "train").images] == [1, 1]


def test_progress_counts_every_image(dataset: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    annotate(dataset, _model(), tmp_path / "out", GATE, on_progress=lambda *a: seen.append(a))
    assert seen == [(1, 3, "astronaut.png"), (2, 3, "chelsea.png"), (3, 3, "coffee.png")]


def test_a_dataset_is_never_written_over(dataset: Path) -> None:
    with pytest.raises(DatasetError, match="other than the dataset itself"):
        annotate(dataset, _model(), dataset, GATE)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"instances.json or a folder images/"):
        annotate(tmp_path, _model(), tmp_path / "out", GATE)


def test_the_log_is_an_implementation_detail_that_no_reader_meets(dataset: Path, tmp_path: Path) -> None:
    out = annotate(dataset, _model(), tmp_path / "out", GATE)
    shown = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
    assert shown == ["heldout.txt", "images", "instances.json"]
    assert (out / engine._LOG).is_file()


# --- what is not there, or cannot be used -----------------------------------------------------------


def _nested(tmp_path: Path) -> Path:
    """Three photos, two of one base name in sub-folders; one of those is held out."""
    root = tmp_path / "nested"
    records = []
    for number, name in enumerate(("x/a.png", "y/a.png", "c.png"), start=1):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60), (number, 9, 9)).save(root / "images" / name)
        records.append({"id": number, "file_name": name, "height": 60, "width": 80})
    content = {"images": records, "annotations": [], "categories": []}
    (root / "instances.json").write_text(json.dumps(content))
    (root / "heldout.txt").write_text("y/a.png\n")
    return root


@pytest.mark.parametrize("bare", [False, True])
def test_names_with_folders_get_their_labels(bare: bool, tmp_path: Path) -> None:
    root = _nested(tmp_path)
    if bare:
        (root / "instances.json").unlink()
    model = _Counting(np.stack([KNOWN, NEW]), (0.9, 0.8))
    out = annotate(root, model, tmp_path / "out", GATE)
    found = {image.name: len(image.annotations) for image in read_coco(out).images}
    assert found == {"x/a.png": 2, "y/a.png": 0, "c.png": 2}
    assert model.seen == 2
    assert [image.name for image in read_coco(out, "heldout").images] == ["y/a.png"]


def test_heldout_names_of_a_bare_folder_are_checked(tmp_path: Path) -> None:
    root = _nested(tmp_path)
    (root / "instances.json").unlink()
    (root / "heldout.txt").write_text("a.png\n")
    with pytest.raises(DatasetError, match="not one of its 1 names"):
        annotate(root, _model(), tmp_path / "out", GATE)


def test_images_that_cannot_be_used_are_told_and_passed_over(dataset: Path, tmp_path: Path) -> None:
    images = dataset / "images"
    (images / "astronaut.png").write_bytes((images / "astronaut.png").read_bytes()[:900])  # damaged
    Image.new("RGB", (60, 80)).save(images / "chelsea.png")  # turned
    content = json.loads((dataset / "instances.json").read_text())
    content["images"].append({"id": 99, "file_name": "gone.png", "height": 60, "width": 80})
    (dataset / "instances.json").write_text(json.dumps(content))
    told: dict[str, str] = {}
    out = annotate(dataset, _model(), tmp_path / "out", GATE, on_error=lambda n, e: told.update({n: str(e)}))
    assert sorted(told) == ["astronaut.png", "chelsea.png", "gone.png"]
    assert "the file is 60x80" in told["chelsea.png"]
    assert "no such file" in told["gone.png"]
    after = json.loads((out / "instances.json").read_text())
    assert len(after["annotations"]) == 3  # what people drew stays


def test_damaged_files_of_a_bare_folder_have_no_place(dataset: Path, tmp_path: Path) -> None:
    (dataset / "instances.json").unlink()
    (dataset / "images" / "chelsea.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    told: list[str] = []
    out = annotate(dataset, _model(), tmp_path / "out", GATE, on_error=lambda n, e: told.append(n))
    assert told == ["chelsea.png"]
    assert [image.name for image in read_coco(out).images] == ["astronaut.png", "coffee.png"]


def test_masks_in_a_crowd_are_labelled_already(dataset: Path, tmp_path: Path) -> None:
    content = json.loads((dataset / "instances.json").read_text())
    crowd = rectangle(SIZE, 35, 5, 80, 60)
    content["annotations"].append(
        {"id": 99, "image_id": 10, "category_id": 4, "iscrowd": 1, "segmentation": encode_rle(crowd)}
    )
    (dataset / "instances.json").write_text(json.dumps(content))
    out = annotate(dataset, _model(), tmp_path / "out", GATE)
    assert [len(i.annotations) for i in read_coco(out, "train").images] == [1, 2]


def test_a_link_to_other_images_is_replaced_and_a_folder_is_not(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "images").symlink_to(tmp_path / "gone")
    annotate(dataset, _model(), out, GATE)
    assert (out / "images").resolve() == (dataset / "images").resolve()
    (out / "images").unlink()
    (out / "images").mkdir()
    with pytest.raises(ExportError, match="in the way"):
        annotate(dataset, _model(), out, GATE)


def test_new_masks_get_classes_in_the_order_asked_for(dataset: Path, tmp_path: Path) -> None:
    for name, colour in (("astronaut", "red"), ("chelsea", "blue")):
        Image.new("RGB", (80, 60), colour).save(dataset / "images" / f"{name}.png")
    masks = MaskSet.from_dense(np.stack([KNOWN, NEW]), np.array([0.9, 0.8]))
    model = FastSAM(segmenter=FixedSegmenter(np.asarray(masks), masks.scores), text_model=ColourWordEncoder())
    out = annotate(dataset, model, tmp_path / "out", GATE, classes=["thing=red", "sea=blue", "green"])
    after = json.loads((out / "instances.json").read_text())
    assert [(c["id"], c["name"]) for c in after["categories"]] == [(4, "thing"), (5, "sea"), (6, "green")]
    assert [(a["image_id"], a["category_id"]) for a in after["annotations"][3:]] == [(10, 4), (11, 5)]
    with pytest.raises(PromptError, match="expected a FastSAM"):
        annotate(dataset, _model(), tmp_path / "out", GATE, classes=["red"])


def test_one_run_writes_to_a_folder(dataset: Path, tmp_path: Path) -> None:
    def meanwhile(*_: Any) -> None:
        with pytest.raises(ExportError, match="another run is writing to it"):
            annotate(dataset, _model(), tmp_path / "out", GATE)

    annotate(dataset, _model(), tmp_path / "out", GATE, on_progress=meanwhile)
    assert not (tmp_path / "out" / ".lock").exists()
