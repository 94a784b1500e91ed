"""The network runs ahead: frames stay in order, errors come in their turn, cores are given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastsam import FastSAM
from fastsam.images.frame import Frame
from fastsam.video.look_ahead import LookAhead
from fastsam.video.read.reader import open_video
from tests.video.clips import panned_frames

SHOTS = list(panned_frames(5, (96, 128), 3))


class Cores:
    """Keeps note of how many passes cores were shared among."""

    def __init__(self) -> None:
        self.shared: list[int] = []

    def share_cores(self, passes: int) -> None:
        self.shared.append(passes)


def test_frames_come_in_order_with_their_masks_begun() -> None:
    cores, begun = Cores(), []

    def begin(frame: Frame) -> Any:
        begun.append((frame.index, threading.current_thread().name))
        return frame.index

    ahead = LookAhead(open_video(SHOTS), begin, cores, 2)
    found = [(frame.index, coming.result()) for frame, _, coming in ahead if coming is not None]
    ahead.close()
    assert found == [(k, k) for k in range(5)]
    assert {name.rpartition("_")[0] for _, name in begun} == {"fastsam-network"}
    assert set(cores.shared[:-1]) == {2}
    assert cores.shared[-1] == 1, "the cores are given back"


def test_one_at_a_time_begins_nothing() -> None:
    ahead = LookAhead(open_video(SHOTS), lambda frame: pytest.fail("begun"), None, 1)
    assert [coming for _, _, coming in ahead] == [None] * 5
    ahead.close()


def test_what_fails_is_told_when_its_turn_comes() -> None:
    def shots() -> Iterator[Any]:
        yield from SHOTS[:3]
        raise RuntimeError("the source broke")

    seen = []
    ahead = LookAhead(open_video(shots()), lambda frame: frame.index, Cores(), 2)  # type: ignore[arg-type,return-value]
    with pytest.raises(RuntimeError, match="the source broke"):
        seen += [frame.index for frame, _, _ in _each(ahead, seen)]
    ahead.close()
    assert seen == [0, 1, 2]


def _each(ahead: LookAhead, seen: list[int]) -> Iterator[Any]:
    for item in ahead:
        seen.append(item[0].index)
        yield item


def test_two_passes_at_once_find_what_one_finds(embedded_weights: Any) -> None:
    """The same frames through the stream and one by one: the same masks; and the threads are back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)  # the tests run on one, which is not shared
    try:
        model = FastSAM(embedded_weights, device="cpu")
        assert model.segmenter.passes_at_once == 2
        with model.stream(SHOTS, imgsz=160) as stream:
            streamed = [masks for _, masks in stream]
            assert all("network" in masks.times_ms for masks in streamed)
        assert torch.get_num_threads() == 2
        with model.stream(SHOTS, imgsz=160) as stream:
            stream._segmenter = None
            single = [masks for _, masks in stream]
    finally:
        torch.set_num_threads(before)
    assert sum(len(masks) for masks in streamed) > 0
    for one, two in zip(streamed, single, strict=True):
        assert one.ids.tolist() == two.ids.tolist()
        np.testing.assert_array_equal(np.asarray(one.masks), np.asarray(two.masks))
