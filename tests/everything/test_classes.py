"""What a network takes its masks for: class ids from decoding to exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastsam import FastSAM, Points
from fastsam.config import SegmentConfig
from fastsam.errors import RecordError
from fastsam.everything.carried import Carried, usable_names
from fastsam.everything.decode import decode
from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.segmenter import Part, Segmentation, Segmenter

NAMES = ("dog", "cat", "cup")


def named(size_hw: tuple[int, int] = (64, 64)) -> MaskSet:
    dense = np.zeros((3, *size_hw), bool)
    dense[0, 5:30, 5:30] = dense[1, 35:60, 5:30] = dense[2, 5:60, 40:60] = True
    masks = MaskSet.from_dense(dense, [0.9, 0.8, 0.7])
    return replace(masks, class_ids=np.array([2, 0, -1]), names=NAMES)


class Named(Segmenter):
    def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        return Segmentation.of(named(frame.size_hw), {})


def test_decoding_keeps_the_best_class() -> None:
    rng = np.random.default_rng(0)
    letterbox = Letterbox.fit((64, 64), 64)
    predictions = np.zeros((4 + 3 + 2, 5), np.float32)
    predictions[:4] = [[10, 30, 50, 10, 50], [10, 30, 50, 50, 10], [16] * 5, [16] * 5]
    predictions[4:7] = rng.random((3, 5))
    predictions[7:] = 1.0
    prototypes = np.ones((2, 16, 16), np.float32)
    config = SegmentConfig(conf=0.01)
    found = decode(predictions, prototypes, letterbox, config, Carried(names=NAMES))
    best = predictions[4:7].max(axis=0)
    order = np.argsort(-best)
    assert found.class_ids is not None
    assert found.class_ids.tolist() == predictions[4:7].argmax(axis=0)[order].tolist()
    assert np.allclose(found.scores, best[order])
    for names in ((), ("one",)):  # none, or of another network
        assert decode(predictions, prototypes, letterbox, config, Carried(names=names)).class_ids is None


def test_classes_go_where_masks_go() -> None:
    masks = named()
    assert masks.labels == ("cup", "dog", "")
    assert masks[[1, 0]].labels == ("dog", "cup")
    assert masks.decoded().labels == masks.labels
    assert MaskSet.concatenate([masks, masks[[0]]], (64, 64)).labels == ("cup", "dog", "", "cup")
    other = MaskSet.concatenate([masks, replace(masks, class_ids=None, names=())], (64, 64))
    assert other.labels is None
    with pytest.raises(RecordError, match="class_ids: expected -1 to 2"):
        replace(masks, class_ids=np.array([0, 1, 3]))


def test_results_and_exports_have_the_names(tmp_path: Path) -> None:
    session = FastSAM(segmenter=Named()).open(np.zeros((64, 64, 3), np.uint8))
    everything = session.everything()
    assert everything.labels == ("cup", "dog", "unknown")
    assert session.select(Points((10, 40))).labels == ("dog",)
    coco = everything.to_coco()
    kinds = {category["id"]: category["name"] for category in coco["categories"]}
    assert [kinds[a["category_id"]] for a in coco["annotations"]] == ["cup", "dog", "unknown"]


def test_tiles_keep_them() -> None:
    class Tile(Segmenter):
        def segment(self, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
            dense = np.zeros((1, *frame.size_hw), bool)
            dense[0, 20:40, 20:40] = True
            masks = MaskSet.from_dense(dense, [0.9])
            return Segmentation.of(replace(masks, class_ids=np.array([1]), names=NAMES), {})

    photo = np.zeros((128, 256, 3), np.uint8)
    found = FastSAM(segmenter=Tile()).open(photo, tile=128, conf=0.1).masks
    assert len(found) > 1
    assert set(found.labels or ()) == {"cat"}


@pytest.mark.parametrize(
    "given", [None, 3, [], {}, {0: 3}, {1: "a"}, ["a", ""], ["x" * 300], {"0": "a"}, ["object"], {0: "item"}]
)
def test_names_that_say_nothing_are_none(given: object) -> None:
    assert usable_names(given) == ()
    assert Carried.from_dict({"names": given}).names == ()


def test_names_travel_with_what_is_carried() -> None:
    carried = Carried(names=NAMES)
    assert Carried.from_dict(carried.to_dict()) == carried
