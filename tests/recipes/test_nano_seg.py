"""The recipe of the segmentation weights: packing, views, a few steps that go on and cool down."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from fastsam.masks.rle import encode_rle

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from recipes.nano_seg import fit, teachers, views  # noqa: E402
from recipes.nano_seg.pack import FILLED, Photos, read_pack, write_pack  # noqa: E402


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with what is bright in them as objects, a crowd each; held out: one; unlabelled: one."""
    data = tmp_path_factory.mktemp("data")
    images, annotations = [], []
    (data / "coco_mix" / "images").mkdir(parents=True)
    for number, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        photo = Image.fromarray(getattr(skimage.data, name)()).resize((320, 240))
        photo.save(data / "coco_mix" / "images" / f"{name}.jpg")
        grey = cv2.GaussianBlur(np.asarray(photo.convert("L")), (31, 31), 8)
        count, labels = cv2.connectedComponents((grey > np.quantile(grey, 0.6)).astype(np.uint8))
        images.append({"id": number, "file_name": f"{name}.jpg", "height": 240, "width": 320})
        for k in range(1, count):
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": 1,
                 "iscrowd": int(k == 2), "segmentation": encode_rle(labels == k)}
            )  # fmt: skip
    content = {"images": images, "annotations": annotations}
    (data / "coco_mix" / "instances.json").write_text(json.dumps(content))
    (data / "coco_mix" / "heldout.txt").write_text("coffee.jpg\n")
    (data / "flickr8k_1000" / "images").mkdir(parents=True)
    Image.fromarray(skimage.data.coffee()).save(data / "flickr8k_1000" / "images" / "plain.jpg")
    out = tmp_path_factory.mktemp("pack")
    assert len(write_pack(data, out, part_bytes=30_000)) > 1
    return out


def test_a_pack_holds_the_training_images_and_no_other(pack: Path) -> None:
    pictures = {picture.key: picture for picture in read_pack(pack)}
    assert sorted(pictures) == [
        "coco_mix/astronaut.jpg", "coco_mix/chelsea.jpg", "coco_mix/rocket.jpg", "flickr8k_1000/plain.jpg",
    ]  # fmt: skip
    assert not pictures["flickr8k_1000/plain.jpg"].rles
    assert any(picture.crowds for picture in pictures.values())
    for part in pack.glob("*.zip"):
        assert "coffee" not in str(zipfile.ZipFile(part).namelist())
    for picture in pictures.values():
        assert Photos().bgr(picture).shape == (*picture.size_hw, 3)


def test_what_teachers_add_is_read_while_they_write(pack: Path, tmp_path: Path) -> None:
    for part in pack.glob("*.zip"):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    added = encode_rle(np.ones((400, 600), bool))
    line = json.dumps(["flickr8k_1000/plain.jpg", [added]])
    (tmp_path / FILLED).write_text(line + '\n["coco_mix/astronaut.jpg", [{"si')
    pictures = {picture.key: picture for picture in read_pack(tmp_path)}
    assert pictures["flickr8k_1000/plain.jpg"].filled == [added]
    assert pictures["coco_mix/astronaut.jpg"].filled is None
    assert pictures["flickr8k_1000/plain.jpg"] in teachers.in_turn(list(pictures.values()))


@pytest.mark.parametrize("size_hw", [(240, 320), (320, 240), (128, 128)])
def test_views_fit_together(pack: Path, size_hw: tuple[int, int]) -> None:
    draw = views.Draw(read_pack(pack))
    seen = 0
    for seed in range(25):
        view = draw.view(np.random.default_rng(seed), size_hw)
        again = draw.view(np.random.default_rng(seed), size_hw)
        assert np.array_equal(view.image, again.image)
        assert view.image.shape == (*size_hw, 3)
        assert view.masks.shape == (len(view.boxes_xyxy), size_hw[0] // 4, size_hw[1] // 4)
        assert set(np.unique(view.background)) <= {np.float32(v) for v in (0, 0.05, 0.2, 0.3)}
        for mask, (x0, y0, x1, y1) in zip(view.masks, view.boxes_xyxy, strict=True):
            assert 0 <= x0 < x1 <= size_hw[1]
            assert 0 <= y0 < y1 <= size_hw[0]
            x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
            found = np.array([x[0] * 4, y[0] * 4, x[-1] * 4 + 4, y[-1] * 4 + 4])
            assert np.abs(found - [x0, y0, x1, y1]).max() <= 6  # the box of the mask, to a cell or so
        seen += len(view.masks)
    assert seen > 20


@pytest.mark.filterwarnings("ignore")
def test_a_run_goes_on_and_cools_down(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.nn.tasks import SegmentationModel

    from fastsam.everything.carried import carried_by
    from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model

    torch.manual_seed(0)
    start = tmp_path / "start.pt"
    model = SegmentationModel("yolov8n-seg.yaml", ch=3, nc=1, verbose=False).eval()
    save_checkpoint({"model": model.half()}, start)
    monkeypatch.setattr(fit, "SHAPES", (((96, 128), 0.7), ((128, 96), 0.3)))
    monkeypatch.setattr(fit, "_PIXELS", 96 * 128)

    def run(*arguments: str) -> None:
        given = ["fit", *arguments, "--out", str(tmp_path / "run"), "--workers", "0"]
        monkeypatch.setattr(sys, "argv", given)
        fit.main()

    run("run", "--pack", str(pack), "--weights", str(start), "--batch", "2", "--images", "4")
    first = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    run("run", "--images", "6")
    second = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert (first["step"], first["images"], second["step"]) == (2, 4, 3)
    changed = [n for n, v in first["parameters"].items() if not torch.equal(v, second["parameters"][n])]
    assert len(changed) > 50
    assert not [name for name in changed if int(name.split(".")[1]) < fit.Recipe.freeze]
    run("cool", "--images", "4")
    cooled = tmp_path / "run" / "cooled-3.pt"
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] == 3  # the run is not touched
    carried = carried_by(load_checkpoint(cooled), cooled)
    assert (carried.box_growth, carried.defaults["conf"], carried.quality) == (0.2, 0.1, None)
    before, after = segmentation_model(start).state_dict(), segmentation_model(cooled).state_dict()
    assert torch.equal(before["model.0.conv.weight"], after["model.0.conv.weight"])
    assert not torch.equal(before["model.22.proto.cv3.conv.weight"], after["model.22.proto.cv3.conv.weight"])
