"""The parts of Segment Anything's package: scale, warnings, tokens, and `utils` beside the real ones."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastsam
from fastsam.compat import sam_model_registry
from fastsam.compat.segment_anything import SamAutomaticMaskGenerator, SamPredictor, build_sam, scale
from fastsam.compat.segment_anything.low_res import from_low_res, to_low_res
from fastsam.compat.segment_anything.scale import IDENTITY, SamScale, fit, scale_of
from fastsam.compat.segment_anything.utils import amg, transforms
from fastsam.errors import ConfigError, InputError, NoImageError, PromptError
from tests.compat.conftest import BUS, MAN, SIZE
from tests.compat.drawn import BAR, MASKS, NOTHING, PHOTO, core, rect


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    pytest.importorskip("segment_anything", reason="the real package is not installed")
    return importlib.import_module("segment_anything.utils.amg")


# ---- the scale -----------------------------------------------------------------------------------------


def test_sams_thresholds_keep_tens_of_masks(quick: fastsam.FastSAM, photo: np.ndarray) -> None:
    own = len(quick.open(photo).masks)
    counts = []
    for iou, stability in ((0.95, 0.97), (0.88, 0.95), (0.86, 0.92), (0.7, 0.8), (0.5, 0.5)):
        generator = SamAutomaticMaskGenerator(quick, pred_iou_thresh=iou, stability_score_thresh=stability)
        counts.append(len(generator.generate(photo)))
    assert counts == sorted(counts)
    assert 0.6 * own <= counts[1] <= own
    assert counts[1] < counts[-1]
    records = SamAutomaticMaskGenerator(quick).generate(photo)
    assert len(records) == counts[1]
    assert min(record["predicted_iou"] for record in records) >= 0.88
    assert min(record["stability_score"] for record in records) >= 0.95


@given(st.lists(st.floats(0, 1), min_size=10, max_size=60))
def test_maps_rise_and_keep_the_ends(values: list[float]) -> None:
    raw, put = scale._knots(np.array(values), {0.05: 0.88, 0.5: 0.95, 0.95: 0.99})
    assert list(raw) == sorted(set(raw))
    made = SamScale(quality=(raw, put))
    ticks = np.linspace(0, 1, 101)
    mapped = made.put("quality", ticks)
    assert (mapped[0], mapped[-1]) == (0, 1)
    assert (np.diff(mapped) > 0).all()
    np.testing.assert_array_equal(made.put("mask", ticks), ticks.astype(np.float32))


def test_the_fit_is_kept_and_read_again(quick: fastsam.FastSAM, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scale_of(quick)
    assert first is not IDENTITY
    monkeypatch.setattr(scale, "_known", {})
    monkeypatch.setattr(scale, "fit", lambda _: pytest.fail("fitted again"))
    assert scale_of(quick) == first


def test_segmenters_without_a_network_keep_their_scores() -> None:
    assert scale_of(core()) is IDENTITY
    records = SamAutomaticMaskGenerator(core()).generate(PHOTO)
    assert [record["predicted_iou"] for record in records] == pytest.approx([0.9, 0.8, 0.7])


def test_too_few_masks_give_no_scale(caplog: pytest.LogCaptureFixture) -> None:
    class Nothing:
        times_ms: dict[str, float] = {}  # noqa: RUF012 - as the protocol has it

        def segment(self, frame: Any, config: Any) -> Any:
            return fastsam.MaskSet.none(frame.size_hw)

    assert fit(fastsam.FastSAM(segmenter=Nothing())) is IDENTITY
    assert "too few" in caplog.text


def test_a_cache_that_is_broken_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "_file", lambda key: tmp_path / f"{key}.json")
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(json.dumps({"size": [[0], [1]]}))
    assert scale._loaded("a") is scale._loaded("b") is scale._loaded("c") is None
    kept = SamScale(box=((0.0, 0.5, 1.0), (0.0, 0.9, 1.0)))
    assert scale._kept("c", kept) is kept
    assert scale._loaded("c") == kept
    monkeypatch.setattr(scale, "_file", lambda key: tmp_path / "a.json" / "no" / "folder")
    assert scale._kept("d", kept) is kept  # a scale that cannot be kept is used all the same


@pytest.mark.parametrize("thresholds", [{"pred_iou_thresh": 0.95}, {"stability_score_thresh": 1.0}])
def test_thresholds_that_remove_all_get_a_warning(thresholds: dict[str, float]) -> None:
    masks = np.concatenate([MASKS, MASKS[:1] & False])
    generator = SamAutomaticMaskGenerator(core(masks, (0.9, 0.8, 0.7, 0.6)), **thresholds)
    if "stability_score_thresh" in thresholds:
        assert len(generator.generate(PHOTO)) == 3  # drawn masks hang on no threshold
        return
    with pytest.warns(UserWarning, match=r"pred_iou_thresh=0.95 .* remove all 4 masks .* is 0.90 ") as caught:
        assert generator.generate(PHOTO) == []
    assert caught[0].filename == __file__
    assert SamAutomaticMaskGenerator(core(NOTHING)).generate(PHOTO) == []  # nothing there: no warning


# ---- registry, tokens, prompts -------------------------------------------------------------------------


def test_the_registry_gives_models_and_says_what_sams_files_are() -> None:
    assert list(sam_model_registry) == ["default", "vit_h", "vit_l", "vit_b", "vit_t"]
    with pytest.warns(UserWarning, match="the embedded weights answer") as caught:
        sam = sam_model_registry["vit_h"](checkpoint="sam_vit_h_4b8939.pth")
    assert caught[0].filename == __file__
    assert sam.to(device="cpu").eval().cpu().float() is sam
    assert sam.to(torch.float16).train(False).requires_grad_(False) is sam
    assert sam.device == torch.device("cpu")
    assert next(sam.parameters()).device == sam.device
    for refused in (lambda: sam.load_state_dict({}), sam.train):
        with pytest.raises(ConfigError, match="expected"):
            refused()
    sam.model_name = "vit_h"  # as ComfyUI does
    assert SamPredictor(sam).model is sam


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="device"):
        build_sam().to("cuda:7")


def test_features_are_a_token() -> None:
    predictor = SamPredictor(core())
    assert predictor.features is predictor.original_size is predictor.input_size is None
    with pytest.raises(NoImageError, match="set_image"):
        predictor.get_image_embedding()
    predictor.set_image(PHOTO)
    token = predictor.get_image_embedding().cpu().detach()
    assert predictor.input_size == (768, 1024)
    predictor.is_image_set = False
    predictor.features = token
    assert predictor.predict(box=np.array(BAR), multimask_output=False)[0].any()
    with pytest.raises(ConfigError, match="features"):
        predictor.features = torch.zeros(1, 256, 64, 64)
    predictor.features = None
    assert not predictor.is_image_set


def test_tensors_are_prompts_too() -> None:
    predictor = SamPredictor(core())
    predictor.set_image(PHOTO)
    click = {"point_coords": torch.tensor([[24, 24]]), "point_labels": torch.tensor([[1]])}
    np.testing.assert_array_equal(predictor.predict(**click)[0][0], MASKS[1])
    np.testing.assert_array_equal(predictor.predict(box=torch.tensor([[10.0, 10, 70, 50]]))[0][0], MASKS[0])
    masks, scores, _ = predictor.predict_torch(boxes=None, **_batch(click), num_multimask_outputs=3)
    assert masks.shape == (1, 3, 60, 80)
    assert scores.shape == (1, 3)
    with pytest.raises(PromptError, match="same objects"):
        predictor.predict_torch(boxes=torch.zeros(2, 4), **_batch(click))


def _batch(click: dict[str, Any]) -> dict[str, Any]:
    scaled = transforms.ResizeLongestSide(1024).apply_coords_torch(click["point_coords"], (60, 80))
    return {"point_coords": scaled[None], "point_labels": click["point_labels"]}


def test_logits_without_a_mask_ask_for_nothing() -> None:
    predictor = SamPredictor(core())
    predictor.set_image(PHOTO)
    _, _, empty = predictor.predict(box=np.array([1, 52, 6, 58]), multimask_output=False)
    assert from_low_res(empty, (60, 80)) is None
    masks, scores, _ = predictor.predict(mask_input=empty, multimask_output=False)
    assert not masks.any()
    assert scores.tolist() == [0]
    masks, _, _ = predictor.predict(np.array([[24, 24]]), np.array([1]), mask_input=empty)
    np.testing.assert_array_equal(masks[0], MASKS[1])
    np.testing.assert_array_equal(from_low_res(to_low_res(MASKS[2]), (60, 80)), MASKS[2])


def test_edges_and_boxes_without_area() -> None:
    predictor = SamPredictor(core(rect((60, 40, 80, 60))[None], [0.9]))
    predictor.set_image(PHOTO)
    for ask in (
        {"point_coords": np.array([[80, 60]]), "point_labels": np.array([1])},
        {"box": np.array([70, 50, 70, 55])},
        {"box": np.array([85, 50, 95, 55])},
    ):
        assert predictor.predict(**ask, multimask_output=False)[0][0].sum() == 400
    with pytest.warns(UserWarning, match="outside the 80x60 image") as caught:
        predictor.predict(np.array([[500, 500]]), np.array([1]))
    assert caught[0].filename == __file__
    with pytest.raises(PromptError, match="x1 < x2"):
        predictor.predict(box=np.array([70, 50, 60, 55]))


# ---- utils, beside the real package --------------------------------------------------------------------


def test_masks_boxes_and_rle_are_sams(theirs: ModuleType) -> None:
    stack = torch.from_numpy(np.concatenate([MASKS, MASKS[:1] & False, ~MASKS[:1]]))
    for masks in (stack, stack[None], stack[0], stack[:0]):
        assert torch.equal(amg.batched_mask_to_box(masks).long(), theirs.batched_mask_to_box(masks).long())
    ours, real = amg.mask_to_rle_pytorch(stack), theirs.mask_to_rle_pytorch(stack)
    assert ours == real
    for rle, mask in zip(ours, stack.numpy(), strict=True):
        np.testing.assert_array_equal(amg.rle_to_mask(rle), mask)
        assert amg.area_from_rle(rle) == theirs.area_from_rle(rle) == mask.sum()
        assert amg.coco_encode_rle(rle) == theirs.coco_encode_rle(rle)
    assert amg.box_xyxy_to_xywh(torch.tensor([1, 2, 5, 9])).tolist() == [1, 2, 4, 7]
    with pytest.raises(InputError, match="counts"):
        amg.rle_to_mask({"size": [2, 2], "counts": [3]})


@pytest.mark.parametrize("mode", ["holes", "islands"])
@pytest.mark.parametrize("area", [1, 5, 30, 5000])
def test_small_regions_are_sams(theirs: ModuleType, mode: Any, area: int) -> None:
    mask = (
        MASKS[0] & ~rect((20, 20, 24, 21)) & ~rect((40, 20, 50, 23))
        | rect((2, 2, 5, 5))
        | rect((74, 55, 75, 56))
    )
    found, changed = amg.remove_small_regions(mask, area, mode)
    wanted, their_changed = theirs.remove_small_regions(mask, area, mode)
    np.testing.assert_array_equal(found, wanted)
    assert changed == their_changed


def test_grids_crops_and_stability_are_sams(theirs: ModuleType) -> None:
    for ours, real in zip(
        amg.build_all_layer_point_grids(32, 2, 2), theirs.build_all_layer_point_grids(32, 2, 2), strict=True
    ):
        np.testing.assert_allclose(ours, real)
    for size in ((540, 405), (100, 333)):
        ours, real = amg.generate_crop_boxes(size, 2, 0.34), theirs.generate_crop_boxes(size, 2, 0.34)
        assert sorted(ours[0]) == sorted(real[0])
        assert ours[1] == real[1]
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 20, 30)) * 2)
    assert torch.equal(
        amg.calculate_stability_score(logits, 0.0, 1.0), theirs.calculate_stability_score(logits, 0.0, 1.0)
    )
    boxes = torch.tensor([[0, 0, 50, 50], [30, 30, 119, 90], [60, 10, 99, 99]])
    crop = [[100, 50, 220, 150], [0, 0, 400, 300]]
    assert torch.equal(amg.is_box_near_crop_edge(boxes, *crop), theirs.is_box_near_crop_edge(boxes, *crop))
    assert list(amg.batch_iterator(2, [1, 2, 3])) == [[[1, 2]], [[3]]]
    with pytest.raises(InputError, match="one length"):
        next(amg.batch_iterator(2, [1], [1, 2]))


def test_resizing_is_sams(theirs: ModuleType, photo: np.ndarray) -> None:
    real = importlib.import_module("segment_anything.utils.transforms").ResizeLongestSide(1024)
    ours = transforms.ResizeLongestSide(1024)
    np.testing.assert_array_equal(ours.apply_image(photo), real.apply_image(photo))
    boxes = np.array([MAN, BUS])
    np.testing.assert_allclose(ours.apply_boxes(boxes, SIZE), real.apply_boxes(boxes, SIZE))
    np.testing.assert_allclose(ours.undone(ours.apply_coords(boxes[:, :2], SIZE), SIZE), boxes[:, :2])
    tensor = torch.from_numpy(boxes)
    torch.testing.assert_close(ours.apply_boxes_torch(tensor, SIZE), real.apply_boxes_torch(tensor, SIZE))
    assert ours.apply_image_torch(torch.zeros(1, 3, *SIZE)).shape == (1, 3, 1024, 768)
    with pytest.raises(InputError, match="original_size"):
        ours.apply_coords(boxes, (0, 5))


def test_supervision_takes_the_records(photo: np.ndarray, quick: fastsam.FastSAM) -> None:
    sv = pytest.importorskip("supervision")
    for mode in ("binary_mask", "coco_rle"):
        records = SamAutomaticMaskGenerator(quick, output_mode=mode).generate(photo)
        found = sv.Detections.from_sam(records)
        assert found.mask.shape == (len(records), *SIZE)
        assert sorted(found.mask.sum(axis=(1, 2)).tolist()) == sorted(record["area"] for record in records)
