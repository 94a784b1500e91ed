"""Whole evaluations of texts on drawn scenes, whose figures are known."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fastsam import FastSAM
from fastsam.config import TextEvalConfig
from fastsam.datasets import read_captions, read_coco
from fastsam.errors import ConfigError, DatasetError, FastSAMError
from fastsam.evaluation import texts as module
from fastsam.evaluation.category_names import asked_texts, read_names
from fastsam.evaluation.report import TEXT_LABELS, table
from fastsam.evaluation.texts import evaluate_texts
from fastsam.masks.rle import encode_rle
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from tests.drawing import rectangle
from tests.text_models import PAINT, SIZE, scene, shapes

CATEGORIES = {7: "red", 3: "blue-sea", 4: "hijau", 9: "black", 11: "magenta", 12: "yellow"}
NAMES = {"hijau": "green", "elsewhere": "something"}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """a: the scene, all shapes annotated. b: blue, as a crowd. c is not held out."""
    root = tmp_path / "shapes"
    (root / "images").mkdir(parents=True)
    Image.fromarray(np.array(scene()[0].rgb)).save(root / "images" / "a.png")
    other = np.full((*SIZE, 3), 255, np.uint8)
    other[shapes()["blue"]] = PAINT["blue"]
    for name in "bc":
        Image.fromarray(other).save(root / "images" / f"{name}.png")
    of = {"red left": 7, "blue": 3, "red right": 7, "tiny": 9, "empty": 9, "green": 4}
    rows: list[dict[str, Any]] = [
        {"image_id": 1, "category_id": of[name], "iscrowd": 0, "segmentation": encode_rle(mask)}
        for name, mask in shapes().items()
    ]
    region = encode_rle(rectangle(SIZE, 20, 0, 60, 35))
    rows.append({"image_id": 2, "category_id": 3, "iscrowd": 1, "segmentation": region})
    content = {
        "images": [
            {"id": k + 1, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]}
            for k, name in enumerate("abc")
        ],
        "categories": [{"id": number, "name": name} for number, name in CATEGORIES.items()],
        "annotations": [{"id": k + 1} | row for k, row in enumerate(rows)],
    }
    (root / "instances.json").write_text(json.dumps(content))
    (root / "heldout.txt").write_text("a.png\nb.png\n")
    return root


@pytest.fixture
def model() -> FastSAM:
    """Finds red left, once more and a bit smaller, blue, and a part of red right."""
    drawn = shapes()
    masks = [
        drawn["red left"],
        rectangle(SIZE, 2, 5, 22, 24),
        drawn["blue"],
        drawn["red right"] & rectangle(SIZE, 60, 30, 72, 60),
    ]
    return FastSAM(segmenter=FixedSegmenter(np.stack(masks), [0.9, 0.8, 0.7, 0.6]))


def test_figures_of_a_scene(dataset: Path, model: FastSAM) -> None:
    (found,) = evaluate_texts(dataset, model, [ColourWordEncoder()], names=NAMES)
    assert (found["dataset"], found["split"], found["crops"]) == ("shapes", "heldout", "masked")
    assert (found["images"], found["instances"], found["texts"]) == (2, 5, 6)  # one annotation is empty
    assert (found["pairs"], found["absent_pairs"]) == (12, 2 + 5)  # a crowd is not nothing
    assert found["objects_precision"] == 1.0
    assert found["objects_recall"] == pytest.approx(4 / 5)  # the tiny one is never an answer
    assert found["objects_F1"] == pytest.approx(8 / 9)
    assert found["objects_macro_F1"] == found["objects_macro_recall"] == pytest.approx(3 / 4)
    assert found["objects_AP"] == pytest.approx(4 / 5)
    assert found["objects_false_alarms"] == 0
    assert found["label_top1"] == found["label_top5"] == found["label_named"] == pytest.approx(4 / 5)
    assert found["label_named_right"] == 1.0
    # red: one right, one again, one a part; blue: one right, one in the crowd
    assert found["masks_covered"] == pytest.approx(2 / 5)
    assert found["masks_precision"] == pytest.approx(2 / 3)
    assert found["masks_recall"] == pytest.approx(2 / 5)
    assert found["masks_F1"] == pytest.approx(4 / 8)
    assert found["masks_repeated"] == pytest.approx(2 / 5)
    assert found["masks_false_alarms"] == 0
    assert found["time_ms"]["crop"] > 0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_each_model_with_each_kind_of_crop(dataset: Path, model: FastSAM) -> None:
    models = {"one": ColourWordEncoder(), "two": ColourWordEncoder()}
    found = evaluate_texts(dataset, model, models, crops=("context", "masked"), names=NAMES)
    assert [(r["text_model"], r["crops"]) for r in found] == [
        ("one", "masked"), ("one", "context"), ("two", "masked"), ("two", "context"),
    ]  # fmt: skip
    assert found[0]["objects_F1"] == found[2]["objects_F1"]
    assert found[1]["objects_best_F1"] < found[0]["objects_best_F1"]  # the neighbours leak in


def test_only_some_absent_names_and_no_masks(dataset: Path, model: FastSAM) -> None:
    config = TextEvalConfig(absent=1, masks=False)
    (found,) = evaluate_texts(dataset, model, [ColourWordEncoder()], config=config, names=NAMES)
    assert (found["pairs"], found["absent_pairs"]) == (4 + 1 + 2, 2)
    assert not [name for name in found if name.startswith("masks_")]
    again = evaluate_texts(dataset, model, [ColourWordEncoder()], config=config, names=NAMES)
    assert [found] == again


def test_a_run_goes_on_and_other_thresholds_use_it(
    dataset: Path, model: FastSAM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, encoder = tmp_path / "out", ColourWordEncoder()
    real = module.Shards.save

    def fail_at_b(path: Any, arrays: Any) -> None:
        if path.name.startswith("b."):
            raise FastSAMError("power cut")
        real(path, arrays)

    monkeypatch.setattr(module.Shards, "save", staticmethod(fail_at_b))
    with pytest.raises(FastSAMError, match="power cut"):
        evaluate_texts(dataset, model, [encoder], names=NAMES, out=out)
    monkeypatch.undo()
    fresh = ColourWordEncoder()
    (found,) = evaluate_texts(dataset, model, [fresh], names=NAMES, out=out)
    assert fresh.calls["pictures"] == 4  # of b; a is known
    (again,) = evaluate_texts(
        dataset, model, [encoder], names=NAMES, out=out, config=TextEvalConfig(threshold=0.0)
    )
    assert again["objects_precision"] < found["objects_precision"]
    assert again["objects_AP"] == found["objects_AP"]
    (folder,) = out.iterdir()
    assert json.loads((folder / "results.json").read_text()) == again
    (other,) = evaluate_texts(dataset, model, [fresh], out=out)  # hijau is asked for as it stands
    assert other["objects_recall"] == pytest.approx(3 / 5)
    assert len(list(out.iterdir())) == 2


def test_captions_find_their_photos(tmp_path: Path, model: FastSAM) -> None:
    root = tmp_path / "plain"
    (root / "images").mkdir(parents=True)
    for name in ("red", "blue", "green"):
        Image.new("RGB", (30, 20), PAINT[name]).save(root / "images" / f"{name}.png")
    captions = {f"{name}.png": [f"a {name} wall", f"all {name}"] for name in ("red", "blue", "green")}
    (root / "captions.json").write_text(json.dumps(captions | {"none.png": []}))
    (root / "heldout.txt").write_text("red.png\nblue.png\n")
    (found,) = evaluate_texts(root, model, [ColourWordEncoder()], out=tmp_path / "out")
    assert (found["captioned_images"], found["captions"], found["crops"]) == (2, 4, None)
    for name in ("photo_to_caption", "caption_to_photo"):
        assert found[f"{name}_R@1"] == found[f"{name}_R@5"] == 1.0
    wrong = {"red.png": ["blue"], "blue.png": ["red"]}
    (root / "captions.json").write_text(json.dumps(wrong))
    (worse,) = evaluate_texts(root, model, [ColourWordEncoder()], out=tmp_path / "out")
    assert (worse["photo_to_caption_R@1"], worse["photo_to_caption_R@5"]) == (0.0, 1.0)


def test_captions_beside_objects(dataset: Path, model: FastSAM) -> None:
    (dataset / "captions.json").write_text(json.dumps({"a.png": ["red shapes"], "b.png": ["a blue one"]}))
    found = evaluate_texts(dataset, model, [ColourWordEncoder()], crops=("masked", "blurred"))
    assert [one["caption_to_photo_R@1"] for one in found] == [1.0, 1.0]
    assert set(TEXT_LABELS) <= set(found[0])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(found))
    shown = console.export_text()
    for name in (*TEXT_LABELS, "colour words", "blurred", "time_ms.crop"):
        assert name in shown
    (without,) = evaluate_texts(dataset, model, [ColourWordEncoder()], config=TextEvalConfig(captions=False))
    assert "captions" not in without


def test_names_from_a_file(dataset: Path, tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("# Indonesian\n\nhijau = green\n  blue-sea =  red \n")
    names = read_names(file, [dataset])
    texts, index = asked_texts(read_coco(dataset), names)
    assert texts == ("red", "green", "black", "magenta", "yellow")  # blue-sea is one with red
    assert (index[7], index[3], index[4]) == (0, 0, 1)
    assert asked_texts(read_coco(dataset), {})[0][1] == "blue sea"
    for content, said in [
        ("hijau green", "line 1: expected CATEGORY = TEXT"),
        ("a=b\n=x", "line 2"),
        ("hijua = green", "'hijua' is no category of .*shapes; expected one of black, blue-sea"),
    ]:
        file.write_text(content)
        with pytest.raises(DatasetError, match=said):
            read_names(file, [dataset])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_names(tmp_path / "none.txt")


@pytest.mark.parametrize("content", ["[]", '{"a.png": "red"}', '{"a.png": [1]}', "{"])
def test_captions_that_are_none(dataset: Path, content: str) -> None:
    (dataset / "captions.json").write_text(content)
    with pytest.raises(DatasetError, match=r"captions\.json: expected"):
        read_captions(dataset)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"text_models": []}, ConfigError, "expected at least one"),
        ({"crops": ["blured"]}, ConfigError, "expected some of masked, blurred, context"),
        ({"crops": []}, ConfigError, "crops"),
        ({"limit": 0}, ConfigError, "limit"),
        ({"segment": {"conf": 2}}, ConfigError, "conf"),
        ({"dataset": "nowhere"}, DatasetError, r"instances\.json"),
    ],
)
def test_mistakes(
    dataset: Path, model: FastSAM, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    given = {"dataset": dataset, "text_models": [ColourWordEncoder()]} | options
    with pytest.raises(error, match=said):
        evaluate_texts(model=model, **given)


def test_unknown_categories_and_none_at_all(dataset: Path, model: FastSAM) -> None:
    content = json.loads((dataset / "instances.json").read_text())
    content["annotations"][0]["category_id"] = 99
    (dataset / "instances.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="category_id 99 is not among"):
        evaluate_texts(dataset, model, [ColourWordEncoder()])
    (dataset / "instances.json").write_text(json.dumps(content | {"categories": []}))
    with pytest.raises(DatasetError, match="expected categories with names, found none"):
        evaluate_texts(dataset, model, [ColourWordEncoder()])


def test_images_without_objects_and_without_masks(dataset: Path) -> None:
    content = json.loads((dataset / "instances.json").read_text())
    (dataset / "instances.json").write_text(json.dumps(content | {"annotations": []}))
    nothing = FastSAM(segmenter=FixedSegmenter(np.zeros((0, *SIZE), bool)))
    (found,) = evaluate_texts(dataset, nothing, [ColourWordEncoder()])
    assert (found["instances"], found["absent_pairs"]) == (0, 12)
    assert found["masks_false_alarms"] == found["objects_false_alarms"] == 0
    assert found["masks_F1"] is found["label_top1"] is found["masks_covered"] is None
    assert found["time_ms"]["crop"] is None
