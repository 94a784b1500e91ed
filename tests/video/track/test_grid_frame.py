"""Frames on a grid of cells, and where their pixels came from."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam.images.frame import Frame
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.video.track.grid_frame import GridFrame, flow_between, follow_flow, grown, to_size
from tests.drawing import rectangle
from tests.video.clips import pan_offset, panned_frames
from tests.video.drawn import Drawn, Shape, model_of, still

SIZES = [(96, 128), (128, 96), (640, 640), (8, 8), (1, 1), (1, 3), (8, 2000), (2, 2000), (2000, 3), (37, 501)]


def empty(size_hw: tuple[int, int]) -> GridFrame:
    return GridFrame(Frame(np.full((*size_hw, 3), 90, np.uint8)), MaskSet.none(size_hw))


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("channels", [0, 300])
def test_the_grid_covers_the_image(size_hw: tuple[int, int], channels: int) -> None:
    height, width = size_hw
    # The whole image, its left half, and one pixel in a corner.
    masks = [
        np.ones(size_hw, bool),
        rectangle(size_hw, 0, 0, max(width // 2, 1), height),
        np.zeros(size_hw, bool),
    ]
    masks[2][height - 1, width - 1] = True
    frame = Frame(np.random.default_rng(0).integers(0, 255, (*size_hw, 3), dtype=np.uint8))
    found = MaskSet.from_dense(np.stack(masks))
    if channels:
        drawn = Drawn(Shape("red", still(width / 2, height / 2), (width, height)), size_hw=size_hw)
        pyramid = model_of(drawn, channels=channels).open(frame).masks.pyramid
        found = MaskSet(found.size_hw, found.boxes_xyxy, found.scores, found.store, pyramid)
    scene = GridFrame(frame, found)
    rows, columns = scene.grid_hw
    assert scene.cells.shape == (3, rows, columns)
    assert min(scene.areas) >= 1, "nothing is too small for a cell"
    assert scene.cells[2].nonzero()[0].min() >= rows - 2 - 4 * rows / height
    assert scene.areas[0] >= 0.9 * max(rows - 1, 1) * max(columns - 1, 1)
    assert scene.areas[1] == pytest.approx(scene.areas[0] * max(width // 2, 1) / width, rel=0.1, abs=rows)
    assert scene.grey.shape == (2 * rows, 2 * columns)
    assert [values.shape[2] for values in scene.maps] == [6, channels, channels][: 3 if channels else 1]
    whole = np.concatenate([grown(values, scene.coarse_hw) for values in scene.maps], axis=2)
    assert whole.shape == (*scene.coarse_hw, 6 + 2 * channels)
    assert np.isfinite(whole).all()
    assert scene.soft_cells(np.array([0, 2])).shape == scene.grid_hw


def test_an_empty_mask_has_no_cell() -> None:
    scene = GridFrame(Frame(np.zeros((48, 64, 3), np.uint8)), MaskSet.from_dense(np.zeros((1, 48, 64), bool)))
    assert scene.areas.tolist() == [0]


@pytest.mark.parametrize("size_hw", SIZES)
def test_a_frame_without_masks(size_hw: tuple[int, int]) -> None:
    scene = empty(size_hw)
    assert scene.cells.shape == scene.flat_cells.reshape(0, *scene.grid_hw).shape
    assert scene.areas.shape == (0,)
    flow = flow_between(scene, empty(size_hw))
    assert flow is not None
    assert flow.shape == (*scene.grid_hw, 2)
    assert not flow.any()


@pytest.mark.parametrize("step", [1, 4])
def test_the_flow_of_a_panned_photograph(step: int) -> None:
    first, second = (
        GridFrame(Frame(rgb), MaskSet.none((240, 320))) for rgb in panned_frames(2, (240, 320), step)
    )
    flow = flow_between(first, second)
    assert flow is not None
    # The window went right and down: what is in a cell now was further right and down before.
    dx, dy = (np.subtract(pan_offset(1, (240, 320), step), pan_offset(0, (240, 320), step))).tolist()
    inner = flow[10:-10, 10:-10]
    cells_per_px = second.grid_hw[1] / 320
    np.testing.assert_allclose(
        np.median(inner, axis=(0, 1)), [dx * cells_per_px, dy * cells_per_px], atol=0.15
    )


def test_there_is_no_flow_between_frames_of_two_shapes() -> None:
    assert flow_between(empty((96, 128)), empty((128, 96))) is None
    same_shape = flow_between(empty((96, 128)), empty((192, 256)))
    assert same_shape is not None


def test_a_grid_follows_the_flow() -> None:
    values = np.zeros((20, 30), np.float32)
    values[5:8, 10:14] = 1
    flow = np.zeros((20, 30, 2), np.float32)
    flow[..., 0], flow[..., 1] = -3, 2  # the content was 3 to the left and 2 further down
    wanted = np.zeros_like(values)
    wanted[3:6, 13:17] = 1
    np.testing.assert_allclose(follow_flow(values, flow, (20, 30)), wanted)
    flow[..., 0] = 100  # from beyond the image: nothing comes
    assert not follow_flow(values, flow, (20, 30)).any()
    assert follow_flow(values, None, (40, 60)).shape == (40, 60)


@pytest.mark.parametrize("size_hw", [(10, 10), (1, 1), (40, 4), (7, 9)])
def test_a_resized_grid_keeps_its_mean(size_hw: tuple[int, int]) -> None:
    values = np.zeros((20, 20), np.float32)
    values[:, :10] = 1
    found = to_size(values, size_hw)
    assert found.shape == size_hw
    assert found.mean() == pytest.approx(0.5, abs=0.05)
    assert to_size(values, (20, 20)) is values


def test_an_earlier_letterbox_is_taken_over() -> None:
    frame = Frame(np.zeros((48, 64, 3), np.uint8))
    like = Letterbox.fit((48, 64), 320)
    assert GridFrame(frame, MaskSet.none((48, 64)), like).grid_hw == (60, 80)
    assert GridFrame(frame, MaskSet.none((48, 64))).grid_hw == (120, 160)
