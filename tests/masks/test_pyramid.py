import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastsam import FastSAM
from fastsam.errors import RecordError
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid, coarser, coverage, pool

SURE: dict[str, Any] = {"conf": 0.4, "fill_conf": 1.0, "regions": 0}


@pytest.fixture(scope="module")
def model(embedded_weights):
    return FastSAM(embedded_weights)


@pytest.fixture(scope="module")
def bus_session(model, photographs):
    return model.open(photographs["bus"], imgsz=640, **SURE)


BOX = Letterbox.fit((64, 64), 64)


def dense(*windows):
    masks = np.zeros((len(windows), 64, 64), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, windows, strict=True):
        mask[y0:y1, x0:x1] = True
    return MaskSet.from_dense(masks)


def test_a_cell_counts_what_is_covered_of_it():
    covered = coverage(dense((0, 0, 16, 16), (4, 8, 12, 24)).store, BOX, (8, 8))
    expected = np.zeros((2, 8, 8), np.float32)
    expected[0, :2, :2] = 1
    expected[1, 1:3, :2] = 0.5
    np.testing.assert_allclose(covered, expected, atol=1e-6)


def test_coverage_of_nothing():
    assert coverage(MaskSet.none((64, 64)).store, BOX, (8, 8)).shape == (0, 8, 8)
    assert not coverage(MaskSet.from_dense(np.zeros((1, 64, 64), bool)).store, BOX, (8, 8)).any()


def test_masks_on_the_grid_are_counted_as_their_pixels_are(bus_session):
    masks = bus_session.masks
    pixels = MaskSet.from_dense(np.asarray(masks))
    for values in masks.pyramid.maps[:2]:
        cells_hw = values.shape[1:]
        by_cells = coverage(masks.store, masks.pyramid.letterbox, cells_hw)
        by_pixels = coverage(pixels.store, masks.pyramid.letterbox, cells_hw)
        shared = np.minimum(by_cells, by_pixels).sum(axis=(1, 2))
        assert np.median(shared / np.maximum(by_cells, by_pixels).sum(axis=(1, 2))) > 0.9
        assert abs(by_cells - by_pixels).mean() < 0.01


def test_pooling_is_the_mean_under_the_mask():
    values = np.arange(8.0).reshape(2, 2, 2)
    shares = np.array([[[1, 0], [0, 0]], [[0.5, 0.5], [0, 0]], [[0, 0], [0, 0]]], np.float32)
    np.testing.assert_allclose(pool(values, shares), [[0, 4], [0.5, 4.5], [0, 0]])
    assert pool(values, shares[:0]).shape == (0, 2)


def test_coarser_averages():
    np.testing.assert_allclose(coarser(np.eye(4, dtype=np.float32), (2, 2)), [[0.5, 0], [0, 0.5]])


def test_a_map_that_does_not_divide_the_frame_is_refused():
    with pytest.raises(RecordError, match=r"map 0: expected .* divide the net frame \(64, 64\)"):
        Pyramid((np.zeros((3, 7, 8), np.float16),), BOX)


def test_embeddings_are_unit_vectors_that_travel_with_the_rows(bus_session):
    masks = bus_session.masks
    vectors = masks.embeddings()
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(masks[[3, 1]].embeddings(), vectors[[3, 1]], atol=1e-5)
    assert masks[:0].embeddings().shape == (0, vectors.shape[1])


def test_the_backbone_tells_other_things_by_which_network(bus_session, embedded_weights):
    masks = bus_session.masks
    backbone = masks.embeddings("backbone")
    assert masks.pyramid.fingerprint == hashlib.sha256(embedded_weights.read_bytes()).hexdigest()
    assert [values.shape[0] for values in masks.pyramid.backbone] == [128, 256]
    assert backbone.shape == (len(masks), 128 + 256)
    np.testing.assert_allclose(np.linalg.norm(backbone, axis=1), 1, atol=1e-5)
    assert masks[:0].embeddings("backbone").shape == (0, 384)
    without = replace(masks, pyramid=replace(masks.pyramid, backbone=()))
    assert without.embeddings("backbone").shape == (len(masks), 0)


def test_a_mirrored_photo_shows_the_same_things(model, photographs):
    """Of the masks that the mirrored photo has, too, the nearest is mostly the one at the mirrored place."""
    rgb, options = photographs["bus"], {**SURE, "conf": 0.2, "imgsz": 640}
    masks, others = (
        model.open(image, **options).masks for image in (rgb, np.ascontiguousarray(rgb[:, ::-1]))
    )
    width, (left, top, right, bottom) = rgb.shape[1], others.boxes_xyxy.T
    ours, flipped = masks.boxes_xyxy, np.stack([width - right, top, width - left, bottom], axis=1)
    low = np.maximum(ours[:, None, :2], flipped[:, :2])
    high = np.minimum(ours[:, None, 2:], flipped[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    first, second = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (ours, flipped))
    overlaps = shared / (first[:, None] + second - shared)
    there = overlaps.max(axis=1) > 0.5
    assert there.sum() > 10
    alike = masks.embeddings("backbone") @ others.embeddings("backbone").T
    assert np.mean((alike.argmax(axis=1) == overlaps.argmax(axis=1))[there]) > 0.6  # by chance: a thirtieth


def test_masks_from_elsewhere_have_no_embeddings():
    with pytest.raises(RecordError, match=r"embeddings: expected masks with feature maps"):
        dense((0, 0, 4, 4)).embeddings()
