"""Answers with scores: right, wrong or neither; figures at a threshold and over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import InputError
from fastsam.evaluation.answers import (
    NEITHER,
    RIGHT,
    WRONG,
    Answers,
    average_precision,
    hit_rate,
    judge,
    known_figures,
)


@pytest.mark.parametrize(
    ("scores", "ious", "excused", "wanted"),
    [
        pytest.param([], np.zeros((0, 2)), [], [], id="no answers"),
        pytest.param([0.9, 0.2], np.zeros((2, 0)), [0, 1], [WRONG, NEITHER], id="no objects"),
        pytest.param([0.9, 0.8], [[0.9], [0.7]], [0, 0], [RIGHT, NEITHER], id="an object twice"),
        pytest.param([0.8, 0.9], [[0.9], [0.7]], [0, 0], [NEITHER, RIGHT], id="the surer one has it"),
        pytest.param([0.9, 0.8], [[0.6, 0.7], [0.1, 0.8]], [0, 0], [RIGHT, NEITHER], id="the better fit"),
        pytest.param([0.9, 0.8], [[0.7, 0.6], [0.9, 0.1]], [0, 0], [RIGHT, NEITHER], id="greedy, as COCO"),
        pytest.param([0.9, 0.8], [[0.7, 0.6], [0.9, 0.6]], [0, 0], [RIGHT, RIGHT], id="the second one left"),
        pytest.param([0.9], [[0.49]], [0], [WRONG], id="a part"),
        pytest.param([0.9], [[0.5]], [1], [RIGHT], id="fits, though in a crowd"),
    ],
)
def test_judging(scores: Any, ious: Any, excused: Any, wanted: Any) -> None:
    found = judge(np.array(scores), np.array(ious, float), np.array(excused, bool))
    assert found.tolist() == wanted


@given(st.data())
def test_verdicts_hold_at_any_threshold(data: st.DataObject) -> None:
    count, objects = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 3))
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    scores, ious = random.permutation(count) / 10 + 0.1, random.random((count, objects))
    excused = random.random(count) < 0.3
    whole = judge(scores, ious, excused)
    for threshold in scores:
        over = scores >= threshold
        assert judge(scores[over], ious[over], excused[over]).tolist() == whole[over].tolist()


def slow_average_precision(scores: Any, right: Any, objects: int) -> float:
    total = 0.0
    for score, good in zip(scores, right, strict=True):
        if good:
            over = [r for s, r in zip(scores, right, strict=True) if s >= score]
            total += sum(over) / len(over)
    return total / objects


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), max_size=12), st.integers(0, 3)
)
def test_average_precision_is_the_slow_one(rows: list[tuple[float, bool]], missed: int) -> None:
    scores, right = np.array([s for s, _ in rows]), np.array([r for _, r in rows], bool)
    objects = int(right.sum()) + missed
    found = average_precision(scores, right, objects)
    if objects == 0:
        assert found is None
    else:
        assert found == pytest.approx(slow_average_precision(scores.tolist(), right.tolist(), objects))


def answers(rows: list[tuple[float, bool, int]], objects: list[int], absent: list[float]) -> Answers:
    return Answers(
        np.array([r[0] for r in rows], float),
        np.array([r[1] for r in rows], bool),
        np.array([r[2] for r in rows], np.int64),
        np.array(objects, np.int64),
        np.array(absent, float),
    )


def test_figures_by_hand() -> None:
    rows = [(0.9, True, 0), (0.8, False, 0), (0.7, True, 1), (0.4, True, 1), (0.6, False, 2)]
    found = answers(rows, [1, 4, 0, 1], [0.0, 0.6, 0.2]).figures(0.5)
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["recall"] == pytest.approx(2 / 6)
    assert found["F1"] == pytest.approx(4 / 10)
    assert found["macro_precision"] == pytest.approx((1 / 2 + 1) / 2)  # text 3 has no answer
    assert found["macro_recall"] == pytest.approx((1 + 1 / 4 + 0) / 3)
    assert found["macro_F1"] == pytest.approx((2 / 3 + 2 / 5 + 0) / 3)
    assert found["AP"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 6)
    assert found["macro_AP"] == pytest.approx((1 + 2 / 4 + 0) / 3)
    assert (found["best_F1"], found["best_threshold"]) == (pytest.approx(6 / 11), 0.4)
    assert found["false_alarms"] == pytest.approx(1 / 3)


def test_a_threshold_of_zero_is_no_alarm_where_nothing_is_answered() -> None:
    assert answers([], [1], [0.0, 0.1]).figures(0.0)["false_alarms"] == 0.5


def test_no_answers_and_nothing_to_answer() -> None:
    silent = answers([], [2], []).figures(0.5)
    assert (silent["precision"], silent["recall"], silent["F1"], silent["AP"]) == (None, 0, 0, 0)
    assert (silent["best_F1"], silent["best_threshold"], silent["false_alarms"]) == (0, None, None)
    nothing = answers([], [], []).figures(0.5)
    assert set(nothing.values()) == {None}
    wrong = answers([(0.9, False, 0)], [0], [0.9]).figures(0.5)
    assert (wrong["precision"], wrong["recall"], wrong["macro_F1"], wrong["false_alarms"]) == (
        0,
        None,
        None,
        1,
    )


def test_names_of_objects() -> None:
    likely = np.zeros((7, 5), np.float32)
    likely[:, 0] = [0.6, 0.1, 0.1, 0.1, 0.05, 0.05, 0.0]  # right
    likely[:, 1] = [0.4, 0.2, 0.2, 0.1, 0.05, 0.04, 0.01]  # among the best five
    likely[:, 2] = [0.2, 0.19, 0.18, 0.17, 0.16, 0.06, 0.04]  # the sixth
    likely[:, 3] = 0.1  # all as probable as each other
    truth = np.array([0, 4, 5, 0, 0])  # the last one is too small to tell
    found = known_figures(likely, truth, 0.3)
    assert (found["top1"], found["top5"]) == (pytest.approx(1 / 5), pytest.approx(2 / 5))
    assert found["macro_top1"] == pytest.approx((1 / 3 + 0 + 0) / 3)
    assert (found["named"], found["named_right"]) == (pytest.approx(2 / 5), pytest.approx(1 / 2))
    few = known_figures(np.zeros((3, 1), np.float32), np.array([1]), 0.0)
    assert (few["top1"], few["top5"], few["named"], few["named_right"]) == (0, 0, 0, None)
    assert set(known_figures(np.zeros((3, 0), np.float32), np.zeros(0, np.int64), 0.3).values()) == {None}


def test_hits_among_the_most_similar() -> None:
    own = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    similarity = np.array([[0.1, 0.7, 0.6, 0.0], [0.9, 0.8, 0.7, 0.1]])
    assert hit_rate(similarity, own, 1) == 0.5
    assert hit_rate(similarity, own, 2) == 0.5
    assert hit_rate(similarity, own, 3) == 1.0
    assert hit_rate(np.ones((2, 4)), own, 1) == 0.0  # all alike: no luck
    assert hit_rate(np.zeros((0, 4)), np.zeros((0, 4), bool), 1) is None
    with pytest.raises(InputError, match="expected"):
        hit_rate(similarity, own.T, 1)
