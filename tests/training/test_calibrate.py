"""Fitting the quality of masks: known answers, and the embedded network on photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from fastsam.config import SegmentConfig
from fastsam.errors import DatasetError
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.everything.carried import carried_by
from fastsam.everything.quality import FEATURES
from fastsam.images.reading import read_frame
from fastsam.masks.rle import encode_rle
from fastsam.training.calibrate import calibrate, fit_quality
from fastsam.weights.checkpoint import load_checkpoint
from fastsam.weights.resolve import resolve

COUNT = len(FEATURES)


def _synthetic(count: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, COUNT)).astype(np.float32)
    odds = 1.5 * features[:, 0] - features[:, 3] + 0.5 * features[:, 0] * features[:, 5]
    return features, 1 / (1 + np.exp(-odds.astype(np.float64)))


def test_the_fit_finds_what_the_targets_were_made_from() -> None:
    features, ious = _synthetic()
    model = fit_quality(features, ious, np.ones(len(ious)))
    unseen, wanted = _synthetic(500, 1)
    assert np.abs(model.predict(unseen) - wanted).mean() < 0.01


def test_masks_of_no_weight_do_not_count() -> None:
    features, ious = _synthetic()
    spoilt = ious.copy()
    spoilt[::3] = 1 - spoilt[::3]
    weights = np.ones(len(ious))
    weights[::3] = 0
    model = fit_quality(features, spoilt, weights)
    unseen, wanted = _synthetic(500, 1)
    assert np.abs(model.predict(unseen) - wanted).mean() < 0.01


def test_constant_features_do_no_harm() -> None:
    features, ious = _synthetic()
    features[:, 8] = 2.0
    model = fit_quality(features, ious, np.ones(len(ious)))
    assert np.isfinite(model.predict(features)).all()


def test_too_few_masks_are_refused() -> None:
    features, ious = _synthetic(100)
    with pytest.raises(DatasetError, match="expected at least 550 masks to fit 55 coefficients, got 100"):
        fit_quality(features, ious, np.ones(100))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs labelled with the network's own confident masks: those must get high scores."""
    root = tmp_path_factory.mktemp("data") / "photos"
    (root / "images").mkdir(parents=True)
    backend = TorchBackend(resolve(None).path, "cpu")
    records, annotations = [], []
    for number, name in enumerate(("astronaut", "chelsea", "coffee", "rocket"), start=1):
        path = root / "images" / f"{name}.png"
        Image.fromarray(getattr(skimage.data, name)()).save(path)
        frame = read_frame(path)
        masks = backend.segment(frame, SegmentConfig(conf=0.3, iou=0.7, imgsz=640, quality=False))
        height, width = frame.size_hw
        records.append({"id": number, "file_name": path.name, "height": height, "width": width})
        annotations += [
            {"id": 100 * number + k, "image_id": number, "segmentation": encode_rle(mask)}
            for k, mask in enumerate(masks)
        ]
    (root / "instances.json").write_text(json.dumps({"images": records, "annotations": annotations}))
    (root / "heldout.txt").write_text("rocket.png\n")
    return root


def test_a_calibrated_checkpoint_scores_by_fit(dataset: Path, tmp_path: Path) -> None:
    start = resolve(None).path
    seen: list[str] = []
    out = calibrate(
        [dataset],
        start,
        tmp_path / "new.pt",
        device="cpu",
        on_progress=lambda done, total, name: seen.append(name),
    )
    assert seen == ["astronaut.png", "chelsea.png", "coffee.png"]  # never the held-out one
    content = load_checkpoint(out)
    assert carried_by(content, out).quality is not None
    assert content["fastsam"]["quality"]["data"] == {"photos": 3}
    backend, frame = TorchBackend(out, "cpu"), read_frame(dataset / "images" / "rocket.png")
    scored = backend.segment(frame, SegmentConfig(conf=0.05, iou=0.7, imgsz=640))
    plain = backend.segment(frame, SegmentConfig(conf=0.05, iou=0.7, imgsz=640, quality=False))
    assert len(scored) == len(plain) > 5
    assert sorted(map(tuple, scored.boxes_xyxy.tolist())) == sorted(map(tuple, plain.boxes_xyxy.tolist()))
    assert (np.diff(scored.scores) <= 0).all()
    assert scored.scores.tolist() != plain.scores.tolist()


def test_ultralytics_reads_the_calibrated_checkpoint(dataset: Path, tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    out = calibrate([dataset], resolve(None).path, tmp_path / "new.pt", device="cpu")
    assert ultralytics.YOLO(str(out)).task == "segment"


def test_partial_names_must_be_datasets(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"partial: \['photo'\] not among the datasets \['photos'\]"):
        calibrate([dataset], resolve(None).path, tmp_path / "new.pt", partial=["photo"])


def test_too_few_photos_say_so(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "few" / "images").mkdir(parents=True)
    content = json.loads((dataset / "instances.json").read_text())
    content["images"] = [i for i in content["images"] if i["file_name"] == "rocket.png"]
    content["annotations"] = [
        a for a in content["annotations"] if a["image_id"] == content["images"][0]["id"]
    ]
    (tmp_path / "few" / "instances.json").write_text(json.dumps(content))
    (tmp_path / "few" / "images" / "rocket.png").write_bytes((dataset / "images" / "rocket.png").read_bytes())
    with pytest.raises(DatasetError, match="add images"):
        calibrate([tmp_path / "few"], resolve(None).path, tmp_path / "new.pt", device="cpu")
    assert not (tmp_path / "new.pt").exists()
