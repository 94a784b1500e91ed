"""Fine-tuning: labels, the class-agnostic start, and a run of some steps that can be resumed."""

from __future__ import annotations

import copy
import csv
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from fastsam.config import SegmentConfig, TrainConfig
from fastsam.errors import DatasetError, TrainingError, UnknownWeightsError
from fastsam.everything.backends.choose import open_network
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.everything.carried import Carried, carried_by
from fastsam.images.frame import Frame
from fastsam.training import trainer as training
from fastsam.training.surgery import class_agnostic, settle_batch_norm, with_classes
from fastsam.training.trainer import train
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model
from fastsam.weights.resolve import resolve
from tests.weights.networks import saved, tiny

torch = pytest.importorskip("torch")
TINY = TrainConfig(epochs=3, imgsz=64, batch=2, workers=0, device="cpu")
GROWN = replace(TINY, box_growth=0.25)


@pytest.fixture(scope="module")
def photos(small_dataset: Path) -> Path:
    return small_dataset


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
    plain = training.trainer_class

    def interrupted(*args: Any) -> type[Any]:
        class Interrupted(plain(*args)):  # type: ignore[misc]
            def save_model(self) -> None:
                super().save_model()
                raise KeyboardInterrupt

        return Interrupted

    monkeypatch.setattr(training, "trainer_class", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train([photos], start, out, GROWN, partial=["four photos"])
    assert not (out / "fastsam.pt").exists()
    monkeypatch.setattr(training, "trainer_class", plain)
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
    assert (named.trained_imgsz, named.box_growth, named.quality) == (640, 0.2, None)
    again = tmp_path / "again.pt"
    content = load_checkpoint(resolve("fastsam-nano").path)
    save_checkpoint({**content, "fastsam": named.to_dict() | {"box_growth": 0.3}}, again)
    assert training._carried(again, TrainConfig(imgsz=832)) == replace(
        named, trained_imgsz=832, box_growth=0.3
    )
    assert training._carried(again, TrainConfig(box_growth=0.1)).box_growth == 0.1
    assert open_network(again, device="cpu").defaults == named.defaults


def test_a_network_gets_the_classes_of_the_datasets() -> None:
    """Classes that it knows keep their rows; others start as its objectness."""
    model = random_network(classes=4)
    model.names = {0: "cat", 1: "bus", 2: "Dog", 3: "cup"}
    before = outputs(model, samples(1))[0]
    objectness = outputs(class_agnostic(random_network(classes=4), samples(1)), samples(1))[0][:, 4]
    after = outputs(with_classes(model, samples(1), ("dog", "tree", "cat")), samples(1))[0]
    assert model.names == {0: "dog", 1: "tree", 2: "cat"}
    assert (model.nc, model.yaml["nc"], model.model[-1].nc) == (3, 3, 3)
    assert torch.allclose(after[:, [4, 6]], before[:, [6, 4]], atol=1e-4)
    assert torch.allclose(after[:, 5], objectness, atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # ultralytics' and torch's own, in the middle of a run
def test_yolo26_trains_to_the_classes_of_the_datasets(photos: Path, tmp_path: Path) -> None:
    """It has two branches of boxes, and a third output that only its loss sees."""
    model = tiny("yolo26n-seg.yaml")
    model.args = {"task": "segment", "imgsz": 64}
    start = saved({"model": model.half(), "epoch": -1, "train_args": {}}, tmp_path)
    told: list[tuple[int, int]] = []
    config = replace(TINY, epochs=1, classes=True)
    finished = train(
        [photos],
        start,
        tmp_path / "out",
        config,
        on_progress=lambda done, total, _: told.append((done, total)),
    )
    assert told == [(1, 1)]
    backend = TorchBackend(finished, "cpu")
    assert backend.carried.names == ("bright", "other")
    frame = Frame(np.asarray(Image.fromarray(skimage.data.coffee()).resize((96, 72))))
    found = backend.segment(frame, SegmentConfig(conf=0.0, imgsz=64, max_det=5))
    assert set(found.labels or ()) <= {"bright", "other"}
    assert len(found) > 0


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
