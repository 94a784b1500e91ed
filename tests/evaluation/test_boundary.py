"""The boundary benchmark against drawn boundaries with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from skimage import data

from fastsam.datasets import CocoImage, boundary_file, read_boundaries
from fastsam.errors import DatasetError, InputError
from fastsam.evaluation.boundary import (
    BoundaryCounts,
    boundary_figures,
    count_boundaries,
    edge_nms,
    even_thresholds,
    match_boundaries,
    soft_boundaries,
)
from fastsam.records import MaskSet

SIZE = (160, 240)  # diagonal 288 px: pairs are up to 2.16 px apart
HALF = np.array([0.5])


def column(x: int, top: int = 0, bottom: int = 160) -> np.ndarray:
    lines = np.zeros(SIZE, bool)
    lines[top:bottom, x] = True
    return lines


def figures(found: np.ndarray, *truths: np.ndarray) -> dict[str, float | None]:
    return boundary_figures([count_boundaries(found.astype(np.float32), truths, HALF)], HALF)


@pytest.mark.parametrize(
    ("found", "truth", "reach", "pairs"),
    [
        pytest.param(column(50), column(50), 2, 160, id="the same"),
        pytest.param(column(50), column(52), 2, 160, id="within reach"),
        pytest.param(column(50), column(53), 2, 0, id="out of reach"),
        pytest.param(column(50) | column(51), column(50), 2, 160, id="each true pixel once"),
        pytest.param(column(50), column(50, 0, 40), 2, 40, id="half missing in truth"),
        pytest.param(column(50) & False, column(50), 2, 0, id="nothing found"),
        pytest.param(column(50), column(50) & False, 2, 0, id="nothing drawn"),
        pytest.param(column(0) | column(239), column(1) | column(238), 2, 320, id="at the image edge"),
    ],
)
def test_pairs(found: np.ndarray, truth: np.ndarray, reach: float, pairs: int) -> None:
    found_hit, truth_hit = match_boundaries(found, truth, reach)
    assert found_hit.sum() == truth_hit.sum() == pairs
    assert not (found_hit & ~found).any()
    assert not (truth_hit & ~truth).any()


def test_as_many_pairs_as_possible() -> None:
    """Greedy nearest pairing would marry the middle pixels and leave the outer ones alone."""
    found, truth = np.zeros((1, 5), bool), np.zeros((1, 5), bool)
    found[0, [1, 2]] = True
    truth[0, [0, 1]] = True
    assert match_boundaries(found, truth, 1)[0].sum() == 2


def test_pairs_match_an_assignment_solver() -> None:
    """The number of pairs is that of an optimal assignment with a high price on staying alone."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    for _ in range(5):
        found, truth = rng.random((30, 30)) < 0.1, rng.random((30, 30)) < 0.1
        a, b = np.argwhere(found), np.argwhere(truth)
        distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
        cost = np.where(distance <= 2.5, distance, 1e6)
        rows, columns = linear_sum_assignment(cost)
        assert match_boundaries(found, truth, 2.5)[0].sum() == (cost[rows, columns] < 1e6).sum()


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match="one size"):
        match_boundaries(column(5), column(5)[1:], 2)


@pytest.mark.parametrize(
    ("found", "truths", "f"),
    [
        pytest.param(column(50), [column(50)], 1.0, id="perfect"),
        pytest.param(column(50), [column(52)], 1.0, id="within .75 % of the diagonal"),
        pytest.param(column(50), [column(60)], 0.0, id="elsewhere"),
        # precision 1 (some annotator drew it), recall 1/2 of all annotators' pixels
        pytest.param(column(50), [column(50), column(90)], 2 / 3, id="annotators disagree"),
        pytest.param(column(50) | column(90), [column(50)], 2 / 3, id="half too much"),
        pytest.param(column(50) & False, [column(50)], 0.0, id="nothing found"),
    ],
)
def test_f_measures(found: np.ndarray, truths: list[np.ndarray], f: float) -> None:
    results = figures(found, *truths)
    assert results["ODS"] == pytest.approx(f, abs=0.01)
    assert results["OIS"] == pytest.approx(f, abs=0.01)


def test_thick_lines_are_thinned_first() -> None:
    thick = column(49) | column(50) | column(51)
    counts = count_boundaries(thick.astype(np.float32), [column(50)], HALF)
    assert counts.found[0] <= 165
    assert counts.found_matched[0] >= 155


def counts(rows: list[tuple[int, int, int, int]]) -> BoundaryCounts:
    return BoundaryCounts(*np.array(rows, np.int64).T)


def test_ods_takes_one_threshold_and_ois_one_an_image() -> None:
    """Image 1 is best at the first threshold, image 2 at the second; each is useless at the other."""
    first = counts([(100, 100, 100, 100), (0, 100, 0, 0)])
    second = counts([(0, 100, 0, 100), (100, 100, 100, 100)])
    results = boundary_figures([first, second], even_thresholds(2))
    assert results["OIS"] == pytest.approx(1.0)
    assert results["ODS"] is not None
    assert results["ODS"] < 0.75


def test_average_precision_and_recall_at_half_precision() -> None:
    """A straight curve from recall 0, precision 1 to recall 1, precision 0."""
    rows = [(r, 100, 100 - r, 100) for r in range(100, -1, -1)]
    results = boundary_figures([counts(rows)], even_thresholds(101))
    assert results["boundary_AP"] == pytest.approx(0.505, abs=0.001)  # 101 samples of width .01
    assert results["R50"] == pytest.approx(0.5)
    assert results["ODS"] == pytest.approx(0.5)


def test_no_images() -> None:
    assert set(boundary_figures([], HALF).values()) == {None}


def test_soft_boundaries_of_masks() -> None:
    masks = np.zeros((2, *SIZE), bool)
    masks[0, :, 120:] = True  # touches three image edges: only its left side is a boundary
    masks[1, 40:80, 20:60] = True
    soft = soft_boundaries(MaskSet.from_dense(masks, [0.81, 0.25]))
    assert soft.shape == SIZE
    assert soft.dtype == np.float32
    near = np.abs(np.arange(SIZE[1]) - 119) <= 1
    assert soft[:, near].max(axis=1) == pytest.approx(0.9)  # square root of the score
    assert (soft[:, ~near & (np.arange(SIZE[1]) > 65)] == 0).all()
    square = soft[38:82, 18:62]
    assert square.max() == pytest.approx(0.5)
    assert 150 <= (square > 0).sum() <= 330  # a ring of 160 px, at most two wide
    assert (soft[45:75, 25:55] == 0).all()


def test_no_masks_no_boundaries() -> None:
    assert not soft_boundaries(MaskSet.none(SIZE)).any()
    assert not edge_nms(np.zeros(SIZE, np.float32)).any()


def test_the_stronger_mask_wins() -> None:
    mask = np.zeros((1, *SIZE), bool)
    mask[0, :, 120:] = True
    twice = MaskSet.from_dense(np.concatenate([mask, mask]), [0.04, 0.64])
    assert soft_boundaries(twice).max() == pytest.approx(0.8)


def test_nms_joins_near_duplicates_and_keeps_distant_lines() -> None:
    edges = (column(50) | column(51) | column(90)).astype(np.float32)
    thin = edge_nms(edges)
    middle = thin[80]
    assert (middle[48:54] > 0).sum() <= 2
    assert middle[90] == 1.0
    assert (middle[[86, 87, 93, 94]] == 0).all()


def test_a_diagonal_stays_a_line() -> None:
    slope = np.eye(160, dtype=np.float32)
    thin = edge_nms(slope) > 0
    assert thin.diagonal()[5:-5].all()
    assert thin.sum() <= 3 * 160


def test_photo_boundaries_agree_with_themselves() -> None:
    """The edges of a photo's bright regions, as masks, match the same regions' outlines."""
    grey = data.astronaut()[100:260, 100:340].mean(axis=2)
    masks = np.stack([grey > level for level in (90, 150)])
    soft = soft_boundaries(MaskSet.from_dense(masks))
    outlines = [m[:-1, :-1] != m[1:, 1:] for m in masks]
    truth = np.pad(outlines[0] | outlines[1], ((0, 1), (0, 1)))
    # a diagonal difference is two pixels wide, the found lines are one
    assert figures(soft, truth)["ODS"] > 0.75  # type: ignore[operator]
    assert figures(soft, np.roll(truth, 40, axis=1))["ODS"] < figures(soft, truth)["ODS"]  # type: ignore[operator]


# --- the annotators' files ------------------------------------------------------------------------


def write_mat(path: Path, boundaries: list[np.ndarray]) -> None:
    """Write a file as BSDS500 does: a cell array of structs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(boundaries)), object)
    for k, one in enumerate(boundaries):
        cells[0, k] = {"Segmentation": np.ones(SIZE, np.uint16), "Boundaries": one.astype(np.uint8)}
    scipy.io.savemat(path, {"groundTruth": cells})


def test_annotators_are_read(tmp_path: Path) -> None:
    image = CocoImage(tmp_path / "images" / "a.jpg", *SIZE, ())
    with pytest.raises(DatasetError, match=r"groundTruth_test.a\.mat"):
        boundary_file(tmp_path, image)
    write_mat(tmp_path / "groundTruth_test" / "a.mat", [column(5), column(9)])
    found = read_boundaries(tmp_path, image)
    assert [int(one.sum()) for one in found] == [160, 160]
    assert found[1][:, 9].all()
    with pytest.raises(DatasetError, match="its image"):
        read_boundaries(tmp_path, CocoImage(image.path, 10, 10, ()))


@pytest.mark.parametrize("content", [b"", b"not a mat file", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_damaged_annotator_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "groundTruth_test" / "a.mat"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="BSDS500"):
        read_boundaries(tmp_path, CocoImage(tmp_path / "a.jpg", *SIZE, ()))


def test_foreign_mat_file(tmp_path: Path) -> None:
    path = tmp_path / "groundTruth_test" / "a.mat"
    path.parent.mkdir()
    scipy.io.savemat(path, {"something": np.ones(3)})
    with pytest.raises(DatasetError, match="BSDS500"):
        read_boundaries(tmp_path, CocoImage(tmp_path / "a.jpg", *SIZE, ()))
