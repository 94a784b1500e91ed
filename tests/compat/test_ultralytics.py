"""ultralytics' call shape beside ultralytics itself: same checkpoint, same photo, same answers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import ultralytics
from PIL import Image
from ultralytics.engine.results import Boxes
from ultralytics.engine.results import Results as TheirResults
from ultralytics.nn.tasks import SegmentationModel

import fastsam
from fastsam.compat import ultralytics as ours
from fastsam.compat.results import Results
from fastsam.compat.ultralytics import SAM, FastSAM, FastSAMPredictor
from fastsam.errors import ConfigError, ImageError, InputError, PromptError
from tests.compat.conftest import ASKED, BUS, MAN, SIZE, iou
from tests.compat.drawn import BAR, BIG, MASKS, NOTHING, PHOTO, core


@pytest.fixture(scope="module")
def model(embedded_weights: Path) -> FastSAM:
    return FastSAM(str(embedded_weights))


def assert_same(found: Any, wanted: Any) -> None:
    """Compare two results of ultralytics' class: masks, boxes, and all that goes with them."""
    assert type(found).__mro__[1] is type(wanted) is TheirResults
    assert len(found) == len(wanted)
    if wanted.masks is None:
        assert found.masks is None
        return
    assert found.masks.data.dtype == wanted.masks.data.dtype
    assert found.masks.data.shape == wanted.masks.data.shape
    for mask, their in zip(found.masks.data, wanted.masks.data, strict=True):
        assert iou(mask, their) > 0.99 or their.sum() < 100
    assert isinstance(found.boxes, Boxes)
    torch.testing.assert_close(found.boxes.data, wanted.boxes.data, atol=0.01, rtol=1e-3)
    np.testing.assert_array_equal(found.orig_img, wanted.orig_img)
    assert (found.path, found.orig_shape, found.names) == (wanted.path, wanted.orig_shape, wanted.names)


PROMPTS: list[dict[str, Any]] = [
    {},
    {"bboxes": BUS},
    {"bboxes": [BUS, MAN, MAN]},
    {"bboxes": np.array([MAN])},
    {"bboxes": torch.tensor([[-50.0, 115.7, 900, 370]])},
    {"points": [[75, 300]], "labels": [1]},
    {"points": [[75, 300], [200, 250]], "labels": [1, 0]},
    {"points": [[75, 300]], "labels": [0]},
    {"points": [[404.9, 539.9], [500, 20]]},
    {"bboxes": [BUS], "points": torch.tensor([[75, 300]]), "labels": torch.tensor([1])},
    {"labels": [1]},
]


@pytest.mark.parametrize("prompts", PROMPTS, ids=str)
def test_prompts_choose_what_ultralytics_chooses(
    model: FastSAM, their_model: Callable[..., Any], photo_path: str, prompts: dict[str, Any]
) -> None:
    assert_same(model(photo_path, **ASKED, **prompts)[0], their_model(photo_path, **ASKED, **prompts)[0])


@pytest.mark.parametrize("options", [{}, {"imgsz": (256, 256)}, {"conf": 0.5}, {"max_det": 3}, {"iou": 0.3}])
def test_options_mean_what_they_mean_there(
    model: FastSAM, their_model: Callable[..., Any], photo_path: str, options: dict[str, Any]
) -> None:
    given = {"imgsz": 320, **options, "retina_masks": True} if options else {"retina_masks": True}
    assert_same(model(photo_path, **given)[0], their_model(photo_path, **given)[0])


def test_sources_are_taken_as_there(
    model: FastSAM, their_model: Callable[..., Any], photo_path: str, bgr: np.ndarray
) -> None:
    image = Image.fromarray(bgr[..., ::-1])
    square = (
        torch.from_numpy(np.ascontiguousarray(bgr[:320, :320, ::-1])).permute(2, 0, 1)[None].float() / 255
    )
    for source in (bgr, image, [photo_path, bgr], square, Path(photo_path)):
        found, wanted = model(source, **ASKED), their_model(source, **ASKED)
        assert len(found) == len(wanted)
        for one, their in zip(found, wanted, strict=True):
            if isinstance(source, list):
                one.path = their.path  # ultralytics numbers files of a list, too
            assert_same(one, their)


def test_without_retina_masks_they_have_the_networks_size(
    model: FastSAM, their_model: Callable[..., Any], photo_path: str
) -> None:
    options = {**ASKED, "retina_masks": False}
    found, wanted = model(photo_path, **options)[0], their_model(photo_path, **options)[0]
    assert found.masks.data.shape == wanted.masks.data.shape
    assert np.mean([iou(a, b) for a, b in zip(found.masks.data, wanted.masks.data, strict=True)]) > 0.95


def test_random_weights_of_ultralytics_yaml_give_equal_masks(tmp_path: Path, photo_path: str) -> None:
    torch.manual_seed(2)
    network = SegmentationModel("yolov8n-seg.yaml", nc=1, verbose=False)
    network.names = {0: "object"}
    head = network.model[-1]  # fresh weights find nothing: these make boxes, scores and masks of all kinds
    for branches, scale in ((head.cv2, 2), (head.cv3, 2e3), (head.cv4, 2)):
        for branch in branches:
            branch[-1].weight.data.normal_(0, scale)
            branch[-1].bias.data[:] = 0
    torch.save({"model": network, "train_args": {"task": "segment"}, "epoch": -1}, tmp_path / "random.pt")
    theirs = ultralytics.models.FastSAM(str(tmp_path / "random.pt"))
    options = {"imgsz": 160, "conf": 0.2, "iou": 0.5, "max_det": 20, "retina_masks": True}
    wanted = theirs(photo_path, verbose=False, **options)[0]
    assert len(wanted) > 3
    assert_same(FastSAM(tmp_path / "random.pt")(photo_path, **options)[0], wanted)


def test_all_of_a_result_is_ultralytics_own(model: FastSAM, photo_path: str, tmp_path: Path) -> None:
    result = model(photo_path, **ASKED)[0]
    count = len(result)
    assert result.plot().shape == (*SIZE, 3)
    assert len(result.masks.xy) == count
    assert result.masks.xy[0].dtype == np.float32
    assert result.boxes.xywh.shape == (count, 4)
    assert result.boxes.id is None
    assert {type(part) for part in (result.obb, result.probs, result.keypoints)} == {type(None)}
    assert len(list(result)) == count
    assert len(result.summary()) == count
    assert Path(result.save(str(tmp_path / "drawn.jpg"))).is_file()
    assert result.cpu().numpy().masks.data.shape == (count, *SIZE)
    assert "session" in repr(result)


def test_parts_of_a_result_keep_what_the_caller_changed(model: FastSAM, photo_path: str) -> None:
    result = model(photo_path, **ASKED)[0]
    whole = result.masks.data.clone()
    for index in (1, slice(1, 3), [2, 0], torch.tensor([True] + [False] * (len(result) - 1)), -1):
        part = result[index]
        assert torch.equal(part.masks.data, whole[index].reshape(-1, *SIZE))
        assert torch.equal(part.boxes.data, result.boxes.data[index].reshape(-1, 6))
    result.masks.data[0] = 0
    assert not result[0].masks.data.any()
    assert len(result[[]]) == 0
    assert result[[]].masks.data.shape == (0, *SIZE)
    for other in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert type(other) is TheirResults
        assert torch.equal(other.masks.data, result.masks.data)


def test_nothing_found_and_nothing_chosen() -> None:
    empty = FastSAM(core(NOTHING))
    assert empty(PHOTO)[0].masks is None
    assert len(empty(PHOTO, bboxes=BIG)[0]) == 0
    beside = FastSAM(core())(PHOTO, points=[[2, 2]])[0]
    assert beside.masks.data.shape == (0, *PHOTO.shape[:2])


def test_each_text_keeps_its_best_mask(quick: fastsam.FastSAM, photo_path: str) -> None:
    model = FastSAM(quick)
    everything = model(photo_path, **ASKED)[0]
    for texts, count in (("a bus", 1), (["a bus", "a man"], 2), (["a bus", "a bus"], 1)):
        found = model(photo_path, texts=texts, **ASKED)[0]
        assert len(found) == count
        assert all(any(torch.equal(mask, one) for one in everything.masks.data) for mask in found.masks.data)
    one_label, labels = (model(photo_path, points=[75, 300], labels=given, **ASKED)[0] for given in (1, [1]))
    assert torch.equal(one_label.masks.data, labels.masks.data)  # ultralytics itself wants a list


def test_predictor_finds_once_and_is_asked_often(photo_path: str, quick: fastsam.FastSAM) -> None:
    overrides = {"task": "segment", "mode": "predict", "model": quick, "save": False, **ASKED}
    predictor = FastSAMPredictor(overrides=overrides)
    every = predictor(photo_path)
    first = every[0].session
    for prompts in PROMPTS[1:-1]:
        [found] = predictor.prompt(every, **prompts)
        [wanted] = FastSAM(quick)(photo_path, **ASKED, **prompts)
        assert torch.equal(found.masks.data, wanted.masks.data)
        assert found.session is first
    [again] = predictor.prompt(predictor.prompt(every, bboxes=[BUS, MAN]), points=[[75, 300]])
    assert 0 < len(again) <= 2
    predictor.set_prompts({"bboxes": BUS})
    assert len(predictor(photo_path)[0]) == 1
    with pytest.raises(InputError, match="what this predictor"):
        predictor.prompt(["masks"], bboxes=BUS)


def test_rules_of_this_package_by_an_option() -> None:
    theirs, mine = FastSAM(core()), FastSAM(core(), rules="ours")
    click = {"points": [[24, 24]], "labels": [1]}
    assert len(theirs(PHOTO, **click)[0]) == 2  # all that hold the point
    np.testing.assert_array_equal(mine(PHOTO, **click)[0].masks.data, MASKS[1:2])
    np.testing.assert_array_equal(mine(PHOTO, bboxes=[BAR, BIG])[0].masks.data, MASKS[[2, 0]])
    np.testing.assert_array_equal(theirs(PHOTO, bboxes=[BAR, BIG])[0].masks.data, MASKS[[0, 2]])
    with pytest.raises(ConfigError, match="'theirs' or 'ours'"):
        FastSAM(core(), rules="mine")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"points": [[24, 24]], "labels": [1, 0]}, PromptError, "one for each point"),
        ({"points": [[24, 24, 3]]}, PromptError, "points"),
        ({"bboxes": [1, 2, 3]}, PromptError, "bboxes"),
        ({"bboxes": "left"}, PromptError, "bboxes"),
        ({"texts": ""}, PromptError, "words"),
        ({"box": BIG}, ConfigError, "'box' is unknown"),
        ({"augment": True}, ConfigError, "augment=True"),
        ({"vid_stride": 1.5}, ConfigError, "vid_stride"),
        ({"conf": 3}, ConfigError, "conf"),
        ({"imgsz": "large"}, ConfigError, "imgsz"),
    ],
)
def test_what_cannot_be_done_is_refused(keywords: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        FastSAM(core())(PHOTO, **keywords)


def test_harmless_keywords_and_no_source() -> None:
    quiet = {
        "verbose": False,
        "half": True,
        "save": False,
        "show": False,
        "stream_buffer": True,
        "workers": 0,
    }
    assert len(FastSAM(core())(PHOTO, **quiet)[0]) == 3
    with pytest.raises(InputError, match="got None"):
        FastSAM(core())()
    with pytest.raises(ImageError, match="no such file"):
        FastSAM(core())("nothing.jpg")


def test_save_writes_where_ultralytics_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = FastSAM(core())([PHOTO, PHOTO], save=True)
    FastSAM(core())(PHOTO, save=True)
    FastSAM(core())(PHOTO, save=True, project="mine", name="run")
    assert results[0].save_dir == "runs/segment/predict"
    assert sorted(path.name for path in Path("runs/segment/predict").iterdir()) == [
        "image0.jpg",
        "image1.jpg",
    ]
    assert Path("mine/run/image0.jpg").is_file()
    assert (
        len(list(Path("runs/segment").iterdir())) == 2
    )  # ultralytics' releases number the second one differently


def test_stream_is_lazy() -> None:
    seen: list[int] = []

    def photos() -> Any:
        for k in range(3):
            seen.append(k)
            yield PHOTO

    results = FastSAM(core())(photos(), stream=True)
    assert seen == []
    assert len(next(iter(results))) == 3
    assert seen == [0]


def test_track_keeps_ids_from_call_to_call(model: FastSAM, bgr: np.ndarray) -> None:
    frames = [np.ascontiguousarray(bgr[100:420, 4 * k : 4 * k + 320]) for k in range(3)]
    together = list(model.track(frames, stream=True, imgsz=320))
    fresh = FastSAM(model.model)
    apart = [fresh.track(frame, persist=True, imgsz=320, conf=0.1, iou=0.7)[0] for frame in frames]
    assert len(together) == len(apart) == 3
    for one, other in zip(together, apart, strict=True):
        assert one.boxes.is_track
        assert one.boxes.id.dtype == torch.float32
        assert torch.equal(one.boxes.id, other.boxes.id)
    shared = set(together[0].boxes.id.tolist()) & set(together[2].boxes.id.tolist())
    assert len(shared) >= 2
    again = model.track(frames[0], imgsz=320)[0]
    assert again.boxes.id.min() == 1  # without persist, ids begin anew


def test_info_counts_the_network(model: FastSAM) -> None:
    layers, parameters, *_ = model.info()
    assert layers > 50
    assert 3e6 < parameters < 4e6
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")


def test_export_and_val_are_ultralytics_own(
    embedded_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    class Theirs:
        def __init__(self, path: str) -> None:
            given["names"] = ultralytics.YOLO(path, task="segment").names

        def val(self, **options: Any) -> str:
            return f"metrics of {options['data']}"

        def export(self, **options: Any) -> str:
            made = Path(tmp_path / "elsewhere")
            made.mkdir()
            (made / f"weights.{options['format']}").write_text("network")
            return str(made / f"weights.{options['format']}")

    monkeypatch.setattr("ultralytics.models.fastsam.FastSAM", Theirs)
    copy_of = tmp_path / "weights.pt"
    copy_of.write_bytes(embedded_weights.read_bytes())
    model = FastSAM(copy_of)
    assert model.val(data="coco8-seg.yaml") == "metrics of coco8-seg.yaml"
    assert given["names"] == {0: "object"}
    assert model.export(format="onnx") == str(tmp_path / "weights.onnx")
    assert (tmp_path / "weights.onnx").read_text() == "network"
    with pytest.raises(ConfigError, match="fastsam train"):
        model.train(data="coco8-seg.yaml")


def test_other_names_are_ultralytics_own() -> None:
    assert ours.YOLO is ultralytics.YOLO
    assert ours.FastSAM is FastSAM
    assert ours.models.fastsam.FastSAMPredictor is FastSAMPredictor
    assert ours.models.sam.SAM is SAM is ours.models.SAM
    with pytest.raises(AttributeError, match="Nothing"):
        _ = ours.Nothing
    assert issubclass(Results, TheirResults)
    assert not issubclass(fastsam.FastSAM, FastSAM)


def test_supervision_takes_the_results(model: FastSAM, photo_path: str) -> None:
    sv = pytest.importorskip("supervision")
    result = model(photo_path, **ASKED)[0]
    found = sv.Detections.from_ultralytics(result)
    assert found.mask.shape == (len(result), *SIZE)
    np.testing.assert_allclose(found.xyxy, result.boxes.xyxy)
    assert set(found.class_id.tolist()) == {0}
    assert len(sv.Detections.from_ultralytics(FastSAM(core(NOTHING))(PHOTO)[0])) == 0
