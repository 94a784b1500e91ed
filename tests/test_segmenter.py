"""What stage one promises, and what FastSAM makes of objects that promise less."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam import FastSAM, Segmentation, Segmenter
from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.segmenter import Part, as_segmenter, segmented
from fastsam.testing import FixedSegmenter

FRAME = Frame(np.zeros((20, 30, 3), np.uint8))
STACK = np.zeros((2, 20, 30), bool)
STACK[0, 2:9, 2:9] = STACK[1, 12:19, 20:29] = True
CONFIG = SegmentConfig(conf=0.0)


class Plain:
    """No more than what FastSAM needs."""

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        return MaskSet.from_dense(STACK)


class WithTimes(Plain):
    """What segmenters were before: the time beside the masks."""

    times_ms = {"network": 3.0}  # noqa: RUF012
    device = "npu"
    fingerprint = "abc"
    passes_at_once = 3

    def __init__(self) -> None:
        self.shared: list[int] = []

    def share_cores(self, passes: int) -> None:
        self.shared.append(passes)


def test_a_segmentation_is_masks_and_times() -> None:
    found = Segmentation.of(MaskSet.from_dense(STACK, [0.9, 0.5]), {"network": 2.0})
    assert isinstance(found, MaskSet)
    assert (len(found), found.times_ms) == (2, {"network": 2.0})
    assert type(found.masks) is MaskSet
    assert type(found[0]) is MaskSet
    assert found.masks.store is found.store
    for same in (copy.copy(found), pickle.loads(pickle.dumps(found))):
        assert np.array_equal(same.numpy(), STACK)
        assert same.times_ms == found.times_ms


@pytest.mark.parametrize(
    ("inner", "device", "fingerprint", "passes", "times"),
    [(Plain(), "cpu", "", 1, {}), (WithTimes(), "npu", "abc", 3, {"network": 3.0})],
)
def test_objects_that_only_segment(
    inner: Any, device: str, fingerprint: str, passes: int, times: Any
) -> None:
    segmenter = as_segmenter(inner)
    assert (segmenter.device, segmenter.fingerprint, segmenter.checkpoint) == (device, fingerprint, None)
    assert (segmenter.passes_at_once, segmenter.takes_parts) == (passes, False)
    assert segmented(segmenter, FRAME, CONFIG).times_ms == times
    segmenter.share_cores(2)
    assert getattr(inner, "shared", [2]) == [2]
    model = FastSAM(segmenter=inner)
    assert (model.device, model.fingerprint) == (device, fingerprint)
    assert set(model.open(FRAME).times_ms) == {"read", *times}


def test_a_segmenter_is_taken_as_it_is() -> None:
    segmenter = FixedSegmenter(STACK)
    assert as_segmenter(segmenter) is segmenter
    for wrong in (None, 3, "yolo"):
        with pytest.raises(ConfigError, match=r"expected an object with segment\(frame, config\)"):
            as_segmenter(wrong)


def test_a_bare_mask_set_has_no_times() -> None:
    class Bare(FixedSegmenter):
        def segment(self, *_: Any) -> Any:
            return self.masks

    assert segmented(Bare(STACK), FRAME, CONFIG).times_ms == {}
    assert len(FastSAM(segmenter=Bare(STACK)).open(FRAME)) == 2


def test_a_segmenter_has_to_segment() -> None:
    class Nothing(Segmenter):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nothing()  # type: ignore[abstract]


def test_a_network_takes_parts(embedded_weights: Path) -> None:
    model = FastSAM(embedded_weights)
    backend = model.segmenter
    assert isinstance(backend, Segmenter)
    assert backend.takes_parts
    assert (model.device, backend.checkpoint) == ("cpu", embedded_weights)
    frame = Frame(np.random.default_rng(0).integers(0, 255, (256, 512, 3), dtype=np.uint8))
    part = backend.segment(frame, SegmentConfig(imgsz=512), Part((0, 0, 100, 100)))
    whole = backend.segment(frame, SegmentConfig(imgsz=512))
    assert part.size_hw == whole.size_hw == (256, 512)
    assert (part.boxes_xyxy[:, 2] <= 192).all()
