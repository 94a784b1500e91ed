"""The rest of SAM's and SAM 2's shapes: what has only sizes, numbers of many types, cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastsam.compat.sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from fastsam.compat.sam2.build_sam import build_sam2, build_sam2_camera_predictor
from fastsam.compat.sam2.sam2_camera_predictor import SAM2CameraPredictor
from fastsam.compat.segment_anything import SamAutomaticMaskGenerator, SamPredictor, build_sam, modeling
from fastsam.compat.segment_anything.utils import amg
from fastsam.compat.segment_anything.utils.onnx import SamOnnxModel
from fastsam.errors import ConfigError, NoImageError, PromptError
from tests.compat.conftest import iou
from tests.compat.drawn import BAR, BIG, INNER, MASKS, PHOTO, core


def test_sams_parts_have_sizes_and_say_that_they_cannot_run() -> None:
    sam = build_sam(core())
    assert (sam.image_encoder.img_size, sam.prompt_encoder.mask_input_size) == (1024, (256, 256))
    assert sam.mask_decoder.eval().requires_grad_(False) is sam.mask_decoder
    assert build_sam2("sam2_hiera_s.yaml", device="cpu").image_size == 1024
    with pytest.raises(ConfigError, match="not here"):
        sam.image_encoder(torch.zeros(1, 3, 1024, 1024))
    with pytest.raises(AttributeError, match="has no 'blocks'"):
        _ = sam.image_encoder.blocks
    with pytest.raises(ImportError, match="SAM's network is not here"):
        _ = modeling.ImageEncoderViT
    with pytest.raises(ConfigError, match="export-model"):
        SamOnnxModel(sam, return_single_mask=True)


def test_parameters_and_pixels() -> None:
    sam = build_sam(core())
    assert [weight.device for weight in sam.parameters()] == [sam.device]
    assert len(sam.state_dict()) == 1
    ready = sam.preprocess(torch.zeros(3, 768, 1024) + sam.pixel_mean + sam.pixel_std)
    assert (ready.shape, ready[:, :768].mean().item(), ready[:, 768:].any().item()) == (
        (3, 1024, 1024),
        1,
        False,
    )


def test_logits_at_the_size_of_the_image() -> None:
    predictor = SamPredictor(build_sam(core()))
    predictor.set_image(PHOTO)
    masks, _, low = predictor.predict(box=np.array(BIG), multimask_output=False)
    sized = predictor.model.postprocess_masks(
        torch.from_numpy(low)[None], predictor.input_size, predictor.original_size
    )
    same = (sized[0] > predictor.model.mask_threshold).numpy() == masks
    assert same.mean() > 0.98


def test_an_embedding_is_no_array() -> None:
    predictor = SamPredictor(build_sam(core()))
    predictor.set_image(PHOTO)
    token = predictor.get_image_embedding().cpu()
    with pytest.raises(ConfigError, match="token"):
        token.numpy()
    with pytest.raises(ConfigError, match="token"):
        np.asarray(token)
    with pytest.raises(AttributeError, match="no 'shape'"):
        _ = token.shape


def test_a_point_in_a_box_does_not_lower_its_score() -> None:
    predictor = SamPredictor(build_sam(core()))
    predictor.set_image(PHOTO)
    _, alone, _ = predictor.predict(box=np.array(INNER), multimask_output=False)
    point = np.array([[15, 33]])  # in the corner
    _, both, _ = predictor.predict(point, np.array([1]), np.array(INNER), multimask_output=False)
    assert both[0] == pytest.approx(alone[0], abs=0.05)


def test_no_boxes_give_no_masks() -> None:
    predictor = SamPredictor(build_sam(core()))
    predictor.set_image(PHOTO)
    masks, scores, low = predictor.predict_torch(None, None, torch.zeros(0, 4), multimask_output=False)
    assert (masks.shape, scores.shape, low.shape) == ((0, 1, *PHOTO.shape[:2]), (0, 1), (0, 1, 256, 256))


@pytest.mark.parametrize(
    "options",
    [
        {"min_mask_region_area": 25.0, "crop_n_layers": np.int64(0), "points_per_batch": 64.0},
        {"pred_iou_thresh": np.float32(0.1), "stability_score_thresh": torch.tensor(0.0)},
        {"points_per_side": np.int64(32), "box_nms_thresh": np.float64(0.7), "stability_score_offset": 1},
    ],
)
def test_numbers_come_in_many_types(options: dict[str, Any]) -> None:
    assert len(SAM2AutomaticMaskGenerator(build_sam(core()), **options).generate(PHOTO)) == 3


def test_a_generators_options_have_sams_names() -> None:
    generator = SamAutomaticMaskGenerator(core(), box_nms_thresh=0.5, crop_n_layers=1, points_per_batch=32)
    assert (generator.box_nms_thresh, generator.crop_n_layers, generator.points_per_batch) == (0.5, 1, 32)
    assert [len(grid) for grid in generator.point_grids] == [1024, 1024]
    with pytest.raises(AttributeError, match="'points'"):
        _ = generator.points
    with pytest.raises(ConfigError, match="crop_n_layers"):
        SamAutomaticMaskGenerator(core(), crop_n_layers=0.5)


def test_columns_of_masks() -> None:
    data = amg.MaskData(boxes=torch.arange(12).reshape(3, 4), rles=["a", "b", "c"])
    data.filter(torch.tensor([True, False, True]))
    data.cat(amg.MaskData(boxes=torch.zeros(1, 4, dtype=torch.long), rles=["d"]))
    data.to_numpy()
    assert (data["rles"], data["boxes"][:, 0].tolist()) == (["a", "c", "d"], [0, 8, 0])
    crop = [10, 20, 40, 60]
    assert amg.uncrop_boxes_xyxy(torch.tensor([[1, 2, 3, 4]]), crop).tolist() == [[11, 22, 13, 24]]
    assert amg.uncrop_points(torch.tensor([[1, 2]]), crop).tolist() == [[11, 22]]
    whole = amg.uncrop_masks(torch.ones(1, 40, 30, dtype=torch.bool), crop, 100, 90)
    assert (whole.shape, amg.batched_mask_to_box(whole).tolist()) == ((1, 100, 90), [[10, 20, 39, 59]])


def test_objects_before_a_camera() -> None:
    predictor = SAM2CameraPredictor(core())
    with pytest.raises(NoImageError, match="load_first_frame"):
        predictor.add_new_prompt(0, 1, points=[[20, 20]], labels=[1])
    predictor.load_first_frame(PHOTO)
    with pytest.raises(PromptError, match="prompts first"):
        predictor.track(PHOTO)
    _, ids, _ = predictor.add_new_prompt(0, 7, bbox=[[BAR[0], BAR[1]], [BAR[2], BAR[3]]])
    index, ids, logits = predictor.add_new_points(0, "b", points=np.array([[20, 20]]), labels=np.array([1]))
    assert (index, ids, logits.shape) == (0, [7, "b"], (2, 1, *PHOTO.shape[:2]))
    for _ in range(2):
        ids, logits = predictor.track(PHOTO)
        assert ids == [7, "b"]
        assert iou(logits[0, 0], MASKS[2]) > 0.8
        assert iou(logits[1, 0], MASKS[1]) > 0.8
    assert isinstance(build_sam2_camera_predictor("sam2_hiera_s.yaml").model, modeling.Sam)
