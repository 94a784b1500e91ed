"""The boundary benchmark against drawn boundaries with known answers."""

from __future__ import annotations

from pathlib import Path

import cv2
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
    soft_boundaries,
)
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet

SIZE = (160, 240)  # diagonal 288 px: pairs are up to 2.16 px apart
HALF = np.array([0.5])


def column(x: int, top: int = 0, bottom: int = 160) -> np.ndarray:
    lines = np.zeros(SIZE, bool)
    lines[top:bottom, x] = True
    return lines


def figures(found: np.ndarray, *truths: np.ndarray) -> dict[str, float | None]:
    return boundary_figures([count_boundaries(found.astype(np.float32), truths, HALF)], HALF)


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


def test_annotators_of_another_size() -> None:
    with pytest.raises(InputError, match="one size"):
        figures(column(50), column(50)[1:])


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


def painted(*masks: np.ndarray) -> Frame:
    """A dark photo in which each of the masks is a brighter region."""
    grey = np.full(SIZE, 60, np.uint8)
    for k, mask in enumerate(masks):
        grey[mask] = 140 + 30 * k
    return Frame(np.repeat(grey[:, :, None], 3, axis=2))


def blob(x: int = 120, y: int = 80, radius: int = 40) -> np.ndarray:
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    return (xs - x) ** 2 + (ys - y) ** 2 <= radius**2


def soft(masks: list[np.ndarray], scores: list[float], frame: Frame) -> np.ndarray:
    return soft_boundaries(MaskSet.from_dense(np.stack(masks), scores), frame)


def distance_from_edge(x: int = 120, y: int = 80, radius: int = 40) -> np.ndarray:
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.abs(np.hypot(xs - x, ys - y) - radius)


def test_soft_boundaries_of_masks() -> None:
    half = np.zeros(SIZE, bool)
    half[:, 200:] = True  # touches three image edges: only its left side is a boundary
    round_one = blob(x=80)
    drawn = soft([round_one, half], [0.8, 0.8], painted(round_one, half))
    assert drawn.shape == SIZE
    assert drawn.dtype == np.float32
    assert 0 < drawn.max() < 1
    ring, left = distance_from_edge(x=80), np.abs(np.arange(SIZE[1]) - 199.5) * np.ones(SIZE)
    assert (drawn[(ring > 3) & (left > 2)] == 0).all()
    assert (drawn[:, 197:203].max(axis=1) > 0).all()
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    for x, y in zip(80 + 40 * np.cos(angles), 80 + 40 * np.sin(angles), strict=True):
        assert drawn[int(y) - 2 : int(y) + 4, int(x) - 2 : int(x) + 4].max() > 0


def test_no_masks_no_boundaries() -> None:
    assert not soft_boundaries(MaskSet.none(SIZE), painted(blob())).any()
    assert not edge_nms(np.zeros(SIZE, np.float32)).any()


def test_masks_without_pixels_and_tiny_photos() -> None:
    assert not soft([column(5) & False], [0.9], painted(blob())).any()
    one = MaskSet.from_dense(np.ones((1, 1, 1), bool))
    assert soft_boundaries(one, Frame(np.zeros((1, 1, 3), np.uint8))).tolist() == [[0.0]]


def test_masks_of_another_size() -> None:
    with pytest.raises(InputError, match="frame's size"):
        soft_boundaries(MaskSet.none((3, 4)), painted(blob()))


def test_more_and_surer_masks_are_stronger() -> None:
    frame = painted(blob())
    weak, sure, both, shifted = (
        float(soft(masks, scores, frame).max())
        for masks, scores in (
            ([blob()], [0.1]),
            ([blob()], [0.6]),
            ([blob(), blob()], [0.6, 0.6]),
            ([blob(), blob(x=121)], [0.6, 0.6]),  # agrees to a pixel: still one line
        )
    )
    assert 0 < weak < sure < both
    assert shifted > sure


def test_boundaries_need_contrast() -> None:
    """Of two equal masks, the one that the photo knows nothing of has no line."""
    drawn = soft([blob(x=60, radius=30), blob(x=170, radius=30)], [0.9, 0.9], painted(blob(x=60, radius=30)))
    assert drawn[:, :110].max() > 0
    assert drawn[:, 125:].max() == 0


def test_lines_lie_where_the_photo_changes() -> None:
    """The line of a mask that is two pixels too large is drawn towards the edge in the photo."""
    drawn = soft([blob(radius=42)], [0.9], painted(blob()))
    strong = drawn > 0.5 * drawn.max()
    assert strong.sum() > 100
    assert np.median(distance_from_edge()[strong]) < 1.5


def test_a_cut_along_the_box_counts_less() -> None:
    half = np.zeros(SIZE, bool)
    half[:, 120:] = True
    spurred = half.copy()
    spurred[80, 90:120] = True  # its box is wider: the same line is none of its sides
    frame = painted(half)
    on_side, inside = (float(soft([mask], [0.9], frame)[20:60].max()) for mask in (half, spurred))
    assert 0 < on_side < 0.6 * inside


def test_nms_keeps_ridges() -> None:
    ridges = cv2.GaussianBlur((column(50) | column(52) | column(90)).astype(np.float32), (0, 0), 2)
    thin = edge_nms(ridges)
    middle = thin[80]
    assert np.flatnonzero(middle[40:70]).tolist() == [11]  # near duplicates are one line
    assert middle[90] == ridges[80, 90]
    assert (middle[[86, 87, 88, 89, 91, 92, 93, 94]] == 0).all()


def test_a_diagonal_stays_a_line() -> None:
    thin = edge_nms(cv2.GaussianBlur(np.eye(160, dtype=np.float32), (0, 0), 1.5)) > 0
    assert thin.diagonal()[5:-5].all()
    assert thin.sum() <= 3 * 160


def test_photo_boundaries_agree_with_themselves() -> None:
    """The edges of a photo's bright regions, as masks, match the same regions' outlines."""
    photo = np.ascontiguousarray(data.astronaut()[100:260, 100:340])
    grey = cv2.GaussianBlur(photo.mean(axis=2), (0, 0), 2)
    masks = [grey > level for level in (90, 150)]
    drawn = soft(masks, [0.9, 0.9], Frame(photo))
    outlines = [m[:-1, :-1] != m[1:, 1:] for m in masks]
    truth = np.pad(outlines[0] | outlines[1], ((0, 1), (0, 1)))
    thresholds = even_thresholds(33)
    right, moved = (
        boundary_figures([count_boundaries(drawn, [lines], thresholds)], thresholds)["ODS"]
        for lines in (truth, np.roll(truth, 40, axis=1))
    )
    assert right is not None
    assert moved is not None
    # a diagonal difference is two pixels wide, the found lines are one
    assert right > 0.7
    assert moved < right - 0.2


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
