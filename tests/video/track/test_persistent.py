"""Texts and references that stay: what they look at, how often, and that they forget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, MaskLike, Points, Prompt, Reference, Text, all_of, any_of, but_not
from fastsam.video.track import persistent as module
from fastsam.video.track.grid_frame import GridFrame
from fastsam.video.track.persistent import PersistentPrompt
from tests.drawing import rectangle

SIZE = (48, 64)
PHOTO = np.zeros((*SIZE, 3), np.uint8)
TEXT, BOX = Text("dog"), Box([0, 0, 9, 9])


class Asked:
    """A frame that remembers which masks were looked at; it selects some of them."""

    def __init__(self, frame: Frame, masks: MaskSet, wanted: Sequence[int], log: list[list[int]]) -> None:
        self.frame, self.masks, self.wanted, self.log = frame, masks, list(wanted), log
        self.times_ms: dict[str, float] = {}
        self._rows = np.arange(len(masks))

    def only(self, rows: np.ndarray) -> Asked:
        made = Asked(self.frame, self.masks[rows], self.wanted, self.log)
        made._rows = self._rows[rows]
        return made

    def select(self, prompt: Prompt) -> Selection:
        self.log.append(self._rows.tolist())
        rows = [k for k, row in enumerate(self._rows.tolist()) if row in self.wanted]
        return Selection.of(self.masks, rows, [0.8] * len(rows), "asked", labels=["dog"] * len(rows))


def view_of(
    sizes: Sequence[int], wanted: Sequence[int] = (), index: int = 0
) -> tuple[Asked, GridFrame, list[list[int]]]:
    """Return a frame with squares of these sides."""
    masks = [rectangle(SIZE, 2, 2, 2 + side, 2 + side) for side in sizes]
    found = MaskSet.from_dense(np.array(masks, bool).reshape(len(masks), *SIZE), np.full(len(masks), 0.9))
    frame, log = Frame(PHOTO, index=index), list[list[int]]()
    return Asked(frame, found, wanted, log), GridFrame(frame, found), log


def look(
    standing: PersistentPrompt, sizes: Sequence[int], ids: Sequence[int], index: int, limit: int = 9
) -> list[int]:
    """Return the rows that are looked at, largest first."""
    view, scene, log = view_of(sizes, index=index)
    standing.look(view, scene, np.array(ids, np.int64), 0.4, limit)
    assert len(log) <= 1, "one question a frame"
    return sorted(log[0], key=lambda row: -sizes[row]) if log else []


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (TEXT, True),
        (BOX, False),
        (Points((3, 3)), False),
        (MaskLike(np.ones(SIZE, bool)), False),
        (Reference(PHOTO, BOX), True),
        (Reference(PHOTO, BOX, mode="best"), False),
        (any_of(TEXT, Text("cat")), True),
        (all_of(TEXT, BOX), False),
        (but_not(TEXT, Text("cat")), True),
        (but_not(TEXT, BOX), False),
    ],
)
def test_what_is_persistent(prompt: Prompt, wanted: bool) -> None:
    assert prompt.is_persistent is wanted


def test_each_track_is_looked_at_once_the_largest_first() -> None:
    standing = PersistentPrompt(TEXT)
    assert look(standing, [10, 30, 20], [1, 2, 3], 0, limit=2) == [1, 2]
    assert look(standing, [10, 30, 20], [1, 2, 3], 1, limit=2) == [0]
    assert look(standing, [10, 30, 20], [1, 2, 3], 2) == []


def test_a_track_is_looked_at_again_when_it_has_grown_or_after_a_while() -> None:
    standing = PersistentPrompt(TEXT)
    assert look(standing, [10], [1], 0) == [0]
    assert look(standing, [11], [1], 1) == []
    assert look(standing, [20], [1], 2) == [0]
    assert look(standing, [20], [1], 31) == []
    assert look(standing, [20], [1], 32) == [0]
    assert look(standing, [20], [1], 100) == [0]
    assert [look(standing, [20], [1], index) for index in (200, 300, 400)] == [[]] * 3, "but four times only"


def test_what_has_no_track_or_is_not_sure_is_not_looked_at() -> None:
    standing = PersistentPrompt(TEXT)
    view, _, log = view_of([10, 20, 30])
    masks = MaskSet.from_dense(np.asarray(view.masks), [0.9, 0.1, 0.9])
    view.masks = masks
    assert standing.look(view, GridFrame(view.frame, masks), np.array([1, 2, 0]), 0.4, 9) == []
    assert log == [[0]]


def test_nothing_in_sight_asks_nothing() -> None:
    standing = PersistentPrompt(TEXT)
    assert look(standing, [], [], 0) == []
    assert look(standing, [10], [1], 1, limit=0) == []
    assert look(standing, [10], [1], 2) == [0]


@pytest.mark.parametrize(("given_label", "wanted"), [("", "dog"), ("Rex", "Rex")])
def test_rows_scores_and_labels_of_what_is_selected(given_label: str, wanted: str) -> None:
    standing = PersistentPrompt(TEXT, given_label)
    view, scene, _ = view_of([10, 30, 20], wanted=[2, 0])
    found = standing.look(view, scene, np.array([1, 2, 3]), 0.4, 9)
    assert sorted(found) == [(0, pytest.approx(0.8), wanted), (2, pytest.approx(0.8), wanted)]


def test_what_was_removed_is_not_looked_at_again() -> None:
    standing = PersistentPrompt(TEXT)
    look(standing, [10], [1], 0)
    standing.objects.add(77)
    standing.leave(99, 1)
    assert look(standing, [10], [1], 40) == [0], "that was another's"
    standing.leave(77, 1)
    assert standing.objects == set()
    assert look(standing, [10], [1], 80) == []


@given(st.lists(st.integers(1, 500), max_size=60))
def test_an_hour_of_tracks_is_bounded(tracks: list[int]) -> None:
    kept, module._REMEMBERED = module._REMEMBERED, 10
    try:
        standing = PersistentPrompt(TEXT)
        for index, track in enumerate(tracks):
            look(standing, [10], [track], index)
            assert len(standing._looked) <= 10
            assert track in standing._looked
    finally:
        module._REMEMBERED = kept


def test_texts_that_nothing_was_enough_for_are_known_with_their_best_score() -> None:
    standing = PersistentPrompt(Text(["dog", "cat"], threshold=0.85))
    assert standing.not_found == {"dog": 0.0, "cat": 0.0}
    view, scene, _ = view_of([9], [0])  # what is selected scores .8
    assert standing.look(view, scene, np.array([1], np.int64), 0.4, 9) == []
    assert standing.not_found == pytest.approx({"dog": 0.8, "cat": 0.0})
    assert PersistentPrompt(Text("dog", threshold=0.5)).not_found == {"dog": 0.0}
