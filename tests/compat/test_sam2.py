"""SAM 2's call shapes: image predictor, mask generator, video predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fastsam
from fastsam.compat.sam2 import (
    automatic_mask_generator,
    build_sam,
    clip,
    sam2_image_predictor,
    sam2_video_predictor,
)
from fastsam.errors import ConfigError, NoImageError, PromptError, VideoError
from tests.compat.conftest import iou
from tests.compat.drawn import BAR, BIG, MASKS, PHOTO, core

SAM2ImagePredictor = sam2_image_predictor.SAM2ImagePredictor
SAM2VideoPredictor = sam2_video_predictor.SAM2VideoPredictor
SAM2AutomaticMaskGenerator = automatic_mask_generator.SAM2AutomaticMaskGenerator


# ---- images --------------------------------------------------------------------------------------------


def test_one_object_and_several() -> None:
    predictor = SAM2ImagePredictor(core())
    with pytest.raises(NoImageError, match="set_image"):
        predictor.predict(box=np.array(BIG))
    predictor.set_image(Image.fromarray(PHOTO))
    masks, scores, logits = predictor.predict(point_coords=np.array([[24, 24]]), point_labels=np.array([1]))
    assert (masks.shape, masks.dtype) == ((3, 60, 80), np.float32)
    assert (scores.shape, logits.shape) == ((3,), (3, 256, 256))
    np.testing.assert_array_equal(masks[0], MASKS[1])
    masks, scores, logits = predictor.predict(box=np.array([BAR, BIG]), multimask_output=False)
    assert (masks.shape, scores.shape, logits.shape) == ((2, 1, 60, 80), (2, 1), (2, 1, 256, 256))
    np.testing.assert_array_equal(masks[:, 0], MASKS[[2, 0]])
    again, _, _ = predictor.predict(mask_input=logits[1], multimask_output=False)
    np.testing.assert_array_equal(again[0], MASKS[0])
    with pytest.raises(PromptError, match="same objects"):
        predictor.predict(np.zeros((3, 1, 2)), np.ones((3, 1)), box=np.array([BAR, BIG]))


def test_coordinates_can_be_shares() -> None:
    predictor = SAM2ImagePredictor(core())
    predictor.set_image(PHOTO)
    shares = np.array(BAR) / np.array([80, 60, 80, 60])
    masks, _, _ = predictor.predict(box=shares, multimask_output=False, normalize_coords=False)
    np.testing.assert_array_equal(masks[0], MASKS[2])


def test_batches() -> None:
    predictor = SAM2ImagePredictor(core())
    with pytest.raises(NoImageError, match="set_image_batch"):
        predictor.predict_batch(box_batch=[np.array(BAR)])
    predictor.set_image_batch([PHOTO, PHOTO])
    boxes = [np.array([BAR]), np.array([BIG])]
    masks, scores, logits = predictor.predict_batch(box_batch=boxes, multimask_output=False)
    assert len(masks) == len(scores) == len(logits) == 2
    np.testing.assert_array_equal(masks[1][0], MASKS[0])
    with pytest.raises(PromptError, match="2 images, got 1"):
        predictor.predict_batch(box_batch=boxes[:1])


def test_generator_has_sam2s_arguments() -> None:
    generator = SAM2AutomaticMaskGenerator(core(), 32, 128, 0.7, 0.92, 0.7, 0.0, 0.7, use_m2m=True)
    assert [record["area"] for record in generator.generate(PHOTO)] == [2400, 400, 350]
    with pytest.raises(ConfigError, match="'points' is unknown"):
        SAM2AutomaticMaskGenerator(core(), points=3)
    with pytest.warns(UserWarning, match="mask_threshold"):
        SAM2AutomaticMaskGenerator(core(), mask_threshold=0.5)


def test_constructors_take_the_embedded_weights() -> None:
    with pytest.warns(UserWarning, match="sam2.1_hiera_small.pt holds a SAM network"):
        model = build_sam.build_sam2(
            "configs/sam2.1/sam2.1_hiera_s.yaml", "sam2.1_hiera_small.pt", device="cpu"
        )
    assert model.device == torch.device("cpu")
    assert SAM2ImagePredictor.from_pretrained("facebook/sam2-hiera-large").device == torch.device("cpu")
    assert (
        build_sam.build_sam2_video_predictor("sam2_hiera_l.yaml", apply_postprocessing=False).to("cpu").eval()
    )


# ---- video ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, photo: np.ndarray) -> Path:
    """A pan over the photo, as SAM 2 wants its frames."""
    folder = tmp_path_factory.mktemp("frames")
    for k in range(6):
        Image.fromarray(photo[150:450, 4 * k : 4 * k + 320]).save(folder / f"{k:05d}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def predictor(quick: fastsam.FastSAM) -> Any:
    return SAM2VideoPredictor(quick)


def shown(logits: torch.Tensor, row: int) -> np.ndarray:
    assert logits.dtype == torch.float32
    return (logits[row] > 0.0).cpu().numpy().squeeze()


def test_clicks_and_boxes_are_followed_both_ways(predictor: Any, frames: Path) -> None:
    state = predictor.init_state(video_path=str(frames))
    assert (state["num_frames"], state["video_height"], state["video_width"]) == (6, 300, 320)
    click = {"points": np.array([[60, 160]], np.float32), "labels": np.array([1], np.int32)}
    index, ids, logits = predictor.add_new_points_or_box(state, frame_idx=2, obj_id=1, **click)
    assert (index, ids, logits.shape) == (2, [1], (1, 1, 300, 320))
    assert shown(logits, 0)[160, 60]
    box = [0, 20, 300, 200]
    _, ids, logits = predictor.add_new_points_or_box(state, frame_idx=2, obj_id="bus", box=box)
    assert ids == [1, "bus"]
    first = [shown(logits, row) for row in (0, 1)]
    forward = {index: (ids, logits) for index, ids, logits in predictor.propagate_in_video(state)}
    backward = {index: logits for index, _, logits in predictor.propagate_in_video(state, reverse=True)}
    assert list(forward) == [2, 3, 4, 5]
    assert list(backward) == [2, 1, 0]
    assert forward[5][0] == [1, "bus"]
    for row in (0, 1):
        assert iou(shown(forward[2][1], row), first[row]) > 0.99
        for index, logits in ((5, forward[5][1]), (0, backward[0])):
            moved = np.roll(first[row], -4 * (index - 2), axis=1)  # by four pixels a frame
            assert iou(shown(logits, row), moved) > 0.8
    assert not iou(shown(forward[5][1], 0), shown(forward[5][1], 1)) > 0.6
    later = [index for index, _, _ in predictor.propagate_in_video(state, 4, max_frame_num_to_track=1)]
    assert later == [4, 5]


def test_clicks_add_up_and_prompts_can_be_taken_back(predictor: Any, frames: Path) -> None:
    state = predictor.init_state(str(frames))
    add = predictor.add_new_points_or_box
    one = shown(add(state, 0, 1, [[60, 160]], [1])[2], 0)
    two = shown(add(state, 0, 1, [[200, 100]], [1], clear_old_points=False)[2], 0)
    assert two.sum() > one.sum()
    assert shown(add(state, 0, 1, torch.tensor([[60, 160]]), torch.tensor([1]))[2], 0).sum() == one.sum()
    share = [[60 / 320, 160 / 300]]
    assert shown(add(state, 0, 1, share, [1], normalize_coords=False)[2], 0).sum() == one.sum()
    drawn = np.zeros((300, 320), bool)
    drawn[50:80, 40:90] = True
    _, ids, logits = predictor.add_new_mask(state, 0, 2, drawn)
    np.testing.assert_array_equal(shown(logits, ids.index(2)), drawn)
    _, _, logits = predictor.clear_all_prompts_in_frame(state, 0, 1)
    assert not shown(logits, 0).any()
    assert predictor.remove_object(state, 1) == ([2], [])
    assert predictor.remove_object(state, 7)[0] == [2]
    ids, touched = predictor.remove_object(state, 2)
    assert (ids, [index for index, _ in touched]) == ([], [0])
    predictor.reset_state(state)
    with pytest.raises(PromptError, match="prompts first"):
        list(predictor.propagate_in_video(state))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({}, "neither"),
        ({"box": [0, 0, 9, 9], "clear_old_points": False}, "clear_old_points"),
        ({"frame_idx": 6, "points": [[5, 5]]}, "0 to 5"),
    ],
)
def test_prompts_that_cannot_be_are_explained(predictor: Any, frames: Path, ask: Any, message: str) -> None:
    state = predictor.init_state(str(frames))
    with pytest.raises(PromptError, match=message):
        predictor.add_new_points_or_box(state, **{"frame_idx": 0, "obj_id": 1, **ask})
    with pytest.raises(PromptError, match="shape"):
        predictor.add_new_mask(state, 0, 1, np.ones((5, 5)))
    with pytest.raises(PromptError, match="object 3"):
        predictor.remove_object(state, 3, strict=True)


def test_a_clip_is_read_in_any_order(tmp_path: Path, frames: Path) -> None:
    import av

    with av.open(str(tmp_path / "clip.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(40):
            grey = np.full((240, 320, 3), 6 * k, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        output.mux(stream.encode())
    video = clip.Clip(tmp_path / "clip.mp4")
    assert (video.count, video.size_hw) == (40, (240, 320))
    for indices in (range(30, 35), range(38, -1, -1)):
        found = list(video.frames(indices))
        assert [frame.index for frame in found] == list(indices)
        assert np.abs([frame.rgb.mean() - 6 * frame.index for frame in found]).max() < 5
    arrays = clip.Clip([PHOTO, PHOTO])
    assert (arrays.count, arrays.frame(1).index) == (2, 1)
    assert [frame.index for frame in clip.Clip(frames).frames(range(4, 1, -2))] == [4, 2]
    with pytest.raises(VideoError, match="0 to 1"):
        arrays.frame(2)
    with pytest.raises(VideoError, match="at least one frame"):
        clip.Clip([])
