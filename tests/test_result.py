"""A result in the hand: objects one by one, arrays, pictures, other packages' forms."""

from __future__ import annotations

import builtins
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fastsam import Box, FastSAM, Result, Session, Text, Tracked
from fastsam.errors import ConfigError, MissingPackageError, PromptError, RecordError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_rle
from fastsam.testing import ColourWordEncoder, FixedSegmenter

SIZE = (120, 160)


@pytest.fixture(scope="module")
def masks() -> np.ndarray[Any, Any]:
    stack = np.zeros((3, *SIZE), bool)
    stack[0, 10:110, 10:90] = stack[1, 20:60, 100:150] = stack[2, 30:50, 30:50] = True
    return stack


@pytest.fixture(scope="module")
def session(masks: np.ndarray[Any, Any]) -> Session:
    """A photo of a cat in which three regions are known."""
    photo = np.asarray(Image.fromarray(data.chelsea()).resize(SIZE[::-1]))
    segmenter = FixedSegmenter(masks, [0.9, 0.8, 0.7])
    return FastSAM(segmenter=segmenter, text_model=ColourWordEncoder()).open(photo)


@pytest.fixture(scope="module")
def everything(session: Session) -> Result:
    return session.everything()


def test_objects_one_by_one(everything: Result, masks: np.ndarray[Any, Any]) -> None:
    seen = 0
    for number, thing in enumerate(everything):
        assert isinstance(thing, Result)
        assert np.array_equal(thing.mask, masks[number])
        assert thing.box.tolist() == everything.boxes_xyxy[number].tolist()
        assert thing.score == pytest.approx((0.9, 0.8, 0.7)[number])
        assert (thing.label, thing.level) == ("", "")
        assert thing.area_px == masks[number].sum()
        assert np.array_equal(decode_rle(thing.rle), masks[number])
        assert thing.cutout.shape == (*(np.ptp(np.nonzero(masks[number]), axis=1) + 1), 4)
        corners = {tuple(point) for point in thing.polygon[0].tolist()}
        assert (thing.box[0], thing.box[1]) in corners
        seen += 1
    assert seen == len(everything) == 3


@pytest.mark.parametrize(
    "name", ["mask", "box", "score", "label", "level", "area_px", "polygon", "rle", "cutout"]
)
def test_several_objects_have_no_single_value(everything: Result, name: str) -> None:
    with pytest.raises(
        RecordError, match=f"{name}: expected one object, this result has 3.*result.0..{name}"
    ):
        getattr(everything, name)
    with pytest.raises(RecordError, match=f"{name}: .* one object, this result has 0.*if result:"):
        getattr(everything[:0], name)


def test_index_and_iteration_agree(everything: Result) -> None:
    assert [thing.indices.tolist() for thing in everything] == [
        everything[i].indices.tolist() for i in range(3)
    ]
    assert [np.asarray(one).sum() for one in everything.masks] == everything.masks.areas_px.tolist()


def test_arrays(everything: Result, masks: np.ndarray[Any, Any]) -> None:
    assert np.array_equal(np.asarray(everything), masks)
    assert np.asarray(everything).dtype == bool
    assert np.asarray(everything, np.uint8).dtype == np.uint8
    assert np.array_equal(everything.masks.numpy(), masks)
    assert np.asarray(everything[:0]).shape == (0, *SIZE)


def test_a_session_has_a_length_and_a_size(session: Session) -> None:
    assert (len(session), session.size_hw) == (3, SIZE)
    empty = session.only([])
    assert len(empty) == 0
    assert empty, "an image without masks is an image"


def test_short_prompts(session: Session) -> None:
    assert session.select((120, 40)).indices.tolist() == [1]
    assert session.select((10, 10, 90, 110)).indices.tolist() == [0]
    assert session.select(points=[(40, 40)]).indices.tolist()[:1] == [2]
    assert session.select([Box(10, 10, 90, 110), Box(100, 20, 150, 60)]).indices.tolist() == [0, 1]
    assert session.select(boxes=[(10, 10, 90, 110)], points=[(20, 20)]).indices.tolist() == [0]
    assert session.select("a red car").prompt == Text("a red car")
    assert [len(found) for found in session.select_many([(120, 40), (10, 10, 90, 110)])] == [1, 1]
    for wrong in (None, 3, [(1, 2), (3, 4)]):
        with pytest.raises(PromptError, match="prompt: expected one such as"):
            session.select(wrong)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="expected a list of prompts, got str"):
        session.select_many("a red car")


def test_a_notebook_shows_the_picture(everything: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    with Image.open(io.BytesIO(everything._repr_png_())) as shown:
        assert np.array_equal(np.asarray(shown), everything.plot())
    put_out: list[Any] = []
    shell = SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=put_out.append))
    everything.show(alpha=0.3)
    assert np.array_equal(np.asarray(put_out[0]), everything.plot(alpha=0.3))


def test_elsewhere_a_viewer_shows_it(everything: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[np.ndarray[Any, Any]] = []
    monkeypatch.setattr(Image.Image, "show", lambda self, title=None: opened.append(np.asarray(self)))
    everything.show()
    assert np.array_equal(opened[0], everything.plot())


def test_plain_types(session: Session) -> None:
    found = session.select(Text("a grey thing", threshold=0.0)).to_dict()
    assert (found["width"], found["height"]) == SIZE[::-1]
    assert "a grey thing" in found["reason"]
    assert {mask["row"] for mask in found["masks"]} == {0, 1, 2}
    first = next(mask for mask in found["masks"] if mask["row"] == 0)
    assert (first["label"], first["mask_score"], first["area_px"]) == ("a grey thing", 0.9, 8000)
    assert first["score"] < first["mask_score"]
    assert list(first) == [
        "row", "group", "level", "label", "score", "mask_score", "box_xyxy", "area_px", "segmentation",
    ]  # fmt: skip


def test_coco(everything: Result, masks: np.ndarray[Any, Any]) -> None:
    found = everything.to_coco()
    assert [category["name"] for category in found["categories"]] == ["object"]
    assert found["images"][0]["height"] == SIZE[0]
    for number, one in enumerate(found["annotations"]):
        assert np.array_equal(decode_rle(one["segmentation"]), masks[number])
        assert one["area"] == masks[number].sum()


def test_supervision(session: Session, masks: np.ndarray[Any, Any]) -> None:
    pytest.importorskip("supervision")
    found = session.everything().to_supervision()
    assert np.array_equal(found.mask, masks)
    assert found.confidence == pytest.approx([0.9, 0.8, 0.7])
    assert found.class_id.tolist() == [0, 0, 0]
    named = session.label(["red", "white"], 0.0).everything()
    assert named.to_supervision().data["class_name"].tolist() == list(named.labels or ())
    assert len(session.everything()[:0].to_supervision()) == 0


def test_supervision_is_optional(everything: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "supervision":
            raise ModuleNotFoundError("No module named 'supervision'", name="supervision")
        return real(name, *rest)

    monkeypatch.setitem(sys.modules, "supervision", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match="pip install supervision"):
        everything.to_supervision()


def test_frames_of_videos_do_the_same(session: Session, tmp_path: Path) -> None:
    found = session.everything()
    tracked = Tracked(found.frame, found.masks, np.array([4, 2, 9]), found.scores, ("a", "", "b"))
    assert [(thing.id, thing.label, thing.area_px) for thing in tracked] == [
        (4, "a", 8000), (2, "", 2000), (9, "b", 400),
    ]  # fmt: skip
    assert tracked[1].mask.sum() == 2000
    assert not np.array_equal(tracked.plot(alpha=0.9), tracked.plot())
    assert tracked.save(tmp_path / "frame.png", alpha=0.9).exists()
    assert tracked.export(tmp_path / "masks", "coco")[-1].exists()
    assert tracked.boxes_xyxy.shape == (3, 4)
    assert len(tracked.cutouts()) == 3
    assert [one["id"] for one in tracked.to_dict()["masks"]] == [4, 2, 9]
    assert {one["name"] for one in tracked.to_coco()["categories"]} == {"a", "b", "object"}
    assert np.asarray(tracked).shape == (3, *SIZE)
    with pytest.raises(RecordError, match=r"this tracked has 3.*tracked\[0\]"):
        tracked.id  # noqa: B018
    with pytest.raises(ConfigError, match="option 'alfa'"):
        tracked.plot(alfa=1)  # type: ignore[call-arg]
    if pytest.importorskip("supervision"):
        assert tracked.to_supervision().tracker_id.tolist() == [4, 2, 9]


def test_the_model_says_what_it_is_and_can_be_called(session: Session) -> None:
    model = FastSAM(segmenter=FixedSegmenter(np.ones((1, 4, 4), bool)))
    assert repr(model) == "FastSAM('FixedSegmenter', device='cpu')"
    assert model.device == "cpu"
    assert len(model(np.zeros((4, 4, 3), np.uint8))) == 1
    assert len(model(np.zeros((4, 4, 3), np.uint8), conf=1.0)) == 0
    with pytest.raises(ConfigError, match="got a photo; photos are opened"):
        FastSAM("holiday/cat.JPG")


def test_opencv_arrays(session: Session) -> None:
    model = FastSAM(segmenter=FixedSegmenter(np.ones((1, 2, 3), bool)))
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(model.open(rgb[..., ::-1], channels="bgr").frame.rgb, rgb)
    assert np.array_equal(model.open(rgb).frame.rgb, rgb)
    clear = np.dstack([rgb[..., ::-1], np.full((2, 3), 255, np.uint8)])
    assert np.array_equal(model.open(clear, channels="bgr").frame.rgb, rgb)
    grey = rgb[..., 0]
    assert np.array_equal(model.open(grey, channels="bgr").frame.rgb[..., 0], grey)
    with pytest.raises(ConfigError, match="expected an array beside channels='bgr'"):
        model.open(Image.fromarray(rgb), channels="bgr")
    with pytest.raises(ConfigError, match="channels: expected 'rgb' or 'bgr', got 'gbr'"):
        model.open(rgb, channels="gbr")  # type: ignore[arg-type]


def test_a_mask_set_is_not_a_result() -> None:
    masks = MaskSet.from_dense(np.ones((2, 3, 3), bool))
    assert masks.numpy().shape == (2, 3, 3)
    assert isinstance(masks[0], MaskSet)
