"""Call sequences of programs that were written for CASIA's FastSAM, typed anew (docs/moving-over.md).

The right masks are those of ultralytics' own FastSAM for the same checkpoint and photo; prompts follow what
FastSAMPrompt documents.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import fastsam
from fastsam.compat import FastSAM, FastSAMPrompt
from tests.compat.conftest import ASKED, BUS, MAN, SIZE, box_iou, iou

CLICK = [[75, 300]]


class Desk:
    """What a program finds when it starts: a model, a photo, a folder; and what is right."""

    def __init__(self, core: fastsam.FastSAM, path: str, folder: Path, right: torch.Tensor) -> None:
        self.core, self.path, self.folder, self.right = core, path, folder, right
        self.model = FastSAM(core)
        self.image = Image.open(path).convert("RGB")
        self.rgb = np.asarray(self.image)

    def prompt(self, source: Any = None, **options: Any) -> FastSAMPrompt:
        source = self.path if source is None else source
        results = self.model(source, device="cpu", **{**ASKED, **options})
        return FastSAMPrompt(source, results, device="cpu")

    def is_everything(self, masks: Any) -> None:
        assert len(masks) == len(self.right)
        for mask in masks:
            assert max(iou(mask, their) for their in self.right) > 0.99

    def answers_box(self, mask: Any, box: list[int]) -> None:
        best = max(self.right, key=lambda their: box_iou(their, box))
        assert iou(mask, best) > 0.97

    def answers_click(self, mask: Any) -> None:
        assert mask[CLICK[0][1], CLICK[0][0]]
        assert max(iou(mask, their) for their in self.right) > 0.97

    def is_one_of_them(self, mask: Any) -> None:
        assert max(iou(mask, their) for their in self.right) > 0.97


@pytest.fixture
def desk(quick: fastsam.FastSAM, photo_path: str, tmp_path: Path, their_masks: torch.Tensor) -> Desk:
    return Desk(quick, photo_path, tmp_path, their_masks)


def readme_everything(desk: Desk) -> None:
    process = desk.prompt()
    annotations = process.everything_prompt()
    desk.is_everything(annotations)
    process.plot(annotations=annotations, output_path=str(desk.folder / "all.jpg"))
    assert cv2.imread(str(desk.folder / "all.jpg")).shape == (*SIZE, 3)


def readme_box(desk: Desk) -> None:
    annotations = desk.prompt().box_prompt(bboxes=[MAN, BUS])
    desk.answers_box(annotations[0], MAN)
    desk.answers_box(annotations[1], BUS)


def readme_points(desk: Desk) -> None:
    desk.answers_click(desk.prompt().point_prompt(points=CLICK, pointlabel=[1])[0])


def readme_text(desk: Desk) -> None:
    annotations = desk.prompt().text_prompt(text="a photo of a bus")
    assert annotations.shape == (1, *SIZE)
    desk.is_one_of_them(annotations[0])


def inference_script(desk: Desk) -> None:
    """PIL input, a box from the command line, contours, drawing the box."""
    process = desk.prompt(desk.image)
    annotations = process.box_prompt(bboxes=[BUS])
    process.plot(
        annotations=annotations,
        output_path=str(desk.folder / "bus.png"),
        bboxes=[BUS],
        points=None,
        point_label=None,
        withContours=False,
        better_quality=False,
    )
    desk.answers_box(annotations[0], BUS)
    assert (desk.folder / "bus.png").is_file()


def gradio_app_records(desk: Desk) -> None:
    process = desk.prompt(desk.image)
    records = process._format_results(process.results[0], 0)
    desk.is_everything([record["segmentation"] for record in records])
    assert records[0]["bbox"].tolist()[4] == pytest.approx(float(records[0]["score"]))
    assert records[0]["area"] == records[0]["segmentation"].sum()


def segpredict_to_result(desk: Desk) -> None:
    process = desk.prompt()
    shown = process.plot_to_result(process.everything_prompt(), withContours=False, better_quality=True)
    assert (shown.shape, shown.dtype) == ((*SIZE, 3), np.uint8)
    assert (shown != desk.rgb).any()


def fastsam_mimul(desk: Desk) -> None:
    process = desk.prompt()
    annotations = process.box_prompt(bbox=list(MAN))
    for number, mask in enumerate(annotations):
        assert not isinstance(mask, dict)
        cv2.imwrite(str(desk.folder / f"{number}.png"), mask * 255)
    process.plot(annotations=annotations, output_path=f"{desk.folder}/images/man.jpg", withContours=True)
    desk.answers_box(cv2.imread(str(desk.folder / "0.png"), cv2.IMREAD_GRAYSCALE), MAN)


def fastsam_api(desk: Desk) -> None:
    annotations = desk.prompt().everything_prompt()
    assert isinstance(annotations[0], torch.Tensor)
    annotations = annotations.cpu().numpy()
    for i, mask in enumerate(annotations):
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        annotations[i] = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((8, 8), np.uint8))
    small = [cv2.resize(mask.astype(np.uint8) * 255, (256, 384)).tolist() for mask in annotations]
    assert len(small) == len(desk.right)


def rotoscope(desk: Desk) -> None:
    results = desk.model(desk.image, device="cpu", **ASKED)
    masks = [] if results[0] is None else results[0].masks.data
    masks = masks.cpu().numpy()
    for i, mask in enumerate(masks):
        masks[i] = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    contours = [
        cv2.findContours(m.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0] for m in masks
    ]
    assert sum(map(len, contours)) >= len(desk.right)


def autodistill(desk: Desk) -> None:
    sv = pytest.importorskip("supervision")
    process = desk.prompt(imgsz=320, conf=0.15)
    for mask in process.text_prompt(text="bus"):
        found = sv.Detections(
            mask=np.array([mask]), xyxy=sv.mask_to_xyxy(np.array([mask])), class_id=np.array([0])
        )
        desk.is_one_of_them(found.mask[0])


def fastsam_service(desk: Desk) -> None:
    process = desk.prompt()
    annotations = process.text_prompt("a man")
    process.plot(annotations=annotations, output_path=f"{desk.folder}/result.jpg")
    assert (desk.folder / "result.jpg").is_file()
    desk.is_one_of_them(annotations[0])


def fastsam_ros(desk: Desk) -> None:
    """RGB arrays for both; options kept on the model; a folder as output."""
    desk.model.point_prompt, desk.model.box_prompt = [[0, 0]], [[0, 0, 0, 0]]
    process = desk.prompt(desk.rgb)
    process.plot(
        annotations=process.everything_prompt(), output=f"{desk.folder}/output/", bboxes=None, points=None,
        point_label=None, withContours=False, better_quality=False,
    )  # fmt: skip
    desk.is_everything(process.everything_prompt())
    assert len(list((desk.folder / "output").iterdir())) == 1


def folder_of_texts(desk: Desk) -> None:
    for number, path in enumerate([desk.path, desk.path]):
        process = desk.prompt(path)
        process.plot(
            annotations=process.text_prompt(text="bus"), output_path=f"{desk.folder}/output_{number}.jpg"
        )
    assert len(list(desk.folder.glob("output_*.jpg"))) == 2


def mot_fastsam(desk: Desk) -> None:
    process = desk.prompt(desk.image)
    annotations = process.everything_prompt()
    process.plot(annotations=annotations, output_path=f"{desk.folder}/{Path(desk.path).name}", points=None)
    desk.is_everything(annotations)


def sky_mask(desk: Desk) -> None:
    answer = desk.prompt(desk.image).text_prompt(text="sky")
    resized = np.array(Image.fromarray(answer[0]).resize((202, 270), Image.Resampling.NEAREST), dtype=bool)
    assert 0 < resized.sum() < resized.size


def live_pose(desk: Desk) -> None:
    answer = desk.prompt(desk.image).text_prompt(text="bus")
    binary = np.max(answer, axis=0).astype(np.uint8) * 255
    assert set(np.unique(binary)) == {0, 255}
    desk.is_one_of_them(binary)


def fastsam_ai(desk: Desk) -> None:
    """The largest mask, through dicts and back to a tensor, which is plotted with a point nobody gave."""
    process = desk.prompt(desk.image)
    found = process.everything_prompt()
    records = [{"segmentation": mask} for mask in found.cpu().numpy()]
    records.sort(key=lambda record: record["segmentation"].astype(np.uint8).sum(), reverse=True)
    largest = torch.stack(
        [torch.from_numpy(record["segmentation"]).to(found.device) for record in records[:1]]
    )
    process.plot(
        annotations=largest, output_path=f"{desk.folder}/largest.png", points=[[0, 0]], point_label=[0],
        withContours=False, better_quality=False,
    )  # fmt: skip
    assert largest.sum() == max(their.sum() for their in desk.right)


def roman(desk: Desk) -> None:
    """imgsz as a pair; float masks that OpenCV erodes."""
    masks = desk.prompt(desk.rgb, imgsz=(320, 320)).everything_prompt().cpu().numpy()
    eroded = [cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))) for mask in masks]
    halved = [
        cv2.resize(mask, (SIZE[1] // 2, SIZE[0] // 2), interpolation=cv2.INTER_NEAREST) for mask in masks
    ]
    assert all(small.dtype == np.float32 for small in (*eroded, *halved))
    desk.is_everything(masks)


def samgeo(desk: Desk) -> None:
    class SamGeo(FastSAM):
        def __init__(self, model: Any, **options: Any) -> None:
            super().__init__(model, **options)

        def set_image(self, image: str, device: str | None = None, **options: Any) -> None:
            self.process = FastSAMPrompt(image, self(image, device=device, **options), device=device)

    sam = SamGeo(desk.core)
    sam.set_image(desk.path, device="cpu", **ASKED)
    annotations = sam.process.everything_prompt().cpu().numpy()
    if str(sam.device) == "cpu":
        annotations = np.array(annotations)
    masks = np.sum(annotations, axis=0)
    masks = cv2.resize(masks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    masks[masks > 0] = 1
    assert iou(masks, desk.right.sum(dim=0)) > 0.99
    desk.answers_box(sam.process.box_prompt(MAN, None)[0], MAN)
    desk.answers_click(sam.process.point_prompt(CLICK, [1])[0])
    cv2.cvtColor(sam.process.img, cv2.COLOR_BGR2RGB)


def batches_of_tensors(desk: Desk) -> None:
    images = torch.from_numpy(desk.rgb.copy()).permute(2, 0, 1)[None].float() / 255
    desk.model.to("cpu")
    for k in range(images.size(0)):
        image = Image.fromarray((images[k].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
        desk.is_one_of_them(desk.prompt(image).text_prompt(text="person")[0])


def named_arguments(desk: Desk) -> None:
    """An array, ``verbose=False``, arguments by name, torchvision on the masks."""
    from torchvision.ops import masks_to_boxes

    results = desk.model(desk.rgb, device="cpu", verbose=False, **ASKED)
    engine = FastSAMPrompt(desk.rgb, device="cpu", results=results)
    boxes = masks_to_boxes(engine.everything_prompt())
    assert boxes.shape == (len(desk.right), 4)
    near = (boxes.float() - results[0].boxes.xyxy).abs() <= 25  # a box may be wider than its mask
    assert near.float().mean() > 0.9


def sticker(desk: Desk) -> None:
    """Bytes to a cut-out, by the best mask of a box, drawn from a float mask."""
    stream = io.BytesIO()
    desk.image.save(stream, "PNG")
    rgb = cv2.cvtColor(np.array(Image.open(io.BytesIO(stream.getvalue()))), cv2.COLOR_BGR2RGB)[..., ::-1]
    mask = desk.prompt(np.ascontiguousarray(rgb)).box_prompt(bbox=MAN)[0]
    cut = np.dstack([rgb, (mask * 255).astype(np.uint8)])
    desk.answers_box(cut[..., 3], MAN)


def detector(desk: Desk) -> None:
    results = desk.model(desk.path, device=torch.device("cpu"), **ASKED)
    assert torch.sum(results[0].masks.data[0]) > 0
    boxes = results[0].boxes.xyxy.to(torch.int32)
    confidences = results[0].boxes.conf.cpu().numpy()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert confidences.shape == (len(desk.right),)


PROGRAMS: list[Callable[[Desk], None]] = [
    readme_everything, readme_box, readme_points, readme_text, inference_script, gradio_app_records,
    segpredict_to_result, fastsam_mimul, fastsam_api, rotoscope, autodistill, fastsam_service, fastsam_ros,
    folder_of_texts, mot_fastsam, sky_mask, live_pose, fastsam_ai, roman, samgeo, batches_of_tensors,
    named_arguments, sticker, detector,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program_runs_and_is_right(program: Callable[[Desk], None], desk: Desk) -> None:
    program(desk)
