"""Features of masks on drawn logits, the model's arithmetic, and scores that the decoder takes from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError
from fastsam.everything.carried import Carried
from fastsam.everything.decode import decode
from fastsam.everything.quality import FEATURES, QualityModel, mask_features, mask_scores
from fastsam.masks.letterbox import GridMap, Letterbox
from fastsam.masks.stores.grid import GridStore

SIDE = 160  # image and net pixels; 40 grid cells


def drawn(
    boxes: list[list[float]], steepness: float = 8.0, image_hw: tuple[int, int] = (SIDE, SIDE)
) -> GridStore:
    """A disc of radius 10 cells at the middle of the grid, in boxes of net pixels."""
    letterbox = Letterbox.fit(image_hw, SIDE)
    grid_hw = (letterbox.net_hw[0] // 4, letterbox.net_hw[1] // 4)
    y, x = np.mgrid[: grid_hw[0], : grid_hw[1]] + 0.5
    disc = np.clip(steepness * (10 - np.hypot(x - grid_hw[1] / 2, y - grid_hw[0] / 2)), -8, 8)
    return GridStore(
        np.ones((len(boxes), 1), np.float32),
        disc[None].astype(np.float32),
        letterbox.boxes_to_image(np.array(boxes, np.float32).reshape(-1, 4)),
        GridMap(letterbox, grid_hw),
    )


def measured(store: GridStore, row: int = 0) -> dict[str, float]:
    found = mask_features(store, np.full(len(store), 0.5, np.float32))
    return dict(zip(FEATURES, found[row].tolist(), strict=True))


WHOLE = [40.0, 40.0, 120.0, 120.0]


def test_a_whole_disc() -> None:
    found = measured(drawn([WHOLE]))
    assert found["confidence"] == pytest.approx(0, abs=1e-6)
    assert found["fill"] == pytest.approx(np.pi / 4, abs=0.02)
    assert found["size"] == pytest.approx(np.log(np.pi * 100), abs=0.03)
    assert found["spill"] == 0
    assert found["stability"] > 0.9
    assert found["inside"] > 0.98


def test_a_box_that_is_too_small_cuts_and_spills() -> None:
    whole, half = measured(drawn([WHOLE])), measured(drawn([[40, 40, 80, 120]]))
    assert half["cut"] > whole["cut"] + 0.2
    assert half["spill"] > 0.1


def test_the_image_border_is_no_cut() -> None:
    # Seen through a 160 x 80 window of the same disc, the box touches the image's left edge.
    letterbox = Letterbox.fit((SIDE, SIDE), SIDE)
    logits = np.full((1, 40, 40), -8, np.float32)
    logits[0, 10:30, 0:10] = 8
    boxes = np.array([[0, 40, 40, 120]], np.float32)
    store = GridStore(np.ones((1, 1), np.float32), logits, boxes, GridMap(letterbox, (40, 40)))
    whole_edge = measured(store)["cut"]
    moved = replace(
        store, prototypes=np.roll(logits, 5, axis=2), boxes_xyxy=boxes + np.array([20, 0, 20, 0], np.float32)
    )
    assert measured(moved)["cut"] == pytest.approx(1.0)  # four full edges
    assert whole_edge == pytest.approx(1.0)  # three full edges, the fourth is the image's
    narrower = replace(store, boxes_xyxy=np.array([[0, 40, 60, 120]], np.float32))
    assert measured(narrower)["cut"] == pytest.approx((15 * 0 + 10 + 10) / (15 + 15 + 20))


def test_soft_edges_are_less_stable_certain_and_steep() -> None:
    sharp, soft = measured(drawn([WHOLE], 8.0)), measured(drawn([WHOLE], 0.5))
    for name in ("stability", "certainty", "inside", "edge"):
        assert soft[name] < sharp[name], name


def test_padding_is_no_part_of_a_box() -> None:
    # The disc is higher than the image: where the image ends it is not cut, whatever the padding holds.
    found = measured(drawn([[0, 0, 160, 64]], image_hw=(56, 160)))
    assert found["cut"] == 0
    assert found["spill"] == 0
    assert found["fill"] > 0.3


def test_no_masks_and_masks_without_a_cell() -> None:
    assert mask_features(drawn([]), np.zeros(0, np.float32)).shape == (0, len(FEATURES))
    nothing = measured(drawn([[0, 0, 12, 12]]))
    assert {name: nothing[name] for name in FEATURES[1:]} == dict.fromkeys(FEATURES[1:], 0.0)


def some_model(seed: int = 0) -> QualityModel:
    rng = np.random.default_rng(seed)
    count = len(FEATURES)
    size = 1 + count + count * (count + 1) // 2
    return QualityModel(rng.normal(size=count), rng.uniform(0.5, 2, count), rng.normal(0, 0.2, size))


def test_the_models_arithmetic() -> None:
    model = some_model()
    features = np.random.default_rng(1).normal(size=(5, len(FEATURES))).astype(np.float32)
    for row, got in zip(features, model.predict(features), strict=True):
        z = np.clip((row - model.mean) / model.scale, -4, 4)
        total = model.weights[0] + model.weights[1 : 1 + len(z)] @ z
        products = iter(model.weights[1 + len(z) :])
        total += sum(next(products) * z[a] * z[b] for a in range(len(z)) for b in range(a, len(z)))
        assert got == pytest.approx(1 / (1 + np.exp(-total)), abs=1e-6)


def test_a_model_survives_its_dictionary() -> None:
    model = some_model()
    features = np.random.default_rng(1).normal(size=(5, len(FEATURES))).astype(np.float32)
    again = QualityModel.from_dict(model.to_dict())
    assert again.predict(features).tolist() == model.predict(features).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["confidence"]}, "expected the features confidence, stability"),
        ({"mean": [0.0]}, r"quality mean: expected 9 finite numbers, got shape \(1,\)"),
        ({"weights": "many"}, "quality weights"),
        ({"scale": [0.0] * 9}, "quality scale: expected numbers above 0"),
        ({"scale": [float("nan")] * 9}, "quality scale: expected 9 finite numbers"),
    ],
)
def test_damaged_models_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        QualityModel.from_dict({**some_model().to_dict(), **changes})


def test_the_decoder_scores_and_orders_by_quality() -> None:
    rng = np.random.default_rng(2)
    xywh = rng.uniform((20, 20, 20, 20), (140, 140, 60, 60), (40, 4))
    scores = rng.uniform(0.2, 0.9, (40, 1))
    predictions = np.concatenate([xywh, scores, rng.normal(size=(40, 4))], axis=1).T.astype(np.float32)
    prototypes = rng.normal(size=(4, 40, 40)).astype(np.float32)
    letterbox, config = Letterbox.fit((SIDE, SIDE), SIDE), SegmentConfig(conf=0.1, iou=0.7, imgsz=SIDE)
    plain = decode(predictions, prototypes, letterbox, config)
    model = some_model(3)
    scored = decode(predictions, prototypes, letterbox, config, Carried(model))
    off = decode(predictions, prototypes, letterbox, replace(config, quality=False), Carried(model))
    assert off.scores.tolist() == plain.scores.tolist()
    assert isinstance(plain.store, GridStore)
    fits = model.predict(mask_features(plain.store, plain.scores))
    expected = mask_scores(plain.scores, fits, plain.boxes_xyxy)
    order = np.argsort(-expected, kind="stable")
    assert order.tolist() != sorted(order.tolist())
    assert scored.scores.tolist() == pytest.approx(expected[order].tolist(), abs=1e-5)
    assert scored.boxes_xyxy.tolist() == plain.boxes_xyxy[order].tolist()
    assert (np.asarray(scored) == np.asarray(plain)[order]).all()


def test_scores_of_lone_repeated_and_unsure_masks() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]], np.float32)
    confidences, fits = np.array([1.0, 0.5, 0.5, 0.0625], np.float32), np.full(4, 0.8, np.float32)
    expected = [0.8, 0.8 * 0.5**0.25 * 0.5, 0.8 * 0.5**0.25 * (1 - 0.5 * 0.5**4), 0.8 * 0.5]
    assert mask_scores(confidences, fits, boxes).tolist() == pytest.approx(expected, rel=1e-5)
    assert mask_scores(confidences[:0], fits[:0], boxes[:0]).shape == (0,)


def test_the_decoder_with_quality_and_nothing_found() -> None:
    predictions, prototypes = np.zeros((9, 5), np.float32), np.zeros((4, 40, 40), np.float32)
    letterbox = Letterbox.fit((SIDE, SIDE), SIDE)
    found = decode(predictions, prototypes, letterbox, SegmentConfig(), Carried(some_model()))
    assert len(found) == 0
