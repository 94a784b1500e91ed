"""Fine-tuning: labels, the class-agnostic start, and a run of some steps that can be resumed."""

from __future__ import annotations

import copy
import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from fastsam.config import SegmentConfig, TrainConfig
from fastsam.datasets import CocoDataset, read_coco
from fastsam.errors import DatasetError, TrainingError, UnknownWeightsError
from fastsam.everything.backends.choose import open_network
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.everything.carried import Carried, carried_by
from fastsam.images.frame import Frame
from fastsam.masks.rle import encode_rle
from fastsam.training import trainer as training
from fastsam.training.dataset import write_yolo_dataset
from fastsam.training.surgery import class_agnostic, settle_batch_norm
from fastsam.training.trainer import train
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model
from fastsam.weights.resolve import resolve
from tests import oracles
from tests.drawing import ellipse, rectangle

torch = pytest.importorskip("torch")
TINY = TrainConfig(epochs=3, imgsz=64, batch=2, workers=0, device="cpu")
GROWN = replace(TINY, box_growth=0.25)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small photographs, one of them held out; their masks are what is brighter than the middle."""
    root = tmp_path_factory.mktemp("data") / "four photos"
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        photo = Image.fromarray(getattr(skimage.data, name)()).resize((96, 72))
        photo.save(root / "images" / f"{name}.png")
        grey = cv2.GaussianBlur(np.asarray(photo.convert("L")), (9, 9), 3)
        bright = grey > np.quantile(grey, 0.6)
        count, labels = cv2.connectedComponents(bright.astype(np.uint8))
        images.append({"id": number, "file_name": f"{name}.png", "height": 72, "width": 96})
        for k in range(1, count):
            mask = labels == k
            if mask.sum() > 60:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": number,
                        "category_id": 1,
                        "segmentation": encode_rle(mask),
                    }
                )
    assert len(annotations) >= 6
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (root / "heldout.txt").write_text("coffee.png\n")
    return root


@cache
def built(classes: int) -> Any:
    from ultralytics.nn.tasks import SegmentationModel

    torch.manual_seed(0)
    return SegmentationModel("yolov8n-seg.yaml", ch=3, nc=classes, verbose=False).float().eval()


def random_network(classes: int = 4) -> Any:
    """A YOLOv8n-seg of random weights, whose batch norms are identities."""
    return copy.deepcopy(built(classes))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights, as ultralytics writes them."""
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    model = random_network()
    model.args = {"task": "segment", "imgsz": 64}
    torch.save({"model": model.half(), "epoch": -1, "train_args": {}}, path)
    return path


def samples(count: int = 3) -> NDArray[np.float32]:
    photos = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee()]
    small = [np.asarray(Image.fromarray(photo).resize((64, 64))) for photo in photos[:count]]
    return np.stack(small).transpose(0, 3, 1, 2).astype(np.float32) / 255


def outputs(model: Any, images: NDArray[np.float32]) -> tuple[Any, Any]:
    with torch.no_grad():
        found = model(torch.from_numpy(images))
    return found[0] if isinstance(found[0], tuple) else found[:2]


# Labels


def drawn(label: str, size_hw: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """What a YOLO trainer makes of a label file."""
    height, width = size_hw
    found = []
    for line in label.splitlines():
        number, *values = line.split()
        assert number == "0"
        ring = np.array(values, float).reshape(-1, 2) * [width, height]
        canvas = np.zeros(size_hw, np.uint8)
        cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
        found.append(canvas.astype(bool))
    return found


def dataset(root: Path, masks: dict[str, list[NDArray[np.bool_]]]) -> CocoDataset:
    """Write drawn masks as a dataset of grey images."""
    images, annotations = [], []
    for number, (name, found) in enumerate(masks.items()):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((60, 80, 3), 114, np.uint8)).save(path)
        images.append({"id": number, "file_name": name, "height": 60, "width": 80})
        annotations += [{"image_id": number, "segmentation": encode_rle(mask)} for mask in found]
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return read_coco(root, "train")


def test_labels_are_the_masks(tmp_path: Path) -> None:
    size = (60, 80)
    ring = ellipse(size, 5, 5, 50, 50) & ~ellipse(size, 18, 18, 36, 36)
    islands = rectangle(size, 55, 5, 75, 25) | rectangle(size, 55, 35, 75, 55)
    speck = rectangle(size, 3, 50, 4, 51)
    found = dataset(tmp_path / "some data", {"a.png": [ring, islands, speck], "b.jpg": []})
    description = write_yolo_dataset([found], tmp_path / "out: here")
    out = description.parent
    first = drawn((out / "labels" / "some data__a.txt").read_text(), size)
    assert [oracles.iou(a, b) > 0.93 for a, b in zip(first, (ring, islands), strict=True)] == [True, True]
    assert (out / "labels" / "some data__b.txt").read_text() == ""
    listed = (out / "train.txt").read_text().splitlines()
    assert [Path(line).name for line in listed] == ["some data__a.png", "some data__b.jpg"]
    assert all(Path(line).is_file() for line in listed)
    assert not list(out.rglob("*.part"))

    from ultralytics.utils import YAML

    content = YAML.load(description)
    assert (content["path"], content["names"]) == (str(out), {0: "object"})


def test_writing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    found = dataset(tmp_path / "d", {"a.png": [ellipse((60, 80), 5, 5, 50, 50)], "b.png": []})
    out = write_yolo_dataset([found], tmp_path / "out", ["d"]).parent
    label = out / "labels" / "d__a.txt"
    label.write_text("kept")
    (out / "labels" / "d__b.txt").unlink()
    assert write_yolo_dataset([found], tmp_path / "out", ["d"]) == out / "data.yaml"
    assert label.read_text() == "kept"
    assert (out / "labels" / "d__b.txt").is_file()
    assert json.loads((out / "partial.json").read_text()) == ["d__a.png", "d__b.png"]


@pytest.mark.parametrize("names", [("1.jpg", "1.png"), ("x/1.jpg", "y/1.jpg")])
def test_two_images_do_not_share_a_label(tmp_path: Path, names: tuple[str, str]) -> None:
    found = dataset(tmp_path / "d", {name: [] for name in names})
    with pytest.raises(DatasetError, match="its label file would be that of"):
        write_yolo_dataset([found], tmp_path / "out")


def test_two_folders_of_one_name_do_not_mix(tmp_path: Path) -> None:
    folders = [dataset(tmp_path / side / "d", {"1.png": []}) for side in ("left", "right")]
    with pytest.raises(DatasetError, match="rename one"):
        write_yolo_dataset(folders, tmp_path / "out")


def test_a_dataset_needs_images_that_are_there(tmp_path: Path) -> None:
    empty = dataset(tmp_path / "d", {"1.png": []})
    (tmp_path / "d" / "images" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png"):
        write_yolo_dataset([empty], tmp_path / "out")
    with pytest.raises(DatasetError, match="at least one training image"):
        write_yolo_dataset([], tmp_path / "none")
    with pytest.raises(DatasetError, match=r"\['e'\] not among the datasets \['d'\]"):
        write_yolo_dataset([empty], tmp_path / "out", ["e"])


# The start


def test_one_class_is_kept_as_it_is() -> None:
    model = random_network(classes=1)
    before = outputs(model, samples(1))
    after = outputs(class_agnostic(model, samples(1)), samples(1))
    assert model.names == {0: "object"}
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_objectness_is_the_highest_class() -> None:
    """Where one class always wins, its logit is a linear function of the features: nothing may be lost."""
    model = random_network(classes=4)
    with torch.no_grad():
        for branch in model.model[-1].cv3:
            branch[-1].bias[[0, 1, 3]] = -50.0
            branch[-1].weight[2] *= 8  # a logit that varies
    predictions, prototypes = outputs(model, samples())
    found, same = outputs(class_agnostic(model, samples()), samples())
    assert found.shape[1] == predictions.shape[1] - 3
    assert torch.equal(same, prototypes)
    assert torch.allclose(found[:, :4], predictions[:, :4], atol=1e-3)
    assert torch.allclose(found[:, 5:], predictions[:, 8:], atol=1e-4)
    wanted = torch.logit(predictions[:, 6])
    assert wanted.std() > 0.01
    assert torch.allclose(torch.logit(found[:, 4]), wanted, atol=0.2 * float(wanted.std()))
    assert torch.corrcoef(torch.stack([torch.logit(found[:, 4]).flatten(), wanted.flatten()]))[0, 1] > 0.99


def test_a_class_agnostic_network_is_whole() -> None:
    model = class_agnostic(random_network(), samples(1))
    head = model.model[-1]
    assert (head.nc, head.no, model.nc, model.yaml["nc"], model.names) == (1, 65, 1, 1, {0: "object"})
    assert outputs(model, samples(1))[0].shape[1] == 4 + 1 + 32
    again = copy.deepcopy(model)
    assert torch.equal(outputs(again, samples(1))[0], outputs(model, samples(1))[0])


def test_settled_batch_norms_keep_the_function() -> None:
    model = random_network()
    before = outputs(model, samples())
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((m.running_mean == 0).all()) for m in norms)
    settle_batch_norm(model, samples())
    after = outputs(model, samples())
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a, b, atol=1e-3 * float(a.abs().max()))
    assert all(float(m.running_mean.abs().max()) > 0 for m in norms)


def test_settled_statistics_are_those_of_the_samples() -> None:
    """In training mode, on the samples themselves, the network then does the same."""
    model = settle_batch_norm(random_network(), samples())
    first = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    seen: list[Any] = []
    hook = first.register_forward_hook(lambda _m, args, _out: seen.append(args[0]))
    outputs(model, samples())
    hook.remove()
    values = torch.cat(seen).transpose(0, 1).flatten(1)
    assert torch.allclose(first.running_mean, values.mean(1), atol=1e-4)
    assert torch.allclose(first.running_var, values.var(1, correction=0), rtol=1e-2, atol=1e-6)


def test_measured_batch_norms_are_left_alone() -> None:
    model = random_network()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settle_batch_norm(model, samples(1))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# A run


def epochs(out: Path) -> list[int]:
    with (out / "run" / "results.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


@pytest.mark.filterwarnings("ignore")  # ultralytics' and torch's own, in the middle of a run
def test_a_run_can_be_interrupted_and_resumed(
    photos: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a run"
    plain = training._trainer_class

    def interrupted(*args: Any) -> type[Any]:
        class Interrupted(plain(*args)):  # type: ignore[misc]
            def save_model(self) -> None:
                super().save_model()
                raise KeyboardInterrupt

        return Interrupted

    monkeypatch.setattr(training, "_trainer_class", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train([photos], start, out, GROWN, partial=["four photos"])
    assert not (out / "fastsam.pt").exists()
    monkeypatch.setattr(training, "_trainer_class", plain)
    finished = train([photos], start, out, GROWN, partial=["four photos"], resume=True)
    assert finished == out / "fastsam.pt"
    assert epochs(out) == [1, 2, 3]

    listed = (out / "dataset" / "train.txt").read_text()
    assert "coffee" not in listed
    assert len(listed.splitlines()) == 3
    model = segmentation_model(finished)
    assert model.names == {0: "object"}
    assert not (set(torch.load(finished, map_location="cpu", weights_only=False)) & {"optimizer", "ema"})
    frame = Frame(np.asarray(Image.fromarray(skimage.data.coffee()).resize((96, 72))))
    found = TorchBackend(finished, "cpu").segment(frame, SegmentConfig(conf=0.0, imgsz=64, max_det=5))
    assert np.isfinite(found.boxes_xyxy).all()
    before, after = segmentation_model(out / "start.pt").state_dict(), model.state_dict()
    assert any(
        not torch.allclose(before[name].float(), value.float(), atol=1e-4) for name, value in after.items()
    )

    carried = carried_by(load_checkpoint(finished), finished)
    assert carried == Carried(None, 0.25, 64, {"imgsz": 64})

    with pytest.raises(TrainingError, match="finished"):
        train([photos], start, out, TINY, resume=True)


def test_a_fine_tuned_checkpoint_carries_the_defaults_of_its_start(tmp_path: Path) -> None:
    named = training._carried("fastsam-nano", TrainConfig(imgsz=448))
    assert named.defaults == resolve("fastsam-nano").defaults
    assert (named.trained_imgsz, named.box_growth, named.quality) == (576, 0.0, None)
    again = tmp_path / "again.pt"
    content = load_checkpoint(resolve("fastsam-nano").path)
    save_checkpoint({**content, "fastsam": named.to_dict() | {"box_growth": 0.3}}, again)
    assert training._carried(again, TrainConfig(imgsz=832)) == replace(
        named, trained_imgsz=832, box_growth=0.3
    )
    assert training._carried(again, TrainConfig(box_growth=0.1)).box_growth == 0.1
    assert open_network(again, device="cpu").defaults == named.defaults


def test_there_has_to_be_something_to_resume(photos: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"expected .*last\.pt from an earlier run, found nothing"):
        train([photos], start, tmp_path / "out", TINY, resume=True)


def test_bad_input_is_found_before_the_run(photos: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownWeightsError, match=r"gone\.pt': no such file"):
        train([photos], tmp_path / "gone.pt", tmp_path / "a", TINY)
    with pytest.raises(DatasetError, match=r"instances\.json"):
        train([tmp_path], start, tmp_path / "b", TINY)
    with pytest.raises(DatasetError, match="at least one training image"):
        train([], start, tmp_path / "c", TINY)
    with pytest.raises(DatasetError, match="partial"):
        train([photos], start, tmp_path / "d", TINY, partial=["typo"])
