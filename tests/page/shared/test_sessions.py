"""Visitors: none sees another, and their memory is bounded."""

from __future__ import annotations

import copy
import gc
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsam
from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError, PromptError, WeightsError
from fastsam.images.frame import Frame
from fastsam.page.photo import steps
from fastsam.page.photo.effects import Effect
from fastsam.page.shared import model as shared_model
from fastsam.page.shared.memory import MemoryBudget, bytes_of
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.testing import FixedSegmenter
from tests.page.setting import MASKS, OTHER, PHOTO, Page, colour_words, fixed, painted


def test_a_copy_is_another_visitor() -> None:
    page = Page()
    other = copy.deepcopy(page.visitor)
    assert other.state.session is None
    assert page.visitor.state.session is not None


def test_visitors_do_not_share_anything() -> None:
    budget = MemoryBudget(1 << 30)
    first, second = Page(budget=budget), Page(budget=budget)
    first.mark("point", (60, 30))
    assert second.visitor.state.marks == ()
    assert second.mark("point", (60, 30), sign="take")["rows"] == [0, 1]
    assert first.act("sync") is not None
    assert first.last["answer"]["rows"] == [OTHER]


def test_clicks_at_once_are_all_kept() -> None:
    page = Page()
    threads = [threading.Thread(target=page.mark, args=("point", (20 + k, 20))) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(page.visitor.state.marks) == 8
    assert page.visitor.state.version == 9


def test_the_photo_not_used_for_longest_is_put_away() -> None:
    budget = MemoryBudget(1 << 30)
    pages = [Page(budget=budget) for _ in range(3)]
    one = budget.used_bytes // 3
    assert one > PHOTO.nbytes
    budget.limit_bytes = 3 * one + one // 2
    pages[0].mark("point", (60, 30))  # the second is now the one that was not used for longest
    pages.append(Page(budget=budget))
    assert budget.used_bytes <= budget.limit_bytes
    assert [page.visitor.state.put_away for page in pages] == [False, True, False, False]
    with pytest.raises(PromptError, match="ran out of memory and closed your photo"):
        pages[1].mark("point", (60, 30))
    pages[1].opened(PHOTO)
    assert pages[1].mark("point", (60, 30))["rows"] == [OTHER]


def test_one_photo_is_kept_whatever_its_size() -> None:
    budget = MemoryBudget(1)
    first = Page(budget=budget)
    assert first.mark("point", (60, 30))["rows"] == [OTHER]
    second = Page(budget=budget)
    assert first.visitor.state.put_away
    assert second.mark("point", (60, 30))["rows"] == [OTHER]


def test_memory_does_not_grow_with_visits() -> None:
    budget = MemoryBudget(1 << 30)
    page = Page(budget=budget)
    before = budget.used_bytes
    for _ in range(20):
        page.opened(PHOTO)
        page.mark("point", (60, 30))
    assert budget.used_bytes == before
    for _ in range(20):
        Page(budget=budget)
    gc.collect()
    assert budget.used_bytes == before  # gradio forgets visitors; the budget does not hold them


def test_backgrounds_and_embeddings_count() -> None:
    page = Page(painted(), colour_words())
    budget = page.visitor.budget
    before = budget.used_bytes
    page.ask("something red")
    with_vectors = budget.used_bytes
    assert with_vectors > before
    steps.set_up(page.visitor, effect=Effect("replace", background=np.zeros((100, 100, 3), np.uint8)))
    assert budget.used_bytes == with_vectors + 30_000


def test_arrays_are_counted_once() -> None:
    array = np.zeros((4, 5), np.uint8)
    assert bytes_of([array, array, array[1:], {"again": (array,)}]) == 20
    assert bytes_of(None) == 0


# ---- the model -----------------------------------------------------------------------------------------


def test_the_model_is_loaded_once_at_the_first_photo_and_used_by_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[Any] = []
    inside = threading.Semaphore(1)
    crowded: list[bool] = []

    class Slow(FixedSegmenter):
        def segment(self, frame: Any, config: Any) -> Any:
            crowded.append(not inside.acquire(blocking=False))
            time.sleep(0.02)
            found = super().segment(frame, config)
            inside.release()
            return found

    def load(weights: Any, **options: Any) -> fastsam.FastSAM:
        loaded.append((weights, options))
        return fastsam.FastSAM(segmenter=Slow(MASKS))

    monkeypatch.setattr(shared_model, "FastSAM", load)
    path = tmp_path / "own.pt"
    path.write_bytes(b"not looked into before the first photo")
    shared = SharedModel(str(path), "cpu")
    assert loaded == []
    threads = [threading.Thread(target=shared.open, args=(PHOTO, {})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [(str(path), {"device": "cpu", "text_model": None})]
    assert crowded == [False] * 4


def test_unknown_weights_are_told_at_once() -> None:
    with pytest.raises(WeightsError, match="no-such-weights"):
        SharedModel("no-such-weights")


def test_a_visitor_is_answered_in_turn() -> None:
    visitor = PageSession(MemoryBudget(1))
    with pytest.raises(ZeroDivisionError):
        visitor.act(lambda state: 1 // 0)  # type: ignore[return-value,arg-type]
    assert visitor.act(lambda state: state).version == 1  # the lock was given back


def test_nobody_asks_for_so_many_parts_that_the_others_wait_for_minutes() -> None:
    shared = SharedModel(model=fastsam.FastSAM(segmenter=FixedSegmenter(MASKS)))
    photo = Frame(np.zeros((900, 1200, 3), np.uint8))
    for options in ({"tile": 64}, {"crop_layers": 4}):
        with pytest.raises(ConfigError, match="expected at most 100 parts of a photo on this page, got"):
            shared.open(photo, options)
    assert len(shared.open(Frame(PHOTO), {"tile": 256}).masks) == 3


def test_another_minimum_confidence_turns_the_filling_of_gaps_off() -> None:
    """A page sends the values of all its controls, also of those that nobody has touched."""
    model = fixed()
    model.defaults = SegmentConfig(conf=0.1, fill_conf=0.003, regions=20)
    page = SharedModel(model=model)
    shown = asdict(model.defaults)
    assert page.open(PHOTO, shown).config == model.defaults
    surer = page.open(PHOTO, {**shown, "conf": 0.6}).config
    assert (surer.conf, surer.fill_conf, surer.regions) == (0.6, 1.0, 0)
    both = page.open(PHOTO, {**shown, "conf": 0.6, "fill_conf": 0.2}).config
    assert (both.fill_conf, both.regions) == (0.2, 0)
