"""The rest of ultralytics' shape: its old prompts, SAM 2 in videos, keywords and attributes of models."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fastsam.compat import FastSAM as CasiaFastSAM
from fastsam.compat.ultralytics import SAM, FastSAM, SAM2VideoPredictor
from fastsam.compat.ultralytics.models import sam as models_sam
from fastsam.compat.ultralytics.models.fastsam import FastSAMPrompt
from fastsam.compat.ultralytics.models.sam import Predictor
from fastsam.errors import ConfigError, InputError, PromptError
from tests.compat.conftest import iou
from tests.compat.drawn import BAR, BIG, INNER, MASKS, PHOTO, core

CLIP = [PHOTO, PHOTO, PHOTO]


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    Image.fromarray(PHOTO).save(tmp_path / "dog.png")
    return tmp_path / "dog.png"


def test_old_prompts_give_results_with_one_mask() -> None:
    prompt = FastSAMPrompt("dog.png", FastSAM(core())(PHOTO), device="cpu")
    assert len(prompt.everything_prompt()[0]) == 3
    np.testing.assert_array_equal(prompt.box_prompt(bbox=list(INNER))[0].masks.data.numpy(), MASKS[1:2])
    for points, labels, wanted in (
        ([[20, 20], [75, 30]], [1, 1], MASKS.any(axis=0)),
        ([[20, 20], [60, 40]], [1, 0], MASKS[1]),
        ([[2, 2]], [1], np.zeros_like(MASKS[0])),
    ):
        answer = prompt.point_prompt(points=points, pointlabel=labels)
        np.testing.assert_array_equal(answer[0].masks.data.numpy(), wanted[None])
        assert prompt.results is answer
    assert len(prompt.everything_prompt()[0]) == 3  # each prompt asks about everything
    with pytest.raises(InputError, match="got nothing"):
        FastSAMPrompt("dog.png", [])


def test_old_plots_are_named_as_their_images_and_never_replace_them(photo_file: Path) -> None:
    prompt = FastSAMPrompt(str(photo_file), FastSAM(core())(str(photo_file)))
    prompt.plot(annotations=prompt.everything_prompt(), output=photo_file.parent / "shown")
    assert (photo_file.parent / "shown" / "dog.png").exists()
    before = photo_file.read_bytes()
    with pytest.warns(UserWarning, match="is the image itself"):
        prompt.plot(annotations=prompt.box_prompt(bbox=list(BIG)), output=photo_file.parent)
    assert photo_file.read_bytes() == before


@pytest.mark.parametrize(
    ("prompts", "rows"),
    [
        ({"points": [75, 30], "labels": 1}, [2]),
        ({"points": [[20, 20], [75, 30]], "labels": [1, 1]}, [1, 2]),
        ({"points": [[[15, 45], [60, 15]]], "labels": [[1, 1]]}, [0]),
        ({"bboxes": list(BAR)}, [2]),
        ({"bboxes": torch.tensor([BAR, INNER]).float()}, [2, 1]),
        ({"masks": MASKS[2]}, [2]),
    ],
)
def test_sam2_in_a_video(prompts: dict[str, Any], rows: list[int]) -> None:
    predictor = SAM2VideoPredictor(overrides={"model": core(), "conf": 0.25, "imgsz": 1024, "mode": "track"})
    found = predictor(source=CLIP, stream=True, **prompts)
    for result in found:
        assert result.boxes.cls.tolist() == list(range(len(rows)))
        assert result.names == {k: str(k) for k in range(len(rows))}
        assert all(iou(mask, MASKS[row]) > 0.8 for mask, row in zip(result.masks.data, rows, strict=True))
    assert len(predictor(source=CLIP, **prompts)) == 3


def test_a_video_needs_prompts() -> None:
    with pytest.raises(PromptError, match="of the first frame"):
        SAM2VideoPredictor(overrides={"model": core()})(source=CLIP)


def test_sam_takes_the_keywords_of_segmenting_everything() -> None:
    predictor = Predictor(overrides={"model": core()})
    with pytest.warns(UserWarning, match="points_per_side"):
        found = predictor(source=PHOTO, points_stride=64, points_batch_size=64, min_mask_region_area=25.0)
    assert len(found[0]) == 3
    assert len(predictor(source=PHOTO, conf_thres=0.75)[0]) == 2
    assert len(predictor(source=PHOTO, conf=0.85)[0]) == 1
    predictor.set_image(PHOTO)
    assert len(predictor()[0]) == 3
    predictor.set_prompts({"bboxes": list(BAR)})
    assert [len(predictor()[0]), len(predictor()[0])] == [1, 3]


def test_no_boxes_of_a_detector_choose_nothing() -> None:
    for empty in ([], np.zeros((0, 4)), torch.zeros(0, 4)):
        assert FastSAM(core())(PHOTO, bboxes=empty)[0].masks.data.shape == (0, *PHOTO.shape[:2])
        assert SAM(core())(PHOTO, bboxes=empty)[0].masks.data.shape == (0, *PHOTO.shape[:2])


@pytest.mark.parametrize(
    "keywords",
    [
        {"conf": np.float64(0.75), "iou": np.float32(0.9), "imgsz": np.int64(320), "max_det": 300.0},
        {"conf": torch.tensor(0.75), "imgsz": 320.0, "device": None},
        {"conf": "0.75", "imgsz": (320,), "device": torch.device("cpu"), "vid_stride": np.int64(1)},
    ],
)
def test_numbers_come_in_many_types(keywords: dict[str, Any]) -> None:
    assert len(CasiaFastSAM(core())(PHOTO, **keywords)[0]) == 2


def test_overrides_are_defaults_of_calls() -> None:
    model = FastSAM(core())
    model.overrides["conf"] = 0.75
    assert [len(model(PHOTO)[0]), len(model(PHOTO, conf=0.1)[0])] == [2, 3]


def test_a_stream_is_a_generator_for_casia_too() -> None:
    found = CasiaFastSAM(core())([PHOTO, PHOTO], stream=True)
    assert iter(found) is found
    assert [len(result) for result in found] == [3, 3]


def test_what_is_saved_beside_pictures(tmp_path: Path, photo_file: Path) -> None:
    result = FastSAM(core())(
        str(photo_file),
        save=True,
        save_txt=True,
        save_crop=True,
        show_boxes=False,
        project=tmp_path,
        name="run",
    )[0]
    folder = tmp_path / "run"
    assert result.save_dir == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["crops", "dog.png", "labels"]
    assert len((folder / "labels" / "dog.txt").read_text().splitlines()) == 3


def test_files_in_memory_are_no_tensors(photo_file: Path) -> None:
    assert len(FastSAM(core())(io.BytesIO(photo_file.read_bytes()))[0]) == 3


def test_attributes_that_scripts_read(embedded_weights: Path) -> None:
    model = FastSAM()
    assert model.ckpt_path == model.model_name == str(embedded_weights)
    assert (model.predictor, model.transforms, model.cfg, model.training) == (None, None, None, False)
    assert sum(weight.numel() for weight in model.parameters()) > 1e6
    assert FastSAM(model).model is model.model
    assert not hasattr(model, "embed")
    with pytest.raises(AttributeError, match="fastsam benchmark"):
        model.benchmark()
    with pytest.warns(UserWarning, match="not called"):
        model.add_callback("on_predict_start", print)
    model.reset_callbacks()
    assert model.callbacks == {}
    with pytest.raises(ConfigError, match="has no file"):
        _ = FastSAM(core()).checkpoint


def test_predictors_that_are_not_here_say_so() -> None:
    with pytest.raises(ImportError, match="answers texts"):
        _ = models_sam.SAM3SemanticPredictor
