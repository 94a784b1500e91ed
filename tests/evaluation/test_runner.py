"""Whole evaluations on a small dataset: figures, resuming, errors, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from rich.console import Console
from skimage import data

from fastsam.config import EvalConfig, SegmentConfig
from fastsam.errors import ConfigError, DatasetError, ExportError, FastSAMError, InputError
from fastsam.evaluation import runner
from fastsam.evaluation.report import LABELS, save_json, table
from fastsam.evaluation.runner import evaluate
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.segmenter import Segmentation
from fastsam.testing import FixedSegmenter

SIZE = (120, 160)
RINGS = {
    "left": [20, 20, 70, 20, 70, 100, 20, 100],
    "right": [90, 30, 150, 30, 150, 90, 90, 90],
    "tiny": [2, 2, 8, 2, 8, 8, 2, 8],
}


def mask_of(name: str) -> np.ndarray:
    x1, y1, x2, y2 = np.array(RINGS[name])[[0, 1, 2, 5]]
    mask = np.zeros(SIZE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three crops of a photo; a and b are held out, b has a crowd, c has no objects."""
    root = tmp_path / "plates"
    (root / "images").mkdir(parents=True)
    photo = data.astronaut()
    for k, name in enumerate("abc"):
        part = photo[100 * k : 100 * k + SIZE[0], 80 : 80 + SIZE[1]]
        Image.fromarray(part).save(root / "images" / f"{name}.jpg")
    objects = [(1, "left", 0), (1, "right", 0), (1, "tiny", 0), (2, "left", 0), (2, "right", 1)]
    content = {
        "images": [
            {"id": k + 1, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]}
            for k, name in enumerate("abc")
        ],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {
                "id": k + 1,
                "image_id": image,
                "category_id": 1,
                "iscrowd": crowd,
                "segmentation": [RINGS[name]],
            }
            for k, (image, name, crowd) in enumerate(objects)
        ],
    }
    (root / "instances.json").write_text(json.dumps(content))
    (root / "heldout.txt").write_text("a.jpg\nb.jpg\n")
    return root


class Counting:
    """A fixed segmenter that notes its images (each is read out twice: recall, prompts) and can fail."""

    def __init__(self, *names: str, scores: list[float] | None = None) -> None:
        stack = np.stack([mask_of(name) for name in names]) if names else np.zeros((0, *SIZE), bool)
        self.inner = FixedSegmenter(stack, scores)
        self.times_ms = {"network": 5.0, "decode": 1.0}
        self.seen: list[str] = []
        self.fail_on = ""

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        if frame.name == self.fail_on:
            raise FastSAMError("power cut")
        if self.seen[-1:] != [frame.name]:
            self.seen.append(frame.name)
        return Segmentation.of(self.inner.segment(frame, config), self.times_ms)


def test_figures_of_a_perfect_segmenter(dataset: Path) -> None:
    results = evaluate(dataset, Counting("left", "right"))
    assert (results["dataset"], results["split"], results["images"]) == ("plates", "heldout", 2)
    assert results["instances"] == 4  # the crowd is left out
    assert results["prompted_instances"] == 3  # and so is the object of 36 px, for prompts
    assert results["masks_per_image"] == 2
    assert results["AR@1000"] == results["AR@10"] == pytest.approx(0.75)
    assert results["AR@1000_small"] == 0.0
    assert results["AR@1000_medium"] == 1.0
    assert results["AR@1000_large"] is None
    assert results["oracle_mIoU"] == pytest.approx(0.75)
    for name in ("selection_oracle_mIoU", "point_mIoU", "point_mIoU_best3", "box_mIoU", "box_mIoU_jitter"):
        assert results[name] == pytest.approx(1.0), name
    assert results["time_ms"]["network"] == 5.0
    assert results["time_ms"]["decode"] == 1.0
    assert results["time_ms"]["prompt"] > 0
    assert not {"noc@85", "ODS"} & set(results)
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_figures_of_what_users_get(dataset: Path) -> None:
    """The defaults ask for more confidence than the protocol does: the right plate is not among the masks."""
    results = evaluate(dataset, Counting("left", "right", scores=[0.9, 0.2]))
    left, right = mask_of("left"), mask_of("right")
    assert results["used_masks_per_image"] == 1
    assert results["used_coverage"] == pytest.approx(left.mean())
    assert results["used_dead_clicks"] == pytest.approx(1 / 3)
    assert results["used_point_mIoU"] == results["used_box_mIoU"] == pytest.approx(2 / 3)
    assert results["point_mIoU"] == pytest.approx(1.0)  # at .05
    assert (results["used_straight"], results["used_unsupported"]) == (1.0, 1.0)  # plates drawn on a portrait
    both = evaluate(dataset, Counting("left", "right"))
    assert both["used_coverage"] == pytest.approx((left | right).mean())
    assert both["used_dead_clicks"] == 0.0
    without = evaluate(dataset, Counting("left", "right"), config=EvalConfig(used=False))
    assert not [name for name in without if name.startswith("used_")]
    assert {name: both[name] for name in without if name not in ("time_ms", "protocol")} == {
        name: without[name] for name in without if name not in ("time_ms", "protocol")
    }


@pytest.mark.parametrize(
    ("names", "scores", "wanted"),
    [
        pytest.param((), None, {"AR@1000": 0, "point_mIoU": 0, "oracle_mIoU": 0}, id="nothing found"),
        pytest.param(("left",), [0.9], {"AR@1000": 0.5, "point_mIoU": 2 / 3}, id="one object"),
        pytest.param(
            ("left",), [0.03], {"AR@1000": 0.5, "point_mIoU": 0, "selection_oracle_mIoU": 0},
            id="too unsure to be chosen",
        ),
    ],
)  # fmt: skip
def test_weaker_segmenters(
    dataset: Path, names: tuple[str, ...], scores: Any, wanted: dict[str, float]
) -> None:
    results = evaluate(dataset, Counting(*names, scores=scores))
    for name, value in wanted.items():
        assert results[name] == pytest.approx(value), name


def test_image_without_objects(dataset: Path) -> None:
    results = evaluate(dataset, Counting("left"), split="train")
    assert results["instances"] == 0
    assert results["AR@1000"] is None
    assert results["point_mIoU"] is None
    assert results["time_ms"]["prompt"] is None


def test_limit_and_progress(dataset: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    results = evaluate(
        dataset, Counting("left"), split="all", limit=2, on_progress=lambda *call: calls.append(call)
    )
    assert results["images"] == 2
    assert calls == [(1, 2, "a.jpg"), (2, 2, "b.jpg")]


def test_clicks_are_counted_on_demand(dataset: Path) -> None:
    results = evaluate(dataset, Counting("left"), config=EvalConfig(noc=True, max_clicks=5))
    assert results["noc@85"] == pytest.approx((1 + 5 + 1) / 3)


def test_interrupted_run_goes_on(dataset: Path, tmp_path: Path) -> None:
    model, out = Counting("left"), tmp_path / "out"
    model.fail_on = "b"
    with pytest.raises(FastSAMError, match="power cut"):
        evaluate(dataset, model, out=out, model_id="m")
    model.fail_on = ""
    resumed = evaluate(dataset, model, out=out, model_id="m")
    assert model.seen == ["a", "b"]
    again = evaluate(dataset, model, out=out, model_id="m")
    assert model.seen == ["a", "b"]
    assert again == resumed
    fresh = evaluate(dataset, Counting("left"))
    for name in LABELS:
        assert resumed.get(name) == fresh.get(name), name
    (folder,) = out.iterdir()
    assert json.loads((folder / "results.json").read_text()) == resumed
    assert not list(folder.glob(".partial*"))


def change_annotations(root: Path) -> None:
    path = root / "instances.json"
    path.write_text(path.read_text().replace("20, 20, 70, 20", "22, 20, 70, 20"))


def change_photo(root: Path) -> None:
    Image.fromarray(data.astronaut()[: SIZE[0], : SIZE[1]]).save(root / "images" / "a.jpg")


@pytest.mark.parametrize(
    ("options", "change", "measured"),
    [
        pytest.param({}, None, 0, id="same"),
        pytest.param({"limit": 1}, None, 0, id="fewer images"),
        pytest.param({"config": EvalConfig(seed=1)}, None, 2, id="other settings"),
        pytest.param({"model_id": "other"}, None, 2, id="other model"),
        pytest.param({}, change_annotations, 2, id="other annotations"),
        pytest.param({}, change_photo, 1, id="another photo"),
    ],
)
def test_stale_measurements_are_not_used(
    dataset: Path, tmp_path: Path, options: dict[str, Any], change: Any, measured: int
) -> None:
    out = tmp_path / "out"
    evaluate(dataset, Counting("left"), out=out, model_id="m")
    if change is not None:
        change(dataset)
    model = Counting("left")
    evaluate(dataset, model, **{"out": out, "model_id": "m", **options})
    assert len(model.seen) == measured


def test_weights_are_told_apart_by_content(dataset: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(b"first")
    model: Any = Counting("left")
    model.checkpoint = checkpoint
    first = evaluate(dataset, model, out=tmp_path / "out")
    checkpoint.write_bytes(b"second")
    second = evaluate(dataset, model, out=tmp_path / "out")
    assert model.seen == ["a", "b", "a", "b"]
    assert first["model"]["weights_sha256"] != second["model"]["weights_sha256"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"\x93NUMPY nonsense"])
def test_damaged_measurements_are_made_again(dataset: Path, tmp_path: Path, damage: bytes) -> None:
    out = tmp_path / "out"
    before = evaluate(dataset, Counting("left"), out=out, model_id="m")
    next(iter(out.glob("*/a.*.npz"))).write_bytes(damage)
    model = Counting("left")
    after = evaluate(dataset, model, out=out, model_id="m")
    assert model.seen == ["a"]
    assert after["point_mIoU"] == before["point_mIoU"]


def test_other_measures_start_anew(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(dataset, Counting("left"), out=tmp_path / "out", model_id="m")
    monkeypatch.setattr(runner, "_MEASURES", -1)
    model = Counting("left")
    evaluate(dataset, model, out=tmp_path / "out", model_id="m")
    assert model.seen == ["a", "b"]


def test_boundaries_of_annotators(dataset: Path) -> None:
    with pytest.raises(DatasetError, match="groundTruth_test"):
        evaluate(dataset, Counting("left"), config=EvalConfig(boundary=True))
    (dataset / "groundTruth_test").mkdir()
    for name in "ab":
        left = mask_of("left")
        outline = np.zeros(SIZE, np.uint8)
        outline[:-1, :-1] = (left[:-1, :-1] != left[1:, :-1]) | (left[:-1, :-1] != left[:-1, 1:])
        cells = np.empty((1, 1), object)
        cells[0, 0] = {"Boundaries": outline}
        scipy.io.savemat(dataset / "groundTruth_test" / f"{name}.mat", {"groundTruth": cells})
    good = evaluate(dataset, Counting("left"), config=EvalConfig(boundary=True))
    bad = evaluate(dataset, Counting("right"), config=EvalConfig(boundary=True))
    assert good["ODS"] > 0.7  # the photo knows nothing of the masks and moves their lines
    assert good["OIS"] > 0.7
    assert bad["ODS"] < 0.3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        pytest.param({"limit": 0}, ConfigError, "limit: expected at least 1", id="limit"),
        pytest.param({"out": "x"}, ConfigError, "model_id", id="nameless model"),
        pytest.param({"split": "test"}, DatasetError, "split", id="split"),
    ],
)
def test_impossible_options(
    dataset: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(dataset, Counting("left"), **options)


def test_split_without_images(dataset: Path) -> None:
    (dataset / "heldout.txt").write_text("a.jpg\nb.jpg\nc.jpg\n")
    with pytest.raises(DatasetError, match="has no images"):
        evaluate(dataset, Counting("left"), split="train")


def test_missing_image(dataset: Path) -> None:
    (dataset / "images" / "b.jpg").unlink()
    with pytest.raises(DatasetError, match=r"b\.jpg"):
        evaluate(dataset, Counting("left"))


def test_image_of_another_size(dataset: Path) -> None:
    Image.fromarray(data.astronaut()[:50, :60]).save(dataset / "images" / "a.jpg")
    with pytest.raises(DatasetError, match="160x120, the file is 60x50"):
        evaluate(dataset, Counting("left"))


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"instances\.json"):
        evaluate(tmp_path, Counting("left"))


def test_unwritable_out(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="cannot be written"):
        evaluate(dataset, Counting("left"), out=tmp_path / "file", model_id="m")


def printed(renderable: Any) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_table_shows_one_or_many(dataset: Path) -> None:
    one = evaluate(dataset, Counting("left", "right"))
    text = printed(table(one))
    assert "AR@1000" in text
    assert "0.750" in text
    assert "noc@85" not in text  # not measured
    train = evaluate(dataset, Counting("left"), split="train")
    both = printed(table([one, train]))
    assert "plates heldout" in both
    assert "plates train" in both
    row = next(line for line in both.splitlines() if "point_mIoU " in line)
    assert "1.000" in row
    assert " - " in row  # nothing to click in the train split
    with pytest.raises(InputError, match="at least one"):
        table([])


def test_table_labels_every_figure(dataset: Path) -> None:
    results = evaluate(dataset, Counting("left"), config=EvalConfig(noc=True, max_clicks=2))
    numbers = {name for name, value in results.items() if value is None or isinstance(value, (int, float))}
    by_size = {f"AR@{k}_{size}" for k in (10, 100) for size in ("small", "medium", "large")}
    assert numbers - by_size - {"prompted_instances"} <= set(LABELS)


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = save_json({"AP": 0.5}, tmp_path / "new" / "results.json")
    assert json.loads(path.read_text()) == {"AP": 0.5}
    with pytest.raises(InputError, match="JSON"):
        save_json({"AP": float("nan")}, path)
    assert json.loads(path.read_text()) == {"AP": 0.5}


def test_the_worst_images_are_drawn_worst_first(dataset: Path, tmp_path: Path) -> None:
    evaluate(dataset, Counting("left"), out=tmp_path / "out", model_id="m", worst=2)
    (folder,) = (tmp_path / "out").glob("*/worst")
    pictures = sorted(folder.iterdir())
    assert len(pictures) == 2
    figures = [float(path.name.split("-")[1]) for path in pictures]
    assert figures == sorted(figures)
    with Image.open(pictures[0]) as picture:
        assert picture.size == (2 * SIZE[1] + 8, SIZE[0])


def test_worst_images_need_a_folder(dataset: Path) -> None:
    with pytest.raises(ConfigError, match="worst: expected an output folder"):
        evaluate(dataset, Counting("left"), worst=1)


def test_refinement_of_the_weights_counts_unless_told_otherwise(dataset: Path) -> None:
    class Model:
        segmenter = Counting("left", "right")
        defaults = SegmentConfig(edge_radius=2.0)

    own = evaluate(dataset, Model())
    assert own["protocol"]["edge_radius"] == 2.0
    assert evaluate(dataset, Model(), config=EvalConfig(edge_radius=0.0))["protocol"]["edge_radius"] == 0.0
    assert evaluate(dataset, Model.segmenter)["protocol"]["edge_radius"] == 0.0
