"""CASIA's call shape: FastSAM and FastSAMPrompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import fastsam
from fastsam.compat import FastSAM, FastSAMPrompt
from fastsam.errors import ConfigError, ExportError, ImageError, InputError, PromptError
from fastsam.images.drawing import colours
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from tests.compat.drawn import BAR, BIG, INNER, MASKS, NOTHING, PHOTO, SIZE, core, rect


def prompted(masks: np.ndarray = MASKS) -> FastSAMPrompt:
    return FastSAMPrompt(PHOTO, FastSAM(core(masks))(PHOTO))


# ---- CASIA: results ------------------------------------------------------------------------------------


def test_results_have_the_attributes_that_old_code_reads(tmp_path: Path) -> None:
    path = tmp_path / "astronaut.png"
    Image.fromarray(PHOTO).save(path)
    results = FastSAM(core())(str(path), device="cpu", retina_masks=True, imgsz=640, conf=0.1, iou=0.9)
    assert len(results) == 1
    only = results[0]
    assert len(only) == len(only.masks) == len(only.boxes) == 3
    assert only.masks.data.dtype == torch.float32
    assert only.boxes.data.shape == (3, 6)
    assert only.boxes.id is None
    assert (only.names, only.orig_shape, only.obb, only.probs) == ({0: "object"}, SIZE, None, None)
    np.testing.assert_array_equal(only.masks.data, MASKS)
    np.testing.assert_allclose(only.boxes.conf.cpu().numpy(), [0.9, 0.8, 0.7])
    np.testing.assert_allclose(only.boxes.conf, [0.9, 0.8, 0.7])
    np.testing.assert_array_equal(only.orig_img, cv2.imread(str(path)))  # BGR, as ultralytics has it
    assert only.path == str(path)


@pytest.mark.parametrize("make", [lambda: PHOTO, lambda: Image.fromarray(PHOTO), lambda: [PHOTO, PHOTO]])
def test_arrays_are_rgb_and_lists_give_one_result_each(make: Any) -> None:
    source = make()
    results = FastSAM(core()).predict(source)
    assert len(results) == (2 if isinstance(source, list) else 1)
    for one in results:
        np.testing.assert_array_equal(one.orig_img[..., ::-1], PHOTO)
        assert one.path.startswith("image")


def test_what_is_handed_out_can_be_changed_without_harm() -> None:
    results = FastSAM(core())(PHOTO)
    assert results[0].masks.data is results[0].masks.data  # decoded once
    prompt = FastSAMPrompt(PHOTO, results)
    everything = prompt.everything_prompt()
    everything[0] = torch.from_numpy(cv2.erode(everything[0].numpy(), np.ones((3, 3), np.uint8)))
    everything = everything.cpu().numpy()
    everything[1] = cv2.morphologyEx(
        everything[1].astype(np.uint8), cv2.MORPH_OPEN, np.ones((8, 8), np.uint8)
    )
    np.testing.assert_array_equal(prompt.everything_prompt(), MASKS)
    prompt.img[:] = 0  # the caller's own, too
    np.testing.assert_array_equal(FastSAMPrompt(None, results).img, PHOTO)


def test_arrays_can_be_bgr() -> None:
    bgr = np.ascontiguousarray(PHOTO[..., ::-1])
    np.testing.assert_array_equal(FastSAM(core(), bgr=True)(bgr)[0].orig_img, bgr)
    np.testing.assert_array_equal(FastSAM(core(), bgr=True)(Image.fromarray(PHOTO))[0].orig_img, bgr)


def test_tensors_are_rgb_from_0_to_1() -> None:
    batch = torch.from_numpy(PHOTO).permute(2, 0, 1)[None].repeat(2, 1, 1, 1).float() / 255
    results = FastSAM(core())(batch)
    assert len(results) == 2
    np.testing.assert_array_equal(results[1].orig_img[..., ::-1], PHOTO)
    with pytest.raises(ImageError, match=r"expected \(3, H, W\)"):
        FastSAM(core())(batch.permute(0, 2, 3, 1))


def test_options_reach_the_network_and_their_defaults_are_those_of_the_weights() -> None:
    model = FastSAM(core())
    assert len(model(PHOTO, conf=0.75)[0]) == 2
    assert len(model(PHOTO, max_det=1)[0]) == 1
    assert len(model(PHOTO)[0]) == 3
    with pytest.raises(ConfigError, match="conf"):
        model(PHOTO, conf=7)


def test_harmless_keywords_are_taken_without_a_word() -> None:
    results = FastSAM(core())(
        PHOTO,
        verbose=False,
        half=True,
        retina_masks=False,
        save=False,
        show=False,
        stream=False,
        augment=False,
    )
    np.testing.assert_array_equal(results[0].masks.data, MASKS)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"bboxes": [BIG]}, "fastsam.compat.ultralytics"),
        ({"texts": "a dog"}, "fastsam.compat.ultralytics"),
        ({"augment": True}, "augment=True"),
        ({"classes": [3]}, "classes"),
        ({"confidence": 0.4}, "'confidence' is unknown"),
        ({"visualize": True}, "visualize"),
        ({"imgsz": (640, 640, 3)}, "height, width"),
    ],
)
def test_keywords_that_would_change_the_answer_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FastSAM(core())(PHOTO, **keywords)


def test_pairs_are_sizes_too() -> None:
    assert len(FastSAM(core())(PHOTO, imgsz=(1024, 1024))[0]) == 3


def test_the_attributes_of_a_model() -> None:
    model = FastSAM(core())
    assert model.device == torch.device("cpu")
    assert model.to("cpu").eval().cpu() is model
    assert (model.task, model.names) == ("segment", {0: "object"})
    with pytest.raises(ConfigError, match="has no file"):
        model.info()


def test_a_ready_made_model_stays_on_its_device() -> None:
    made = core()
    model = FastSAM(made)
    model(PHOTO, device="cuda:7")
    assert model.model is made


def test_a_path_is_loaded_again_only_for_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[tuple[Any, str]] = []

    class Loaded(fastsam.FastSAM):
        def __init__(self, weights: Any = None, *, device: str = "auto", text_model: Any = None) -> None:
            super().__init__(segmenter=FixedSegmenter(MASKS))
            self.segmenter.device = "cpu" if device == "auto" else device  # type: ignore[attr-defined]
            loads.append((weights, device))

    monkeypatch.setattr("fastsam.compat.arguments.FastSAM", Loaded)
    model = FastSAM("FastSAM.pt")
    for device in (None, "auto", "cpu", "cuda:1", "cuda:1"):
        assert len(model(PHOTO, device=device)[0]) == 3
    assert loads == [("FastSAM.pt", "auto"), ("FastSAM.pt", "cuda:1")]


def test_image_without_masks_is_an_empty_result_not_none() -> None:
    results = FastSAM(core(NOTHING))(PHOTO)
    assert len(results[0]) == 0
    assert results[0].masks.data.shape == (0, *SIZE)
    assert results[0].boxes.xyxy.shape == (0, 4)


# ---- CASIA: prompts ------------------------------------------------------------------------------------


def test_everything_prompt_is_the_stack() -> None:
    np.testing.assert_array_equal(prompted().everything_prompt(), MASKS)


@pytest.mark.parametrize(
    ("boxes", "wanted"),
    [
        ([BAR, BIG], [2, 0]),  # the order of the boxes
        ([INNER, INNER, (15, 13, 35, 33)], [1, 1, 1]),  # none is dropped as a duplicate
        ([BIG, (1, 52, 6, 58)], [0, None]),  # one without a mask keeps its place
        ([(72, -20, 200, 55)], [2]),  # cut to the image
    ],
)
def test_box_prompt_row_k_answers_box_k(boxes: Any, wanted: Any) -> None:
    found = prompted().box_prompt(bboxes=[list(box) for box in boxes])
    assert found.dtype == np.float32
    assert len(found) == len(wanted)
    for mask, row in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mask, MASKS[row] if row is not None else np.zeros(SIZE, bool))


def test_one_box_by_bbox() -> None:
    np.testing.assert_array_equal(prompted().box_prompt(bbox=[13.6, 14.4, 34.2, 34]), MASKS[1:2])


def test_box_over_no_mask_gives_an_empty_array() -> None:
    assert not prompted().box_prompt(bbox=[1, 52, 6, 58]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either bbox"),
        ({"bbox": list(BIG), "bboxes": [list(BIG)]}, "either bbox"),
        ({"bbox": [0, 0, 0, 0]}, "x1 < x2"),  # CASIA's "no box"
        ({"bbox": [500, 10, 600, 20]}, r"box \(500, 10, 600, 20\)"),
        ({"bbox": "left"}, "box"),
        ({"bboxes": [[1, 2, 3]]}, "shape"),
    ],
)
def test_bad_boxes_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        prompted().box_prompt(**options)


@pytest.mark.parametrize(
    ("points", "labels", "wanted"),
    [
        ([[24, 24]], [1], MASKS[1]),  # one click does not mean the largest nest level
        ([[12, 12]], [1], MASKS[0]),
        ([[24, 24], [75, 30]], [1, 1], MASKS[1] | MASKS[2]),
        ([[12, 12], [24, 24]], [1, 0], MASKS[0] & ~MASKS[1]),
        ([[24, 24], [12, 12]], [0, 1], MASKS[0] & ~MASKS[1]),  # whatever the order
        ([[24, 24]], [0], MASKS[2]),  # only background: everything but
        ([[24, 24]], None, MASKS[1]),
    ],
)
def test_points_add_and_subtract(points: Any, labels: Any, wanted: np.ndarray) -> None:
    found = prompted().point_prompt(points=points, pointlabel=labels)
    np.testing.assert_array_equal(found, wanted[None])


def test_click_beside_all_masks_gives_none_of_them() -> None:
    found = prompted().point_prompt([[2, 2]], [1])
    assert found.shape[1:] == SIZE
    assert not (found & MASKS.any(axis=0)).any()  # none of them, at most what is made around the click


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ([[np.nan, 5]], [1], "finite"),
        ("left", None, "numbers"),
        ([[5, 5]], [1, 0], "labels"),
        ([[5, 5]], [3], "labels"),
    ],
)
def test_bad_points_are_explained(points: Any, labels: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        prompted().point_prompt(points, labels)


def test_no_mask_at_all_gives_empty_arrays_everywhere() -> None:
    prompt = prompted(NOTHING)
    assert prompt.everything_prompt().shape == (0, *SIZE)
    for found, rows in (
        (prompt.box_prompt(bbox=list(BIG)), 1),
        (prompt.box_prompt(bboxes=[list(BIG), list(BAR)]), 2),
    ):
        assert found.shape == (rows, *SIZE)
        assert not found.any()


EDGE = rect((72, 40, 80, 60))[None]  # runs into the image's edge


def test_points_outside_are_moved_to_the_edge() -> None:
    for points in ([[75, 60]], torch.tensor([[75, 60]]), [(75, 59.5)]):
        np.testing.assert_array_equal(prompted(EDGE).point_prompt(points, torch.tensor([1])), EDGE)
    with pytest.warns(UserWarning, match=r"point \(500, 30\) is outside the 80x60 image") as caught:
        found = prompted().point_prompt([[500, 30]], [1])
    assert caught[0].filename == __file__
    assert found[:, 30, 79].all()  # no mask is there: a region is made


def test_the_callers_lists_stay_as_they_are() -> None:
    boxes, points, labels = [[9.7, 10.2, 90.0, 50.0], [72, 5, 79, 55]], [[30.5, 30.5]], [1]
    prompt = prompted()
    prompt.box_prompt(bboxes=boxes)
    prompt.point_prompt(points, labels)
    assert boxes == [[9.7, 10.2, 90.0, 50.0], [72, 5, 79, 55]]
    assert (points, labels) == ([[30.5, 30.5]], [1])


def test_prompt_takes_one_result_of_the_same_image() -> None:
    results = FastSAM(core())([PHOTO, PHOTO])
    for bad in (results, [], None, ["mask"]):
        with pytest.raises(InputError, match="one FastSAMPrompt an image"):
            FastSAMPrompt(PHOTO, bad)
    with pytest.raises(ImageError, match="expected the 80x60 image of the results, got 40x60"):
        FastSAMPrompt(PHOTO[:, :40], results[:1])
    assert len(FastSAMPrompt(None, results[1], device="cpu").everything_prompt()) == 3
    np.testing.assert_array_equal(FastSAMPrompt(None, results[1]).img, PHOTO)


# ---- CASIA: plot ---------------------------------------------------------------------------------------


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def plain(**options: Any) -> dict[str, Any]:
    return {"withContours": False, "better_quality": False, **options}


def test_plot_writes_the_photo_at_its_own_size_and_draws_only_on_masks(tmp_path: Path) -> None:
    prompt = prompted()
    path = prompt.plot(annotations=MASKS[1:2], output_path=str(tmp_path / "new" / "dog.png"), **plain())
    assert path == tmp_path / "new" / "dog.png"
    drawn = read(path)
    assert drawn.shape == PHOTO.shape
    changed = (drawn != PHOTO).any(axis=2)
    assert not (changed & ~MASKS[1]).any()
    assert changed.sum() > 0.9 * MASKS[1].sum()


def test_plot_without_annotations_is_the_bare_photo(tmp_path: Path) -> None:
    for k, nothing in enumerate(([], NOTHING)):
        np.testing.assert_array_equal(read(prompted().plot(nothing, tmp_path / f"{k}.png")), PHOTO)


@pytest.mark.parametrize(
    "annotations",
    [
        MASKS,
        MASKS.astype(np.float32),
        list(MASKS),
        [{"segmentation": mask, "id": 1} for mask in MASKS],
    ],
)
def test_plot_takes_masks_in_all_forms(tmp_path: Path, annotations: Any) -> None:
    wanted = read(prompted().plot(MASKS, tmp_path / "wanted.png"))
    np.testing.assert_array_equal(read(prompted().plot(annotations, tmp_path / "found.png")), wanted)


def test_plot_takes_one_bare_mask_and_tensors(tmp_path: Path) -> None:
    import torch

    wanted = read(prompted().plot(MASKS[:1], tmp_path / "wanted.png"))
    for form in (MASKS[0], torch.from_numpy(MASKS[:1])):
        np.testing.assert_array_equal(read(prompted().plot(form, tmp_path / "found.png")), wanted)


def test_plot_one_colour_for_all(tmp_path: Path) -> None:
    apart = MASKS[1:]
    one = read(prompted().plot(apart, tmp_path / "one.png", mask_random_color=False, **plain()))
    many = read(prompted().plot(apart, tmp_path / "many.png", **plain()))
    first = colours(1)[0].astype(float)
    mixed = (PHOTO * 0.5 + first * 0.5)[MASKS[1] | MASKS[2]]
    assert np.abs(one[MASKS[1] | MASKS[2]] - mixed).max() <= 1
    assert np.abs(many[MASKS[2]].astype(int) - one[MASKS[2]]).max() > 10  # or [1]: one of them is the first


def test_plot_draws_contours_and_the_prompt(tmp_path: Path) -> None:
    prompt = prompted()
    bare = read(prompt.plot(MASKS[:1], tmp_path / "0.png", **plain()))
    for k, options in enumerate(
        [{"withContours": True}, {"points": [[75, 30]], "point_label": [0]}, {"bboxes": [[60, -5, 100, 30]]}]
    ):
        drawn = read(prompt.plot(MASKS[:1], tmp_path / f"{k + 1}.png", **plain(**options)))
        assert (drawn != bare).any(), options


def test_better_quality_leaves_out_specks(tmp_path: Path) -> None:
    speckled = MASKS[1].copy()
    speckled[2:4, 2:4] = True
    tidy = prompted().plot([speckled], tmp_path / "tidy.png", withContours=False)
    np.testing.assert_array_equal(
        read(tidy), read(prompted().plot([MASKS[1]], tmp_path / "b.png", withContours=False))
    )
    raw = read(prompted().plot([speckled], tmp_path / "raw.png", **plain()))
    assert (raw[2:4, 2:4] != PHOTO[2:4, 2:4]).any()


def test_plot_into_a_folder_names_the_file_as_the_image(tmp_path: Path) -> None:
    source = tmp_path / "dogs.png"
    Image.fromarray(PHOTO).save(source)
    prompt = FastSAMPrompt(str(source), FastSAM(core())(str(source)))
    assert prompt.plot(MASKS, output=f"{tmp_path}/output/") == tmp_path / "output" / "dogs.png"
    assert prompted().plot(MASKS, output=tmp_path / "output") == tmp_path / "output" / "image.png"
    before = source.read_bytes()
    with pytest.raises(ExportError, match="is the image itself"):
        prompt.plot(MASKS, output_path=source)
    with pytest.warns(UserWarning, match="is the image itself"):
        assert prompt.plot(MASKS, output=tmp_path) == tmp_path / "dogs_masks.png"
    assert source.read_bytes() == before


def test_plot_to_result_is_what_plot_writes(tmp_path: Path) -> None:
    prompt = prompted()
    everything = prompt.everything_prompt()
    written = read(prompt.plot(everything, tmp_path / "all.png", bboxes=[list(BIG)]))
    np.testing.assert_array_equal(prompt.plot_to_result(everything, bboxes=[list(BIG)]), written)
    assert (prompt.plot_to_result(everything, withContours=False) != written).any()


def test_results_as_records() -> None:
    prompt = FastSAMPrompt(PHOTO, FastSAM(core())(PHOTO), device="cpu")
    assert prompt.device == "cpu"
    records = prompt._format_results(prompt.results[0], 351)
    assert [(record["id"], record["area"]) for record in records] == [(0, 2400), (1, 400)]
    assert records[0]["segmentation"].dtype == bool
    np.testing.assert_array_equal(records[1]["segmentation"], MASKS[1])
    assert records[1]["bbox"].tolist()[4] == records[1]["score"] == pytest.approx(0.8)


def test_plot_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="output_path"):
        prompted().plot(MASKS)
    with pytest.raises(InputError, match=r"masks of the image's shape \(60, 80\), got \(30, 80\)"):
        prompted().plot(MASKS[:, :30], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


# ---- CASIA: text ---------------------------------------------------------------------------------------


def test_text_prompt_gives_the_best_mask_as_casia_does() -> None:
    photo = np.full((*SIZE, 3), 255, np.uint8)
    photo[MASKS[0]], photo[MASKS[1]], photo[MASKS[2]] = (20, 20, 220), (220, 20, 20), (20, 200, 20)
    model = fastsam.FastSAM(segmenter=FixedSegmenter(MASKS, (0.9, 0.8, 0.7)), text_model=ColourWordEncoder())
    process = FastSAMPrompt(photo, FastSAM(model)(photo))
    for number, text in enumerate(["a blue sea", "a red brick", "the green bar"]):
        found = process.text_prompt(text)
        assert (found.shape, found.dtype) == ((1, *SIZE), bool)
        np.testing.assert_array_equal(found[0], MASKS[number])
    assert process.text_prompt(text="a magenta hat").shape == (1, *SIZE)  # however badly it fits
    with pytest.raises(PromptError, match="expected words"):
        process.text_prompt("")
    with pytest.raises(PromptError, match="expected a text such as"):
        process.text_prompt(["a dog"])  # type: ignore[arg-type]


def test_text_prompt_without_masks() -> None:
    model = fastsam.FastSAM(segmenter=FixedSegmenter(NOTHING), text_model=ColourWordEncoder())
    assert FastSAMPrompt(PHOTO, FastSAM(model)(PHOTO)).text_prompt("a dog").sum() == 0
    with pytest.raises(ConfigError, match="text_model"):
        FastSAM(core(), text_model=ColourWordEncoder())
