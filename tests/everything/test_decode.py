"""Raw network outputs become masks on the grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError
from fastsam.everything.carried import Carried
from fastsam.everything.decode import decode, nms
from fastsam.everything.network_input import letterbox_image, network_input
from fastsam.masks.letterbox import Letterbox
from tests.drawing import random_grid

FloatArray = NDArray[np.float32]


def random_boxes(count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Clusters of boxes that overlap a lot, and scores without ties."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(50, 600, (max(count // 8, 1), 2))[rng.integers(0, max(count // 8, 1), count)]
    sides = rng.uniform(40, 120, (count, 2))
    centres = centres + rng.normal(scale=6, size=(count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    return boxes.astype(np.float32), rng.permutation(np.linspace(0.01, 0.99, count)).astype(np.float32)


# NMS


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("seed", range(6))
def test_nms_is_torchvisions(seed: int, threshold: float) -> None:
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    boxes, scores = random_boxes(300, seed)
    wanted = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist()
    found = nms(boxes, scores, threshold)
    assert found.tolist() == wanted
    assert 0 < len(found) < 300 or threshold > 0.8
    for limit in (1, 7, 40, 300, 1000):
        assert nms(boxes, scores, threshold, limit).tolist() == wanted[:limit]
    assert (found.dtype, found.ndim) == (np.int64, 1)


@pytest.mark.parametrize("count", [0, 1, 2, 3000])
def test_nms_of_any_number(count: int) -> None:
    boxes, scores = random_boxes(count, 0)
    kept = nms(boxes.reshape(count, 4), scores, 0.7)
    assert len(set(kept.tolist())) == len(kept) <= count
    assert (np.diff(scores[kept]) < 0).all()
    assert (len(kept) > 0) == (count > 0)


def test_equal_scores_keep_their_order() -> None:
    boxes = np.array([[10 * i, 0, 10 * i + 9, 9] for i in range(200)], np.float32)
    assert nms(boxes, np.full(200, 0.5, np.float32), 0.5).tolist() == list(range(200))
    twins = np.zeros((50, 4), np.float32) + np.array([0, 0, 9, 9], np.float32)
    assert nms(twins, np.full(50, 0.5, np.float32), 0.5).tolist() == [0]


def test_only_what_overlaps_more_than_the_threshold_goes() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)  # IoU 0.5
    scores = np.array([0.9, 0.8], np.float32)
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49).tolist() == [0]
    assert nms(boxes, scores, 1.0).tolist() == [0, 1]


# decode


def raw(scores: Any, channels: int = 4) -> tuple[FloatArray, FloatArray, Letterbox]:
    """Network outputs of boxes side by side in a 480x640 image, with (classes, anchors) scores."""
    store = random_grid((480, 640), 640, channels=channels)
    classes, anchors = np.shape(scores)
    rng = np.random.default_rng(0)
    boxes = np.stack(
        [20 + 30 * np.arange(anchors), np.full(anchors, 100), np.full(anchors, 24), np.full(anchors, 60)]
    )
    predictions = np.concatenate([boxes, scores, rng.normal(size=(channels, anchors))])
    assert predictions.shape == (4 + classes + channels, anchors)
    return predictions.astype(np.float32), store.prototypes, store.grid.letterbox


def test_known_answer() -> None:
    predictions, prototypes, letterbox = raw([[0.1, 0.9, 0.5, 0.4]])
    found = decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.4))
    assert np.allclose(found.scores, [0.9, 0.5])
    assert found.boxes_xyxy.tolist() == [[38, 70, 62, 130], [68, 70, 92, 130]]
    assert found.size_hw == (480, 640)
    assert np.array_equal(found.store.coefficients, predictions[5:, [1, 2]].T)  # type: ignore[attr-defined]


def test_many_classes_count_as_one() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.7, 0.1, 0.2], [0.2, 0.6, 0.1]])
    predictions, prototypes, letterbox = raw(scores)
    found = decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.25))
    assert np.allclose(found.scores, [0.7, 0.6, 0.3])
    single = np.concatenate([predictions[:4], scores.max(axis=0, keepdims=True), predictions[7:]]).astype(
        np.float32
    )
    alone = decode(single, prototypes, letterbox, SegmentConfig(conf=0.25))
    assert np.array_equal(np.asarray(found), np.asarray(alone))


def test_duplicates_of_different_classes_are_one_mask() -> None:
    predictions, prototypes, letterbox = raw(np.array([[0.9, 0.0], [0.0, 0.8]]))
    predictions[:4, 1] = predictions[:4, 0]
    assert len(decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.1))) == 1


@pytest.mark.parametrize(
    ("conf", "max_det", "count"), [(0.0, 300, 20), (0.0, 7, 7), (0.5, 300, 10), (1.0, 300, 0)]
)
def test_thresholds(conf: float, max_det: int, count: int) -> None:
    scores = np.linspace(0.03, 0.99, 20)[None]
    found = decode(*raw(scores), SegmentConfig(conf=conf, max_det=max_det))
    assert len(found) == count
    assert np.allclose(found.scores, scores[0, ::-1][:count])


def test_masks_may_reach_beyond_their_boxes() -> None:
    predictions, prototypes, letterbox = raw([[0.9, 0.8]])
    cut = decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.4))
    same = decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.4), Carried(box_growth=0.0))
    grown = decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.4), Carried(box_growth=0.5))
    assert np.array_equal(np.asarray(cut), np.asarray(same))
    assert grown.scores.tolist() == cut.scores.tolist()
    assert (grown.areas_px >= cut.areas_px).all()
    assert (grown.areas_px > cut.areas_px).any()  # the other spreads beyond its box: a leak
    assert not (np.asarray(cut) & ~np.asarray(grown)).any()
    for i, (x0, y0, x1, y1) in enumerate(np.ceil(grown.boxes_xyxy).astype(int)):
        outside = np.asarray(grown)[i].copy()
        outside[y0:y1, x0:x1] = False
        assert not outside.any()


def test_no_anchors() -> None:
    found = decode(*raw(np.zeros((1, 0))), SegmentConfig(conf=0.0))
    assert (len(found), found.size_hw, np.asarray(found).shape) == (0, (480, 640), (0, 480, 640))


def test_a_conf_of_zero_stays_bounded() -> None:
    store = random_grid((480, 640), 640)
    rng = np.random.default_rng(0)
    predictions = rng.uniform(1, 600, (4 + 1 + 4, 40_000)).astype(np.float32)
    predictions[2:4] = 3
    predictions[4] = rng.uniform(0, 1, 40_000)
    found = decode(predictions, store.prototypes, store.grid.letterbox, SegmentConfig(conf=0.0))
    assert len(found) == 300
    assert np.allclose(found.scores[:50], np.sort(predictions[4])[::-1][:50], atol=1e-2)


@pytest.mark.parametrize("rows", [0, 4, 8])
def test_outputs_of_another_head_are_refused(rows: int) -> None:
    predictions, prototypes, letterbox = raw(np.ones((1, 3)))
    with pytest.raises(CheckpointError, match=rf"expected 4 \+ classes \+ 4 rows, got {rows}"):
        decode(predictions[:rows], prototypes, letterbox, SegmentConfig())


def test_outputs_are_not_written_to() -> None:
    predictions, prototypes, letterbox = raw(np.linspace(0.1, 0.9, 6)[None])
    predictions.flags.writeable = prototypes.flags.writeable = False
    np.asarray(decode(predictions, prototypes, letterbox, SegmentConfig(conf=0.2)))


# encode


@pytest.mark.parametrize("size", [(480, 640), (333, 801), (1, 500), (700, 2), (640, 640), (50, 60)])
@pytest.mark.parametrize("square", [True, False])
def test_network_input_is_ultralytics(size: tuple[int, int], square: bool) -> None:
    augment = pytest.importorskip("ultralytics.data.augment")
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    letterbox = Letterbox.fit(size, 640, square=square)
    wanted = augment.LetterBox((640, 640), auto=not square, stride=32)(image=rgb.copy())
    rgb.flags.writeable = False
    assert np.array_equal(letterbox_image(rgb, letterbox), wanted)
    found = network_input(rgb, letterbox)
    assert (found.shape, found.dtype) == ((1, 3, *letterbox.net_hw), np.float32)
    assert np.allclose(found[0].transpose(1, 2, 0) * 255, wanted, atol=1e-3)
