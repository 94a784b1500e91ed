"""Segment Anything's call shape: the predictor and the mask generator on drawn masks."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastsam
from fastsam.compat import FastSAM, SamAutomaticMaskGenerator, SamPredictor
from fastsam.errors import ConfigError, ImageError, PromptError, RecordError
from fastsam.images.frame import Frame
from fastsam.masks.dense import box_from_mask, clean, farthest_point
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_rle
from fastsam.masks.stores.grid import GridStore
from fastsam.prompts import Points
from fastsam.testing import FixedSegmenter
from tests.compat.drawn import BAR, BIG, INNER, MASKS, NOTHING, PHOTO, SIZE, core, rect

# ---- SAM: predictor ------------------------------------------------------------------------------------


class RecordingSegmenter(FixedSegmenter):
    """Remembers the last frame."""

    def segment(self, frame: Frame, config: Any) -> MaskSet:
        self.frame = frame
        return super().segment(frame, config)


def predictor(masks: np.ndarray = MASKS) -> SamPredictor:
    made = SamPredictor(core(masks))
    made.set_image(np.zeros((*masks.shape[1:], 3), np.uint8))
    return made


def test_predict_needs_an_image() -> None:
    made = SamPredictor(core())
    assert not made.is_image_set
    with pytest.raises(PromptError, match=r"call set_image"):
        made.predict(np.array([[5, 5]]), np.array([1]))
    made.set_image(PHOTO)
    assert made.is_image_set
    made.reset_image()
    assert not made.is_image_set


def test_no_image_is_a_runtime_error_as_in_sam() -> None:
    with pytest.raises(RuntimeError):
        SamPredictor(core()).predict(box=np.array(BIG))


def test_a_failed_image_leaves_none_set() -> None:
    made = predictor()
    with pytest.raises(ImageError):
        made.set_image("no-such-photo.jpg")
    assert not made.is_image_set


def test_image_format_is_honoured() -> None:
    segmenter = RecordingSegmenter(MASKS)
    made = SamPredictor(fastsam.FastSAM(segmenter=segmenter))
    made.set_image(PHOTO)
    np.testing.assert_array_equal(segmenter.frame.rgb, PHOTO)
    made.set_image(np.ascontiguousarray(PHOTO[..., ::-1]), image_format="BGR")
    np.testing.assert_array_equal(segmenter.frame.rgb, PHOTO)
    with pytest.raises(ConfigError, match="'RGB' or 'BGR'"):
        made.set_image(PHOTO, "HSV")
    with pytest.raises(ImageError, match=r"expected an .H, W, 3. array with image_format='BGR', got Image"):
        made.set_image(Image.fromarray(PHOTO), "BGR")


def test_options_of_the_constructor_reach_the_network() -> None:
    made = SamPredictor(FastSAM(core()), conf=0.75)
    made.set_image(PHOTO)
    masks, scores, _ = made.predict(box=np.array(BAR))
    assert not masks.any()  # the bar's score is 0.7
    assert scores.tolist() == [0, 0, 0]


def test_one_click_gives_whole_and_part_best_first() -> None:
    masks, scores, low_res = predictor().predict(np.array([[24, 24]]), np.array([1]))
    assert (masks.shape, masks.dtype) == ((3, *SIZE), bool)
    assert (scores.shape, scores.dtype) == ((3,), np.float32)
    assert (low_res.shape, low_res.dtype) == ((3, 256, 256), np.float32)
    np.testing.assert_array_equal(masks[0], MASKS[1])
    np.testing.assert_array_equal(masks[1], MASKS[0])
    assert scores[0] > scores[1] > 0
    assert not masks[2].any()  # there are only two answers: SAM's third row is empty
    assert scores[2] == 0
    assert (low_res[2] < 0).all()


def test_single_mask_output() -> None:
    masks, scores, low_res = predictor().predict(np.array([[24, 24]]), np.array([1]), multimask_output=False)
    np.testing.assert_array_equal(masks, MASKS[1:2])
    assert scores.shape == (1,)
    assert low_res.shape == (1, 256, 256)


@pytest.mark.parametrize("box", [np.array(BIG), [list(BIG)], [-5, 10, 70.2, 50]])
def test_box(box: Any) -> None:
    masks, scores, _ = predictor().predict(box=box, multimask_output=False)
    np.testing.assert_array_equal(masks, MASKS[:1])
    assert 0.7 < scores[0] <= 1


@pytest.mark.parametrize(("box", "wanted"), [(BIG, 0), (INNER, 1)])
def test_points_and_a_box_choose_the_mask_that_fits_both(box: Any, wanted: int) -> None:
    masks, _, _ = predictor().predict(np.array([[24, 24]]), np.array([1]), np.array(box))
    np.testing.assert_array_equal(masks[0], MASKS[wanted])


def test_where_no_mask_fits_box_and_points_the_points_cut_one_that_fits_the_box() -> None:
    clicks = np.array([[12, 12], [24, 24]]), np.array([1, 0])
    masks, scores, _ = predictor().predict(*clicks, box=np.array(BIG), multimask_output=False)
    np.testing.assert_array_equal(masks[0], MASKS[0] & ~MASKS[1])
    assert scores[0] > 0
    masks, scores, _ = predictor().predict(*clicks, box=np.array(BAR), multimask_output=False)
    assert not masks.any()
    assert scores.tolist() == [0]


def test_only_background_points_mean_the_rest_as_one_mask() -> None:
    for multimask in (True, False):
        masks, scores, _ = predictor().predict(np.array([[2, 2]]), np.array([0]), multimask_output=multimask)
        np.testing.assert_array_equal(masks[0], MASKS.any(axis=0))
        assert not masks[1:].any()
        assert scores[0] == np.float32(0.7)


def test_logits_have_the_sign_of_the_mask() -> None:
    ask = {"box": np.array(BIG), "multimask_output": False}
    masks, _, _ = predictor().predict(**ask)
    logits, _, _ = predictor().predict(**ask, return_logits=True)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits > 0, masks)


def test_low_res_is_area_averaged_in_sams_padded_frame() -> None:
    size = (512, 256)  # content: 256 x 128
    mask = rect((31, 101, 200, 401), size)
    _, _, low_res = predictor(mask[None]).predict(box=np.array([31, 101, 200, 401]), multimask_output=False)
    covered = mask.reshape(256, 2, 128, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(low_res[0, :, :128], 20 * covered - 10, atol=1e-4)
    assert (low_res[0, :, 128:] == -10).all()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_low_res_fed_back_finds_its_mask_again(data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(8, 700), label=name) for name in ("height", "width"))
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    mask = rect((x0, y0, x1, y1), (height, width))
    made = predictor(mask[None])
    centre = np.array([[(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2]])
    _, _, low_res = made.predict(centre, np.array([1]), multimask_output=False)
    again, scores, _ = made.predict(mask_input=low_res, multimask_output=False)
    np.testing.assert_array_equal(again[0], mask)
    side = min(x1 - x0, y1 - y0) * 256 / max(height, width)
    assert scores[0] > (0.85 if side >= 16 else 0.1)


def test_mask_input_and_a_point_refine() -> None:
    made = predictor()
    _, _, low_res = made.predict(box=np.array(BIG), multimask_output=False)
    masks, _, _ = made.predict(
        np.array([[24, 24]]), np.array([0]), mask_input=low_res, multimask_output=False
    )
    assert not masks.any()  # the masks like BIG all hold the point, and a background point alone cuts nothing
    masks, _, _ = made.predict(
        np.array([[12, 12], [24, 24]]), np.array([1, 0]), mask_input=low_res, multimask_output=False
    )
    np.testing.assert_array_equal(masks[0], MASKS[0] & ~MASKS[1])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "got no prompt"),
        ({"point_labels": np.array([1])}, "point_coords"),
        ({"point_coords": np.array([5, 5])}, "several objects"),
        ({"point_coords": np.zeros((2, 3, 2))}, "several objects"),
        ({"point_coords": np.array([[5, 5]]), "point_labels": np.array([1, 1])}, "labels"),
        ({"point_coords": np.array([[np.inf, 5]])}, "finite"),
        ({"box": np.array([BIG, BAR])}, "one box"),
        ({"box": np.array([10, 10, 5, 5])}, "x1 < x2"),
        ({"mask_input": np.zeros((64, 64), np.float32)}, "shape"),
        ({"mask_input": np.full((1, 256, 256), np.nan)}, "finite"),
        ({"mask_input": np.full((256, 256), "a")}, "logits"),
    ],
)
def test_bad_prompts_are_explained(prompts: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        predictor().predict(**prompts)


@pytest.mark.parametrize("multimask", [True, False])
def test_predict_without_masks_keeps_sams_shapes(multimask: bool) -> None:
    made = predictor(NOTHING)
    low = np.full((1, 256, 256), 5, np.float32)
    for ask in ({"point_coords": [[5, 5]]}, {"box": list(BIG), "mask_input": low, "point_coords": [[5, 5]]}):
        masks, scores, low_res = made.predict(**ask, multimask_output=multimask)
        count = 3 if multimask else 1
        assert (masks.shape, scores.shape, low_res.shape) == ((count, *SIZE), (count,), (count, 256, 256))
        if "box" in ask:  # a click alone is answered from the photo
            assert not masks.any()
            assert not scores.any()


# ---- SAM: everything -----------------------------------------------------------------------------------

RECORD = {"segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"}


def test_records_are_measured() -> None:
    records = SamAutomaticMaskGenerator(core()).generate(PHOTO)
    assert len(records) == 3
    for record, mask, score in zip(records, MASKS, (0.9, 0.8, 0.7), strict=True):
        assert set(record) == RECORD
        np.testing.assert_array_equal(record["segmentation"], mask)
        assert record["area"] == mask.sum()
        x0, y0, x1, y1 = box_from_mask(mask)
        assert record["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert record["predicted_iou"] == pytest.approx(score)
        assert record["point_coords"] == [list(farthest_point(mask))]
        assert record["stability_score"] == 1.0  # these masks have no logits
        assert record["crop_box"] == [0, 0, 80, 60]


@pytest.mark.parametrize("mode", ["uncompressed_rle", "coco_rle"])
@pytest.mark.parametrize("corner", [(0, 0), (5, 0), (7, 9)])
def test_rle_modes_hold_the_same_pixels(mode: Any, corner: tuple[int, int]) -> None:
    mask = rect((*corner, 80, 60)) & ~rect((30, 30, 32, 40))
    record = SamAutomaticMaskGenerator(core(mask[None], [0.9]), output_mode=mode).generate(PHOTO)[0]
    assert record["segmentation"]["size"] == list(SIZE)
    assert isinstance(record["segmentation"]["counts"], str if mode == "coco_rle" else list)
    np.testing.assert_array_equal(decode_rle(record["segmentation"]), mask)


def test_small_regions_are_removed_and_measured_afterwards() -> None:
    dirty = MASKS[1] & ~rect((24, 24, 26, 26))
    dirty[50:53, 50:53] = True
    record = SamAutomaticMaskGenerator(core(dirty[None], [0.9]), min_mask_region_area=10).generate(PHOTO)[0]
    np.testing.assert_array_equal(record["segmentation"], MASKS[1])
    assert record["area"] == 400
    assert record["bbox"] == [14, 14, 20, 20]


def test_masks_without_a_pixel_are_left_out() -> None:
    assert SamAutomaticMaskGenerator(core(NOTHING)).generate(PHOTO) == []
    assert SamAutomaticMaskGenerator(core(np.zeros((1, *SIZE)), [0.9])).generate(PHOTO) == []


def test_thresholds_filter() -> None:
    assert len(SamAutomaticMaskGenerator(core(), pred_iou_thresh=0.75).generate(PHOTO)) == 2


def test_arguments_without_effect_are_named_in_one_warning() -> None:
    with pytest.warns(UserWarning, match="no effect of points_per_side, crop_n_points_down") as caught:
        SamAutomaticMaskGenerator(core(), 16, crop_n_points_downscale_factor=2, min_mask_region_area=100)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "options",
    [
        {"output_mode": "png"},
        {"stability_score_thresh": 1.5},
        {"stability_score_offset": 0},
        {"min_mask_region_area": -1},
        {"pred_iou_thresh": 3},
        {"box_nms_thresh": -1},
        {"crop_n_layers": -1},
        {"crop_nms_thresh": 2},
        {"crop_overlap_ratio": 1.5},
    ],
)
def test_bad_options_are_explained(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        SamAutomaticMaskGenerator(core(), **options)


class CropFinder:
    """Finds what is bright in the view that it is given, and remembers the views' sizes."""

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {"network": 1.0}
        self.sizes: list[tuple[int, int]] = []

    def segment(self, frame: Frame, config: Any) -> MaskSet:
        self.sizes.append(frame.size_hw)
        count, labels = cv2.connectedComponents((frame.rgb[..., 0] > 128).astype(np.uint8))
        return MaskSet.from_dense(np.stack([labels == k for k in range(count)])[1:], np.full(count - 1, 0.9))


def spotted() -> np.ndarray:
    photo = np.zeros((150, 200, 3), np.uint8)
    for x, y in ((12, 12), (40, 60), (110, 90), (180, 130)):
        cv2.circle(photo, (x, y), 6, (255, 255, 255), cv2.FILLED)
    return photo


def test_crop_layers_are_sams() -> None:
    finder = CropFinder()
    generator = SamAutomaticMaskGenerator(
        fastsam.FastSAM(segmenter=finder), crop_n_layers=1, crop_overlap_ratio=0.2
    )
    records = generator.generate(spotted())
    # SAM: overlap int(0.2 * 150 * 2 / 2) = 30, sides ceil((30 + 200) / 2) and ceil((30 + 150) / 2)
    assert finder.sizes == [(150, 200)] + [(90, 115)] * 4
    assert len(records) == 4
    boxes = {tuple(r["point_coords"][0]): r["crop_box"] for r in records}
    assert boxes[12.0, 12.0] == [0, 0, 115, 90]
    assert boxes[180.0, 130.0] == [85, 60, 115, 90]
    np.testing.assert_array_equal(
        np.any([r["segmentation"] for r in records], axis=0), spotted()[..., 0] > 128
    )
    whole = SamAutomaticMaskGenerator(fastsam.FastSAM(segmenter=CropFinder())).generate(spotted())
    assert {r["area"] for r in whole} == {r["area"] for r in records}
    assert all(r["crop_box"] == [0, 0, 200, 150] for r in whole)


def test_records_have_sams_types() -> None:
    record = SamAutomaticMaskGenerator(core(), output_mode="coco_rle").generate(PHOTO)[0]
    assert isinstance(record["area"], int)
    assert [type(v) for v in (*record["bbox"], *record["crop_box"])] == [int] * 8
    assert [type(v) for v in record["point_coords"][0]] == [float, float]
    assert [type(record[name]) for name in ("predicted_iou", "stability_score")] == [float, float]
    json.dumps(record)


def test_what_cleaning_made_the_same_is_dropped_once() -> None:
    dirty = MASKS[1].copy()
    dirty[50:53, 50:53] = True  # an island: its box is another one
    masks, scores = np.stack([dirty, MASKS[1], MASKS[2]]), (0.9, 0.8, 0.7)
    plain = SamAutomaticMaskGenerator(core(masks, scores)).generate(PHOTO)
    assert [r["predicted_iou"] for r in plain] == pytest.approx([0.9, 0.8, 0.7])
    cleaned = SamAutomaticMaskGenerator(core(masks, scores), min_mask_region_area=10).generate(PHOTO)
    assert [r["predicted_iou"] for r in cleaned] == pytest.approx([0.8, 0.7])  # SAM keeps the unchanged one


@pytest.mark.parametrize("area", [0, 1, 9, 40, 700])
def test_cleaning_a_crop_is_cleaning_the_image(area: int) -> None:
    mask = rect((0, 0, 30, 58)) & ~rect((0, 0, 3, 2)) & ~rect((10, 10, 14, 12)) | rect((70, 50, 73, 52))
    record = SamAutomaticMaskGenerator(core(mask[None], [0.9]), min_mask_region_area=area).generate(PHOTO)[0]
    np.testing.assert_array_equal(record["segmentation"], clean(mask, area))


# ---- stability -----------------------------------------------------------------------------------------


def grid_masks(seed: int, count: int = 4) -> tuple[MaskSet, np.ndarray]:
    """Random smooth masks on a 16 x 24 grid of a 64 x 96 image, and their logits at image size."""
    random = np.random.default_rng(seed)
    prototypes = np.stack([cv2.GaussianBlur(p, (5, 5), 0) for p in random.normal(size=(6, 16, 24))])
    prototypes = (prototypes * 4).astype(np.float32)
    coefficients = random.normal(size=(count, 6)).astype(np.float32)
    low = random.integers(0, [40, 25], size=(count, 2))
    boxes = np.concatenate([low, low + random.integers(10, [56, 39], size=(count, 2))], axis=1)
    store = GridStore(
        coefficients, prototypes, boxes.astype(np.float32), GridMap(Letterbox((64, 96), (64, 96)), (16, 24))
    )
    logits = np.tensordot(coefficients, prototypes, axes=1)
    full = np.stack([cv2.resize(one, (96, 64), interpolation=cv2.INTER_LINEAR) for one in logits])
    for values, (x0, y0, x1, y1) in zip(full, boxes, strict=True):
        values[~rect((x0, y0, x1, y1), (64, 96))] = -np.inf
    return MaskSet.from_grid(store, np.linspace(0.9, 0.5, count).astype(np.float32)), full


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("offset", [0.1, 1.0, 3.0])
def test_stability_equals_the_iou_of_two_thresholds(seed: int, offset: float) -> None:
    masks, logits = grid_masks(seed)
    higher, lower = logits > offset, logits > -offset
    wanted = (higher & lower).sum(axis=(1, 2)) / np.maximum((higher | lower).sum(axis=(1, 2)), 1)
    found = masks.stability_scores(offset)
    assert found.dtype == np.float32
    assert (found < 1).any()
    np.testing.assert_allclose(found, wanted, atol=0.01)  # the two upsamplings round differently


def test_stability_of_masks_without_logits_or_pixels() -> None:
    dense = np.concatenate([MASKS, np.zeros((1, *SIZE), bool)])
    assert MaskSet.from_dense(dense).stability_scores().tolist() == [1, 1, 1, 0]
    assert MaskSet.none(SIZE).stability_scores().shape == (0,)
    masks, _ = grid_masks(0)
    flat = GridStore(np.zeros((1, 6), np.float32), masks.store.prototypes, np.ones((1, 4)), masks.store.grid)
    assert MaskSet.from_grid(flat, np.ones(1, np.float32)).stability_scores().tolist() == [0]
    with pytest.raises(RecordError, match="above 0"):
        masks.stability_scores(0)


class GridSegmenter:
    """Finds the masks of :func:`grid_masks`."""

    times_ms: dict[str, float] = {}  # noqa: RUF012 - as the protocol has it

    def segment(self, frame: Frame, config: Any) -> MaskSet:
        return grid_masks(1)[0]


def test_generator_keeps_stable_masks() -> None:
    model = fastsam.FastSAM(segmenter=GridSegmenter())
    image = np.zeros((64, 96, 3), np.uint8)
    everything = SamAutomaticMaskGenerator(model).generate(image)
    scores = sorted(record["stability_score"] for record in everything)
    assert scores[0] < scores[-1]
    threshold = (scores[0] + scores[-1]) / 2
    kept = SamAutomaticMaskGenerator(model, stability_score_thresh=threshold).generate(image)
    assert [r["stability_score"] for r in kept] == [
        r["stability_score"] for r in everything if r["stability_score"] >= threshold
    ]


def test_generator_and_predictor_agree_with_the_core() -> None:
    session = core().open(PHOTO)
    click = session.select(Points((24, 24)))
    masks, scores, _ = predictor().predict(np.array([[24, 24]]), multimask_output=False)
    np.testing.assert_array_equal(masks, np.asarray(click.masks))
    np.testing.assert_allclose(scores, click.scores)
