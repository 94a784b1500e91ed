"""Simulated clicks: who answers them how, and how many it takes."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import astronaut

from fastsam.config import EvalConfig
from fastsam.evaluation.clicking import (
    CLICKS,
    RULES,
    click_figures,
    click_objects,
    clicked,
    clicks_needed,
)
from fastsam.masks.maskset import MaskSet
from fastsam.prompts.solve.scene import Scene

SIZE = (120, 160)


def rect(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


A, B = rect(10, 10, 60, 60), rect(90, 20, 150, 100)


def scene(*masks: np.ndarray) -> Scene:
    photo = np.ascontiguousarray(astronaut()[: SIZE[0], : SIZE[1]])
    return Scene(photo, MaskSet.from_dense(np.stack(masks) if masks else np.zeros((0, *SIZE), bool)))


@pytest.mark.parametrize(
    ("rule", "found", "target", "wanted"),
    [
        pytest.param("", [A, B], A, [1.0, 1.0, 1.0], id="ours: one click"),
        pytest.param("chosen_", [A, B], A | B, [B.sum() / (A | B).sum(), 1.0, 1.0], id="joined"),
        pytest.param("union_", [A, B], A | B, [B.sum() / (A | B).sum(), 1.0, 1.0], id="both masks"),
        pytest.param("union_", [A, A | B], A, [A.sum() / (A | B).sum(), 0.0, 0.0], id="erases all under it"),
        pytest.param("chosen_", [B], A, [0.0, 0.0, 0.0], id="never"),
    ],
)
def test_iou_after_each_click(
    rule: str, found: list[np.ndarray], target: np.ndarray, wanted: list[float]
) -> None:
    assert clicked(RULES[rule], scene(*found), target, 3).tolist() == pytest.approx(wanted)


def test_our_answers_get_there_without_a_mask() -> None:
    ious = clicked(RULES[""], scene(), A, 8)
    assert ious[0] > 0
    assert ious[-1] > max(ious[0], 0.6)


def test_grabcut_keeps_to_the_clicks() -> None:
    clicks = [(35, 35, 1), (100, 100, 0), (58, 58, 1)]
    answer = RULES["grabcut_"](scene(A), clicks)
    assert [bool(answer[y, x]) for x, y, _ in clicks] == [True, False, True]
    assert np.array_equal(RULES["grabcut_"](scene(A), clicks[:1]), A)


def test_figures() -> None:
    assert clicks_needed(np.array([[0.86], [0.2]]), 0.85).tolist() == [1.0]
    config = EvalConfig(max_clicks=3)
    ious = click_objects(scene(A, B), [A, rect(0, 0, 2, 2)], config)
    assert ious.shape == (len(RULES), 3, 2)
    assert np.isnan(ious[:, :, 1]).all()
    figures = click_figures(ious)
    assert figures["noc@85"] == figures["union_noc@90"] == 1.0
    assert figures["noc_failed"] == 0.0
    assert f"clicks_mIoU@{CLICKS[-1]}" not in figures  # not that many clicks were made
    assert click_figures(np.zeros((len(RULES), 3, 0)))["noc@85"] is None
