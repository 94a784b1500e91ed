"""Call sequences of programs for ultralytics' FastSAM and SAM, typed anew (docs/moving-over.md).

For FastSAM the right answers are ultralytics' own for the same checkpoint and photo. SAM's weights are not
here: its programs are checked for shapes, types, order, and for the mask that fits the prompt best.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import fastsam
from fastsam.compat.ultralytics import SAM, FastSAM
from fastsam.compat.ultralytics.models.fastsam import FastSAMPredictor
from fastsam.compat.ultralytics.models.sam import Predictor as SAMPredictor
from tests.compat.conftest import ASKED, BUS, MAN, SIZE, box_iou, iou


class Desk:
    """What a program finds when it starts: a model, a photo, a folder; and ultralytics' own answers."""

    def __init__(
        self,
        core: fastsam.FastSAM,
        path: str,
        folder: Path,
        theirs: Callable[..., Any],
        everything: torch.Tensor,
    ) -> None:
        self.core, self.path, self.folder, self.theirs, self.everything = (
            core,
            path,
            folder,
            theirs,
            everything,
        )
        self.model, self.sam = FastSAM(core), SAM(core)
        self.bgr = cv2.imread(path)

    def same(self, result: Any, **prompts: Any) -> None:
        wanted = self.theirs(self.path, **ASKED, **prompts)[0].masks.data
        assert result.masks.data.shape == wanted.shape
        assert all(iou(a, b) > 0.99 for a, b in zip(result.masks.data, wanted, strict=True))

    def fits_box(self, mask: Any, box: list[int]) -> None:
        best = max(self.everything, key=lambda their: box_iou(their, box))
        assert iou(mask, best) > 0.9


@pytest.fixture
def desk(
    quick: fastsam.FastSAM,
    photo_path: str,
    tmp_path: Path,
    their_model: Callable[..., Any],
    their_masks: torch.Tensor,
) -> Desk:
    return Desk(quick, photo_path, tmp_path, their_model, their_masks)


def docs_everything(desk: Desk) -> None:
    results = desk.model(desk.path, device="cpu", **ASKED)
    for result in results:
        assert result.boxes.xyxy.cpu().numpy().shape == (len(result), 4)
        assert result.probs is None
    desk.same(results[0])


def docs_box(desk: Desk) -> None:
    desk.same(desk.model(desk.path, bboxes=BUS, **ASKED)[0], bboxes=BUS)


def docs_points(desk: Desk) -> None:
    click = {"points": [[75, 300]], "labels": [1]}
    desk.same(desk.model(desk.path, **click, **ASKED)[0], **click)


def docs_text(desk: Desk) -> None:
    result = desk.model(desk.path, texts="a photo of a bus", **ASKED)[0]
    assert len(result) == 1
    assert max(iou(result.masks.data[0], their) for their in desk.everything) > 0.99


def docs_predictor(desk: Desk) -> None:
    overrides = {"task": "segment", "mode": "predict", "model": desk.core, "save": False, **ASKED}
    predictor = FastSAMPredictor(overrides=overrides)
    everything = predictor(desk.path)
    desk.same(predictor.prompt(everything, bboxes=[BUS])[0], bboxes=[BUS])
    desk.same(predictor.prompt(everything, points=[75, 300])[0], points=[75, 300])
    click = {"points": [[75, 300]], "labels": [1]}
    desk.same(predictor.prompt(everything, **click)[0], **click)
    assert len(predictor.prompt(everything, texts="a bus")[0]) == 1


def rs_fastsam(desk: Desk) -> None:
    """An array, perhaps points, and masks that may be None."""
    for points in (None, [[75, 300], [200, 250]]):
        result = desk.model.predict(desk.bgr, points=points, device="cpu", verbose=False, **ASKED)[0]
        masks = None if result.masks is None else result.masks.data.cpu().numpy()
        assert masks is not None
        assert masks.dtype == np.uint8
        desk.same(result, **({} if points is None else {"points": points}))


def ros_node(desk: Desk) -> None:
    result = desk.model(desk.bgr, device="cpu", verbose=False, **ASKED)[0]
    drawn = result.plot()
    assert drawn.shape == (*SIZE, 3)
    assert (drawn != desk.bgr).any()
    np.testing.assert_array_equal(result.orig_img, desk.bgr)


def one_click(desk: Desk) -> None:
    """Moved to a device, one point, the first mask as an array."""
    desk.model.to("cpu")
    results = desk.model.predict(desk.bgr, points=[(75, 300)], labels=[1], **ASKED)
    mask = results[0].masks.data[0].cpu().numpy() if results[0].masks is not None else None
    assert mask is not None
    assert mask[300, 75] == 1


def coco_annotator(desk: Desk) -> None:
    """Boxes of a COCO file, one after the other; polygons of the answers."""
    predictor = FastSAMPredictor(overrides={"model": desk.core, "save": False, **ASKED})
    everything = predictor(desk.path)
    for x, y, w, h in ([24, 200, 98, 250], [5, 115, 395, 255]):
        prompted = predictor.prompt(everything, bboxes=[[x, y, x + w, y + h]])
        polygons = [xy.flatten().tolist() for xy in prompted[0].masks.xy]
        assert len(polygons) == 1
        assert len(polygons[0]) >= 6
        drawn = np.zeros(SIZE, np.uint8)
        cv2.fillPoly(drawn, [np.array(polygons[0]).reshape(-1, 2).round().astype(np.int32)], 1)
        assert iou(drawn, prompted[0].masks.data[0]) > 0.8  # the largest piece


def factory(desk: Desk) -> None:
    """Scores and boxes as lists, rows as records."""
    result = desk.model.predict(desk.path, verbose=False, **ASKED)[0]
    scores, boxes = result.boxes.conf.cpu().numpy().tolist(), result.boxes.xyxy.cpu().numpy().tolist()
    records = [
        {"area": int(mask.astype(bool).sum()), "bbox": boxes[k], "score": round(scores[k], 4)}
        for k, mask in enumerate(result.masks.data.cpu().numpy())
    ]
    assert len(records) == len(scores) == len(boxes) == len(desk.everything)
    assert scores == sorted(scores, reverse=True)


def concept_graphs(desk: Desk) -> None:
    """SAM, a Path, boxes of a detector as a tensor: one mask a box, in order, doubles too."""
    sv = pytest.importorskip("supervision")
    boxes = torch.tensor([MAN, BUS, MAN, [300, 500, 320, 520]], dtype=torch.float32)
    out = desk.sam.predict(Path(desk.path), bboxes=boxes, verbose=False)
    masks = out[0].masks.data.cpu().numpy()
    found = sv.Detections(xyxy=boxes.numpy(), confidence=np.ones(4), class_id=np.arange(4), mask=masks)
    assert found.mask.dtype == bool
    for k, box in ((0, MAN), (1, BUS), (2, MAN)):
        desk.fits_box(found.mask[k], box)


def sam_predictor(desk: Desk) -> None:
    overrides = {"conf": 0.25, "task": "segment", "mode": "predict", "imgsz": 320, "model": desk.core}
    predictor = SAMPredictor(overrides=overrides)
    predictor.set_image(desk.bgr)
    desk.fits_box(predictor(bboxes=MAN)[0].masks.data[0], MAN)
    assert len(predictor(points=[75, 300], labels=[1])[0]) == 1
    predictor.reset_image()
    with pytest.raises(RuntimeError):
        predictor(bboxes=MAN)


def sam_points_in_groups(desk: Desk) -> None:
    """ultralytics' documented forms: n points are n objects; points in groups are one object each."""
    assert desk.sam(desk.path, points=[75, 300], labels=[1])[0].masks.data.shape == (1, *SIZE)
    assert len(desk.sam(desk.path, points=[[75, 300], [200, 200]], labels=[1, 1])[0]) == 2
    both = desk.sam(desk.path, points=[[[75, 300], [200, 200]]], labels=[[1, 0]])[0]
    assert len(both) == 1
    assert not both.masks.data[0][200, 200]
    assert both.names == {0: "0"}


def sam_video(desk: Desk) -> None:
    frames = [desk.bgr, desk.bgr]
    for result in desk.sam(frames, stream=True):
        assert result.probs is None
        assert result.boxes.data.shape == (len(result.masks), 6)
        assert result.boxes.cls.tolist() == list(range(len(result)))
    desk.sam.info()


def fastsam_video(desk: Desk) -> None:
    results = desk.model.track(
        [desk.bgr, desk.bgr], persist=True, imgsz=320, conf=0.15, iou=0.9, verbose=False
    )
    assert results[0].boxes.id is not None
    assert set(results[0].boxes.id.int().tolist()) & set(results[1].boxes.id.int().tolist())


PROGRAMS: list[Callable[[Desk], None]] = [
    docs_everything, docs_box, docs_points, docs_text, docs_predictor, rs_fastsam, ros_node, one_click,
    coco_annotator, factory, concept_graphs, sam_predictor, sam_points_in_groups, sam_video, fastsam_video,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program_runs_and_is_right(program: Callable[[Desk], None], desk: Desk) -> None:
    program(desk)


@pytest.mark.parametrize(
    "name", ["sam_b.pt", "mobile_sam.pt", "sam2.1_t.pt", "sam_vit_h_4b8939.pth", "models/sam3.pt"]
)
def test_files_of_sam_get_a_warning_and_the_embedded_weights(name: str) -> None:
    with pytest.warns(UserWarning, match="holds a SAM network") as caught:
        model = SAM(name)
    assert caught[0].filename == __file__
    assert model.checkpoint.name == "fastsam-nano-seg.pt"


def test_sam_answers_every_row_and_drops_none(quick: fastsam.FastSAM, photo_path: str) -> None:
    result = SAM(quick)(photo_path, bboxes=[MAN, [300, 520, 302, 522], BUS], conf=0.9)[0]
    assert result.masks.data.shape == (3, *SIZE)
    assert not result.masks.data[1].any()
    assert result.boxes.conf[1] == 0
    everything = SAM(quick)(Image.open(photo_path))[0]
    assert len(SAM(quick)(photo_path, conf=0.97)[0]) < len(everything)
    assert len(SAM(quick)(photo_path, labels=[1])[0]) == len(everything)
    drawn = everything.masks.data[0].numpy()
    again = SAM(quick)(photo_path, masks=drawn)[0]
    assert iou(again.masks.data[0], drawn) > 0.9
