"""The record of one frame: masks with ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsam.errors import RecordError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.video.track.tracked import Tracked
from tests.drawing import rectangle

SIZE = (120, 160)
FRAME = Frame(np.full((*SIZE, 3), 100, np.uint8), "frame_000004", index=4)
STACK = np.stack([rectangle(SIZE, 40 * k, 20, 40 * k + 60, 110) for k in range(3)])


def made(**changes: Any) -> Tracked:
    values: dict[str, Any] = {
        "frame": FRAME,
        "masks": MaskSet.from_dense(STACK),
        "ids": np.array([5, 2, 9]),
        "scores": np.array([0.9, 0.8, 0.7]),
        "labels": ("a dog", "", "a cat"),
        "lost": (3,),
        "times_ms": {"read": 1.0},
    }
    return Tracked(**(values | changes))


def test_rows_are_chosen_as_of_an_array() -> None:
    tracked = made()
    assert len(tracked) == 3
    chosen = tracked[tracked.ids < 9]
    assert (chosen.ids.tolist(), chosen.labels, chosen.lost) == ([5, 2], ("a dog", ""), (3,))
    assert np.array_equal(np.asarray(chosen.masks), STACK[:2])
    assert tracked[1].ids.tolist() == [2]
    assert tracked[[2, 0]].labels == ("a cat", "a dog")
    assert len(tracked[:0]) == 0
    assert made(labels=None)[0].labels is None


def test_an_object_by_its_id() -> None:
    assert np.array_equal(made().mask_of(9), STACK[2])
    assert not made().mask_of(3).any()
    assert made().mask_of(3).shape == SIZE


def test_captions_and_drawing() -> None:
    assert made().captions == ["5 a dog", "2", "9 a cat"]
    assert made(labels=None).captions == ["5", "2", "9"]
    drawn = made().plot()
    assert (drawn.shape, drawn.dtype) == ((*SIZE, 3), np.uint8)
    assert (drawn != FRAME.rgb).any()
    other_rows = made()[[2, 1, 0]].plot()
    assert np.array_equal(drawn[100, 10], other_rows[100, 10]), "a colour belongs to an id"


def test_a_frame_without_objects() -> None:
    nothing = Tracked.none(FRAME, (1, 2))
    assert (len(nothing), nothing.lost, nothing.captions) == (0, (1, 2), [])
    assert np.array_equal(nothing.plot(), FRAME.rgb)
    assert len(nothing[np.zeros(0, bool)]) == 0


def test_arrays_are_read_only() -> None:
    tracked = made()
    assert (tracked.ids.dtype, tracked.scores.dtype) == (np.int64, np.float32)
    with pytest.raises(ValueError, match="read-only"):
        tracked.ids[0] = 1


def test_what_it_says_of_itself() -> None:
    assert repr(made()) == "Tracked('frame_000004', ids [5, 2, 9], lost [3])"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": np.array([1, 2])}, r"ids: expected \(3,\) for 3 masks, got \(2,\)"),
        ({"scores": np.ones((3, 1))}, r"scores: expected \(3,\) for 3 masks, got \(3, 1\)"),
        ({"ids": np.array([1, 2, 1])}, r"3 different numbers from 1 on, got \[1, 2, 1\]"),
        ({"ids": np.array([0, 2, 1])}, r"3 different numbers from 1 on, got \[0, 2, 1\]"),
        ({"labels": ("a dog",)}, "3 names for 3 masks, got 1"),
        ({"masks": MaskSet.from_dense(np.ones((3, 4, 4), bool))}, r"\(120, 160\) frame, got \(4, 4\)"),
    ],
)
def test_parallel_arrays_fit_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        made(**changes)
